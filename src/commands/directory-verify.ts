import { readFileSync } from 'node:fs';
import type { Config, DirectoryConfig } from '../config/options.ts';
import { mappingOf, policyOf } from '../config/policy.ts';
import { fileErrorText } from '../config/secrets.ts';
import { ScanError } from '../directory/ldap-scan.ts';
import { AddressFile } from '../directory/moving-file.ts';
import { GroupMembers } from '../directory/moving-group.ts';
import { openDirectory } from '../directory/open.ts';
import { openScan, type Scan } from '../directory/scan.ts';
import { findUnindexed } from '../directory/scan-index.ts';
import { V6Probe } from '../directory/scan-probe.ts';
import { parseV7List } from '../directory/scan-v7-list.ts';
import { FINDING_KINDS, type Finding, type VerifyOptions, verifyEntries } from '../directory/scan-verify.ts';
import type { SchemaMapping } from '../directory/schema.ts';
import { silentLog } from '../observe/log.ts';
import { CommandError, EX } from './exit.ts';
import { print, warn } from './output.ts';
import { Progress } from './progress.ts';

export type VerifyCommand = {
  /** File that tells who is on v7. */
  readonly v7?: string;
  /** Ask v6 for each calendar. */
  readonly probeV6?: boolean;
  readonly probeUrl?: string;
  /** Questions in a second. */
  readonly probeRate?: string;
  readonly json?: boolean;
};

const PROBE_TIMEOUT_MS = 10_000;

/**
 * Looks through the whole directory for what would send invitations to the wrong calendar server, and prints each
 * finding as it is found.
 * @returns whether there is none
 * @throws CommandError when it cannot be done
 */
export async function verifyDirectory(config: Config, options: VerifyCommand): Promise<boolean> {
  const chosen = config.directory;
  if (chosen === undefined)
    throw new CommandError(EX.CONFIG, 'no directory is configured; name one in the section directory');
  const mapping = mappingOf(chosen);
  const v7 = options.v7 === undefined ? undefined : readV7List(options.v7);
  const probe = probeOf(options);
  const output = new FindingOutput(options.json === true);
  try {
    await using scan = await openScan(chosen, mapping);
    await using moving = await openMoving(config, chosen);
    if (v7 === undefined && probe === undefined) await reportIndexes(scan, chosen, mapping, output);
    const total = Progress.isShown ? await scan.count() : 0;
    let progress = { bar: new Progress('looking', total), pass: 1 };
    output.beforeLine = () => progress.bar.clear();
    const entries = await verifyEntries(scan, {
      mapping,
      ...knownBackEnds(config, mapping, output),
      ...(v7 === undefined ? {} : { v7 }),
      ...(probe === undefined ? {} : { probe: (address) => probe.ask(address) }),
      isMoving: moving.isMoving,
      report: (finding) => output.report(finding),
      onPage: (count, pass) => {
        if (pass !== progress.pass) progress = { bar: new Progress('comparing', total), pass };
        progress.bar.advance(count);
      },
    });
    progress.bar.clear();
    output.end();
    warn(
      `${entries} users, resources and groups of ${scan.source}: ${output.count === 0 ? 'no findings' : `${output.count} finding${output.count === 1 ? '' : 's'}`}`,
    );
    return output.count === 0;
  } catch (error) {
    if (error instanceof ScanError) throw new CommandError(EX.UNAVAILABLE, error.message);
    throw error;
  } finally {
    probe?.close();
  }
}

/** Writes findings as they come: a table, its columns as wide as most lines need, or one JSON array. */
class FindingOutput {
  count = 0;
  /** Called before anything is written. */
  beforeLine: () => void = () => undefined;
  readonly #asJson: boolean;
  /** The last finding in JSON, until it is known whether a comma comes after it. */
  #held = '';

  constructor(asJson: boolean) {
    this.#asJson = asJson;
  }

  report({ kind, dn, detail }: Finding): void {
    this.beforeLine();
    if (this.#asJson) {
      print(this.count === 0 ? '[' : `${this.#held},`);
      this.#held = `  ${JSON.stringify({ kind, dn, detail })}`;
    } else {
      if (this.count === 0) print(row('FINDING', 'ENTRY', 'DETAIL'));
      print(row(kind, dn, detail));
    }
    this.count++;
  }

  note(text: string): void {
    this.beforeLine();
    warn(text);
  }

