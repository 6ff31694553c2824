import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Protocol, serverOf, USERS, userAddress } from './freebusy-load.ts';

export type SubjectOptions = {
  /** How it asks the calendar servers; the load asks it in the same protocol. */
  readonly protocol: Protocol;
  /** `free-busy.cache` */
  readonly cache: string;
  /** Of the calendar servers. */
  readonly ports: readonly number[];
  /** Where a profile of its CPU time is left. */
  readonly profileTo?: string;
};

/** A gateway as it is delivered: `imipd serve` with its configuration, a directory in a file, its state below TMPDIR. */
export class Subject implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
  }

  static async start(options: SubjectOptions): Promise<Subject> {
    const folder = mkdtempSync(join(tmpdir(), 'imipd-bench-'));
    const config = join(folder, 'imipd.yaml');
    writeFileSync(join(folder, 'people.ldif'), people());
    // YAML is a superset of JSON.
    writeFileSync(config, JSON.stringify(configuration(folder, options)));
    const profiling = options.profileTo === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profileTo}`];
    const imipd = fileURLToPath(new URL('../bin/imipd.mjs', import.meta.url));
    const args = [...profiling, imipd, 'serve', '--config', config];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    process.on('exit', () => {
      child.kill();
      rmSync(folder, { recursive: true, force: true });
    });
    return new Subject(await listening(join(folder, 'log'), child), child);
  }

  /** CPU time of all its threads since the start, ms. */
  get cpuMs(): number {
    const [, fields = ''] = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8').split(') ');
    const [user, system] = fields.split(' ').slice(11, 13).map(Number);
    return ((user ?? 0) + (system ?? 0)) * MS_PER_TICK;
  }

  /** The most memory that was resident. */
  get peakMb(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1]) / 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
  }
}

/** USER_HZ, on every Linux that Node runs on. */
const MS_PER_TICK = 10;

function configuration(folder: string, { protocol, cache, ports }: SubjectOptions): object {
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  return {
    hostname: 'gateway.example.com',
    state: join(folder, 'queue'),
    log: { file: join(folder, 'log') },
    domains: ['example.com'],
    listeners: [{ name: 'in', address: '127.0.0.1:0' }],
    'next-hop': { address: '127.0.0.1:25' }, // no mail comes
    directory: { kind: 'ldif', file: join(folder, 'people.ldif') },
    calendar: {
      'back-ends': Object.fromEntries(
        urls.map((url, server) => [`store${server}`, { url: `${url}/ischedule/`, profile: 'oracle-v6' }]),
      ),
    },
    http: { service: { address: '127.0.0.1:0' } },
    ischedule: {
      peers: [{ name: 'peer', origin: 'inside', domains: ['example.com'], networks: ['127.0.0.1'] }],
    },
    'free-busy': {
      cache,
      servers: protocol === 'wcap' ? urls.map((url) => ({ url: `${url}/`, by: 'wcap', at: `${url}/` })) : [],
      clients: [{ name: 'client', networks: ['127.0.0.1'] }],
    },
  };
}

function people(): string {
  const classes = ['inetOrgPerson', 'inetMailUser', 'icsCalendarUser', 'davEntity'];
  return Array.from({ length: USERS }, (_, user) =>
    [
      `dn: uid=u${user},o=example.com`,
      ...classes.map((one) => `objectClass: ${one}`),
      `uid: u${user}`,
      `mail: ${userAddress(user)}`,
      `davStore: store${serverOf(user)}`,
      '',
    ].join('\n'),
  ).join('\n');
}

/** The port of its service listener, which its log names, once it is ready. */
async function listening(log: string, child: ChildProcess): Promise<number> {
  for (;;) {
    const text = existsSync(log) ? readFileSync(log, 'utf8') : '';
    if (text.includes('"event":"ready"'))
      return Number(/"listener":"service"[^\n]*"address":"[^"]*:(\d+)"/.exec(text)?.[1]);
    if (child.exitCode !== null) throw new Error(`the gateway ended with ${child.exitCode}: ${text}`);
    await delay(20);
  }
}
