"""
Reads [[VTIMEZONE lines, IANA name, [ms...]]...] from standard input and writes, for each, where python3-icalendar's
reading of the VTIMEZONE and the system's tz database (zoneinfo) disagree about the offset at an instant.
"""

import json
import sys
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from icalendar import Timezone
import dateutil.tz


def disagreements(lines, name, instants):
    text = "\r\n".join(lines) + "\r\n"
    Timezone.from_ical(text)  # refuses what is no component
    zone = dateutil.tz.tzical(__import__("io").StringIO(text)).get()
    found = []
    for ms in instants:
        at = datetime.fromtimestamp(ms / 1000, timezone.utc)
        wanted = at.astimezone(ZoneInfo(name))
        read = wanted.replace(tzinfo=zone, fold=wanted.fold).utcoffset()
        if read != wanted.utcoffset():
            found.append("%s: %s, wanted %s" % (wanted.isoformat(), read, wanted.utcoffset()))
    return found


json.dump([disagreements(*case) for case in json.load(sys.stdin)], sys.stdout)
