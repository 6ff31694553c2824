# shellcheck shell=bash disable=SC2034
# Shared helpers for the test-server scripts. Sourced, never run on its own.
#
# Every script takes:  install | up [DIR] | down DIR
# DIR holds everything a server writes (config, data, pid files, logs).
# Without DIR, `up` makes a fresh temporary one and prints its name last.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
HOST=127.0.0.1
export PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH"

die() { echo "$(basename "$0"): $*" >&2; exit 1; }
say() { echo "[$(basename "$0" .sh)] $*" >&2; }

# Install Debian packages unless they are all there already. A policy-rc.d that
# says "no" keeps the packages from starting their own system-wide services;
# one that exists already is left alone.
apt_install() {
  local missing=() pkg policy=/usr/sbin/policy-rc.d mine=
  for pkg in "$@"; do
    dpkg-query -W -f '${Status}' "$pkg" 2>/dev/null | grep -q 'ok installed' || missing+=("$pkg")
  done
  if [ ${#missing[@]} -eq 0 ]; then say "packages already installed: $*"; return; fi
  [ "$(id -u)" = 0 ] || die "installing packages needs root"
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod 755 "$policy"; mine=1
  fi
  local rc=0 opts=(-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
  export DEBIAN_FRONTEND=noninteractive
  { apt-get "${opts[@]}" -qq update &&
    apt-get "${opts[@]}" -qq -y install --no-install-recommends "${missing[@]}" >/dev/null; } || rc=$?
  [ -z "$mine" ] || rm -f "$policy"
  [ $rc = 0 ] || die "apt-get failed for: ${missing[*]}"
  say "installed: ${missing[*]}"
}

# Resolve DIR (argument or new temporary directory) to an absolute path. Daemons
# that drop root must be able to walk into it, through every folder above it.
state_dir() {
  local dir=${1:-}
  [ -n "$dir" ] || dir=$(mktemp -d "${TMPDIR:-/tmp}/$(basename "$0" .sh).XXXXXX")
  mkdir -p "$dir"; chmod a+x "$dir"
  dir=$(cd "$dir" && pwd -P)
  setpriv --reuid=65534 --clear-groups test -x "$dir" || die "$dir: a folder above lacks chmod a+x"
  echo "$dir"
}

need_dir() { [ -n "${1:-}" ] && [ -d "$1" ] || die "down needs the DIR that up used"; (cd "$1" && pwd -P); }

port_open() { (exec 3<>"/dev/tcp/$HOST/$1") 2>/dev/null; }

# wait_port PORT PIDFILE LOG - until PORT answers, or the process dies, or 20 s pass
wait_port() {
  local _
  for _ in $(seq 400); do
    port_open "$1" && return 0
    alive "$2" || break
    sleep 0.05
  done
  tail -n 20 "$3" >&2 2>/dev/null || true
  die "nothing listens on $HOST:$1"
}

# A process that has ended counts as gone even while nobody has collected it: in a
# container the init process may take its time.
runs() { kill -0 "$1" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

# A pid file counts only while that pid is alive.
alive() {
  local pid; [ -s "$1" ] || return 1; pid=$(tr -dc 0-9 < "$1")
  [ -n "$pid" ] && runs "$pid"
}

# Fail early when someone else (not our own earlier `up`) sits on a port.
need_free() { local p; for p in "$@"; do ! port_open "$p" || die "port $p is already in use"; done; }

# stop_pid PIDFILE [SIGNAL] - end the process named there: SIGNAL (TERM), up to
# 10 s of patience, then KILL. The children it had go too, by their own pids: PHP
# leaves its workers behind.
stop_pid() {
  local pid kids child _
  if alive "$1"; then
    pid=$(tr -dc 0-9 < "$1")
    kids=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null || true)
    kill "-${2:-TERM}" "$pid" 2>/dev/null || true
    for _ in $(seq 200); do runs "$pid" || break; sleep 0.05; done
    kill -KILL "$pid" 2>/dev/null || true
    for child in $kids; do kill -TERM "$child" 2>/dev/null || true; done
  fi
  rm -f "$1"
}

# start_bg PIDFILE LOG COMMAND... - run in the background in a session of its own
start_bg() {
  local pidfile=$1 log=$2; shift 2
  setsid "$@" >>"$log" 2>&1 </dev/null &
  echo $! > "$pidfile"
}

# make_cert DIR - a throw-away CA (ca.pem) and a server certificate signed by it
# (server.pem, server.key) for localhost, 127.0.0.1 and this host's own name, which
# libldap puts in place of "localhost" when it checks. Kept if already there.
make_cert() {
  local d=$1; mkdir -p "$d"; chmod a+rx "$d"
  [ ! -s "$d/server.pem" ] || return 0
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=throw-away test CA" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$d/ca.key" -out "$d/ca.pem" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" \
    -keyout "$d/server.key" -out "$d/server.csr" 2>/dev/null
  printf 'subjectAltName=DNS:localhost,DNS:%s,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' \
    "$(uname -n)" > "$d/ext"
  openssl x509 -req -in "$d/server.csr" -CA "$d/ca.pem" -CAkey "$d/ca.key" -CAcreateserial \
    -days 30 -extfile "$d/ext" -out "$d/server.pem" 2>/dev/null
  rm -f "$d/server.csr" "$d/ext"; chmod a+r "$d/ca.pem" "$d/server.pem"
}

# The verbs: a script defines do_install, do_up DIR, do_down DIR, then calls this.
main() {
  local verb=${1:-} dir
  case "$verb" in
    install) do_install ;;
    up)   [ "$(id -u)" = 0 ] || die "needs root"
          dir=$(state_dir "${2:-}"); do_up "$dir"; echo "$dir" ;;
    down) dir=$(need_dir "${2:-}"); do_down "$dir"; say "down" ;;
    *) die "usage: $(basename "$0") install | up [DIR] | down DIR" ;;
  esac
}
