import { PROFILE_NAMES } from '../mail/disposition.ts';
import { LOG_LEVELS } from '../observe/log.ts';
import { freeBusy } from './busy-options.ts';
import { directory } from './directory-options.ts';
import { list, map, optional, section, type Value } from './field.ts';
import { http } from './http-options.ts';
import { ischedule } from './ischedule-options.ts';
import {
  certificates,
  choice,
  count,
  dnsServer,
  domain,
  duration,
  flag,
  hostPort,
  path,
  type Site,
  secret,
  text,
  url,
} from './kinds.ts';
import { listener } from './listener-options.ts';
import { domainMapFile } from './map-file.ts';
import { outbound } from './outbound-options.ts';

/** The checked configuration: durations in ms, sizes in octets, paths absolute, secrets wrapped, deeply frozen. */
export type Config = Value<ReturnType<typeof options>>;
export type ListenerConfig = Config['listeners'][number];
export type DirectoryConfig = NonNullable<Config['directory']>;
export type SmartHostConfig = NonNullable<Config['smartHost']>;
/** What next hop and smart host have in common. */
export type HopConfig = Omit<SmartHostConfig, 'fallbacks'> & Partial<Pick<SmartHostConfig, 'fallbacks'>>;
export type OutboundConfig = NonNullable<Config['outbound']>;
export type PeerConfig = Config['ischedule']['peers'][number];
export type ServerConfig = Config['ischedule']['servers'][number];
export type FreeBusyConfig = NonNullable<Config['freeBusy']>;
export type BusyServerConfig = FreeBusyConfig['servers'][number];
export type BusyClientConfig = FreeBusyConfig['clients'][number];
export type ServiceConfig = NonNullable<Config['http']['service']>;

const header = (about: { doc: string; default: string }) =>
  text({ ...about, form: 'the name of a header field', pattern: /^[!-9;-~]{1,70}$/ });

/** Every option there is. What needs the machine (files, environment, host name) comes by `site`. */
export function options(site: Site) {
  return section(
    {
      hostname: text({
        doc: 'The name this gateway gives itself in Received, EHLO and delivery reports.',
        form: 'a host name, such as gateway.example.com',
        pattern: /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*\.?$/,
        default: site.hostname,
        defaultText: 'the name of the machine',
      }),
      state: path(site, {
        doc: 'The folder of the queue. It holds accepted mail and must outlive the process.',
        default: './var',
      }),
      domains: list(domain({ doc: 'A mail domain of ours.' }), {
        doc: 'Our own mail domains: whose recipients are looked up in the directory, and for whom outsiders may not speak.',
        atLeastOne: true,
      }),
      listeners: list(listener(site), { doc: 'Where mail comes in.', atLeastOne: true }),
      directory: optional(directory(site)),
      calendar: calendar(site),
      ischedule: ischedule(site),
      'free-busy': optional(freeBusy(site)),
      http: http(site),
      dns: dns(),
      'next-hop': optional(nextHop(site)),
      'smart-host': optional(smartHost(site)),
      outbound: optional(outbound(site)),
      queue: queue(),
      annotate: section(
        {
          'status-header': header({
            doc: 'The header field that tells what was done for the recipient. Fields of this name that arrive are removed.',
            default: 'iMIP-Gateway-Status',
          }),
          'meeting-headers': flag({
            doc: 'Whether X-MEETING-UID, X-MEETING-METHOD and their siblings are added, for the webmails that read them.',
            default: true,
          }),
        },
        { doc: 'What is put before the mail of our own mailboxes.' },
      ),
      'received-limit': count({
        doc: 'A message with this many Received fields is refused as looping (5.4.6).',
        default: 50,
        min: 5,
        max: 1000,
      }),
      'own-received-limit': count({
        doc: 'A message with this many Received fields of ours is refused as looping (5.4.6).',
        default: 5,
        min: 2,
        max: 100,
      }),
      log: section(
        {
          level: choice(LOG_LEVELS, { doc: 'The least important lines that are written.', default: 'info' }),
          file: optional(path(site, { doc: 'The file that lines are appended to; standard output when absent.' })),
        },
        { doc: 'The log: one JSON line per recipient per attempt.' },
      ),
    },
    { doc: 'The configuration.' },
  );
}

function calendar(site: Site) {
  const server = section(
    {
      url: url(['http', 'https'], { doc: 'Where invitations are posted.' }),
      profile: choice(PROFILE_NAMES, { doc: 'What kind of server it is.', default: 'generic' }),
    },
    { doc: 'A calendar server.' },
  );
  return section(
    {
      'back-ends': map(server, {
        doc: 'The calendar server of each value of the marker attribute.',
        key: 'marker value',
        readKey: (name) => (name === '' ? undefined : name),
      }),
      default: optional({
        ...server,
        doc: 'The calendar server of users whom neither a marker nor the domain map assigns.',
      }),
      'domain-map': optional(domainMapFile(site)),
    },
    { doc: 'Which calendar server owns whom.' },
  );
}

