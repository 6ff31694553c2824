import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { Endpoint, Handshake, TlsFacts } from './connection.ts';
import { type Finding, note, ok, wrong } from './finding.ts';

const DAY_MS = 86_400_000;
const SOON_DAYS = 21;
const CA_ADVICE =
  'name its authority with --ca, and in the configuration with ischedule.ca, or for servers that the DNS names with ischedule.discovery.ca';

/**
 * What is to be said of a TLS handshake.
 * @param domain that named the host in the DNS
 * @param now ms since the epoch
 */
export function judgeHandshake(
  endpoint: Endpoint,
  handshake: Handshake,
  domain: string | undefined,
  now: number,
): readonly Finding[] {
  const what = `${endpoint.host}:${endpoint.port}`;
  if (handshake.kind === 'failed') {
    return [
      wrong(
        'refused',
        'tls',
        what,
        `no TLS connection: ${handshake.reason}`,
        'TLS 1.2 or newer',
        'look whether the port and the host are right, and whether a firewall is in between',
      ),
    ];
  }
  const { tls, needs } = handshake;
  const isOld = tls.protocol === 'TLSv1' || tls.protocol === 'TLSv1.1';
  const agreed =
    needs === undefined
      ? isOld
        ? wrong(
            'warning',
            'tls',
            what,
            `${tls.protocol}, ${tls.cipher}: protects little (RFC 8996), and is spoken because min-tls allows it`,
            'TLS 1.2 or newer',
            'renew that server, and take min-tls and security-level out of its entry of ischedule.servers',
          )
        : ok('tls', what, `${tls.protocol}, ${tls.cipher}`)
      : wrong(
          'refused',
          'tls',
          what,
          `${tls.protocol}, ${tls.cipher}: agreed to only after concessions`,
          'TLS 1.2 or newer, with ciphers and keys of OpenSSL’s usual security level',
          `renew that server; or, knowing the risk, set in its entry of ischedule.servers: min-tls: ${needs.minTls}, security-level: ${needs.securityLevel}`,
        );
  return [agreed, ...judgeCertificate(endpoint, tls, domain, now)];
}

/** What is to be said of a certificate and its chain. */
export function judgeCertificate(
  { host, port }: Endpoint,
  tls: TlsFacts,
  domain: string | undefined,
  now: number,
): readonly Finding[] {
  const what = `${host}:${port}`;
  const [own, ...issuers] = tls.chain;
  if (own === undefined) {
    return [wrong('refused', 'tls', what, 'no certificate', 'one', 'configure a certificate on that server')];
  }
  return [
    judgeDates(what, own, now),
    judgeTrust(what, tls, own),
    judgeNames(what, own, host, domain),
    note('tls', what, keyText(own)),
    ...issuers.map((issuer) =>
      note('tls', what, `issuer ${oneLine(issuer.subject)}, until ${day(Date.parse(issuer.validTo))}`),
    ),
  ];
}

function judgeDates(what: string, own: X509Certificate, now: number): Finding {
  const from = Date.parse(own.validFrom);
  const to = Date.parse(own.validTo);
  const left = Math.floor((to - now) / DAY_MS);
  const found = `certificate from ${day(from)} to ${day(to)}`;
  if (to <= now) {
    return wrong(
      'refused',
      'tls',
      what,
      `${found}: expired`,
      'a certificate that is valid today',
      'renew it, and reload the server',
    );
  }
  if (from > now) {
    return wrong(
      'refused',
      'tls',
      what,
      `${found}: not valid yet`,
      'a certificate that is valid today',
      'compare the clocks of both machines',
    );
  }
  const text = `${found}, ${left} day${left === 1 ? '' : 's'} left`;
  return left >= SOON_DAYS
    ? ok('tls', what, text)
    : wrong('warning', 'tls', what, text, `${SOON_DAYS} days or more`, 'renew it');
}

function judgeTrust(what: string, tls: TlsFacts, own: X509Certificate): Finding {
  const issuer = `issued by ${oneLine(own.issuer)}`;
  switch (tls.distrust) {
    case undefined:
      return ok('tls', what, `${issuer}, which is trusted`);
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return note('tls', what, `${issuer}; not judged further because of its dates`);
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return wrong(
        'refused',
        'tls',
        what,
        `${issuer}; the server does not send that one’s certificate (${tls.distrust})`,
        'a whole chain up to an authority that is trusted',
        `configure the intermediate certificates on that server; or ${CA_ADVICE}`,
      );
    default:
      return wrong(
        'refused',
        'tls',
        what,
        `${issuer}, which is not trusted (${tls.distrust})`,
        'an authority that is trusted',
        CA_ADVICE,
      );
  }
}

/** The host has to match, since it is what our own connections compare; the domain is told beside it. */
function judgeNames(what: string, own: X509Certificate, host: string, domain: string | undefined): Finding {
  const has = own.subjectAltName ?? 'no subjectAltName';
  const domainText =
    domain === undefined || domain === host ? '' : `, ${matches(own, domain) ? 'and' : 'but not'} the domain ${domain}`;
  if (matches(own, host)) return ok('tls', what, `name matches ${host}${domainText} (${has})`);
  const advice = 'get a certificate with that name';
  return wrong('refused', 'tls', what, `certificate is for ${has}`, `the name ${host}, which is connected to`, advice);
}

function matches(own: X509Certificate, name: string): boolean {
  return (isIP(name) === 0 ? own.checkHost(name) : own.checkIP(name)) !== undefined;
}

function keyText(own: X509Certificate): string {
  const { asymmetricKeyType, asymmetricKeyDetails } = own.publicKey;
  const size = asymmetricKeyDetails?.modulusLength;
  const curve = asymmetricKeyDetails?.namedCurve;
  return `key ${asymmetricKeyType ?? 'unknown'} ${size === undefined ? (curve ?? '') : `${size} bits`}`.trim();
}

function oneLine(name: string): string {
  return name.split('\n').filter(Boolean).join(', ');
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
