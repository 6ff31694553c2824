import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SmtpReceiver } from '../../channel/smtp/receive.ts';
import { parseConfig } from '../config/load.ts';
import type { Config } from '../config/options.ts';
import { type Log, silentLog } from '../observe/log.ts';
import { TrialCalendarServer } from './calendar-server.ts';
import { TrialMailbox } from './maildir.ts';
import { TRIAL_BACK_ENDS, TRIAL_LDIF, TRIAL_USERS } from './people.ts';

export type TrialOptions = {
  /** Everything the site writes lies under it. */
  readonly folder: string;
  /** Port of the SMTP listener, 0 for any; 10025 by default. */
  readonly port?: number;
  readonly log?: Log;
};

/** Embedded stand-ins for everything a gateway needs around it: directory, two calendar servers, mailboxes. */
export type TrialSite = {
  readonly config: Config;
  readonly users: readonly string[];
  /** Folder of the calendars: below it server, user, calendar. */
  readonly calendars: string;
  /** Folder of the mailboxes: below it user, `new`. */
  readonly mailboxes: string;
  stop(): Promise<void>;
};

/** Starts the stand-ins and makes the configuration of a gateway between them. For trial and tests only. */
export async function startTrialSite(options: TrialOptions): Promise<TrialSite> {
  const folder = resolve(options.folder);
  const log = options.log ?? silentLog;
  const calendars = join(folder, 'calendars');
  const mailboxes = join(folder, 'mailboxes');
  const ldif = join(folder, 'directory.ldif');
  mkdirSync(folder, { recursive: true });
  if (!existsSync(ldif)) writeFileSync(ldif, TRIAL_LDIF);

  const servers = TRIAL_BACK_ENDS.map(
    (name) =>
      new TrialCalendarServer({
        host: '127.0.0.1',
        port: 0,
        folder: join(calendars, name),
        domains: ['example.com'],
        log,
      }),
  );
  const urls = await Promise.all(servers.map((server) => server.listen()));
  const mailStore = new SmtpReceiver(
    {
      name: 'trial-mailboxes',
      hostname: 'mailboxes.example.com',
      host: '127.0.0.1',
      port: 0,
      protocol: 'lmtp',
      mode: 'filter',
      origin: 'inside',
      copyDomains: new Map(),
      clients: ['127.0.0.1'],
      xforward: [],
      xclient: [],
      bareNewline: 'normalize',
      maxSizeBytes: 200_000_000,
      maxConnections: 100,
      maxConnectionsPerClient: 100,
      maxRecipients: 1000,
      idleTimeoutMs: 300_000,
      dataTimeoutMs: 300_000,
      sessionTimeoutMs: 86_400_000,
      closeTimeoutMs: 1_000,
    },
    new TrialMailbox(mailboxes),
    log,
  );
  const hop = await mailStore.listen();
  const stop = async (): Promise<void> => {
    await Promise.all([mailStore.close(), ...servers.map((server) => server.close())]);
  };
  const loaded = parseConfig(
    {
      hostname: 'gateway.example.com',
      state: join(folder, 'queue'),
      domains: ['example.com'],
      listeners: [{ name: 'in', address: `127.0.0.1:${options.port ?? 10025}` }],
      directory: { kind: 'ldif', file: ldif },
      calendar: {
        'back-ends': Object.fromEntries(
          TRIAL_BACK_ENDS.map((name, index) => [name, { url: urls[index]?.href ?? '', profile: 'generic' }]),
        ),
      },
      'next-hop': { address: hop, protocol: 'lmtp' },
    },
    'the trial configuration',
  );
  if (!loaded.ok) {
    await stop();
    throw new Error(loaded.errors.join('\n'));
  }
  return { config: loaded.config, users: TRIAL_USERS, calendars, mailboxes, stop };
}