function dns() {
  return section(
    {
      servers: list(dnsServer({ doc: 'A server.' }), {
        doc: 'DNS servers that are asked, in this order; those of the system when empty.',
        default: [],
      }),
      timeout: duration({
        doc: 'How long one server is waited for; all are asked twice.',
        default: '3s',
        min: '100ms',
        max: '30s',
      }),
      'min-ttl': duration({ doc: 'The least time that an answer is kept.', default: '5s', min: '0s', max: '1h' }),
      'max-ttl': duration({ doc: 'The longest time that an answer is kept.', default: '1d', min: '1s', max: '7d' }),
      'max-negative-ttl': duration({
        doc: 'The longest time that the answer “no such record” is kept.',
        default: '1h',
        min: '0s',
        max: '1d',
      }),
    },
    { doc: 'Who is asked for the records of other domains: keys and services.' },
  );
}

const hop = (site: Site) => ({
  protocol: choice(['smtp', 'lmtp'], { doc: 'What it speaks.', default: 'smtp' }),
  tls: choice(['none', 'starttls', 'require', 'implicit'], {
    doc: '`starttls`: where it is offered; `require`: STARTTLS or nothing; `implicit`: TLS from the start.',
    default: 'none',
  }),
  ca: optional(
    certificates(site, {
      doc: 'PEM file with the authorities that may sign its certificate; the system’s when absent.',
    }),
  ),
  user: optional(text({ doc: 'Who logs in (AUTH); nobody when absent.', form: 'a user name' })),
  password: optional(secret(site, { doc: 'The password of `user`.' })),
  connections: count({ doc: 'Connections at a time.', default: 8, min: 1, max: 256 }),
  lanes: count({ doc: 'Messages at a time.', default: 8, min: 1, max: 256 }),
  'connect-timeout': duration({ doc: 'Time for connection and greeting.', default: '10s', min: '100ms', max: '5m' }),
  'command-timeout': duration({
    doc: 'Time for the reply to one command (RFC 5321 §4.5.3.2 wants 5m).',
    default: '5m',
    min: '1s',
    max: '1h',
  }),
  'data-timeout': duration({ doc: 'Time for the content and the reply to it.', default: '10m', min: '1s', max: '1d' }),
  'max-messages-per-connection': count({
    doc: 'Messages after which a connection is closed.',
    default: 1000,
    min: 1,
    max: 1_000_000,
  }),
});

function nextHop(site: Site) {
  return section(
    {
      address: hostPort({
        doc: 'The mail server that mailboxes are behind.',
        hint: ' (to address recipients at their mailHost set next-hop.addressing: mailhost)',
      }),
      addressing: choice(['as-received', 'mailhost'], {
        doc: '`mailhost`: our users are addressed as user@mailHost of their directory entry, sub-address kept; `as-received`: nothing is changed.',
        default: 'as-received',
      }),
      ...hop(site),
    },
    { doc: 'Where mail is passed on to. Needed by every `filter` listener.' },
  );
}

function smartHost(site: Site) {
  return section(
    {
      address: hostPort({ doc: 'The mail server for all other domains.' }),
      fallbacks: list(hostPort({ doc: 'Another.' }), {
        doc: 'Mail servers that are tried in this order where the one before cannot be reached, with the same options.',
        default: [],
      }),
      ...hop(site),
    },
    { doc: 'Where delivery reports and mail for other domains go; the next hop when absent.' },
  );
}

function queue() {
  const delays = (about: { doc: string; default: readonly string[] }) =>
    list(duration({ doc: 'A pause.', min: '100ms', max: '1d', example: '30s' }), { ...about, atLeastOne: true });
  return section(
    {
      'post-lifetime': duration({
        doc: 'How long a post is tried, never past the end of the event; time on hold does not count.',
        default: '12h',
        min: '1s',
        max: '30d',
      }),
      'mail-lifetime': duration({
        doc: 'How long mail is tried before it is returned (RFC 5321 §4.5.4.1 wants 4 to 5 days).',
        default: '5d',
        min: '1s',
        max: '30d',
      }),
      'post-retry': delays({
        doc: 'Pauses between attempts to post, the last one repeating.',
        default: ['30s', '1m', '2m', '5m', '10m', '15m', '30m'],
      }),
      'mail-retry': delays({
        doc: 'Pauses between attempts to pass mail on, the last one repeating.',
        default: ['1m', '2m', '5m', '10m', '15m', '30m', '1h'],
      }),
      'annotate-wait': duration({
        doc: 'How long mail waits for the first attempt of its post, so that its header can tell the result.',
        default: '5s',
        min: '0s',
        max: '5m',
      }),
      history: duration({
        doc: 'How long the record of a settled message with an invitation is kept.',
        default: '7d',
        min: '0s',
        max: '400d',
      }),
      'plain-history': duration({
        doc: 'How long the record of other settled mail is kept.',
        default: '1d',
        min: '0s',
        max: '400d',
      }),
      ledger: duration({
        doc: 'How long, after its last use, is known what was posted; needed to tell stale invitations from news.',
        default: '400d',
        min: '1d',
        max: '4000d',
      }),
      'move-poll': duration({
        doc: 'How often a user whose posts wait for the end of his move is looked up again.',
        default: '1m',
        min: '1s',
        max: '1h',
      }),
      'hold-limit': duration({
        doc: 'A hold that lasts longer than this raises an alarm in the log, once.',
        default: '1d',
        min: '1s',
        max: '400d',
      }),
      concurrency: count({ doc: 'Messages in flight at a time.', default: 200, min: 1, max: 10_000 }),
    },
    { doc: 'How long things are tried and kept.' },
  );
}
