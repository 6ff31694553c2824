#!/bin/bash
# OpenLDAP slapd with the calendar test schema and the sample directory.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

LDAP=${SLAPD_LDAP:-3389}  LDAPS=${SLAPD_LDAPS:-3636}
LDIF=${SLAPD_LDIF:-$HERE/ldap/sample.ldif}   # loaded once, into an empty DIR
MAXSIZE=${SLAPD_MAXSIZE:-67108864}            # octets the database may grow to
ROOT_DN=cn=admin,o=isp  PASSWORD=secret      # the gateway binds as cn=gateway,o=isp

do_install() { apt_install slapd ldap-utils openssl; }

write_conf() {
  local d=$1
  cat > "$d/slapd.conf" <<CONF
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include $d/calendar.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile  $d/run/slapd.pid
argsfile $d/run/slapd.args
TLSCACertificateFile  $d/tls/ca.pem
TLSCertificateFile    $d/tls/server.pem
TLSCertificateKeyFile $d/tls/server.key
# No anonymous access at all: a client that forgets to bind must notice.
disallow bind_anon
# The gateway's account may read the server's configuration, for its indexes, and nobody else may.
database config
access to * by dn.exact="cn=gateway,o=isp" read
database mdb
maxsize $MAXSIZE
limits dn.exact="cn=gateway,o=isp" size=unlimited
suffix "o=isp"
rootdn "$ROOT_DN"
rootpw $PASSWORD
directory $d/data
index objectClass,uniqueMember eq
index mail,mailAlternateAddress,mailEquivalentAddress,uid eq
access to attrs=userPassword by self write by anonymous auth by * none
access to * by users read by * none
CONF
}

do_up() {
  local d=$1
  if alive "$d/slapd.pid"; then say "already up"; return; fi
  need_free $LDAP $LDAPS
  mkdir -p "$d"/{data,run}
  make_cert "$d/tls"
  cp "$HERE/ldap/calendar.schema" "$d/"
  write_conf "$d"
  # Load the sample data once; a later `up` on the same DIR keeps what is there.
  [ -s "$d/data/data.mdb" ] || slapadd -q -f "$d/slapd.conf" -l "$LDIF"
  chown -R openldap:openldap "$d"/{data,run,tls}
  # -d 0 keeps slapd in the foreground, so its pid is the one we start.
  start_bg "$d/slapd.pid" "$d/slapd.log" slapd -d 0 -u openldap -g openldap \
    -f "$d/slapd.conf" -h "ldap://$HOST:$LDAP ldaps://$HOST:$LDAPS"
  wait_port $LDAP "$d/slapd.pid" "$d/slapd.log"
  wait_port $LDAPS "$d/slapd.pid" "$d/slapd.log"
  ldapsearch -LLL -x -H "ldap://$HOST:$LDAP" -D cn=gateway,o=isp -w "$PASSWORD" \
    -b o=isp -s base dn | grep -q '^dn: o=isp' || die "the directory is empty"
  say "ldap://$HOST:$LDAP ldaps://localhost:$LDAPS (CA $d/tls/ca.pem), base o=isp"
  say "bind cn=gateway,o=isp (reads) or $ROOT_DN (writes), password $PASSWORD"
}

do_down() { stop_pid "$1/slapd.pid"; }

main "$@"
