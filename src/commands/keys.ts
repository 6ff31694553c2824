import { createPublicKey, type KeyObject } from 'node:crypto';
import { open } from 'node:fs/promises';
import { keyPairFor, loadSigningKey } from '../../channel/ischedule/dkim/key-pair.ts';
import type { Config } from '../config/options.ts';
import type { Finding } from '../doctor/finding.ts';
import { checkKey } from '../doctor/key-check.ts';
import { keyRecord, serviceRecords, type ZoneRecord } from '../doctor/key-records.ts';
import { printFindings } from './doctor-text.ts';
import { CommandError, EX } from './exit.ts';
import { print, printJson } from './output.ts';
import { openResolver } from './resolver.ts';

export const KEY_BITS = ['2048', '3072', '4096'] as const;

export type NewKeyOptions = {
  readonly domain: string;
  readonly selector: string;
  readonly bits: string;
  readonly out?: string;
  readonly host?: string;
  readonly port: string;
  readonly path: string;
  readonly json?: boolean;
};

const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);

/** Makes a key pair, writes the private key to a new file that only its owner reads, and prints what to publish. */
export async function newKey(options: NewKeyOptions): Promise<void> {
  const domain = requireName('--domain', options.domain);
  const selector = requireName('--selector', options.selector);
  const host = requireName('--host', options.host ?? domain);
  const port = requirePort(options.port);
  if (!/^\/[\x21-\x7e]*$/.test(options.path))
    throw new CommandError(EX.USAGE, `got --path ${options.path}, want a path such as /ischedule`);
  const file = options.out ?? `${selector}.${domain}.pem`;
  const { privateKey, publicKey } = await keyPairFor(Number(options.bits));
  await writeNew(file, privateKey);
  const records = [keyRecord(domain, selector, publicKey), ...serviceRecords(domain, host, port, options.path)];
  if (options.json === true) {
    printJson({ file, domain, selector, bits: Number(options.bits), records });
    return;
  }
  print(`A private key of ${options.bits} bits is in ${file}; only its owner can read it. In imipd.yaml:`);
  print();
  for (const line of ['ischedule:', '  keys:', `    - domain: ${domain}`, `      selector: ${selector}`])
    print(`  ${line}`);
  print(`        key: ${file}`);
  print();
  print('In the DNS:');
  print();
  printRecords(records);
  print();
  print(`Once they are published: imipd doctor ${domain} --selector ${selector}`);
  print('With the key in imipd.yaml: imipd keys dns --check');
}

function requireName(option: string, given: string): string {
  const name = given.toLowerCase().replace(/\.$/, '');
  if (NAME.test(name) && name.length <= 253) return name;
  throw new CommandError(
    EX.USAGE,
    `got ${option} ${given}, want a name for the DNS, such as ${EXAMPLES[option] ?? ''}`,
  );
}

const EXAMPLES: Readonly<Record<string, string>> = {
  '--domain': 'example.com',
  '--selector': 'cal1',
  '--host': 'gateway.example.com',
};

function requirePort(given: string): number {
  const port = Number(given);
  if (/^\d{1,5}$/.test(given) && port >= 1 && port <= 65_535) return port;
  throw new CommandError(EX.USAGE, `got --port ${given}, want a port from 1 to 65535`);
}

/** Never overwrites: a key that is lost cannot be had again. */
async function writeNew(file: string, content: string): Promise<void> {
  try {
    await using handle = await open(file, 'wx', 0o600);
    await handle.writeFile(content);
    await handle.sync();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    if (error.code === 'EEXIST')
      throw new CommandError(
        EX.USAGE,
        `${file} is there already, and a key is never overwritten; name another by --out`,
      );
    throw new CommandError(EX.NOPERM, `${file} cannot be written (${String(error.code)}); name another by --out`);
  }
}

/** As a zone file takes them: there a line that begins with a blank has no name of its own (RFC 1035 §5.1). */
function printRecords(records: readonly ZoneRecord[]): void {
  for (const [index, { line, why }] of records.entries()) {
    if (index > 0) print();
    print(`; ${why}`);
    print(line);
  }
}

export type PublishedOptions = { readonly check?: boolean; readonly dns?: readonly string[]; readonly json?: boolean };

/**
 * The records of the configured keys, or with `check` what the DNS has of them.
 * @returns whether nothing is wrong
 */
export async function showKeyRecords(config: Config, options: PublishedOptions): Promise<boolean> {
  const keys = config.ischedule.keys;
  if (keys.length === 0)
    throw new CommandError(
      EX.CONFIG,
      'ischedule.keys names no key; imipd keys new makes one and says what to write there',
    );
  if (options.check === true) {
    await using resolver = openResolver(options.dns ?? [], config);
    const findings: Finding[] = [];
    for (const { domain, selector, key } of keys) {
      const question = { domain, selector, ours: publicHalf(key.reveal()) };
      findings.push(...(await checkKey(question, resolver, AbortSignal.timeout(30_000))));
    }
    if (options.json === true) printJson(findings);
    else printFindings(findings);
    return findings.every(({ verdict }) => verdict !== 'refused');
  }
  const records = keys.map(({ domain, selector, key }) => keyRecord(domain, selector, publicHalf(key.reveal())));
  if (options.json === true) printJson(records);
  else printRecords(records);
  return true;
}

/** @param pem a private key that the configuration has checked */
export function publicHalf(pem: string): KeyObject {
  return createPublicKey(loadSigningKey(pem));
}
