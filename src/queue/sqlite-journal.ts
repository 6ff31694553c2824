import { createHash } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { addressKey } from '../mail/address.ts';
import type { JournalEntry, Meeting, Sending, SendingFilter } from './store.ts';

// What one UID can make of the journal, whoever sends it.
const MAX_ATTENDEES = 5000;
/** Beyond these only the organizer adds to them: anybody can send answers that name delegates. */
const MAX_BY_ANSWERS = 2500;
const MAX_TOLD = 100;
const MAX_TOLD_CHARS = 512 * 1024;
/** Sendings that are looked through for one answer. */
const MAX_SENDINGS = 300;

type Attendee = Meeting['attendees'][number];

type MeetingRow = {
  readonly seq: number;
  readonly uid: string;
  readonly keep_until: number;
  readonly organizer: string;
  readonly attendees: string;
  readonly told: string;
};

type SendingRow = {
  readonly token: string;
  readonly uid: string;
  readonly message_id: string;
  readonly keep_until: number;
  readonly sent_at: number;
  readonly method: string;
  readonly attendee: string;
  readonly organizer: string;
  readonly sent_to: string;
  readonly reverse_path: string;
  readonly queue_id: string;
  readonly recurrence_ids: string;
  readonly sequence: number | null;
  readonly failed_at: number | null;
};

/** What has left of each meeting, and who answered. Writes are inside a transaction of the caller. */
export class Journal {
  readonly #digest: StatementSync;
  readonly #meeting: StatementSync;
  readonly #firstMeeting: StatementSync;
  readonly #writeMeeting: StatementSync;
  readonly #writeAttendees: StatementSync;
  readonly #sendings: StatementSync;
  readonly #sendingsBy: StatementSync;
  readonly #sending: StatementSync;
  readonly #writeSending: StatementSync;
  readonly #fail: StatementSync;
  readonly #deleteMeetings: StatementSync;
  readonly #deleteSendings: StatementSync;
  /** A message to a thousand recipients tells of the same meeting a thousand times. */
  readonly #digests = new WeakMap<Meeting, string>();

  constructor(db: DatabaseSync) {
    this.#digest = db.prepare('SELECT digest FROM meetings WHERE uid = ? AND organizer_key = ?');
    this.#meeting = db.prepare('SELECT * FROM meetings WHERE uid = ? AND organizer_key = ?');
    this.#firstMeeting = db.prepare('SELECT * FROM meetings WHERE uid = ? ORDER BY seq LIMIT 1');
    this.#writeMeeting =
      db.prepare(`INSERT INTO meetings (uid, organizer_key, digest, keep_until, organizer, attendees, told)
      VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET digest = excluded.digest, keep_until = excluded.keep_until,
        organizer = excluded.organizer, attendees = excluded.attendees, told = excluded.told`);
    this.#writeAttendees = db.prepare('UPDATE meetings SET attendees = ? WHERE seq = ?');
    this.#sendings = db.prepare(`SELECT * FROM sendings WHERE uid = ? ORDER BY seq DESC LIMIT ${MAX_SENDINGS}`);
    this.#sendingsBy = db.prepare(`SELECT * FROM sendings WHERE seq IN (
        SELECT seq FROM sendings WHERE uid = :uid AND message_id IN (SELECT value FROM json_each(:messageIds))
        UNION SELECT seq FROM sendings WHERE uid = :uid AND sent_to_key IN (SELECT value FROM json_each(:sentTo)))
      ORDER BY seq DESC LIMIT ${MAX_SENDINGS}`);
    this.#sending = db.prepare('SELECT * FROM sendings WHERE token = ?');
    this.#writeSending = db.prepare(`INSERT OR IGNORE INTO sendings (token, uid, message_id, sent_to_key, keep_until,
      sent_at, method, attendee, organizer, sent_to, reverse_path, queue_id, recurrence_ids, sequence)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#fail = db.prepare('UPDATE sendings SET failed_at = ? WHERE token = ? AND failed_at IS NULL');
    const outdated = (table: string, key: string) =>
      db.prepare(`DELETE FROM ${table} WHERE ${key} IN (SELECT ${key} FROM ${table} WHERE keep_until < ? LIMIT ?)`);
    this.#deleteMeetings = outdated('meetings', 'seq');
    this.#deleteSendings = outdated('sendings', 'seq');
  }

  meeting(uid: string, organizer?: string): Meeting | undefined {
    const row = this.#row(uid, organizer);
    return row === undefined ? undefined : meetingOf(row);
  }

  sendings(uid: string, filter?: SendingFilter): readonly Sending[] {
    const rows =
      filter === undefined
        ? this.#sendings.all(uid)
        : this.#sendingsBy.all({
            uid,
            messageIds: JSON.stringify(filter.messageIds),
            sentTo: JSON.stringify(filter.sentTo.map(addressKey)),
          });
    return (rows as SendingRow[]).map(sendingOf);
  }

  sending(token: string): Sending | undefined {
    const row = this.#sending.get(token) as SendingRow | undefined;
    return row === undefined ? undefined : sendingOf(row);
  }

  write({ meeting, sending, answered, failed }: JournalEntry, now: number): void {
    if (meeting !== undefined) this.#addMeeting(meeting);
    if (sending !== undefined) this.#addSending(sending);
    if (answered !== undefined) this.#answer(answered);
    if (failed !== undefined) this.#fail.run(now, failed.token);
  }

  /** @returns how many were deleted, `limit` at most */
  deleteMeetings(now: number, limit: number): number {
    return Number(this.#deleteMeetings.run(now, limit).changes);
  }

  /** @returns how many were deleted, `limit` at most */
  deleteSendings(now: number, limit: number): number {
    return Number(this.#deleteSendings.run(now, limit).changes);
  }

  #addMeeting(added: Meeting): void {
    // The rest of the recipients of the same message: what was answered meanwhile is newer than what it says.
    const digest = this.#digestOf(added);
    const organizerKey = addressKey(added.organizer);
    if (this.#digest.get(added.uid, organizerKey)?.digest === digest) return;
    const known = this.meeting(added.uid, added.organizer);
    const attendees = attendeesByKey(known?.attendees ?? []);
    for (const attendee of added.attendees) addAttendee(attendees, attendee);
    this.#writeMeeting.run(
      added.uid,
      organizerKey,
      digest,
      Math.max(added.keepUntil, known?.keepUntil ?? 0),
      added.organizer,
      JSON.stringify([...attendees.values()]),
      boundedTold(known?.told ?? {}, added.told),
    );
  }

  #row(uid: string, organizer: string | undefined): MeetingRow | undefined {
    const row = organizer === undefined ? this.#firstMeeting.get(uid) : this.#meeting.get(uid, addressKey(organizer));
    return row as MeetingRow | undefined;
  }

  #digestOf(meeting: Meeting): string {
    const known = this.#digests.get(meeting);
    if (known !== undefined) return known;
    const digest = createHash('sha256').update(JSON.stringify(meeting)).digest('base64');
    this.#digests.set(meeting, digest);
    return digest;
  }

  #addSending(sending: Sending): void {
    this.#writeSending.run(
      sending.token,
      sending.uid,
      sending.messageId,
      addressKey(sending.sentTo),
      sending.keepUntil,
      sending.sentAt,
      sending.method,
      sending.attendee,
      sending.organizer,
      sending.sentTo,
      sending.reversePath,
      sending.queueId,
      JSON.stringify(sending.recurrenceIds),
      sending.sequence ?? null,
    );
  }

  #answer({ uid, organizer, attendee, partstat, delegates = [] }: NonNullable<JournalEntry['answered']>): void {
    const row = this.#row(uid, organizer) ?? this.#row(uid, undefined);
    if (row === undefined) return;
    const attendees = attendeesByKey(meetingOf(row).attendees);
    addAttendee(attendees, { address: attendee, ...(partstat === undefined ? {} : { partstat }) }, MAX_BY_ANSWERS);
    for (const address of delegates) addAttendee(attendees, { address }, MAX_BY_ANSWERS);
    const written = JSON.stringify([...attendees.values()]);
    if (written !== row.attendees) this.#writeAttendees.run(written, row.seq);
  }
}