  end(): void {
    this.beforeLine();
    if (this.#asJson) print(this.count === 0 ? '[]' : `${this.#held}\n]`);
  }
}

const KIND_WIDTH = Math.max(...FINDING_KINDS.map((kind) => kind.length));

function row(kind: string, dn: string, detail: string): string {
  return `${kind.padEnd(KIND_WIDTH)}  ${(dn === '' ? '-' : dn).padEnd(48)}  ${detail}`;
}

function readV7List(file: string): ReadonlySet<string> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandError(EX.NOINPUT, `${file}: cannot be read (${fileErrorText(error)})`);
  }
  const { addresses, failedLines } = parseV7List(text);
  if (addresses.size === 0)
    throw new CommandError(
      EX.DATAERR,
      `${file}: no address found; want one on a line, or a master_log that names them`,
    );
  if (failedLines > 0)
    warn(
      `${file}: ${failedLines} ${failedLines === 1 ? 'line speaks' : 'lines speak'} of a failure; who stands there counts as not on v7`,
    );
  return addresses;
}

function probeOf({ probeV6, probeUrl, probeRate = '20' }: VerifyCommand): V6Probe | undefined {
  if (probeV6 !== true && probeUrl === undefined) return undefined;
  if (probeUrl === undefined || !/^https?:$/.test(URL.parse(probeUrl)?.protocol ?? ''))
    throw new CommandError(
      EX.USAGE,
      '--probe-v6 needs --probe-url with the URL of WCAP, such as http://v6.example.com/',
    );
  const perSecond = Number(probeRate);
  if (!(perSecond > 0 && perSecond <= 1000))
    throw new CommandError(EX.USAGE, `--probe-rate: got "${probeRate}", want questions in a second, from 0.1 to 1000`);
  return new V6Probe({ url: new URL(probeUrl), perSecond, timeoutMs: PROBE_TIMEOUT_MS });
}

function knownBackEnds(config: Config, mapping: SchemaMapping, output: FindingOutput): Pick<VerifyOptions, 'backEnds'> {
  const { homes } = policyOf(config);
  if (homes.marker !== undefined) return { backEnds: new Set(homes.backEnds.keys()) };
  output.note(
    mapping.markerAttribute === undefined
      ? 'the directory has no marker (mapping.marker): nothing can be said of who is on v7'
      : `calendar.back-ends names none: values of ${mapping.markerAttribute} are not compared with it`,
  );
  return {};
}

async function reportIndexes(
  scan: Scan,
  chosen: DirectoryConfig,
  mapping: SchemaMapping,
  output: FindingOutput,
): Promise<void> {
  if (scan.server === undefined || chosen.kind !== 'ldap') return;
  const unindexed = await findUnindexed(scan.server, chosen.base, mapping);
  if (unindexed.kind === 'unknown') output.note(`the indexes of ${scan.source} cannot be read: ${unindexed.reason}`);
  else
    for (const attribute of unindexed.attributes)
      output.report({
        kind: 'no-index',
        dn: '',
        detail: `look-ups search by ${attribute}, which has no equality index`,
      });
}

/** The marks of users being moved that stand beside their entries: a file, and a group. */
async function openMoving(
  config: Config,
  { movingFile, movingGroup }: DirectoryConfig,
): Promise<Pick<VerifyOptions, 'isMoving'> & AsyncDisposable> {
  const clock = (): number => performance.now();
  const file = movingFile === undefined ? undefined : await new AddressFile(movingFile, silentLog, clock).current(true);
  if (file?.kind === 'trouble') throw new CommandError(EX.NOINPUT, file.reason);
  const directory = movingGroup === undefined ? undefined : await openDirectory(config, silentLog);
  const group =
    movingGroup === undefined || directory === undefined
      ? undefined
      : new GroupMembers(movingGroup, directory, Number.POSITIVE_INFINITY, silentLog, clock);
  const dispose = async (): Promise<void> => {
    group?.close();
    await directory?.[Symbol.asyncDispose]();
  };
  const members = await group?.current(AbortSignal.timeout(60_000), true);
  if (members?.kind === 'trouble') {
    await dispose();
    throw new CommandError(EX.UNAVAILABLE, members.reason);
  }
  return {
    isMoving: async (entry) =>
      entry.moving ||
      entry.addresses.some((address) => file?.has(address) === true) ||
      members?.has({ ...entry, matchedBy: '' }) === true,
    [Symbol.asyncDispose]: dispose,
  };
}
