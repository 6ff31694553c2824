import { domainToASCII } from 'node:url';
import { hasControl } from './control.ts';

/** A mailbox address taken apart; `domain` is in lower-case A-label form, `local` as it was written. */
export type AddressParts = { readonly local: string; readonly domain: string };

/** RFC 5321 §4.5.3.1.2. A longer text is no domain, and is not looked at any closer. */
const MAX_DOMAIN = 255;
/** In its one form already, where no label of it is an A-label; the last one keeps it from being an IPv4 address. */
const PLAIN_DOMAIN = /^(?:[a-z0-9_-]+\.)*[a-z]+$/;
/** RFC 5321 §4.5.3.1: local part, `@` and domain; in UTF-8 too it fits a line of mail. */
const MAX_CALENDAR_MAILBOX = 320;

/**
 * Domain in the one form we store, compare and relay: lower case, A-labels; an address literal (RFC 5321 §4.1.3) as it
 * is. Empty when it is no domain at all.
 */
export function normalizeDomain(domain: string): string {
  if (domain.length > MAX_DOMAIN) return '';
  // Nearly all of them, several times for each address of a question: domainToASCII would give it back as it is.
  if (PLAIN_DOMAIN.test(domain) && !domain.includes('xn--')) return domain;
  const written = domain.trim().replace(/\.+$/, '');
  if (/^\[[0-9a-z.:-]+\]$/i.test(written)) return written;
  const name = written.toLowerCase();
  // domainToASCII is made for URLs: it cuts paths and ports off, decodes %2e, and reads a number as an IPv4 address.
  if (/[\s!-,/:-@[-^`{-\x7f]/.test(name)) return '';
  // U+3002 and its like become dots only here.
  return /^[0-9.]*$/.test(name) ? name : domainToASCII(name).replace(/\.+$/, '');
}

/**
 * Takes `local@domain` apart at the last `@`.
 * @returns undefined when there is no local part, no domain, or a control character in either
 */
export function parseAddress(text: string): AddressParts | undefined {
  const at = text.lastIndexOf('@');
  if (at < 1 || hasControl(text)) return undefined;
  const domain = normalizeDomain(text.slice(at + 1));
  return domain === '' ? undefined : { local: text.slice(0, at), domain };
}

/** The address with its domain normalised and the local part untouched; the text itself when it is no address. */
export function canonicalAddress(text: string): string {
  const parts = parseAddress(text);
  return parts === undefined ? text : `${parts.local}@${parts.domain}`;
}

/**
 * The form two addresses are compared in: all lower case. RFC 5321 §2.4 leaves the local part's case to its host;
 * no calendar server we know keeps two users apart by it.
 */
export function addressKey(text: string): string {
  return canonicalAddress(text).toLowerCase();
}

export function sameAddress(a: string, b: string): boolean {
  return addressKey(a) === addressKey(b);
}

export function domainOf(address: string): string {
  return parseAddress(address)?.domain ?? '';
}

/** `bob+work@x` → `{base: 'bob@x', detail: 'work'}` (RFC 5233); undefined when there is no sub-address. */
export function splitSubAddress(address: string, separators: string): { base: string; detail: string } | undefined {
  const parts = parseAddress(address);
  if (parts === undefined) return undefined;
  const at = [...parts.local].findIndex((char, index) => index > 0 && separators.includes(char));
  if (at < 1) return undefined;
  return { base: `${parts.local.slice(0, at)}@${parts.domain}`, detail: parts.local.slice(at + 1) };
}

/** The mailbox behind a calendar address (`mailto:` URI, RFC 6047 §2.1), percent-decoded; undefined for any other URI. */
export function mailboxOf(calendarAddress: string): string | undefined {
  const match = /^mailto:([^?]+)/i.exec(calendarAddress.trim());
  if (match?.[1] === undefined) return undefined;
  // A bare % is common in practice: it stays as it stands, and hides nothing beside it.
  const text = match[1].replace(/(?:%[0-9a-f]{2})+/gi, percentDecoded);
  if (text.length > MAX_CALENDAR_MAILBOX) return undefined;
  const parts = parseAddress(text);
  // `mailto:ours@example.com,theirs@example.org` is two mailboxes (RFC 6068 §2), and readers differ in whose it is.
  if (parts === undefined || (parts.local.includes('@') && !/^"(?:[^"\\]|\\.)*"$/s.test(parts.local))) return undefined;
  return canonicalAddress(text);
}

/**
 * Where a calendar user is mailed: at his `mailto:` address, else at the mailbox of his EMAIL parameter (RFC 7986 §6.2).
 * @returns undefined when neither is one
 */
export function reachableAt({
  mailbox,
  email,
}: {
  readonly mailbox?: string | undefined;
  readonly email?: string | undefined;
}): string | undefined {
  return mailbox ?? (email === undefined ? undefined : (mailboxOf(email) ?? mailboxOf(calendarAddress(email))));
}

function percentDecoded(octets: string): string {
  try {
    return decodeURIComponent(octets);
  } catch (error) {
    if (!(error instanceof URIError)) throw error; // no UTF-8
    return octets;
  }
}

/** `mailto:` URI of a mailbox (RFC 6068), escaping what a header list or a URI would misread. */
export function calendarAddress(mailbox: string): string {
  return `mailto:${mailbox.replace(/[%,;?#"<>\s\\]/g, (char) => encodeURIComponent(char))}`;
}