function attendeesByKey(attendees: readonly Attendee[]): Map<string, Attendee> {
  return new Map(attendees.map((attendee) => [addressKey(attendee.address), attendee]));
}

/** Adds one who is new; of one who is known the spelling stays, the PARTSTAT is taken over. */
function addAttendee(attendees: Map<string, Attendee>, { address, partstat }: Attendee, most = MAX_ATTENDEES): void {
  const key = addressKey(address);
  const known = attendees.get(key);
  if (known === undefined && attendees.size >= most) return;
  const latest = partstat ?? known?.partstat;
  attendees.set(key, { address: known?.address ?? address, ...(latest === undefined ? {} : { partstat: latest }) });
}

/** What was told, as JSON: of many instances, or long ones, those told last, and the series before any of them. */
function boundedTold(known: Meeting['told'], added: Meeting['told']): string {
  const latestFirst = new Map<string, string>();
  for (const [recurrenceId, facts] of [...Object.entries(added).reverse(), ...Object.entries(known).reverse()])
    if (!latestFirst.has(recurrenceId)) latestFirst.set(recurrenceId, JSON.stringify(facts ?? null));
  const series = latestFirst.get('');
  latestFirst.delete('');
  const kept: string[] = [];
  let chars = 0;
  for (const [recurrenceId, facts] of [...(series === undefined ? [] : [['', series] as const]), ...latestFirst]) {
    if (kept.length === MAX_TOLD) break;
    if (chars + facts.length > MAX_TOLD_CHARS) continue;
    chars += facts.length;
    kept.push(`${JSON.stringify(recurrenceId)}:${facts}`);
  }
  return `{${kept.reverse().join(',')}}`;
}

function meetingOf(row: MeetingRow): Meeting {
  return {
    uid: row.uid,
    organizer: row.organizer,
    attendees: JSON.parse(row.attendees) as Attendee[],
    told: JSON.parse(row.told) as Record<string, unknown>,
    keepUntil: row.keep_until,
  };
}

function sendingOf(row: SendingRow): Sending {
  return {
    token: row.token,
    uid: row.uid,
    recurrenceIds: JSON.parse(row.recurrence_ids) as string[],
    ...(row.sequence !== null && { sequence: row.sequence }),
    method: row.method,
    attendee: row.attendee,
    organizer: row.organizer,
    sentTo: row.sent_to,
    reversePath: row.reverse_path,
    messageId: row.message_id,
    queueId: row.queue_id,
    sentAt: row.sent_at,
    keepUntil: row.keep_until,
    ...(row.failed_at !== null && { failedAt: row.failed_at }),
  };
}
