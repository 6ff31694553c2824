import { BUSY_PROTOCOLS } from '../../channel/channel.ts';
import { BUSY_CLIENT_PROTOCOLS } from '../../rules/busy-client.ts';
import { access, address } from './busy-access-options.ts';
import { list, optional, section } from './field.ts';
import { choice, count, domain, duration, flag, type Site, secret, text, url } from './kinds.ts';
import { peerName, proofs } from './peer-options.ts';
import { tlsTo } from './server-options.ts';

/** The section `free-busy`: answering questions for busy times. */
export function freeBusy(site: Site) {
  return section(
    {
      deadline: duration({
        doc: 'Time for one question, all servers included; who has no answer by then is answered 5.1. Less than the askers wait themselves.',
        default: '4s',
        min: '500ms',
        max: '30s',
      }),
      address: optional(
        address(
          'Whom a question speaks for where the asker names nobody; when absent `outbound.address`, else calendar@ the first of `domains`.',
        ),
      ),
      'default-domain': optional(
        domain({ doc: 'The domain of calendar ids that are written without one; the first of `domains` when absent.' }),
      ),
      'max-attendees': count({
        doc: 'Attendees of one question by WCAP; a post has `ischedule.accept.max-recipients`.',
        default: 100,
        min: 1,
        max: 10_000,
      }),
      'group-limit': count({
        doc: 'Most members of a list that are asked about; a larger list is answered 5.3.',
        default: 50,
        min: 1,
        max: 1000,
      }),
      cache: duration({
        doc: 'How long an answer is kept for other questions of the same asker and domain; 0s: not at all.',
        default: '0s',
        min: '0s',
        max: '60s',
      }),
      url: flag({ doc: 'Whether busy times are served at /freebusy/ADDRESS.ifb (RFC 2739).', default: false }),
      breaker: section(
        {
          failures: count({
            doc: 'Questions in a row without an answer after which a server is left alone.',
            default: 5,
            min: 1,
            max: 1000,
          }),
          pause: duration({
            doc: 'How long it is left alone, before one question tries it again.',
            default: '30s',
            min: '1s',
            max: '1h',
          }),
        },
        { doc: 'When a server that does not answer is left alone for a while: its users are answered 5.1 at once.' },
      ),
      'published-hosts': list(
        text({
          doc: 'A host.',
          form: 'a host name, or host:port',
          pattern: /^(?=.{1,259}$)(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)(:\d{1,5})?$/,
          normalize: (given) => given.toLowerCase(),
        }),
        {
          doc: 'Hosts whose published busy times are fetched, where the directory names such a URL (`directory.mapping.free-busy-url`).',
          default: [],
        },
      ),
      servers: list(busyServer(site), {
        doc: 'How single calendar servers are asked; all others by iSchedule at their URL. Which users they have is said in `calendar`.',
        default: [],
      }),
      clients: list(busyClient(site), {
        doc: 'Who may ask by WCAP or at /freebusy/. Those who post are in `ischedule.peers`.',
        default: [],
      }),
    },
    {
      doc: 'Answering questions for busy times; `free-busy: {}` takes the defaults. Without the section VFREEBUSY is neither announced nor taken.',
    },
  );
}

function busyServer(site: Site) {
  return section(
    {
      url: url(['http', 'https'], {
        doc: 'The calendar server as `calendar` names it, or the beginning of its URLs; of several that fit the longest counts.',
      }),
      by: choice(BUSY_PROTOCOLS, {
        doc: 'How it is asked: `ischedule` (VFREEBUSY at its URL, as `ischedule.servers` says), `wcap` (Calendar Server 6), `caldav` (RFC 6638) or `url` (a published document).',
        default: 'ischedule',
      }),
      at: optional(
        url(['http', 'https'], {
          doc: '`wcap`: the URL that its commands are below; `caldav`: the scheduling outbox of `user`; `url`: the document, with `{address}`, or `{local}` and `{domain}`, of the user, and `{start}` and `{end}` where it takes them. Not for `ischedule`.',
        }),
      ),
      user: optional(
        text({ doc: 'Who logs in: by `login.wcap`, else by HTTP Basic.', form: 'a user name', pattern: /^[^\r\n]+$/ }),
      ),
      password: optional(secret(site, { doc: 'The password of `user`.' })),
      token: optional(secret(site, { doc: 'The token for HTTP Bearer, of `caldav` and `url`.' })),
      as: optional(
        address(
          'Of `caldav` the own mail address of `user`, as whom it is asked (ORGANIZER); `free-busy.address` when absent.',
        ),
      ),
      questions: count({ doc: 'Questions at a time.', default: 8, min: 1, max: 256 }),
      rate: optional(
        count({
          doc: 'Questions in a second, of which never more than some 400 pass; as many as come when absent.',
          min: 1,
          max: 10_000,
        }),
      ),
      'front-end': optional(
        url(['http', 'https'], {
          doc: 'Where a WCAP client with `wcap: redirect` is sent to ask for the users of this server: the URL that WCAP commands are below.',
        }),
      ),
      'connect-timeout': optional(
        duration({
          doc: 'Time for connection and TLS; as in `ischedule` when absent.',
          min: '100ms',
          max: '1m',
        }),
      ),
      ...tlsTo(site, 'as in `ischedule` when absent'),
    },
    { doc: 'How one calendar server is asked. One that is asked by iSchedule is spoken to as in `ischedule.servers`.' },
  );
}

function busyClient(site: Site) {
  return section(
    {
      name: peerName(),
      protocols: list(choice(BUSY_CLIENT_PROTOCOLS, { doc: 'A protocol.' }), {
        doc: 'By what it may ask: `wcap` (get_freebusy.wcap), `url` (/freebusy/ADDRESS.ifb, which `free-busy.url` turns on).',
        default: ['wcap'],
        atLeastOne: true,
      }),
      wcap: choice(['relay', 'redirect'], {
        doc: '`redirect`: a question about users of one server that has a `front-end` is answered by 302 to that; `relay`: all are answered here.',
        default: 'relay',
      }),
      ...proofs(site),
      ...access('our domains', '`hidden`'),
    },
    { doc: 'Who may ask for busy times without posting. Each proof that stands here is enough by itself.' },
  );
}
