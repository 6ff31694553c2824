import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import { Pool } from 'undici';
import { parseConfig } from '../src/config/load.ts';
import { startGateway } from '../src/gateway.ts';
import { createLog } from '../src/observe/log.ts';
import { USERS } from './invitation.ts';

// What is measured, in a process of its own: `node bench/subject.ts KIND CALENDAR-PORT MAIL-PORT`. Prints its SMTP port.
// The floors use the libraries directly: they show what is left when everything of ours is taken away.

const [kind = '', calendarPort = '', mailPort = ''] = process.argv.slice(2);
const subjects: Readonly<Record<string, () => Promise<number>>> = {
  discard: () => floor(async () => {}),
  post: () => {
    const pool = new Pool(`http://127.0.0.1:${calendarPort}`, { connections: 8, allowH2: false });
    return floor(async (body) => {
      const headers = { 'content-type': 'text/calendar; component=VEVENT; method=REQUEST' };
      const response = await pool.request({ path: '/ischedule', method: 'POST', headers, body });
      await response.body.dump();
    });
  },
  filter: () => gateway('filter'),
  final: () => gateway('final'),
};
const start = subjects[kind];
if (start === undefined) throw new Error(`got ${kind}, want one of ${Object.keys(subjects).join(', ')}`);
console.log(await start());

/** `smtp-server` that hands each message to `job` and answers when it is done. */
async function floor(job: (body: Buffer) => Promise<void>): Promise<number> {
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    logger: false,
    onData: (stream, _session, callback) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => void job(Buffer.concat(chunks)).then(() => callback()));
    },
  });
  const { promise, resolve } = Promise.withResolvers<number>();
  const listening = server.listen(0, '127.0.0.1', () => {
    const address = listening.address();
    resolve(typeof address === 'object' && address !== null ? address.port : 0);
  });
  return promise;
}

/** A whole gateway as it is delivered, its state on the disk of the temporary folder (TMPDIR). */
async function gateway(mode: 'filter' | 'final'): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'imipd-bench-'));
  const people = Array.from({ length: USERS }, (_, user) =>
    [
      '',
      `dn: uid=u${user},o=example.com`,
      'objectClass: inetOrgPerson',
      'objectClass: inetMailUser',
      'objectClass: icsCalendarUser',
      `mail: u${user}@example.com`,
      '',
    ].join('\n'),
  );
  writeFileSync(join(folder, 'people.ldif'), people.join(''));
  const loaded = parseConfig(
    {
      hostname: 'gateway.example.com',
      state: join(folder, 'queue'),
      domains: ['example.com'],
      listeners: [{ name: 'in', address: '127.0.0.1:0', mode }],
      directory: { kind: 'ldif', file: join(folder, 'people.ldif') },
      calendar: { default: { url: `http://127.0.0.1:${calendarPort}/ischedule` } },
      'next-hop': { address: `127.0.0.1:${mailPort}` },
    },
    'bench',
  );
  if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
  const running = await startGateway(loaded.config, createLog({ level: 'info', file: join(folder, 'log') }));
  return Number(running.listeners.get('in')?.split(':')[1]);
}
