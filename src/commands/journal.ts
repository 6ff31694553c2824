import type { Config } from '../config/options.ts';
import { addressKey } from '../mail/address.ts';
import type { Meeting, Sending } from '../queue/store.ts';
import { CommandError, EX } from './exit.ts';
import { print, printJson, printTable } from './output.ts';
import { withStore } from './queue.ts';
import { time } from './queue-text.ts';

/** What the journal remembers of a meeting: its people with their answers, and what has left for whom. */
export async function showMeeting(config: Config, uid: string, options: { readonly json?: boolean }): Promise<void> {
  const { meeting, others, sendings } = await withStore(config, (store) => {
    const sendings = store.sendings(uid);
    const meeting = store.meeting(uid);
    const organizers = new Set(sendings.map(({ organizer }) => addressKey(organizer)));
    if (meeting !== undefined) organizers.delete(addressKey(meeting.organizer));
    return { meeting, others: [...organizers].flatMap((one) => store.meeting(uid, one) ?? []), sendings };
  });
  if (meeting === undefined && sendings.length === 0) {
    throw new CommandError(
      EX.DATAERR,
      `got UID ${uid}, of which the journal remembers nothing: no invitation of it has left through this gateway, or it is over for longer than outbound.journal`,
    );
  }
  if (options.json === true) {
    printJson({ meeting, ...(others.length === 0 ? {} : { others }), sendings });
    return;
  }
  print(uid);
  if (meeting !== undefined) printPeople(meeting);
  // Somebody else uses the same UID.
  for (const other of others) {
    print('');
    printPeople(other);
  }
  if (sendings.length > 0) printSendings(sendings);
}

function printPeople({ organizer, attendees, told, keepUntil }: Meeting): void {
  print(`  organizer ${organizer}`);
  const parts = Object.keys(told).map((part) => (part === '' ? 'the series or single event' : part));
  if (parts.length > 0) print(`  invited to ${parts.join(', ')}`);
  print(`  remembered until ${time(keepUntil)}`);
  print('');
  printTable(
    ['ATTENDEE', 'ANSWER'],
    attendees.map(({ address, partstat }) => [address, partstat ?? '-']),
  );
}

function printSendings(sendings: readonly Sending[]): void {
  print('');
  printTable(
    ['LEFT', 'METHOD', 'ATTENDEE', 'SENT TO', 'INSTANCE', 'ID', 'FAILED', 'MESSAGE-ID'],
    sendings.map(({ sentAt, method, attendee, sentTo, recurrenceIds, queueId, messageId, failedAt }) => [
      time(sentAt),
      method,
      attendee,
      sentTo,
      recurrenceIds.filter((id) => id !== '').join(' ') || '-',
      queueId,
      failedAt === undefined ? '-' : time(failedAt),
      messageId,
    ]),
  );
}
