import { addressKey, parseAddress } from '../mail/address.ts';

export type V7List = {
  /** `addressKey` of each. */
  readonly addresses: ReadonlySet<string>;
  /** Lines that name an address beside a word of failure: those users count as not moved. */
  readonly failedLines: number;
};

/**
 * Reads who is on v7: one address on a line, or the `master_log` of `davadmin migration`. The format of that log is
 * not published. What is relied on: a line about a user names his address somewhere, and a line about one who could not be
 * moved says so in English (fail, error, exception, skip). Everything after `#` at the start of a line is a comment.
 */
export function parseV7List(text: string): V7List {
  const addresses = new Set<string>();
  let failedLines = 0;
  for (const raw of text.replace(/^\uFEFF/, '').split(/\r?\n/)) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const found = addressesIn(line);
    const isAlone = found.length === 1 && found[0] === line;
    if (!isAlone && found.length > 0 && FAILURE.test(withoutAddresses(line))) failedLines++;
    else for (const address of found) addresses.add(addressKey(address));
  }
  return { addresses, failedLines };
}

const ADDRESS = /[^\s<>"'`,;()[\]{}=|@]+@[^\s<>"'`,;()[\]{}=|@:/]+/g;
const FAILURE = /fail|error|exception|skip/i;

function addressesIn(line: string): readonly string[] {
  return [...line.matchAll(ADDRESS)]
    .map(([found]) => found.replace(/^(?:mailto:|.*:)/i, '').replace(/\.+$/, ''))
    .filter((found) => parseAddress(found) !== undefined);
}

function withoutAddresses(line: string): string {
  return line.replace(ADDRESS, '');
}
