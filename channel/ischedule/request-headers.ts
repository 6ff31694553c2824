import { type ContentType, parseContentType } from '../../src/itip/content-type.ts';
import { canonicalAddress, mailboxOf, parseAddress } from '../../src/mail/address.ts';

/** A calendar user as a header names him. */
export type HeaderAddress = {
  /** As it was sent, without the white space around it. */
  readonly uri: string;
  /** Undefined for a URI of another scheme, for one with control characters, and for what is no address at all. */
  readonly mailbox?: string;
};

/** What the headers of a post say (draft-desruisseaux-ischedule-05 §6), duplicates and all. */
export type ScheduleHeaders = {
  /** Of all iSchedule-Version headers, lists taken apart. */
  readonly versions: readonly string[];
  readonly messageIds: readonly string[];
  /** One for each Originator header: a comma does not part it, one that it holds makes it no address. */
  readonly originators: readonly HeaderAddress[];
  /** Union of all Recipient headers in their order, duplicates kept; not more than `limit` + 1 of them. */
  readonly recipients: readonly HeaderAddress[];
  readonly contentTypes: readonly ContentType[];
  /** Number of DKIM-Signature headers. */
  readonly signatures: number;
  /** Values of Authorization. */
  readonly authorizations: readonly string[];
  /** Values of Via (RFC 9110 §7.6.3). */
  readonly vias: readonly string[];
  /** Name of the first header whose value has a control character other than a tab. */
  readonly damaged?: string;
};

/**
 * Reads a post's headers from the list that Node keeps beside its joined view, which hides a second Originator.
 * @param rawHeaders names and values in turn
 * @param limit how many recipients are of interest
 */
export function readScheduleHeaders(rawHeaders: readonly string[], limit: number): ScheduleHeaders {
  const values = new Map<string, string[]>(HEADERS.map((name) => [name, []]));
  let damaged: string | undefined;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase();
    const list = values.get(name);
    if (list === undefined) continue;
    const value = rawHeaders[at + 1] ?? '';
    if (hasControl(value) && name !== 'via') damaged ??= name; // what proxies wrote is not the sender's fault
    list.push(asUtf8(value).trim());
  }
  const of = (name: (typeof HEADERS)[number]) => values.get(name) ?? [];
  return {
    versions: of('ischedule-version').flatMap(listItems),
    messageIds: of('ischedule-message-id'),
    originators: of('originator').map(headerAddress),
    recipients: recipientsOf(of('recipient'), limit + 1),
    contentTypes: of('content-type').map(parseContentType),
    signatures: of('dkim-signature').length,
    authorizations: of('authorization'),
    vias: of('via'),
    ...(damaged === undefined ? {} : { damaged }),
  };
}

const HEADERS = [
  'ischedule-version',
  'ischedule-message-id',
  'originator',
  'recipient',
  'content-type',
  'dkim-signature',
  'authorization',
  'via',
] as const;

function recipientsOf(values: readonly string[], most: number): readonly HeaderAddress[] {
  const recipients: HeaderAddress[] = [];
  for (const value of values) {
    for (const uri of listItems(value)) {
      if (recipients.length === most) return recipients;
      recipients.push(headerAddress(uri));
    }
  }
  return recipients;
}

/** RFC 9110 §5.6.1: empty elements of a list are none. */
function listItems(value: string): readonly string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** A bare `bob@example.com` is taken too: that is what is sent to a Cyrus, and means nothing else. */
function headerAddress(uri: string): HeaderAddress {
  const mailbox = mailboxOf(uri) ?? bareMailbox(uri);
  return mailbox === undefined ? { uri } : { uri, mailbox };
}

function bareMailbox(uri: string): string | undefined {
  return /^[^@:,\s]+@[^@:,\s]+$/.test(uri) && parseAddress(uri) !== undefined ? canonicalAddress(uri) : undefined;
}

/** Node reads headers as Latin-1; who writes more than ASCII means UTF-8. */
function asUtf8(value: string): string {
  if (!/[\x80-\xff]/.test(value)) return value;
  const text = Buffer.from(value, 'latin1').toString('utf8');
  return text.includes('\uFFFD') ? value : text;
}

/** As `src/mail/control.ts` has it, but for the tab, which is white space of a folded header. */
function hasControl(value: string): boolean {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return true;
  }
  return false;
}
