/** Beyond this a tag list is refused unread: eight times what a signature with a 4096-bit key takes. */
const MAX_LENGTH = 8192;
const MAX_TAGS = 40;

const TAG = /^[ \t\r\n]*([A-Za-z][A-Za-z0-9_]*)[ \t\r\n]*=([\s\S]*)$/;
// Printable US-ASCII and white space in between; a semicolon cannot get here.
const VALUE = /^[\x20-\x7e\t\r\n]*$/;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
const MAX_NAME_LENGTH = 253;

export type Tags =
  /** In the order of the text; values without the white space around them. Names are case-sensitive. */
  | { readonly kind: 'tags'; readonly tags: ReadonlyMap<string, string> }
  | { readonly kind: 'malformed'; readonly reason: string };

/**
 * Reads a tag list, `v=1; a=rsa-sha256; …` (RFC 6376 §3.2). White space, folded too, may stand around names and values;
 * one semicolon may stand at the end.
 * @returns `malformed` when a name occurs twice: the whole list is void then
 */
export function parseTags(text: string): Tags {
  if (text.length > MAX_LENGTH) return malformed(`more than ${MAX_LENGTH} characters`);
  const parts = text.split(';');
  if (trim(parts.at(-1) ?? '') === '') parts.pop();
  if (parts.length > MAX_TAGS) return malformed(`more than ${MAX_TAGS} tags`);
  const tags = new Map<string, string>();
  for (const part of parts) {
    const [, name, value = ''] = TAG.exec(part) ?? [];
    if (name === undefined) return malformed('a part without name=');
    if (!VALUE.test(value)) return malformed(`characters in ${name}= that are not printable ASCII`);
    if (tags.has(name)) return malformed(`${name}= twice`);
    tags.set(name, trim(value));
  }
  return { kind: 'tags', tags };
}

/** A tag's value as a list parted by colons, white space around each part dropped. */
export function colonList(value: string): string[] {
  return value.split(':').map(trim);
}

/** @returns the bytes, or undefined for what is not base64 once its white space is dropped; padding may be left out */
export function parseBase64(value: string): Buffer | undefined {
  const text = value.replace(/[ \t\r\n]+/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  return Buffer.from(text, 'base64');
}

/**
 * Whether d or s may become part of a question to the DNS and of a URL: letters, digits and inner hyphens, labels of 1
 * to 63, 253 in all.
 */
export function isDnsName(name: string): boolean {
  return name.length <= MAX_NAME_LENGTH && name.split('.').every((label) => LABEL.test(label));
}

/** As {@link isDnsName}, and no IPv4 address in any of its spellings: the last label has a letter and no `0x`. */
export function isDomainName(name: string): boolean {
  const last = name.slice(name.lastIndexOf('.') + 1);
  return isDnsName(name) && /[a-z]/i.test(last) && !/^0x/i.test(last);
}

/** Not by a regular expression: one for the end of a long run of white space takes quadratic time. */
function trim(text: string): string {
  return text.trim();
}

function malformed(reason: string): Tags {
  return { kind: 'malformed', reason };
}
