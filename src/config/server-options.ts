import { CAPABILITY_QUERIES, TLS_VERSIONS } from '../../channel/ischedule/settings.ts';
import { CANONICALIZATIONS } from '../../rules/peer.ts';
import { METHODS } from '../itip/message.ts';
import { list, optional, section } from './field.ts';
import { certificates, choice, count, domain, duration, privateKey, type Site, secret, text, url } from './kinds.ts';

/** One entry of `ischedule.servers`. */
export function server(site: Site) {
  const usual = 'as in `ischedule` when absent';
  return section(
    {
      url: url(['http', 'https'], {
        doc: 'The server, or the beginning of its URLs; of several that fit the longest counts.',
      }),
      fallbacks: list(url(['http', 'https'], { doc: 'A URL.' }), {
        doc: 'The same service elsewhere, tried in this order where the one before gives no answer.',
        default: [],
      }),
      sign: optional(
        choice(['none', ...CANONICALIZATIONS], {
          doc: 'How posts are signed with the key of the originator’s domain; `none`: not at all; as its profile wants when absent.',
        }),
      ),
      'sign-as': optional(
        domain({
          doc: 'The domain of `keys` that signs for originators of domains that we have no key of; such posts go unsigned when absent.',
        }),
      ),
      methods: list(choice(METHODS, { doc: 'A method.' }), {
        doc: 'The methods that it takes by post, `[REQUEST, REPLY, CANCEL, COUNTER]` for one that takes counter-proposals; all others go by mail. As its profile says when empty.',
        default: [],
      }),
      capabilities: optional(
        choice(CAPABILITY_QUERIES, {
          doc: 'How it is asked what it takes: `action` or the older `query`, or not at all; as its profile wants when absent.',
        }),
      ),
      timeout: optional(
        duration({ doc: `Time for one post, redirects and answer included; ${usual}.`, min: '1s', max: '10m' }),
      ),
      'connect-timeout': optional(duration({ doc: `Time for connection and TLS; ${usual}.`, min: '100ms', max: '1m' })),
      'headers-timeout': optional(
        duration({
          doc: `Time from the end of a post to the beginning of its answer; ${usual}.`,
          min: '1s',
          max: '10m',
        }),
      ),
      'body-timeout': optional(
        duration({ doc: `Time between two pieces of an answer; ${usual}.`, min: '1s', max: '10m' }),
      ),
      ...tlsTo(site, usual),
      user: optional(
        text({ doc: 'Who logs in by HTTP Basic.', form: 'a user name without colon', pattern: /^[^:]+$/ }),
      ),
      password: optional(secret(site, { doc: 'The password of `user`.' })),
      token: optional(secret(site, { doc: 'The token for HTTP Bearer.' })),
    },
    { doc: 'How we speak to one server that we post to.' },
  );
}

/** TLS to a server of ours. @param usual what holds where no `ca` is given */
export function tlsTo(site: Site, usual: string) {
  return {
    ca: optional(certificates(site, { doc: `PEM file with the authorities that may sign its certificate; ${usual}.` })),
    'client-cert': optional(
      certificates(site, { doc: 'PEM file with the certificate that we show, and those of its issuers.' }),
    ),
    'client-key': optional(privateKey(site, { doc: 'PEM file with the private key of `client-cert`.' })),
    'min-tls': optional(
      choice(TLS_VERSIONS, {
        doc: 'The lowest version of TLS; TLSv1.2 when absent. A Calendar Server 6 front end may speak TLSv1 only.',
      }),
    ),
    'security-level': optional(
      count({
        doc: 'OpenSSL’s security level for this server; OpenSSL’s own when absent. TLS below 1.2 needs 0.',
        min: 0,
        max: 5,
      }),
    ),
  };
}
