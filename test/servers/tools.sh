#!/bin/bash
# What tests check with, beside servers: an independent iCalendar parser, and a browser for the screenshots of docs/.
# Only `install`; nothing to start.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

case "${1:-}" in
  install) apt_install python3-icalendar chromium ;;
  *) die "usage: $(basename "$0") install" ;;
esac
