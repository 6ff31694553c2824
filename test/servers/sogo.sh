#!/bin/bash
# SOGo: CalDAV on PostgreSQL, and a real sender of invitation mail. It needs a database and memcached, so this starts
# three processes. Settings are given as arguments, which come before /etc/sogo/sogo.conf.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

PORT=${SOGO_PORT:-20000}  PG_PORT=${SOGO_PG_PORT:-5433}  MC_PORT=${SOGO_MC_PORT:-11311}
SMTP_OUT=${SOGO_SMTP_OUT:-2525}        # where SOGo sends invitations
USERS=${SOGO_USERS:-"alice@example.test bob@example.test"}
PASSWORD=secret

do_install() { apt_install sogo postgresql memcached curl; }

do_up() {
  local d=$1 u bin db="postgresql://sogo:sogo@$HOST:$PG_PORT/sogo"
  if alive "$d/sogo.pid"; then say "already up"; return; fi
  need_free $PORT
  mkdir -p "$d"/{run,log,home}; chown sogo "$d"/{run,home}
  bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
  if [ ! -s "$d/pg/PG_VERSION" ]; then
    install -d -o postgres "$d/pg"
    (cd / && runuser -u postgres -- "$bin/initdb" -D "$d/pg" -A trust -E UTF8 --locale=C.UTF-8) >"$d/log/initdb.log"
  fi
  # SOGo speaks to the database by TCP only.
  alive "$d/pg.pid" || { need_free $PG_PORT; start_bg "$d/pg.pid" "$d/log/pg.log" \
    setpriv --reuid=postgres --regid=postgres --init-groups \
    "$bin/postgres" -D "$d/pg" -k "$d/pg" -p $PG_PORT -c listen_addresses=$HOST -c fsync=off; }
  wait_port $PG_PORT "$d/pg.pid" "$d/log/pg.log"
  sql() { psql -qAt -h $HOST -p $PG_PORT -U postgres "$@"; }
  for _ in $(seq 100); do sql -c 'select 1' postgres >/dev/null 2>&1 && break; sleep 0.1; done
  if ! sql -c "select 1 from pg_database where datname='sogo'" postgres | grep -q 1; then
    sql -c "create user sogo" -c "create database sogo owner sogo" postgres
    sql -c "create table users (c_uid text primary key, c_name text, c_password text, c_cn text, mail text)" \
        -c "alter table users owner to sogo" sogo
  fi
  for u in $USERS; do
    sql -c "insert into users values ('$u','$u','$PASSWORD','${u%@*}','$u') on conflict do nothing" sogo
  done
  alive "$d/memcached.pid" || start_bg "$d/memcached.pid" "$d/log/memcached.log" \
    setpriv --reuid=sogo --regid=sogo --init-groups memcached -l $HOST -p $MC_PORT
  start_bg "$d/sogo.pid" "$d/log/sogo.log" setpriv --reuid=sogo --regid=sogo --init-groups \
    env HOME="$d/home" /usr/sbin/sogod -WOPort "$HOST:$PORT" -WONoDetach YES -WOWorkersCount 3 \
    -WOPidFile "$d/run/sogod.pid" -WOLogFile - \
    -SOGoProfileURL "$db/profile" -OCSFolderInfoURL "$db/folder_info" \
    -OCSSessionsFolderURL "$db/sessions" -OCSEMailAlarmsFolderURL "$db/alarms" \
    -SOGoMemcachedHost "$HOST:$MC_PORT" \
    -SOGoMailingMechanism smtp -SOGoSMTPServer "smtp://$HOST:$SMTP_OUT" \
    -SOGoAppointmentSendEMailNotifications YES \
    -SOGoUserSources "({ type = sql; id = users; viewURL = \"$db/users\"; canAuthenticate = YES;
                         userPasswordAlgorithm = plain; isAddressBook = YES; })"
  wait_port $PORT "$d/sogo.pid" "$d/log/sogo.log"
  say "CalDAV http://$HOST:$PORT/SOGo/dav/${USERS%% *}/Calendar/personal/ (password $PASSWORD)"
}

do_down() { stop_pid "$1/sogo.pid"; stop_pid "$1/memcached.pid"; stop_pid "$1/pg.pid" INT; }

main "$@"
