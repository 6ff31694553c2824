import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeStored, type StoredEvent } from '../itip/describe.ts';
import { addressKey } from '../mail/address.ts';

/** The one calendar that a user of the trial server has. */
export const CALENDAR = 'default';

/** An event as it lies in the folder. */
export type CalendarFile = StoredEvent & { readonly text: string };

/** Name of the folder of a mailbox: readable, and never a path, whatever the address. */
export function folderName(mailbox: string): string {
  const name = encodeURIComponent(addressKey(mailbox).toWellFormed()).replaceAll('%40', '@').replace(/^\./, '%2E');
  return name.length <= 200 ? name : createHash('sha256').update(name).digest('hex');
}

/** A UID that is not a plain file name on every system goes by its hash. */
function fileName(uid: string): string {
  const plain = /^[A-Za-z0-9@_-][A-Za-z0-9@._-]{0,119}$/.test(uid);
  return `${plain ? uid : createHash('sha256').update(uid).digest('hex')}.ics`;
}

function calendarFolder(folder: string, mailbox: string): string {
  return join(folder, folderName(mailbox), CALENDAR);
}

/** @returns undefined when the calendar has nothing of this UID */
export function readEvent(folder: string, mailbox: string, uid: string): string | undefined {
  try {
    return readFileSync(join(calendarFolder(folder, mailbox), fileName(uid)), 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/**
 * Stores one event in the vdir layout of khal and vdirsyncer: a file per event, a `displayname` per calendar. Another
 * process sees the old file or the new one, never a part. Not fsynced: this is for trial.
 */
export function writeEvent(folder: string, mailbox: string, uid: string, text: string): void {
  const calendar = calendarFolder(folder, mailbox);
  if (mkdirSync(calendar, { recursive: true }) !== undefined) {
    writeFileSync(join(calendar, 'displayname'), addressKey(mailbox));
  }
  const temporary = join(calendar, `.${randomBytes(8).toString('hex')}.tmp`);
  writeFileSync(temporary, text);
  renameSync(temporary, join(calendar, fileName(uid)));
}

/** All events of a user's calendar in order of UID; none when there is no such calendar. */
export async function readCalendar(folder: string, mailbox: string): Promise<CalendarFile[]> {
  const calendar = calendarFolder(folder, mailbox);
  let names: string[];
  try {
    names = await readdir(calendar);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
  const files = names.filter((name) => name.endsWith('.ics') && !name.startsWith('.'));
  const events = await Promise.all(
    files.map(async (name) => {
      const text = await readFile(join(calendar, name), 'utf8');
      return { ...(describeStored(text) ?? { uid: name, summary: '', status: '' }), text };
    }),
  );
  return events.sort((a, b) => (a.uid < b.uid ? -1 : 1));
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
