import { type KeyObject, randomBytes } from 'node:crypto';
import { loadSigningKey } from '../../channel/ischedule/dkim/key-pair.ts';
import type { Signature } from '../../channel/ischedule/signing.ts';
import { CANONICALIZATIONS, type Canonicalization } from '../../rules/peer.ts';
import { judgeCertificate } from '../doctor/certificate.ts';
import { type ConformanceRow, runConformance } from '../doctor/conformance-run.ts';
import { VERDICTS } from '../doctor/conformance-target.ts';
import { type DialOptions, dial } from '../doctor/connection.ts';
import { endpointOf } from '../doctor/request.ts';
import { domainOf, parseAddress } from '../mail/address.ts';
import { hasConfig, requireConfig } from './config.ts';
import { dialOptions, readInput } from './doctor.ts';
import { CommandError, EX } from './exit.ts';
import { print, printJson, printTable, warn } from './output.ts';

export { CANONICALIZATIONS };

export type ConformanceOptions = {
  readonly config?: string;
  readonly originator?: string;
  readonly recipient?: string;
  readonly signWith?: string;
  readonly selector?: readonly string[];
  readonly canonicalization: Canonicalization;
  readonly ca?: string;
  readonly insecureHttp?: boolean;
  readonly timeout: string;
  readonly json?: boolean;
  readonly markdown?: boolean;
};

/**
 * Tries every case of the draft against a live receiver.
 * @returns whether nothing differs from the draft
 */
export async function checkConformance(given: string, options: ConformanceOptions): Promise<boolean> {
  const url = requireUrl(given, options);
  const config = hasConfig(options.config) ? requireConfig(options.config).config : undefined;
  const originator = requireMailbox('--originator', options.originator ?? 'imipd-conformance@example.com');
  const recipient = options.recipient === undefined ? undefined : requireMailbox('--recipient', options.recipient);
  const run = randomBytes(6).toString('hex');
  const signature = signatureOf(originator, options);
  const nobody = `imipd-nobody-${run}@${recipient === undefined ? hostDomain(url) : domainOf(recipient)}`;
  warn(
    recipient === undefined
      ? 'no --recipient: cases that would change a calendar are left out'
      : `test events are sent to ${recipient} and cancelled at once; what stays has "imipd conformance test" as its title`,
  );
  const dialing = dialOptions(url, config, options);
  await requireTrusted(url, dialing);
  const rows = await runConformance(
    {
      url,
      originator,
      nobody,
      run,
      now: Date.now(),
      ...(recipient === undefined ? {} : { recipient }),
      ...(signature === undefined ? {} : { signature }),
    },
    dialing,
  );
  if (options.json === true) printJson({ url: url.href, cases: rows });
  else if (options.markdown === true) printMarkdown(rows);
  else printText(rows);
  return rows.every(({ verdict }) => verdict !== 'differs');
}

function requireUrl(given: string, options: ConformanceOptions): URL {
  const url = URL.parse(given);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw new CommandError(
      EX.USAGE,
      `got ${given}, want the URL of an iSchedule service, such as https://cal.example.com/ischedule`,
    );
  if (url.protocol === 'http:' && options.insecureHttp !== true)
    throw new CommandError(EX.USAGE, `${given} is in clear; add --insecure-http if that is meant`);
  return url;
}

/** Nothing is posted where nobody is, or where somebody else may be. @throws CommandError (EX_UNAVAILABLE) */
async function requireTrusted(url: URL, options: DialOptions): Promise<void> {
  const endpoint = endpointOf(url);
  const dialed = await dial(endpoint, options);
  if (dialed.kind === 'failed')
    throw new CommandError(EX.UNAVAILABLE, `${url.href} cannot be reached: ${dialed.reason}`);
  dialed.socket.destroy();
  if (dialed.tls === undefined) return;
  const wrongs = judgeCertificate(endpoint, dialed.tls, undefined, Date.now()).filter(
    ({ verdict }) => verdict === 'refused',
  );
  if (wrongs.length === 0) return;
  const texts = wrongs.map(({ found, advice }) => `${found}; ${advice ?? ''}`);
  throw new CommandError(EX.UNAVAILABLE, `${url.href} is not to be trusted: ${texts.join('; ')}`);
}

function requireMailbox(option: string, given: string): string {
  const address = given.replace(/^mailto:/i, '');
  if (parseAddress(address) !== undefined && /^[\x21-\x7e]+$/.test(address) && !address.includes(',')) return address;
  throw new CommandError(EX.USAGE, `got ${option} ${given}, want a mail address, such as alice@example.com`);
}

/** Somebody unknown has to be in some domain: that of the server is as good as any. */
function hostDomain(url: URL): string {
  return /^[\d.]+$|^\[/.test(url.hostname) ? 'example.com' : url.hostname;
}

function signatureOf(originator: string, options: ConformanceOptions): Signature | undefined {
  const { signWith, selector, canonicalization } = options;
  if (signWith === undefined) return undefined;
  const [only, ...more] = selector ?? [];
  if (only === undefined || more.length > 0)
    throw new CommandError(EX.USAGE, '--sign-with needs one --selector, the one under which its public key is found');
  const key = readKey(signWith);
  return { key: { domain: domainOf(originator), selector: only, key }, canonicalization };
}

function readKey(file: string): KeyObject {
  const pem = readInput(file);
  try {
    return loadSigningKey(pem);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CommandError(EX.DATAERR, `${file}: ${error.message}`);
  }
}

function printText(rows: readonly ConformanceRow[]): void {
  printTable(
    ['case', 'verdict', 'expected', 'found'],
    rows.map(({ name, verdict, expected, found }) => [name, verdict, expected, found]),
  );
  print();
  print(tally(rows));
}

function tally(rows: readonly ConformanceRow[]): string {
  return VERDICTS.map((verdict) => `${rows.filter((row) => row.verdict === verdict).length} ${verdict}`).join(', ');
}

function printMarkdown(rows: readonly ConformanceRow[]): void {
  print('| case | sent | expected | found | verdict |');
  print('| --- | --- | --- | --- | --- |');
  for (const { name, sent, expected, found, verdict } of rows)
    print(`| ${[name, sent, expected, found, verdict].map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`);
  print();
  print(tally(rows));
}
