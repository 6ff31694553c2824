import { KEY_METHODS } from '../../channel/ischedule/keys.ts';
import { list, optional, section } from './field.ts';
import {
  certificates,
  choice,
  count,
  domain,
  domainPattern,
  duration,
  flag,
  keyRecord,
  network,
  type Site,
  signingKey,
  size,
  text,
} from './kinds.ts';
import { accept, peer } from './peer-options.ts';
import { server } from './server-options.ts';

/** The section `ischedule`: posting, and being posted to. */
export function ischedule(site: Site) {
  return section(
    {
      timeout: duration({
        doc: 'Time for one post, redirects and answer included.',
        default: '30s',
        min: '1s',
        max: '10m',
      }),
      'connect-timeout': duration({ doc: 'Time for connection and TLS.', default: '5s', min: '100ms', max: '1m' }),
      'headers-timeout': duration({
        doc: 'Time from the end of a post to the beginning of its answer.',
        default: '30s',
        min: '1s',
        max: '10m',
      }),
      'body-timeout': duration({
        doc: 'Time between two pieces of an answer.',
        default: '15s',
        min: '1s',
        max: '10m',
      }),
      ca: optional(
        certificates(site, {
          doc: 'PEM file with the authorities that may sign the calendar servers’ certificates; the system’s when absent.',
        }),
      ),
      connections: count({ doc: 'Connections to one calendar server.', default: 8, min: 1, max: 256 }),
      lanes: count({ doc: 'Posts at a time to one calendar server.', default: 8, min: 1, max: 256 }),
      'max-redirects': count({
        doc: 'Redirects that are followed, within one host or to `redirect-hosts`.',
        default: 3,
        min: 0,
        max: 10,
      }),
      'redirect-hosts': list(text({ doc: 'A host.', form: 'a host name, or host:port', pattern: /^[^\s/@]{1,255}$/ }), {
        doc: 'Other hosts that a redirect may lead to.',
        default: [],
      }),
      'user-agent': text({
        doc: 'The User-Agent that is sent.',
        form: 'text in ASCII',
        pattern: /^[ -~]{1,200}$/,
        default: 'imipd',
      }),
      'max-response': size({ doc: 'The largest answer that is read.', default: '1MB', min: '1KB', max: '100MB' }),
      servers: list(server(site), {
        doc: 'What is different for single servers that we post to. Which users they have is said in `calendar`.',
        default: [],
      }),
      keys: list(ourKey(site), {
        doc: 'Our keys, to sign posts with; the public halves are served at /.well-known/domainkey/.',
        default: [],
      }),
      peers: list(peer(site), { doc: 'Who may post to us.', default: [] }),
      accept: accept(),
      'exchanged-keys': list(exchangedKey(), {
        doc: 'Public keys of others that came by another way than the DNS (private-exchange).',
        default: [],
      }),
      discovery: discovery(site),
    },
    { doc: 'How invitations are posted, and who may post to us.' },
  );
}

const selector = () =>
  text({
    doc: 'The selector: which key of the domain it is.',
    form: 'a selector, such as ischedule1',
    pattern: /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/,
  });

function ourKey(site: Site) {
  return section(
    {
      domain: domain({ doc: 'Signs for originators of this domain and of those below it.' }),
      selector: selector(),
      key: signingKey(site, { doc: 'PEM file with an RSA key of 2048 bits or more; `imipd keys new` makes one.' }),
      lookup: list(choice(KEY_METHODS, { doc: 'A way to find a key.' }), {
        doc: 'How receivers are told to find the public half, most preferred first (the tag `q`). When empty, `dns/txt`, and where `http.service` has TLS `http/well-known` after it.',
        default: [],
      }),
    },
    { doc: 'A key of ours.' },
  );
}

function exchangedKey() {
  return section(
    {
      domain: domain({ doc: 'The signing domain.' }),
      selector: selector(),
      record: keyRecord({ doc: 'The key record.' }),
    },
    { doc: 'A public key.' },
  );
}

function discovery(site: Site) {
  return section(
    {
      domains: list(domainPattern({ doc: 'A domain.' }), {
        doc: 'Outside domains whose iSchedule service is looked for in the DNS: `example.com`, `*.example.com` (every subdomain) or `*`. The domain map comes first.',
        default: [],
      }),
      plain: flag({
        doc: 'Whether `_ischedule._tcp` of older drafts is looked up as well; the connection is https all the same.',
        default: false,
      }),
      ca: optional(
        certificates(site, {
          doc: 'PEM file with the authorities that may sign the certificates of servers found so; the system’s when absent.',
        }),
      ),
      'allow-networks': list(network({ doc: 'A network.' }), {
        doc: 'Loopback and private networks that a stranger’s DNS may lead us to. For a laboratory.',
        default: [],
      }),
    },
    { doc: 'Finding the calendar servers of other domains. Off by default.' },
  );
}
