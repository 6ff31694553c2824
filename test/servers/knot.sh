#!/bin/bash
# Knot DNS: authoritative for the zones in DIR/zones, by UDP and TCP.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

PORT=${KNOT_PORT:-5300}
# A folder with one file per zone, named ORIGIN.zone; a sample zone when unset. Copied at the first `up`.
ZONES=${KNOT_ZONES:-}

do_install() { apt_install knot; }

sample_zone() {
  cat <<'ZONE'
$ORIGIN example.test.
$TTL 60
@                    SOA   ns.example.test. hostmaster.example.test. 1 3600 600 86400 30
@                    NS    ns
ns                   A     127.0.0.1
cal                  A     127.0.0.1
_ischedules._tcp     SRV   0 0 8443 cal
_ischedules._tcp     TXT   "path=/ischedule"
ZONE
}

write_conf() {
  local d=$1 file
  cat > "$d/knot.conf" <<CONF
server:
  rundir: "$d/run"
  listen: $HOST@$PORT
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: info
database:
  storage: "$d/db"
# Zone files are the truth: no journal, and nothing is written back.
template:
  - id: default
    storage: "$d/zones"
    file: "%s.zone"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
CONF
  for file in "$d"/zones/*.zone; do
    echo "  - domain: \"$(basename "$file" .zone)\"" >> "$d/knot.conf"
  done
}

do_up() {
  local d=$1
  if alive "$d/knot.pid"; then say "already up"; return; fi
  need_free $PORT
  mkdir -p "$d"/{zones,run,db}
  if [ -n "$ZONES" ] && ! compgen -G "$d/zones/*.zone" >/dev/null; then cp "$ZONES"/*.zone "$d/zones/"; fi
  compgen -G "$d/zones/*.zone" >/dev/null || sample_zone > "$d/zones/example.test.zone"
  write_conf "$d"
  start_bg "$d/knot.pid" "$d/knot.log" knotd -c "$d/knot.conf"
  wait_port $PORT "$d/knot.pid" "$d/knot.log"
  # It listens before its zones are loaded; a zone that cannot be read is left out in silence.
  for file in "$d"/zones/*.zone; do
    wait_zone "$d" "$(basename "$file" .zone)"
  done
  say "DNS $HOST:$PORT, zones in $d/zones; after a change: $0 reload $d ORIGIN"
}

wait_zone() {
  local _
  for _ in $(seq 200); do
    ! knotc -c "$1/knot.conf" zone-status "$2" +serial 2>/dev/null | grep -q 'serial: [0-9]' || return 0
    sleep 0.05
  done
  tail -n 20 "$1/knot.log" >&2
  die "zone $2 is not served"
}

do_down() { stop_pid "$1/knot.pid"; }

# reload DIR ORIGIN - serve a zone as its file stands now, a new zone included
do_reload() {
  write_conf "$1"
  knotc -b -c "$1/knot.conf" reload >/dev/null
  knotc -b -c "$1/knot.conf" zone-reload "$2" >/dev/null || { tail -n 5 "$1/knot.log" >&2; die "zone $2 was refused"; }
}

if [ "${1:-}" = reload ]; then
  do_reload "$(need_dir "${2:-}")" "${3:?reload needs DIR ORIGIN}"
else
  main "$@"
fi
