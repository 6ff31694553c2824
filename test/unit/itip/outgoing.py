"""
Reads [base64 of an object...] from standard input and writes, for each, what python3-icalendar has against it: its
refusal, or the errors it noted; an empty list for none.
"""

import base64
import json
import sys

from icalendar import Calendar


def complaints(content):
    try:
        calendar = Calendar.from_ical(content)
        return ["%s: %s" % (part.name, error) for part in calendar.walk() for error in part.errors]
    except Exception as error:
        return ["%s: %s" % (type(error).__name__, error)]


json.dump([complaints(base64.b64decode(text)) for text in json.load(sys.stdin)], sys.stdout)
