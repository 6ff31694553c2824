import { CANONICALIZATIONS, DIALECTS, SENT_STATUSES } from '../../rules/peer.ts';
import { ORIGINS } from '../queue/store.ts';
import { peerAccess } from './busy-access-options.ts';
import { list, optional, section } from './field.ts';
import {
  choice,
  count,
  date,
  domain,
  domainPattern,
  duration,
  network,
  type Site,
  secret,
  size,
  text,
} from './kinds.ts';

/** What a post may hold: announced in the capabilities and kept to. */
export function accept() {
  return section(
    {
      'max-content-length': size({
        doc: 'The largest body; another value needs a restart.',
        default: '1MB',
        min: '10KB',
        max: '2MB',
      }),
      'max-recipients': count({ doc: 'Recipients of one post.', default: 100, min: 1, max: 10_000 }),
      'min-date': optional(date({ doc: 'The first day that something may take place; no limit when absent.' })),
      'max-date': optional(date({ doc: 'The last day that something may take place; no limit when absent.' })),
      'max-instances': optional(
        count({
          doc: 'Most instances that a recurring event may have by COUNT, UNTIL and RDATE; one without end counts as one; no limit when absent.',
          min: 1,
          max: 1_000_000,
        }),
      ),
      attachments: list(choice(['inline', 'external'], { doc: 'A kind.' }), {
        doc: 'Attachments that are taken: `external` is an address, `inline` is the content.',
        default: ['external'],
      }),
      administrator: optional(
        text({
          doc: 'Whom the administrator of another server may ask.',
          form: 'a URI, such as mailto:calmaster@example.com',
          pattern: /^(mailto|https?|tel):[^\s<>"]{1,500}$/,
        }),
      ),
    },
    { doc: 'What a post to us may hold: announced as capabilities, and what goes beyond is refused.' },
  );
}

/** One entry of `ischedule.peers`. */
export function peer(site: Site) {
  return section(
    {
      name: peerName(),
      origin: choice(ORIGINS, {
        doc: 'Whose word it brings: `inside` is for our own calendar servers, `outside` may never speak for one of our domains.',
        default: 'outside',
      }),
      domains: list(domainPattern({ doc: 'A domain.' }), {
        doc: 'Domains of the originators it may speak for: `example.com`, `*.example.com` (every subdomain) or `*`.',
        atLeastOne: true,
      }),
      dialect: choice(DIALECTS, {
        doc: '`draft00`: Originator, Recipient, iSchedule-Version and the parameters of Content-Type may be missing, as from Calendar Server 6 and the early 7.',
        default: 'draft05',
      }),
      'answer-wait': duration({
        doc: 'How long an answer waits for the outcome of each recipient, once the post is safe in the queue; what is not known by then is answered 1.0.',
        default: '5s',
        min: '0s',
        max: '5m',
      }),
      'sent-status': choice(SENT_STATUSES, {
        doc: 'How it is told that a mail has left for a recipient: `1.1` (sent); `2.0` for a server that takes nothing else for success.',
        default: '1.1',
      }),
      ...proofs(site),
      dkim: optional(
        section(
          {
            canonicalizations: list(choice(CANONICALIZATIONS, { doc: 'A way to sign.' }), {
              doc: 'Ways to sign that are taken: `ischedule-relaxed`, and `simple-http` of an older draft, which DAViCal speaks.',
              default: ['ischedule-relaxed'],
              atLeastOne: true,
            }),
            signers: list(domain({ doc: 'A signing domain.' }), {
              doc: 'Signing domains that are believed for all of `domains`; without one, the signing domain has to be the originator’s or one above it.',
              default: [],
            }),
          },
          { doc: 'Proof by DKIM signature; `dkim: {}` takes the defaults.' },
        ),
      ),
      'free-busy': peerAccess(),
    },
    { doc: 'Who may post to us. Each proof that stands here is enough by itself.' },
  );
}

/** Who it is that asks or posts, for the log. */
export function peerName() {
  return text({
    doc: 'What the log and the queue call it.',
    form: 'a short name of letters, digits, - and _',
    pattern: /^[A-Za-z0-9_-]{1,32}$/,
  });
}

/** How somebody proves who he is, by anything but a signature. */
export function proofs(site: Site) {
  return {
    networks: list(network({ doc: 'An address.' }), {
      doc: 'Proof by address: where its connections come from.',
      default: [],
    }),
    certificates: list(certificateName({ doc: 'A certificate.' }), {
      doc: 'Proof by client certificate: the SHA-256 fingerprint, or a DNS name in it; needs `http.service.tls.client-ca`.',
      default: [],
    }),
    basic: list(
      section(
        {
          user: text({ doc: 'The user name.', form: 'a user name without colon', pattern: /^[^:]{1,200}$/ }),
          password: secret(site, { doc: 'The password of `user`.' }),
        },
        { doc: 'A user name and password.' },
      ),
      { doc: 'Proof by HTTP Basic; needs `http.service.tls`.', default: [] },
    ),
    bearer: list(secret(site, { doc: 'A token.' }), {
      doc: 'Proof by HTTP Bearer: tokens; needs `http.service.tls`.',
      default: [],
    }),
  };
}

const FINGERPRINT = /^[0-9A-F]{2}(?::?[0-9A-F]{2}){31}$/i;
const DNS_NAME = /^(?=.{1,253}$)(\*\.)?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+$/i;

/** @returns fingerprints as openssl prints them, names in lower case */
function certificateName(about: { readonly doc: string }) {
  return text({
    ...about,
    form: 'a SHA-256 fingerprint (64 hexadecimal digits, colons between the pairs or not) or a DNS name',
    pattern: { test: (given) => FINGERPRINT.test(given) || DNS_NAME.test(given) },
    normalize: (given) =>
      FINGERPRINT.test(given)
        ? (given.replaceAll(':', '').toUpperCase().match(/../g) ?? []).join(':')
        : given.toLowerCase(),
  });
}
