#!/bin/bash
# DAViCal: CalDAV plus an iSchedule receiver that really verifies DKIM. Runs on
# PHP's built-in web server and a PostgreSQL cluster of its own (socket only).
set -euo pipefail
. "$(dirname "$0")/lib.sh"

PORT=${DAVICAL_PORT:-8088}
USERS=${DAVICAL_USERS:-"alice bob carol"}  DOMAIN=${DAVICAL_DOMAIN:-example.test}
PASSWORD=secret
# The remote domains it trusts: key at SELECTOR._domainkey.REMOTE. Its own outgoing iSchedule for users of these goes to
# REMOTE_PORT on this host, when that is set.
REMOTE_PORT=${DAVICAL_REMOTE_PORT:-}
REMOTE=${DAVICAL_REMOTE:-outside.test}  SELECTOR=${DAVICAL_SELECTOR:-cal}

do_install() { apt_install davical postgresql php-curl php-cli openssl curl; }

pg() { (cd / && runuser -u postgres -- env PGHOST="$D/run" "$@"); }

write_conf() {
  local d=$1 key name remotes=
  # One RSA key pair serves both sides here: the test client signs with it, and
  # DAViCal finds its public half in $icfg, where it looks before it asks the DNS.
  [ -s "$d/dkim.key" ] || openssl genrsa -traditional -out "$d/dkim.key" 2048 2>/dev/null
  key=$(openssl rsa -in "$d/dkim.key" -pubout 2>/dev/null | grep -v -- ----- | tr -d '\n')
  for name in $REMOTE; do
    remotes+="  \"$SELECTOR._domainkey.$name\" => \"v=DKIM1;k=rsa;t=s;p=$key\","$'\n'
    [ -z "$REMOTE_PORT" ] || remotes+="  \"$name\" => array(\"server\" => \"$HOST\", \"port\" => $REMOTE_PORT, \"ssl\" => false),"$'\n'
  done
  mkdir -p "$d/conf"
  cat > "$d/conf/config.php" <<CONF
<?php
\$c->pg_connect[] = "host=$d/run dbname=davical user=davical_app";
\$c->admin_email = "admin@$DOMAIN";
\$c->system_name = "DAViCal test";
\$c->enable_auto_schedule = true;
\$c->enable_scheduling = true;
\$c->scheduling_dkim_domain = "$DOMAIN";
\$c->scheduling_dkim_selector = "$SELECTOR";
\$c->schedule_private_key = "$d/dkim.key";
\$icfg = array(
  "$SELECTOR._domainkey.$DOMAIN" => "v=DKIM1;k=rsa;t=s;p=$key",
$remotes);
CONF
}

do_up() {
  local d=$1 u bin; D=$d
  if alive "$d/php.pid"; then say "already up"; return; fi
  need_free $PORT
  mkdir -p "$d"/{run,log}
  bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
  if [ ! -s "$d/pg/PG_VERSION" ]; then
    install -d -o postgres "$d/pg"
    pg "$bin/initdb" -D "$d/pg" -A trust -E UTF8 --locale=C.UTF-8 >"$d/log/initdb.log"
  fi
  chown postgres "$d/run"
  # setpriv execs the server, so the pid noted is the server's own.
  alive "$d/pg.pid" || start_bg "$d/pg.pid" "$d/log/pg.log" \
    setpriv --reuid=postgres --regid=postgres --init-groups \
    "$bin/postgres" -D "$d/pg" -k "$d/run" -c listen_addresses= -c fsync=off
  for _ in $(seq 100); do pg "$bin/pg_isready" -q && break; sleep 0.1; done
  if ! pg psql -qAt -c "select 1 from pg_database where datname='davical'" postgres | grep -q 1; then
    pg env DBAOPTS="--dbhost $d/run" sh /usr/share/davical/dba/create-database.sh davical "$PASSWORD" \
      >"$d/log/create-database.log" 2>&1 || { tail "$d/log/create-database.log" >&2; die "no database"; }
  fi
  # DAViCal reads its configuration from /etc/davical only; a copy of the program
  # with that one path changed keeps this instance out of /etc.
  if [ ! -d "$d/app" ]; then
    mkdir "$d/app"; cp -r /usr/share/davical/{htdocs,inc} "$d/app/"
    sed -i "s#/etc/davical/#$d/conf/#g" "$d/app/htdocs/always.php"
  fi
  write_conf "$d"
  for u in $USERS; do
    (cd "$d/app/htdocs" && php "$HERE/davical/add-user.php" "$u" "$u@$DOMAIN" "$PASSWORD") >>"$d/log/users.log" 2>&1
  done
  # Four workers: a request that calls back into this server must not wait for itself.
  (cd "$d/app/htdocs" && start_bg "$d/php.pid" "$d/log/php.log" \
    env PHP_CLI_SERVER_WORKERS=4 php -d display_errors=0 -d log_errors=1 -S "$HOST:$PORT" "$HERE/davical/router.php")
  wait_port $PORT "$d/php.pid" "$d/log/php.log"
  say "CalDAV http://$HOST:$PORT/caldav.php/${USERS%% *}/calendar/ (password $PASSWORD)"
  say "iSchedule http://$HOST:$PORT/.well-known/ischedule, sign as d=${REMOTE%% *} s=$SELECTOR with $d/dkim.key"
}

# INT is PostgreSQL's "fast" shutdown: it does not wait for open connections.
do_down() { stop_pid "$1/php.pid"; stop_pid "$1/pg.pid" INT; }

main "$@"
