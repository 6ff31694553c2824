#!/bin/bash
# Postfix in front of the gateway: an instance of its own, no system mail touched.
#
#   world --> ENTRY --> gateway --> (a port of the snippet, or ENTRY) --> STORE / WORLD
#
# This is the site that an administrator already has. What joins the gateway to it is
# not written here but in docs/mta/postfix.md: the folder SNIPPET holds the page's
# main.cf and master.cf parts, which are appended, and the tables they name.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

ENTRY=${POSTFIX_ENTRY:-2525}
STORE=${POSTFIX_STORE:-lmtp:[127.0.0.1]:2003}    # mailboxes: Cyrus LMTP, or a sink
WORLD=${POSTFIX_WORLD:-smtp:[127.0.0.1]:2626}    # everything outside: a sink
DOMAINS=${POSTFIX_DOMAINS:-"example.test sales.test"}
ALIASES=${POSTFIX_ALIASES:-}                     # virtual aliases, one "alias target" a line
SNIPPET=${POSTFIX_SNIPPET:-}                     # folder with main.cf, master.cf and tables, or empty

do_install() { apt_install postfix swaks; }

write_conf() {
  local d=$1 dom table
  cat > "$d/etc/main.cf" <<CONF
compatibility_level = 3.7
queue_directory = $d/spool
data_directory = $d/data
maillog_file = $d/log/maillog
maillog_file_prefixes = $d/log
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_bind_address = 127.0.0.1
myhostname = mx.example.test
mydestination =
mynetworks = 127.0.0.0/8
local_transport = error:no local delivery here
relay_domains = $DOMAINS
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
transport_maps = texthash:$d/etc/site_transport
virtual_alias_maps = texthash:$d/etc/site_virtual
default_transport = $WORLD
disable_dns_lookups = yes
alias_maps =
alias_database =
smtputf8_enable = yes
message_size_limit = 20480000
# Tests that provoke a 4xx want the retry soon, not in five minutes.
queue_run_delay = 3s
minimal_backoff_time = 3s
maximal_backoff_time = 6s
# One refused connection must not put the gateway on hold for a minute.
lmtp_destination_concurrency_failed_cohort_limit = 100
smtp_destination_concurrency_failed_cohort_limit = 100
transport_retry_time = 3s
CONF
  for dom in $DOMAINS; do echo "$dom  $STORE"; done > "$d/etc/site_transport"
  printf '%s\n' "$ALIASES" > "$d/etc/site_virtual"
  cat > "$d/etc/master.cf" <<CONF
$HOST:$ENTRY inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
lmtp      unix - - n - - lmtp
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
CONF
  [ -n "$SNIPPET" ] || return 0
  for table in "$SNIPPET"/*; do
    case "$(basename "$table")" in
      main.cf|master.cf) cat "$table" >> "$d/etc/$(basename "$table")" ;;
      *) cp "$table" "$d/etc/" ;;
    esac
  done
}

do_up() {
  local d=$1
  if alive "$d/spool/pid/master.pid"; then say "already up"; return; fi
  need_free $ENTRY
  mkdir -p "$d"/{etc,spool,data,log}
  # Postfix asks for queue and data owned by root and postfix, respectively.
  chown root:root "$d/spool" "$d/etc"; chown postfix:postfix "$d/data"
  write_conf "$d"
  # A parameter named twice is only a warning to Postfix, and the later line wins.
  postfix -c "$d/etc" start >>"$d/log/start.log" 2>&1 || { cat "$d/log/start.log" >&2; die "start failed"; }
  wait_port $ENTRY "$d/spool/pid/master.pid" "$d/log/maillog"
  say "mail in on $HOST:$ENTRY; mailboxes $STORE, outside world $WORLD, log $d/log/maillog"
}

# What `postfix stop` does, without its pauses: the master ends its own children.
do_down() { stop_pid "$1/spool/pid/master.pid"; }

main "$@"
