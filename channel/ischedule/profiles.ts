import { namesAt } from '../../rules/data/profiles.ts';
import { calendarAddress } from '../../src/mail/address.ts';
import type { ProfileName } from '../../src/mail/disposition.ts';

/**
 * Cyrus takes `mailto:` off the attendees of a CANCEL but not off the recipient it compares them with, so a CANCEL to
 * the URI form answers 2.0 and changes nothing (3.6.1 to today's main branch). It therefore gets bare addresses, in one
 * header. Everybody else gets what the draft asks for: a URI each.
 */
const BARE_RECIPIENTS: ReadonlySet<ProfileName> = new Set<ProfileName>(['cyrus']);

/** DAViCal signs and verifies the one Recipient field that PHP makes of several; joined, it is the one that was sent. */
const JOINED_RECIPIENTS: ReadonlySet<ProfileName> = new Set<ProfileName>(['cyrus', 'davical']);

/** The address of each mailbox as it stands in Recipient, in order. Printable ASCII, without comma or blank. */
export function recipientAddresses(profile: ProfileName, mailboxes: readonly string[]): readonly string[] {
  const addresses = namesAt(profile, mailboxes).map(headerAddress);
  return BARE_RECIPIENTS.has(profile) ? addresses.map((address) => address.slice('mailto:'.length)) : addresses;
}

/** Values of the Recipient headers for these mailboxes: one each, or all in one. */
export function recipientHeaders(profile: ProfileName, mailboxes: readonly string[]): readonly string[] {
  const addresses = recipientAddresses(profile, mailboxes);
  return JOINED_RECIPIENTS.has(profile) ? [addresses.join(', ')] : addresses;
}

/**
 * The `mailto:` URI of a mailbox as a header value: what is not printable ASCII is percent-encoded UTF-8 (RFC 6068
 * §2), so no address can end a header or name a second recipient.
 */
export function headerAddress(mailbox: string): string {
  return calendarAddress(mailbox.toWellFormed()).replace(/[^\x21-\x7e]/gu, (char) => encodeURIComponent(char));
}
