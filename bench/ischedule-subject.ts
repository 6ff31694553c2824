import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../src/config/load.ts';
import { startGateway } from '../src/gateway.ts';
import { createLog } from '../src/observe/log.ts';
import { USERS } from './ischedule-load.ts';

// A whole gateway as it is delivered, forked by `ischedule.bench.ts`: `NAME CALENDAR-PORT MAIL-PORT [KEY-RECORD]`. With a
// key record a peer is believed by its signature alone, else by its address. Its state is on the disk of the temporary
// folder (TMPDIR).

export type SubjectReady = { readonly servicePort: number; readonly insidePort: number };
/** CPU time of all its threads since the start; the most memory that was resident. */
export type SubjectUsage = { readonly cpuMs: number; readonly peakMb: number };

const [name = '', calendarPort = '', mailPort = '', record] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'imipd-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
process.on('disconnect', () => process.exit(0));

const people = Array.from({ length: USERS }, (_, user) =>
  [
    `\ndn: uid=u${user},o=example.com`,
    ...['inetOrgPerson', 'inetMailUser', 'icsCalendarUser'].map((one) => `objectClass: ${one}`),
    `mail: u${user}@example.com\n`,
  ].join('\n'),
);
writeFileSync(join(folder, 'people.ldif'), people.join(''));
const peer = { name: 'cal', origin: 'inside', domains: ['example.com'] };
const loaded = parseConfig(
  {
    // Not the same for all of them: mail of one that comes to another is no loop.
    hostname: `${name}.example.com`,
    state: join(folder, 'queue'),
    domains: ['example.com'],
    listeners: [{ name: 'own', address: '127.0.0.1:0', origin: 'inside' }],
    directory: { kind: 'ldif', file: join(folder, 'people.ldif') },
    calendar: { default: { url: `http://127.0.0.1:${calendarPort}/ischedule`, profile: 'cyrus' } },
    'next-hop': { address: `127.0.0.1:${mailPort}` },
    'smart-host': { address: `127.0.0.1:${mailPort}` },
    http: { service: { address: '127.0.0.1:0' } },
    ischedule: {
      peers: [{ ...peer, ...(record === undefined ? { networks: ['127.0.0.1'] } : { dkim: {} }) }],
      ...(record === undefined ? {} : { 'exchanged-keys': [{ domain: 'example.com', selector: 'cal', record }] }),
    },
    outbound: { address: 'calendar@example.com', name: 'Example calendar' },
  },
  'bench',
);
if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
const { listeners } = await startGateway(loaded.config, createLog({ level: 'info', file: join(folder, 'log') }));
const port = (listener: string): number => Number(listeners.get(listener)?.split(':')[1]);
process.on('message', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  process.send?.({ cpuMs: (userCPUTime + systemCPUTime) / 1000, peakMb: maxRSS / 1024 } satisfies SubjectUsage);
});
process.send?.({ servicePort: port('service'), insidePort: port('own') } satisfies SubjectReady);
