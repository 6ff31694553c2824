import { LISTENER_MODES, ORIGINS } from '../queue/store.ts';
import { list, map, optional, refused, section } from './field.ts';
import {
  certificates,
  choice,
  count,
  domain,
  duration,
  flag,
  hostPort,
  network,
  privateKey,
  readDomain,
  type Site,
  size,
  text,
} from './kinds.ts';

/** One entry of `listeners`. */
export function listener(site: Site) {
  return section(
    {
      name: text({
        doc: 'What the log and the queue call it.',
        form: 'a short name of letters, digits, - and _',
        pattern: /^[A-Za-z0-9_-]{1,32}$/,
      }),
      address: hostPort({
        doc: 'Where it listens. IPv6 addresses stand in brackets; port 0 is any free one.',
        default: '127.0.0.1:10025',
        anyPort: true,
      }),
      protocol: choice(['smtp', 'lmtp'], { doc: 'What it speaks.', default: 'smtp' }),
      mode: choice(LISTENER_MODES, {
        doc: '`filter`: in line, mail is passed on; `final`: addresses that are calendars only; `copy`: the MTA sends a duplicate.',
        default: 'filter',
      }),
      origin: choice(ORIGINS, {
        doc: 'Whose mail it takes: `inside` is for calendar servers and authenticated submission.',
        default: 'outside',
      }),
      verp: optional(
        flag({
          doc: 'Whether invitations that go to their recipients as mail alone, not into a calendar, get an envelope sender of ours, so that a bounce finds its attendee; needs `outbound`. When absent: yes with `origin: inside`.',
        }),
      ),
      clients: list(network({ doc: 'A client.' }), {
        doc: 'Who may connect and relay.',
        default: ['127.0.0.0/8', '::1'],
      }),
      xforward: list(network({ doc: 'An MTA.' }), { doc: 'MTAs whose XFORWARD names the real client.', default: [] }),
      xclient: list(network({ doc: 'An MTA.' }), { doc: 'MTAs whose XCLIENT names the real client.', default: [] }),
      tls: optional(
        section(
          {
            mode: choice(['starttls', 'implicit'], {
              doc: 'Whether TLS begins on STARTTLS or with the connection.',
              default: 'starttls',
            }),
            cert: certificates(site, { doc: 'PEM file with the certificate and those of its issuers.' }),
            key: privateKey(site, { doc: 'PEM file with the private key.' }),
          },
          { doc: 'Offers TLS; without it the listener speaks in clear.' },
        ),
      ),
      'copy-domains': map(
        domain({
          doc: 'The domain of the user.',
          whyNoAddress: ': one collecting address cannot serve, since only the envelope tells whose calendar is meant',
        }),
        {
          doc: 'For `mode: copy`: the domain of the duplicate, and the domain of the user it stands for.',
          key: 'mail domain',
          readKey: readDomain,
        },
      ),
      collect: refused(
        'a copy listener cannot have one collecting address: only the envelope tells whose calendar is meant, so the user must be the envelope recipient; send the duplicate to user@copy.example.com and set copy-domains',
      ),
      'bare-newline': choice(['normalize', 'reject'], {
        doc: 'What happens to CR or LF alone: made CRLF and logged, or refused (5.6.0).',
        default: 'normalize',
      }),
      'max-size': size({
        doc: 'The largest message, announced by SIZE; a larger one is refused (5.3.4).',
        default: '200MB',
        min: '64KB',
        max: '4GB',
      }),
      'max-examine': size({
        doc: 'The largest message that is searched for an invitation; a larger one is passed on unexamined.',
        default: '25MB',
        min: '64KB',
        max: '1GB',
      }),
      'max-connections': count({ doc: 'Connections at a time.', default: 1000, min: 1, max: 100_000 }),
      'max-connections-per-client': count({
        doc: 'Connections at a time from one address.',
        default: 200,
        min: 1,
        max: 100_000,
      }),
      'max-recipients': count({
        doc: 'Recipients of one message; RFC 5321 §4.5.3.1.8 wants at least 100.',
        default: 1000,
        min: 1,
        max: 100_000,
      }),
      'idle-timeout': duration({
        doc: 'A client that says nothing for so long is cut off.',
        default: '5m',
        min: '1s',
        max: '1h',
      }),
      'data-timeout': duration({
        doc: 'Time for the whole content of one message.',
        default: '30m',
        min: '1s',
        max: '1d',
      }),
      'session-timeout': duration({ doc: 'Time for one connection.', default: '2h', min: '1s', max: '7d' }),
      'reply-wait': duration({
        doc: 'How long the reply to a message waits for the outcome, once it is safe in the queue; 0s turns it off.',
        default: '3s',
        min: '0s',
        max: '5m',
      }),
    },
    { doc: 'A listener.' },
  );
}
