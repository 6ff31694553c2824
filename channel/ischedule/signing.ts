import { PROFILES } from '../../rules/data/profiles.ts';
import type { Canonicalization } from '../../rules/peer.ts';
import { domainOf } from '../../src/mail/address.ts';
import type { PostBatch } from '../channel.ts';
import { sign } from './dkim/sign.ts';
import type { KeyMethod, SigningKey } from './keys.ts';
import type { ServerSettings } from './settings.ts';

/** Our private keys. */
export type Signer = {
  /** @returns undefined where there is none for this domain of an Originator: the post then goes unsigned */
  keyFor(domain: string): SigningKey | undefined;
  /** Where receivers find the public halves, most preferred first; `dns/txt` when absent. */
  readonly methods?: readonly KeyMethod[];
};

/** What a post is signed with. */
export type Signature = {
  readonly key: SigningKey;
  readonly canonicalization: Canonicalization;
  readonly methods?: readonly KeyMethod[];
};

/** Whether and how posts of this batch are signed: as the server's settings say, else as its profile does. */
export function signatureFor(
  batch: PostBatch,
  settings: ServerSettings,
  signer: Signer | undefined,
): Signature | undefined {
  const canonicalization = settings.sign ?? PROFILES[batch.profile].sign;
  if (canonicalization === 'none' || signer === undefined) return undefined;
  const key =
    signer.keyFor(domainOf(batch.originator).toLowerCase()) ??
    (settings.signAs === undefined ? undefined : signer.keyFor(settings.signAs));
  if (key === undefined) return undefined;
  const methods = key.methods ?? signer.methods;
  return { key, canonicalization, ...(methods === undefined ? {} : { methods }) };
}

// What the last draft lets be signed of what we send; its §7.1 forbids Cache-Control, Content-Length and Host.
const SIGNED: ReadonlySet<string> = new Set([
  'content-type',
  'ischedule-version',
  'ischedule-message-id',
  'originator',
  'recipient',
  'user-agent',
  'authorization',
]);

/**
 * Signs a request (draft-desruisseaux-ischedule-05 §7; for `simple-http` -01 §7.1, which wants Host signed as well).
 * @param headers flat list of names and values, as they go out
 * @param host value of the Host field of this very request
 * @param now ms since the epoch
 * @returns the headers as they have to go out with the signature among them
 */
export function signed(
  headers: readonly string[],
  host: string,
  body: Buffer,
  { key, canonicalization, methods = ['dns/txt'] }: Signature,
  now: number,
): string[] {
  const fields = pairs(canonicalization === 'simple-http' ? joinRecipients(['Host', host, ...headers]) : headers);
  const toSign = fields.filter(([name]) => {
    const lower = name.toLowerCase();
    return SIGNED.has(lower) || (lower === 'host' && canonicalization === 'simple-http');
  });
  const value = sign(toSign, body, {
    key,
    canonicalization,
    now,
    // DAViCal compares q with this very word.
    methods: canonicalization === 'simple-http' ? ['dns/txt'] : methods,
  });
  return [...fields.flat(), 'DKIM-Signature', value];
}

function pairs(flat: readonly string[]): (readonly [string, string])[] {
  return Array.from({ length: flat.length / 2 }, (_, index) => [flat[2 * index] ?? '', flat[2 * index + 1] ?? '']);
}

/** `simple-http` says nothing about several fields of one name, so there must be one. */
function joinRecipients(flat: readonly string[]): string[] {
  const fields = pairs(flat);
  const recipients = fields.filter(([name]) => name === 'Recipient').map(([, value]) => value);
  const first = fields.findIndex(([name]) => name === 'Recipient');
  return fields.flatMap(([name, value], index) => {
    if (name !== 'Recipient') return [name, value];
    return index === first ? [name, recipients.join(', ')] : [];
  });
}
