import type { Method } from '../../src/itip/message.ts';
import type { ProfileName } from '../../src/mail/disposition.ts';
import type { Canonicalization } from '../peer.ts';

/** What a kind of calendar server takes by iSchedule. */
export type Profile = {
  /** Empty: invitations reach this server's users as mail only. */
  readonly methods: readonly Method[];
  /** What it makes of an ADD: a server without it may take the added instance as an override of the series that it knows. */
  readonly add: 'as-request' | 'not-taken';
  /** What it makes of RANGE=THISANDFUTURE: `one-instance` changes the named one and leaves the future as it was. */
  readonly range: 'kept' | 'one-instance' | 'unknown';
  /**
   * What an organizer's message about some instances does to what he said of the others: `merge` leaves it alone,
   * `replace` keeps one message per UID, so that a later one takes the place of an earlier that nobody has read.
   */
  readonly instances: 'merge' | 'replace';
  /**
   * Its organizer sees the REQUEST-STATUS of a REPLY, so a bounce is told as one. Cyrus answers 2.0 and drops it, but
   * takes the PARTSTAT over; DAViCal files it unread.
   */
  readonly recordsStatus?: true;
  /** It finds its users by case, and has them in lower case. */
  readonly lowerCase?: true;
  /** How its posts are signed where there is a key for the Originator's domain. */
  readonly sign: 'none' | Canonicalization;
  /** How it is asked what it takes before it gets a post. */
  readonly capabilities: 'none' | 'action' | 'query';
};

/** What is known of nobody who was not at hand: REQUEST, REPLY and CANCEL, of a series and of its instances. */
const SCHEDULING = {
  methods: ['REQUEST', 'REPLY', 'CANCEL'],
  add: 'not-taken',
  range: 'unknown',
  instances: 'merge',
} as const satisfies Partial<Profile>;

/**
 * By profile name. v6 answers free/busy by iSchedule and takes invitations by mail (Calendar Server 7 installation
 * guide, coexistence); Cyrus answers 400 to every other method, and nobody else announces more than ADD. How series were
 * measured stands in docs/interop.md.
 */
export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  generic: { ...SCHEDULING, sign: 'ischedule-relaxed', capabilities: 'action' },
  // Built without OpenDKIM everywhere: it looks at no signature.
  cyrus: {
    ...SCHEDULING,
    ...{ add: 'as-request', range: 'one-instance', lowerCase: true, sign: 'none', capabilities: 'none' },
  },
  'oracle-v7': { ...SCHEDULING, sign: 'none', capabilities: 'none' },
  'oracle-v6': { ...SCHEDULING, methods: [], sign: 'none', capabilities: 'none' },
  // Files the message as it came under its UID, for the user's own program to read.
  davical: { ...SCHEDULING, range: 'kept', instances: 'replace', sign: 'simple-http', capabilities: 'query' },
  // Takes an unsigned post from a listed address, and refuses a signature whose key it cannot find. RANGE: its source.
  apple: { ...SCHEDULING, recordsStatus: true, range: 'one-instance', sign: 'none', capabilities: 'none' },
  bedework: { ...SCHEDULING, sign: 'none', capabilities: 'action' },
};

/** Mailboxes as a server of this profile finds its users by them. */
export function namesAt(profile: ProfileName, mailboxes: readonly string[]): readonly string[] {
  return PROFILES[profile].lowerCase === true ? mailboxes.map((mailbox) => mailbox.toLowerCase()) : mailboxes;
}
