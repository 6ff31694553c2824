import { randomUUID } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileErrorText } from '../config/secrets.ts';
import { type EntryAdditions, formatAdditions, readAdditions } from '../directory/admin-ldif.ts';
import { LdapScan, ScanError } from '../directory/ldap-scan.ts';
import { type AttributeRecord, values } from '../directory/schema.ts';
import { CommandError, EX } from './exit.ts';
import { print, warn } from './output.ts';
import { Progress } from './progress.ts';

/** The options of the v7 product's script, and TLS. */
export type PopulateCommand = {
  /** Name, or an `ldap://` or `ldaps://` URL. */
  readonly host: string;
  readonly port?: string;
  readonly bindDn?: string;
  readonly password?: string;
  readonly passwordFile?: string;
  readonly base?: string;
  readonly filter: string;
  readonly output: string;
  /** Add the class that allows the attribute. */
  readonly objectClass?: boolean;
  readonly apply?: boolean;
  readonly verbose?: boolean;
  readonly startTls?: boolean;
  readonly ca?: string;
};

export const PASSWORD_VARIABLE = 'IMIPD_LDAP_PASSWORD';
/** Users, resources and groups of the Sun schema. */
export const POPULATE_FILTER =
  '(|(objectClass=inetMailUser)(objectClass=icsCalendarUser)(objectClass=icsCalendarResource)(objectClass=inetMailGroup)(objectClass=icsCalendarGroup))';
export const POPULATE_OUTPUT = 'davuniqueid.ldif';

const KEY = 'davUniqueId';
/** Operational, so it comes only when it is asked for by name. */
const SERVER_KEY = 'nsUniqueId';
const KEY_CLASS = 'daventity';

const CONNECT_TIMEOUT_MS = 10_000;
const SEARCH_TIMEOUT_MS = 120_000;
/** Changes under way at a time. */
const LANES = 16;

/**
 * Gives each entry without `davUniqueId` one: writes the changes as LDIF, and makes them with `apply`, from that very
 * file, so that what is done is what can be read there.
 * @returns whether every change asked for was made
 * @throws CommandError when it cannot be done
 */
export async function populateUniqueIds(options: PopulateCommand): Promise<boolean> {
  const { bindDn, base, output } = options;
  if (bindDn === undefined) throw new CommandError(EX.USAGE, 'no account to bind as; name it with -D');
  if (base === undefined) throw new CommandError(EX.USAGE, 'no base; name it with -b, such as -b o=isp');
  const url = serverUrl(options);
  const password = passwordFor(options);
  const filter = `(&(!(${KEY}=*))${options.filter})`;
  print(`server   ${url}, as ${bindDn}${options.startTls === true ? ', with StartTLS' : ''}`);
  print(`search   ${filter} below ${base}`);
  print(`changes  add ${KEY}: the value of ${SERVER_KEY}, or a new UUID`);
  if (options.objectClass === true) print(`         add objectClass ${KEY_CLASS} where it is absent`);
  print(`written  to ${output}`);
  print(`applied  ${options.apply === true ? 'yes' : 'no (give -x to apply)'}`);

  try {
    await using server = await LdapScan.open([url], {
      startTls: options.startTls === true,
      ...(options.ca === undefined ? {} : { ca: readText(options.ca) }),
      bindDn,
      password,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      searchTimeoutMs: SEARCH_TIMEOUT_MS,
    });
    const total = await writeChanges(server, base, filter, options);
    return options.apply === true ? await applyChanges(server, output, total, options.verbose === true) : true;
  } catch (error) {
    if (!(error instanceof ScanError)) throw error;
    throw new CommandError(EX.UNAVAILABLE, `${error.message}; what was done stays, and a further run does the rest`);
  }
}

