import { domainToUnicode } from 'node:url';
import { addressKey, canonicalAddress, parseAddress, splitSubAddress } from '../mail/address.ts';
import type { Entry } from './directory.ts';
import type { MappedEntry } from './schema.ts';

/** An address with every spelling a directory may hold it in. */
type Spelled = { readonly address: string; readonly key: string; readonly spellings: readonly string[] };

/** One thing that an address may be known as; `detail` was taken off as a sub-address. */
export type Tier = Spelled & { readonly detail?: string };

/**
 * What is asked for one address: itself, then, when its domain has another name, itself in that, and, when it has a
 * sub-address, the mailbox without it.
 */
export type Question = {
  readonly address: string;
  readonly key: string;
  readonly domain: string;
  readonly tiers: readonly [Tier, ...Tier[]];
};

/**
 * Longest address that is asked for, in characters. RFC 5321 §4.5.3.1.3 allows 256 octets for a path; real systems
 * hold somewhat longer ones. Above this nobody is known by it, and a server would drop the connection over a request
 * that repeats it a dozen times.
 */
const MAX_ADDRESS_CHARACTERS = 4096;

/**
 * What to ask a directory about an address.
 * @param separators characters that begin a sub-address, such as `+`; '' for none
 * @param canonical the name of the domain that the address's is another name of
 * @returns undefined when the text is no address, so that no entry can have it
 */
export function question(address: string, separators: string, canonical?: string): Question | undefined {
  if (address.length > MAX_ADDRESS_CHARACTERS) return undefined;
  const parts = parseAddress(address);
  if (parts === undefined) return undefined;
  const inDomains = (text: string): readonly string[] =>
    canonical === undefined ? [text] : [text, `${text.slice(0, text.lastIndexOf('@'))}@${canonical}`];
  const exact = canonicalAddress(address);
  const [first, ...others] = inDomains(exact).map(spell);
  if (first === undefined) return undefined;
  const split = splitSubAddress(exact, separators);
  const bases =
    split === undefined ? [] : inDomains(split.base).map((base) => ({ ...spell(base), detail: split.detail }));
  return { address: first.address, key: first.key, domain: parts.domain, tiers: [first, ...others, ...bases] };
}

/** @returns what the catch-all of the address's domain would be, under each of its names */
export function catchAllQuestion(asked: Question): readonly Spelled[] {
  const domains = new Set(asked.tiers.map(({ address }) => address.slice(address.lastIndexOf('@'))));
  return [...domains].map(spell);
}

/**
 * Chooses among entries that a directory gave for a question: those that have the very address, else those that have
 * it by another name of its domain, else those that have it without its sub-address.
 *
 * An entry whose shown addresses are none of these was found by a rule of the server's that is wider than ours, or by
 * an attribute that may be searched but not read. The server's word stands then: to drop it would make a user unknown.
 */
export function choose(asked: Question, candidates: readonly MappedEntry[]): readonly Entry[] {
  for (const { key, detail } of asked.tiers) {
    const found = matched(candidates, key);
    if (found.length > 0) return detail === undefined ? found : found.map((entry) => ({ ...entry, detail }));
  }
  return candidates.map(({ entry }) => ({
    ...entry,
    ...(entry.mail === '' ? { mail: asked.address, addresses: [asked.address] } : {}),
    matchedBy: `the directory's own matching of ${asked.address}`,
  }));
}

/** Chooses those that take all mail of the domain. */
export function chooseCatchAll(asked: readonly Spelled[], candidates: readonly MappedEntry[]): readonly Entry[] {
  for (const { key } of asked) {
    const found = matched(candidates, key);
    if (found.length > 0) return found.map((entry) => ({ ...entry, catchAll: true }));
  }
  return [];
}

/** Whether one of the entries has the asked address itself. */
export function hasExact(asked: Question, candidates: readonly MappedEntry[]): boolean {
  return candidates.some(({ addresses }) => addresses.has(asked.key));
}

function matched(candidates: readonly MappedEntry[], key: string): Entry[] {
  const entries: Entry[] = [];
  for (const { entry, addresses } of candidates) {
    const matchedBy = addresses.get(key);
    if (matchedBy !== undefined) entries.push({ ...entry, matchedBy });
  }
  return entries;
}

/** Directories hold international domains as A-labels or as U-labels; both are asked for. */
function spell(address: string): Spelled {
  const at = address.lastIndexOf('@');
  const unicode = domainToUnicode(address.slice(at + 1));
  const spellings =
    unicode === '' || unicode === address.slice(at + 1) ? [address] : [address, `${address.slice(0, at)}@${unicode}`];
  return { address, key: addressKey(address), spellings };
}
