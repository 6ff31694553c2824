import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePorts } from './ports.ts';

const run = promisify(execFile);
const here = import.meta.dirname;

/** Every user of every server here has this password. */
export const PASSWORD = 'secret';

/** A real server with a folder of its own. Disposing stops it by its pid and removes the folder. */
export type RealServer = {
  /** Configuration, data and logs. */
  readonly folder: string;
  /** Stops the server; its data stays. */
  stop(): Promise<void>;
  /** Starts it again on the same data and ports. */
  start(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

export type Slapd = RealServer & {
  /** `ldap://127.0.0.1:port`; StartTLS too. */
  readonly url: string;
  readonly ldapsUrl: string;
  /** File of the CA that signed its certificate. */
  readonly ca: string;
  readonly base: string;
  readonly bindDn: string;
};

/**
 * @param options.ldif file to load in place of the sample directory
 * @param options.maxSizeBytes what the database may grow to; 64 MiB when absent
 */
export async function startSlapd(
  options: { readonly ldif?: string; readonly maxSizeBytes?: number } = {},
): Promise<Slapd> {
  const [ldap, ldaps] = (await freePorts(2)) as [number, number];
  const server = await up('slapd', {
    SLAPD_LDAP: ldap,
    SLAPD_LDAPS: ldaps,
    ...(options.ldif === undefined ? {} : { SLAPD_LDIF: options.ldif }),
    ...(options.maxSizeBytes === undefined ? {} : { SLAPD_MAXSIZE: options.maxSizeBytes }),
  });
  return {
    ...server,
    url: `ldap://127.0.0.1:${ldap}`,
    ldapsUrl: `ldaps://localhost:${ldaps}`,
    ca: join(server.folder, 'tls/ca.pem'),
    base: 'o=isp',
    bindDn: 'cn=gateway,o=isp',
  };
}

export type Cyrus = RealServer & {
  /** `http://127.0.0.1:port`; CalDAV below /dav/calendars/user/. */
  readonly url: string;
  readonly ischedule: string;
  /** The same server, demanding a DKIM signature that it cannot check: refuses every post. */
  readonly strictIschedule: string;
  readonly imapPort: number;
  readonly lmtpPort: number;
};

/** @param options.users mailboxes to provide; @param options.smtpOut port that takes Cyrus' own invitation mail */
export async function startCyrus(options: {
  readonly users: readonly string[];
  readonly domains?: readonly string[];
  readonly smtpOut?: number;
}): Promise<Cyrus> {
  const [http, https, dkim, imap, lmtp, unused] = (await freePorts(6)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const server = await up('cyrus', {
    CYRUS_HTTP: http,
    CYRUS_HTTPS: https,
    CYRUS_HTTP_DKIM: dkim,
    CYRUS_IMAP: imap,
    CYRUS_LMTP: lmtp,
    CYRUS_SMTP_OUT: options.smtpOut ?? unused,
    CYRUS_USERS: options.users.join(' '),
    CYRUS_DOMAINS: (options.domains ?? ['example.test']).join(' '),
  });
  const url = `http://127.0.0.1:${http}`;
  return {
    ...server,
    url,
    ischedule: `${url}/ischedule`,
    strictIschedule: `http://127.0.0.1:${dkim}/ischedule`,
    imapPort: imap,
    lmtpPort: lmtp,
  };
}

export type Davical = RealServer & {
  readonly url: string;
  readonly ischedule: string;
  /** Private key whose public half it takes for `cal._domainkey` of its own domain and of those it trusts. */
  readonly key: string;
};

/**
 * @param options.users local parts, all of `domain`
 * @param options.domain `example.test` when absent
 * @param options.remotes domains it trusts, and posts to; outside.test when absent
 * @param options.remotePort where its own posts for users of these go, `http://127.0.0.1:port/.well-known/ischedule`
 */
export async function startDavical(options: {
  readonly users: readonly string[];
  readonly domain?: string;
  readonly remotes?: readonly string[];
  readonly remotePort?: number;
}): Promise<Davical> {
  const [port] = (await freePorts(1)) as [number];
  const server = await up('davical', {
    DAVICAL_PORT: port,
    DAVICAL_USERS: options.users.join(' '),
    ...(options.domain === undefined ? {} : { DAVICAL_DOMAIN: options.domain }),
    ...(options.remotes === undefined ? {} : { DAVICAL_REMOTE: options.remotes.join(' ') }),
    ...(options.remotePort === undefined ? {} : { DAVICAL_REMOTE_PORT: options.remotePort }),
  });
  const url = `http://127.0.0.1:${port}`;
  return { ...server, url, ischedule: `${url}/.well-known/ischedule`, key: join(server.folder, 'dkim.key') };
}

export type Sogo = RealServer & {
  /** `http://127.0.0.1:port/SOGo/dav`; a user's calendar is `/USER/Calendar/personal/` below it. */
  readonly url: string;
};

/**
 * @param options.users whole addresses, which are also the names they log in with
 * @param options.smtpOut port that takes SOGo's invitation mail
 */
export async function startSogo(options: {
  readonly users: readonly string[];
  readonly smtpOut: number;
}): Promise<Sogo> {
  const [port, database, cache] = (await freePorts(3)) as [number, number, number];
  const server = await up('sogo', {
    SOGO_PORT: port,
    SOGO_PG_PORT: database,
    SOGO_MC_PORT: cache,
    SOGO_SMTP_OUT: options.smtpOut,
    SOGO_USERS: options.users.join(' '),
  });
  return { ...server, url: `http://127.0.0.1:${port}/SOGo/dav` };
}

export type Postfix = RealServer & { readonly entry: number; readonly log: string };

/**
 * @param options.entry port where mail comes in from the world
 * @param options.store where mailboxes are, as a transport: `lmtp:[127.0.0.1]:24`
 * @param options.world where all other mail goes, as a transport
 * @param options.aliases virtual aliases, address → target
 * @param options.snippet folder with what docs/mta/postfix.md says to add
 */
export async function startPostfix(options: {
  readonly entry: number;
  readonly store: string;
  readonly world: string;
  readonly domains?: readonly string[];
  readonly aliases?: Readonly<Record<string, string>>;
  readonly snippet?: string;
}): Promise<Postfix> {
  const server = await up('postfix', {
    POSTFIX_ENTRY: options.entry,
    POSTFIX_STORE: options.store,
    POSTFIX_WORLD: options.world,
    ...(options.domains === undefined ? {} : { POSTFIX_DOMAINS: options.domains.join(' ') }),
    ...(options.snippet === undefined ? {} : { POSTFIX_SNIPPET: options.snippet }),
    POSTFIX_ALIASES: Object.entries(options.aliases ?? {})
      .map(([alias, target]) => `${alias} ${target}`)
      .join('\n'),
  });
  return { ...server, entry: options.entry, log: join(server.folder, 'log/maillog') };
}

export type Sinks = RealServer & { readonly ports: Readonly<Record<string, number>> };

/** Postfix' smtp-sink, one for each name; messages land in `folder/NAME/`. */
export async function startSinks(sinks: Readonly<Record<string, 'smtp' | 'lmtp'>>): Promise<Sinks> {
  const names = Object.keys(sinks);
  const ports = await freePorts(names.length);
  const server = await up('sink', {
    SINKS: names.map((name, index) => `${name}:${ports[index]}:${sinks[name]}`).join(' '),
  });
  return { ...server, ports: Object.fromEntries(names.map((name, index) => [name, ports[index]!])) };
}

export type Knot = RealServer & {
  readonly port: number;
  /** `127.0.0.1:port`, by UDP and TCP. */
  readonly address: string;
  /** Replaces a zone, or adds one. Resolves once it is served; rejects with Knot's words when it cannot be read. */
  setZone(origin: string, text: string): Promise<void>;
};

/**
 * An authoritative DNS server.
 * @param options.zones zone file text by origin (`example.com`). Names in it are relative to the origin; a text without
 * SOA gets one (negative answers live 30 s), an NS and `$TTL 60`
 */
export async function startKnot(options: { readonly zones: Readonly<Record<string, string>> }): Promise<Knot> {
  const [port] = (await freePorts(1)) as [number];
  const zones = await readableFolder('knot-zones');
  try {
    for (const [origin, text] of Object.entries(options.zones)) await writeZone(zones, origin, text);
    const server = await up('knot', { KNOT_PORT: port, KNOT_ZONES: zones });
    const env = { ...process.env, KNOT_PORT: `${port}` };
    return {
      ...server,
      port,
      address: `127.0.0.1:${port}`,
      async setZone(origin, text) {
        await writeZone(join(server.folder, 'zones'), origin, text);
        await run('bash', [join(here, 'knot.sh'), 'reload', server.folder, origin], { env });
      },
    };
  } finally {
    rmSync(zones, { recursive: true, force: true });
  }
}

async function writeZone(folder: string, origin: string, text: string): Promise<void> {
  const head = `$ORIGIN ${origin}.\n$TTL 60\n`;
  const authority = '@ SOA ns hostmaster 1 3600 600 86400 30\n@ NS ns\nns A 127.0.0.1\n';
  const whole = /\bSOA\b/.test(text) ? `${head}${text}\n` : `${head}${authority}${text}\n`;
  await writeFile(join(folder, `${origin}.zone`), whole);
}

type Settings = Readonly<Record<string, string | number>>;

/** What runs now, so that even a test process that ends early leaves no daemon behind. */
const running = new Map<string, string>();
process.once('exit', () => {
  for (const [folder, script] of running) {
    execFileSync('bash', [script, 'down', folder], { stdio: 'ignore', timeout: 15_000 });
    rmSync(folder, { recursive: true, force: true });
  }
});

async function up(name: string, settings: Settings): Promise<RealServer> {
  const script = join(here, `${name}.sh`);
  const folder = await readableFolder(name);
  const env = {
    ...process.env,
    ...Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, `${value}`])),
  };
  const start = async () => {
    running.set(folder, script);
    // Files, not pipes: a daemon inherits them, and execFile would wait for it to close them.
    await run('bash', ['-c', '"$1" up "$2" >"$2.out" 2>&1 || { cat "$2.out" >&2; exit 1; }', name, script, folder], {
      env,
    });
  };
  const stop = async () => {
    await run('bash', [script, 'down', folder], { env });
    running.delete(folder);
  };
  const dispose = async () => {
    if (running.has(folder)) await stop();
    rmSync(folder, { recursive: true, force: true });
    rmSync(`${folder}.out`, { force: true });
  };
  try {
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return { folder, start, stop, [Symbol.asyncDispose]: dispose };
}

/** A temporary folder that daemons may walk into after they gave up root. */
export async function readableFolder(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `imipd-${name}-`));
  chmodSync(folder, 0o755);
  return folder;
}
