import { createHash } from 'node:crypto';
import type { Canonicalization } from '../../../rules/peer.ts';

/** Names and values in turn, as they came (Node's rawHeaders). Values are latin1: one character for each octet. */
export type RawHeaders = readonly string[];

/** The four that a signature has to cover, in lower case (draft-desruisseaux-ischedule-05 §7.2). */
export const MANDATORY_HEADERS = ['content-type', 'ischedule-version', 'originator', 'recipient'] as const;

/** What no signature may cover: it is for one connection, or changes on the way. */
const FORBIDDEN = new Set([
  'cache-control',
  'connection',
  'content-length',
  'dkim-signature',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'trailers',
  'transfer-encoding',
  'upgrade',
]);

/** `name` in lower case. Host belongs to the signature of -01 and is forbidden since. */
export function mayBeSigned(name: string, canonicalization: Canonicalization): boolean {
  return name === 'host' ? canonicalization === 'simple-http' : !FORBIDDEN.has(name);
}

/** Values of every header of that name, in order. `name` in lower case. */
export function headerValues(headers: RawHeaders, name: string): string[] {
  const values: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    if (headers[at]?.toLowerCase() === name) values.push(headers[at + 1] ?? '');
  }
  return values;
}

/**
 * The octets that are signed: the headers in the order of h, those of one name merged into one, then DKIM-Signature
 * with b emptied and without a line end. A name in h without such a header adds nothing (RFC 6376 §5.4).
 * @param names as spelled in h
 * @param signature value of DKIM-Signature
 * @returns undefined when a value holds CR, LF or NUL that is no folding: it could pass for another header
 */
export function canonicalHeaders(
  headers: RawHeaders,
  names: readonly string[],
  signature: string,
  canonicalization: Canonicalization,
): Buffer | undefined {
  const header = canonicalization === 'simple-http' ? simpleHeader : relaxedHeader;
  const separator = canonicalization === 'simple-http' ? ', ' : ',';
  const lines: string[] = [];
  for (const name of names) {
    const values = headerValues(headers, name.toLowerCase()).map(unfold);
    if (values.length > 0) lines.push(header(name, values.join(separator)));
  }
  lines.push(header('DKIM-Signature', withoutB(unfold(signature))));
  if (lines.some((line) => /[\r\n\0]/.test(line))) return undefined;
  return Buffer.from(lines.join('\r\n'), 'latin1');
}

/** -01 as DAViCal writes it: the name as spelled in h, the value as it came. */
function simpleHeader(name: string, value: string): string {
  return `${name}: ${value}`;
}

function relaxedHeader(name: string, value: string): string {
  const relaxed = value
    .replace(/[ \t]+/g, ' ')
    .replace(/^ | $/g, '')
    .replace(/ ?, ?/g, ',');
  return `${name.toLowerCase()}:${relaxed}`;
}

/** The line end goes, the white space after it stays. */
function unfold(value: string): string {
  return value.replace(/\r\n(?=[ \t])/g, '');
}

/** The value with the contents of `b=` taken out, white space with them; all else untouched. */
function withoutB(signature: string): string {
  return signature.replace(/((?:^|;)[ \t]*b[ \t]*=)[^;]*/, '$1');
}

/**
 * SHA-256 of a body. `ischedule-relaxed` goes with the body form `simple` (RFC 6376 §3.4.3): empty lines at the end are
 * dropped and one line end is there. `simple-http` takes the octets as they are.
 */
export function bodyHash(body: Buffer, canonicalization: Canonicalization): Buffer {
  const hash = createHash('sha256');
  if (canonicalization === 'simple-http') return hash.update(body).digest();
  let end = body.length;
  while (end >= 2 && body[end - 2] === 0x0d && body[end - 1] === 0x0a) end -= 2;
  return hash.update(body.subarray(0, end)).update('\r\n').digest();
}
