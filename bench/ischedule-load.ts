import { type KeyObject, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { Pool } from 'undici';
import { sign } from '../channel/ischedule/dkim/sign.ts';
import type { Taken } from './ischedule-peers.ts';

/** Recipients that `ischedule-subject.ts` knows. */
export const USERS = 64;

/** A request, ready to be sent: nothing of it is made while the clock runs. */
export type Post = { readonly headers: string[]; readonly body: Buffer; readonly recipients: number };

/** An invitation by Ann, UID and iSchedule-Message-ID new. @param key signs it, as selector `cal` of example.com */
export function composePost(recipients: readonly string[], key?: KeyObject): Post {
  const uid = `${randomBytes(12).toString('hex')}@example.com`;
  const body = Buffer.from(calendarObject(uid, recipients));
  const pairs: [string, string][] = [
    ['Content-Type', 'text/calendar; charset=utf-8; component=VEVENT; method=REQUEST'],
    ['iSchedule-Version', '1.0'],
    ['iSchedule-Message-ID', uid],
    ['Originator', 'mailto:ann@example.com'],
    ...recipients.map((one): [string, string] => ['Recipient', `mailto:${one}`]),
  ];
  if (key !== undefined) {
    const value = sign(pairs, body, {
      key: { domain: 'example.com', selector: 'cal', key },
      canonicalization: 'ischedule-relaxed',
      now: Date.now(),
      methods: ['private-exchange'],
    });
    pairs.push(['DKIM-Signature', value]);
  }
  return { headers: pairs.flat(), body, recipients: recipients.length };
}

function calendarObject(uid: string, recipients: readonly string[]): string {
  return [
    'BEGIN:VCALENDAR',
    'PRODID:-//Example//Calendar server 1.0//EN',
    'VERSION:2.0',
    'METHOD:REQUEST',
    'BEGIN:VEVENT',
    `UID:${uid}`,
    'DTSTAMP:20300301T080000Z',
    'DTSTART:20300314T090000Z',
    'DTEND:20300314T100000Z',
    'ORGANIZER;CN=Ann:mailto:ann@example.com',
    ...recipients.map(
      (one) => `ATTENDEE;CUTYPE=INDIVIDUAL;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN=Somebody:\r\n mailto:${one}`,
    ),
    `DESCRIPTION:${'Agenda and minutes stand in the usual place. '.repeat(12)}`.match(/.{1,70}/g)?.join('\r\n ') ?? '',
    'LOCATION:Room 1',
    'SEQUENCE:0',
    'STATUS:CONFIRMED',
    'SUMMARY:Design sync',
    'END:VEVENT',
    'END:VCALENDAR',
    '',
  ].join('\r\n');
}

/** Sends each post once, each caller the next one when its last is answered. @param status what everybody must get */
export async function sendPosts(pool: Pool, posts: readonly Post[], callers: number, status: string): Promise<void> {
  const left = posts.values();
  const call = async (): Promise<void> => {
    for (const { headers, body, recipients } of left) {
      const response = await pool.request({ path: '/ischedule', method: 'POST', headers, body });
      const text = await response.body.text();
      const answered = text.split(`<request-status>${status};`).length - 1;
      if (response.statusCode !== 200 || answered !== recipients)
        throw new Error(`got ${response.statusCode} ${text}, want ${recipients} times ${status}`);
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
}

/** Connections are opened by the first posts and kept. */
export function openPool(port: number, callers: number): Pool {
  return new Pool(`http://127.0.0.1:${port}`, { connections: callers, allowH2: false });
}

/** Hands each mail over once, all connections drawing from one list; ends when all are answered 250. */
export async function sendMails(port: number, mails: readonly Taken[], connections: number): Promise<void> {
  const left = mails.values();
  await Promise.all(Array.from({ length: connections }, () => sendFrom(port, left)));
}

async function sendFrom(port: number, left: Iterable<Taken>): Promise<void> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true);
  const replies = createInterface(socket)[Symbol.asyncIterator]();
  const expect = async (code: string): Promise<void> => {
    for (;;) {
      const { value: line = '' } = await replies.next();
      if (!line.startsWith(code)) throw new Error(`got ${line}, want ${code}`);
      if (line[3] !== '-') return;
    }
  };
  await expect('220');
  socket.write('EHLO bench.example\r\n');
  await expect('250');
  for (const { to, content } of left) {
    socket.write(`MAIL FROM:<ann@example.com>\r\nRCPT TO:<${to}>\r\nDATA\r\n`);
    await expect('250');
    await expect('250');
    await expect('354');
    socket.write(Buffer.from(`${content}.\r\n`, 'latin1'));
    await expect('250');
  }
  socket.end('QUIT\r\n');
}