/** @returns how many entries lack an id */
async function writeChanges(server: LdapScan, base: string, filter: string, options: PopulateCommand): Promise<number> {
  const file = await createOutput(options.output);
  const counts = { found: 0, copied: 0 };
  try {
    await file.write('version: 1\n\n');
    const attributes = ['objectClass', KEY, SERVER_KEY];
    for await (const page of server.pages({ base, filter, attributes })) {
      let text = '';
      for (const record of page) {
        if (values(record, KEY).length > 0) continue;
        const change = changeFor(record, options.objectClass === true, randomUUID);
        if (values(record, SERVER_KEY).length > 0) counts.copied++;
        if (options.verbose === true) print(summaryOf(change));
        text += formatAdditions(change);
        counts.found++;
      }
      await file.write(text);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  const { found, copied } = counts;
  print(`found    ${found} without ${KEY}: ${copied} with ${SERVER_KEY}, ${found - copied} get a new UUID`);
  return found;
}

/** @param newId draws a UUID */
export function changeFor(record: AttributeRecord, withClass: boolean, newId: () => string): EntryAdditions {
  const isOfClass = values(record, 'objectClass').some((name) => name.toLowerCase() === KEY_CLASS);
  const value = values(record, SERVER_KEY)[0]?.trim() || newId();
  return {
    dn: record.dn,
    additions: [
      ...(withClass && !isOfClass ? [{ attribute: 'objectClass', value: KEY_CLASS }] : []),
      { attribute: KEY, value },
    ],
  };
}

/** @returns whether all were made */
async function applyChanges(server: LdapScan, file: string, total: number, isVerbose: boolean): Promise<boolean> {
  const input = createReadStream(file, 'utf8');
  const changes = readAdditions(createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }));
  const progress = new Progress('applying', total);
  let made = 0;
  let failed = 0;
  const lane = async (): Promise<void> => {
    for (;;) {
      const next = await changes.next();
      if (next.done === true) return;
      const refused = await server.add(next.value.dn, next.value.additions);
      progress.advance(1);
      if (refused === undefined) made++;
      else failed++;
      if (refused === undefined && !isVerbose) continue;
      progress.clear();
      if (refused === undefined) print(`changed  ${next.value.dn}`);
      else
        warn(`failed   ${next.value.dn}: ${refused}${refused.includes('(65)') ? ' (give -O to add the class)' : ''}`);
    }
  };
  try {
    await Promise.all(Array.from({ length: LANES }, lane));
  } finally {
    input.destroy();
    progress.clear();
    print(`changed  ${made} of ${total}${failed === 0 ? '' : `, ${failed} failed`}`);
  }
  return failed === 0;
}

function summaryOf({ dn, additions }: EntryAdditions): string {
  return `entry    ${dn}: ${additions.map(({ attribute, value }) => `${attribute}=${value}`).join(', ')}`;
}

function serverUrl({ host, port }: PopulateCommand): string {
  const text = /^ldaps?:\/\//i.test(host) ? host : `ldap://${host.includes(':') ? `[${host}]` : host}`;
  const url = URL.parse(text);
  if (url === null || url.hostname === '')
    throw new CommandError(EX.USAGE, `-h: got "${host}", want a host name, or an ldap:// or ldaps:// URL`);
  if (port !== undefined) {
    if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535)
      throw new CommandError(EX.USAGE, `-p: got "${port}", want a port from 1 to 65535`);
    url.port = port;
  }
  return `${url.protocol}//${url.host}`;
}

/** Never the empty one: a server takes that for an anonymous bind and says yes (RFC 4513 §5.1.2). */
function passwordFor({ password, passwordFile }: PopulateCommand): string {
  const variable = process.env[PASSWORD_VARIABLE];
  if (password !== undefined)
    warn(`-w shows the password to everybody on this machine; put it in a file (-j) or in ${PASSWORD_VARIABLE}`);
  const found = passwordFile === undefined ? (password ?? variable) : readText(passwordFile).split(/\r?\n/, 1)[0];
  if (found === undefined || found === '')
    throw new CommandError(EX.USAGE, `no password; put it in a file and name that with -j, or in ${PASSWORD_VARIABLE}`);
  return found;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandError(EX.NOINPUT, `${file}: cannot be read (${fileErrorText(error)})`);
  }
}

/** Readable by its owner alone. One that is there already is the record of an earlier run. */
async function createOutput(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'wx', 0o600);
  } catch (error) {
    const hint =
      fileErrorText(error) === 'EEXIST' ? 'it exists already; move it away or name another with -o' : undefined;
    throw new CommandError(EX.USAGE, `${file}: cannot be written (${hint ?? fileErrorText(error)})`);
  }
}
