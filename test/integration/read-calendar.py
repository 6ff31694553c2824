"""Reads one calendar object from standard input with Debian's python3-icalendar and writes it as JSON."""

import json
import sys

from icalendar import Calendar
from icalendar.parser import Contentlines


def tell(component):
    return {
        "name": component.name,
        "properties": [
            {"name": name, "value": text(value), "params": dict(getattr(value, "params", {}))}
            for name, value in component.property_items(recursive=False)
            if name not in ("BEGIN", "END")
        ],
        "components": [tell(inner) for inner in component.subcomponents],
        # What it could not read of a component that it tolerates otherwise.
        "errors": ["%s: %s" % (name, error) for name, error in component.errors],
    }


def text(value):
    if not isinstance(value, (bytes, str)):
        value = value.to_ical()
    return value.decode("utf-8") if isinstance(value, bytes) else value


content = sys.stdin.buffer.read()
try:
    Contentlines.from_ical(content.decode("utf-8"))
    found = Calendar.from_ical(content.decode("utf-8"), multiple=True)
except Exception as error:  # whatever it refuses is what the test wants to hear
    sys.exit("python3-icalendar: %s: %s" % (type(error).__name__, error))
json.dump([tell(calendar) for calendar in found], sys.stdout)
