import { sign as rsaSign } from 'node:crypto';
import type { Canonicalization } from '../../../rules/peer.ts';
import type { KeyMethod, SigningKey } from '../keys.ts';
import { bodyHash, canonicalHeaders, MANDATORY_HEADERS } from './canonical.ts';

const DEFAULT_LIFETIME_MS = 3_600_000;
/** x has to be at least this much after t. */
export const MIN_LIFETIME_MS = 60_000;

/** In the order of h; those after the mandatory ones are signed when they are there. */
const SIGNED: Readonly<Record<Canonicalization, readonly string[]>> = {
  'ischedule-relaxed': [
    'Content-Type',
    'iSchedule-Version',
    'iSchedule-Message-ID',
    'Originator',
    'Recipient',
    'User-Agent',
    'Authorization',
  ],
  'simple-http': [
    'Host',
    'iSchedule-Version',
    'iSchedule-Message-ID',
    'Originator',
    'Recipient',
    'Content-Type',
    'Authorization',
  ],
};

export type SignOptions = {
  readonly key: SigningKey;
  readonly canonicalization: Canonicalization;
  /** ms since the epoch */
  readonly now: number;
  /** From t to x; an hour when absent, a minute at least. */
  readonly lifetimeMs?: number;
  /** Where the receiver finds our key, most preferred first; `dns/txt` when absent. `simple-http` knows no other. */
  readonly methods?: readonly KeyMethod[];
};

/**
 * Signs a post (draft-desruisseaux-ischedule-05 §7).
 * @param headers as they will be sent, with all of one name; for `simple-http` Host too. What is not to be signed may be among them
 * @param body as it will be sent, before chunks
 * @returns the value of the one DKIM-Signature header: one line, `tag=value` joined by `; `, b last, as Apple's and
 *   DAViCal's readers want it
 * @throws RangeError when a mandatory header is missing, a value holds a line end, or the lifetime is too short
 */
export function sign(
  headers: readonly (readonly [string, string])[],
  body: Buffer,
  { key, canonicalization, now, lifetimeMs = DEFAULT_LIFETIME_MS, methods = ['dns/txt'] }: SignOptions,
): string {
  if (!(lifetimeMs >= MIN_LIFETIME_MS)) {
    throw new RangeError(`got a lifetime of ${lifetimeMs} ms, need at least ${MIN_LIFETIME_MS}`);
  }
  const raw = headers.flat();
  const there = new Set(headers.map(([name]) => name.toLowerCase()));
  const missing = mandatory(canonicalization).filter((name) => !there.has(name));
  if (missing.length > 0) throw new RangeError(`cannot sign without ${missing.join(', ')}`);
  const simple = canonicalization === 'simple-http';
  const names = SIGNED[canonicalization].filter((name) => there.has(name.toLowerCase()));
  const t = Math.floor(now / 1000);
  const unsigned = [
    'v=1',
    `d=${key.domain}`,
    `s=${key.selector}`,
    `t=${t}`,
    `x=${t + Math.floor(lifetimeMs / 1000)}`,
    'a=rsa-sha256',
    `q=${simple ? 'dns/txt' : methods.join(':')}`,
    `c=${simple ? canonicalization : `${canonicalization}/simple`}`,
    `h=${names.join(':')}`,
    `bh=${bodyHash(body, canonicalization).toString('base64')}`,
    'b=',
  ].join('; ');
  const input = canonicalHeaders(raw, names, unsigned, canonicalization);
  if (input === undefined) throw new RangeError('cannot sign a header value with a line end or NUL in it');
  return unsigned + rsaSign('sha256', input, key.key).toString('base64');
}

function mandatory(canonicalization: Canonicalization): readonly string[] {
  // DAViCal refuses a signature that does not cover Host.
  return canonicalization === 'simple-http' ? ['host', ...MANDATORY_HEADERS] : MANDATORY_HEADERS;
}
