import type { Instance, SchedulingObject } from '../src/itip/message.ts';
import { isByAttendee } from '../src/itip/message.ts';
import { addressKey } from '../src/mail/address.ts';
import type { LedgerRow } from '../src/queue/store.ts';

export type News = 'news' | 'stale' | 'duplicate';

/** The calendar user a message speaks for: the ATTENDEE of REPLY, COUNTER and REFRESH, else the ORGANIZER (RFC 5546 §1.4). */
export function authorOf(object: SchedulingObject): string | undefined {
  return isByAttendee(object.method) ? object.attendees[0]?.mailbox : object.organizer?.mailbox;
}

/**
 * Whether a message says anything that was not posted before (RFC 5546 §2.1.5: SEQUENCE first, then DTSTAMP). One
 * component that does makes the whole message news. Equal (SEQUENCE, DTSTAMP) with another digest is posted: senders
 * exist that change a meeting and raise neither.
 * @param rows of this recipient and UID
 */
export function judgeNews(object: SchedulingObject, rows: readonly LedgerRow[]): News {
  const author = addressKey(authorOf(object) ?? '');
  const byInstance = new Map<string, LedgerRow>();
  for (const row of rows)
    if (row.author === author && !byInstance.has(row.recurrenceId)) byInstance.set(row.recurrenceId, row);
  const verdicts = object.instances.map((instance) => {
    const row = byInstance.get(instance.recurrenceId);
    return row === undefined ? 'news' : compare(instance, object.digest, row);
  });
  if (verdicts.includes('news')) return 'news';
  return verdicts.includes('stale') ? 'stale' : 'duplicate';
}

function compare(instance: Instance, digest: string, row: LedgerRow): News {
  if (instance.sequence !== row.sequence) return instance.sequence > row.sequence ? 'news' : 'stale';
  if (instance.dtstamp !== row.dtstamp) return instance.dtstamp > row.dtstamp ? 'news' : 'stale';
  return digest === row.digest ? 'duplicate' : 'news';
}

/** The ledger rows that a posted message raises. */
export function ledgerRows(object: SchedulingObject, user: string, now: number): LedgerRow[] {
  const author = addressKey(authorOf(object) ?? '');
  const organizer = addressKey(object.organizer?.mailbox ?? '');
  return object.instances.map((instance) => ({
    user,
    uid: object.uid,
    recurrenceId: instance.recurrenceId,
    author,
    organizer,
    sequence: instance.sequence,
    dtstamp: instance.dtstamp,
    digest: object.digest,
    usedAt: now,
  }));
}
