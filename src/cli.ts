import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { Command, CommanderError, Option } from 'commander';
import { type CheckOptions, checkSite } from './commands/check.ts';
import { requireConfig } from './commands/config.ts';
import { type DemoOptions, demo } from './commands/demo.ts';
import { type LookupOptions, lookupDirectory } from './commands/directory-lookup.ts';
import {
  PASSWORD_VARIABLE,
  POPULATE_FILTER,
  POPULATE_OUTPUT,
  type PopulateCommand,
  populateUniqueIds,
} from './commands/directory-populate.ts';
import { type VerifyCommand, verifyDirectory } from './commands/directory-verify.ts';
import { addDoctorCommands } from './commands/doctor-commands.ts';
import { CommandError, EX } from './commands/exit.ts';
import { type ExplainOptions, explain } from './commands/explain.ts';
import { askFreeBusy, type FreeBusyOptions } from './commands/freebusy.ts';
import { type InjectOptions, inject } from './commands/inject.ts';
import { showMeeting } from './commands/journal.ts';
import { type LintOptions, lintMap, lookupMap } from './commands/map.ts';
import { warn } from './commands/output.ts';
import {
  bounceQueue,
  type ListOptions,
  listQueue,
  operateQueue,
  type Selection,
  showMessage,
} from './commands/queue.ts';
import { serve } from './commands/serve.ts';
import { LdifError } from './directory/ldif.ts';
import { OutboundKeyError } from './outbound-key.ts';

type WithConfig = { readonly config?: string };

/**
 * Runs one command of an operator.
 * @param argv without node and script
 * @returns the exit code, one of sysexits.h
 */
export async function run(argv: readonly string[]): Promise<number> {
  let exitCode: number = EX.OK;
  const verdict = (isGood: boolean): void => {
    if (!isGood) exitCode = EX.UNAVAILABLE;
  };
  const findings = (isClean: boolean): void => {
    if (!isClean) exitCode = EX.FINDINGS;
  };
  const program = commands(verdict, findings);
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommandError) {
      warn(error.message);
      return error.exitCode;
    }
    if (error instanceof LdifError || error instanceof OutboundKeyError) {
      warn(error.message);
      return EX.CONFIG;
    }
    if (error instanceof CommanderError) return error.exitCode === 0 ? EX.OK : EX.USAGE;
    throw error;
  }
  return exitCode;
}

/** Of the nearest package.json above: src/ and the built dist/src/ are not equally deep. */
function packageVersion(): string {
  const file = findPackageJSON(import.meta.url);
  const found: unknown = file === undefined ? undefined : JSON.parse(readFileSync(file, 'utf8'));
  return typeof found === 'object' && found !== null && 'version' in found ? String(found.version) : 'unknown';
}

/** Sets the exit code of a command that has ended: EX_UNAVAILABLE for what is not as it should be, 1 for findings. */
type Verdict = (isGood: boolean) => void;

function commands(verdict: Verdict, findings: Verdict): Command {
  const program = new Command('imipd')
    .description('A mail gateway for calendars: takes invitation mail and posts it to calendar servers.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .exitOverride();
  const config = (): Option =>
    new Option(
      '--config <file>',
      'configuration file (default: $IMIPD_CONFIG, else imipd.yaml here, else /etc/imipd/imipd.yaml)',
    );
  const json = (): Option => new Option('--json', 'print JSON');

  program
    .command('serve')
    .description('run the gateway; without any configuration, a trial site of its own')
    .addOption(config())
    .addOption(json())
    .action((options: WithConfig) => serve(options));
  program
    .command('demo')
    .description('everything embedded on free loopback ports: send sample invitations, show what became of them')
    .option('--keep', 'keep the folder with calendars, mailboxes and log')
    .addOption(json())
    .action(async (options: DemoOptions) => verdict(await demo(options)));
  program
    .command('check')
    .description('check configuration, maps, directory, calendar servers and next hop')
    .option('--probe', 'send one message through the running gateway and see whether it comes back (mail loop)')
    .option('--to <address>', 'recipient of the probe (default: postmaster of the first domain)')
    .option('--wait <seconds>', 'how long to wait for its return', '15')
    .addOption(config())
    .addOption(json())
    .action(async (options: CheckOptions & WithConfig) => {
      const { config: site, warnings } = requireConfig(options.config);
      verdict(await checkSite(site, warnings, options));
    });
  program
    .command('explain <address>')
    .description('what would happen to a message for this address, and why; changes nothing')
    .option('--message <file>', 'the message (default: a typical invitation from outside)')
    .option('--listener <name>', 'the listener it would come in by (default: the first)')
    .option('--orcpt <address>', 'the address it was sent to at first, such as a list that was expanded on the way')
    .addOption(config())
    .addOption(json())
    .action((address: string, options: ExplainOptions & WithConfig) =>
      explain(requireConfig(options.config).config, address, options),
    );
  program
    .command('freebusy <address...>')
    .description('ask for busy times as a server would, past the cache; draw them, say who answered, how fast and why')
    .option('--from <time>', 'date, time, today, now, or a step: +1d from today, -2h from now (default: today)')
    .option('--to <time>', 'the same, or a step from the beginning such as +1w (default: +1d)')
    .option('--as <name>', 'ask with the access of this peer or client (default: everything is allowed)')
    .addOption(config())
    .addOption(json())
    .action(async (addresses: readonly string[], options: FreeBusyOptions & WithConfig) =>
      verdict(await askFreeBusy(requireConfig(options.config).config, addresses, options)),
    );
  program
    .command('inject <file>')
    .description('submit a message file through a listener of the running gateway')
    .option('--from <address>', 'reverse-path (default: From of the message)')
    .option('--to <address...>', 'recipients (default: To of the message)')
    .option('--listener <name>', 'the listener (default: the first)')
    .addOption(config())
    .addOption(json())
    .action(async (file: string, options: InjectOptions & WithConfig) =>
      verdict(await inject(requireConfig(options.config).config, file, options)),
    );
  addQueueCommands(program, config, json);
  addJournalCommands(program, config, json);
  addMapCommands(program, findings, config, json);
  addDirectoryCommands(program, verdict, findings, config, json);
  addDoctorCommands(program, findings, config, json);
  return program;
}

function addJournalCommands(program: Command, config: () => Option, json: () => Option): void {
  const journal = program.command('journal').description('look at what is remembered of meetings');
  journal
    .command('show <uid>')
    .description('one meeting: who invited whom, what was answered, which mails and posts have left; changes nothing')
    .addOption(config())
    .addOption(json())
    .action((uid: string, options: WithConfig & { json?: boolean }) =>
      showMeeting(requireConfig(options.config).config, uid, options),
    );
}

function addMapCommands(program: Command, findings: Verdict, config: () => Option, json: () => Option): void {
  const map = program.command('map').description('look at the domain map');
  map
    .command('lint [file]')
    .description('what is wrong in a domain map (default: the configured one), by line; exit code 1 for errors')
    .option('--offline', 'the text only: no host is resolved or reached')
    .addOption(config())
    .addOption(json())
    .action(async (file: string | undefined, options: LintOptions) => findings(await lintMap(file, options)));
  map
    .command('lookup <address>')
    .description('which line is for an address or a domain, and why')
    .addOption(config())
    .addOption(json())
    .action((address: string, options: WithConfig & { json?: boolean }) =>
      lookupMap(requireConfig(options.config).config, address, options),
    );
}

function addDirectoryCommands(
  program: Command,
  verdict: Verdict,
  findings: Verdict,
  config: () => Option,
  json: () => Option,
): void {
  const directory = program.command('directory').description('look at the directory and check it');
  directory
    .command('lookup <address>')
    .description('what the directory says of an address now: server, filter, entry, facts')
    .option('--members', 'name the members of a list')
    .addOption(config())
    .addOption(json())
    .action(async (address: string, options: LookupOptions & WithConfig) =>
      verdict(await lookupDirectory(requireConfig(options.config).config, address, options)),
    );
  directory
    .command('verify')
    .description('look through the whole directory for what would lead invitations astray; exit code 1 for findings')
    .option('--v7 <file>', 'who is on v7: one address on a line, or the master_log of davadmin migration')
    .option('--probe-v6', 'ask v6 by WCAP for the calendar of each calendar user')
    .option('--probe-url <url>', 'where v6 answers, such as http://v6.example.com/')
    .option('--probe-rate <number>', 'questions in a second', '20')
    .addOption(config())
    .addOption(json())
    .action(async (options: VerifyCommand & WithConfig) =>
      findings(await verifyDirectory(requireConfig(options.config).config, options)),
    );
  directory
    .command('populate-davuniqueid')
    .description(
      'give each entry without davUniqueId one: as LDIF, and with -x in the directory; needs no configuration',
    )
    .helpOption('-?, --help', 'show this')
    .option('-h, --host <host>', 'LDAP server, or its ldap:// or ldaps:// URL', 'localhost')
    .option('-p, --port <port>', 'its port (default: 389, or 636 for ldaps)')
    .option('-D, --bind-dn <dn>', 'account to bind as')
    .option('-w, --password <password>', 'its password, for all to see; better by -j')
    .option('-j, --password-file <file>', `file with the password in its first line (default: $${PASSWORD_VARIABLE})`)
    .option('-b, --base <dn>', 'where the search starts')
    .option('-f, --filter <filter>', 'which entries', POPULATE_FILTER)
    .option('-o, --output <file>', 'where the LDIF is written, a new file', POPULATE_OUTPUT)
    .option('-O, --object-class', 'also add the object class daventity where it is absent')
    .option('-x, --apply', 'make the changes')
    .option('-v, --verbose', 'name each entry')
    .option('--start-tls', 'StartTLS before anything else')
    .option('--ca <file>', 'PEM file with the authorities to trust')
    .action(async (options: PopulateCommand) => findings(await populateUniqueIds(options)));
}

function addQueueCommands(program: Command, config: () => Option, json: () => Option): void {
  const queue = program.command('queue').description('look at the queue and act on it');
  queue
    .command('list')
    .description('deliveries that are queued or held')
    .option('--all', 'also those that have ended')
    .option('--held', 'only those on hold')
    .option('--state <state>', 'only those in this state')
    .option('--recipient <address>', 'only those for this recipient')
    .addOption(config())
    .addOption(json())
    .action((options: ListOptions & WithConfig) => listQueue(requireConfig(options.config).config, options));
  queue
    .command('show <id>')
    .description('one message with every decision and outcome')
    .addOption(config())
    .addOption(json())
    .action((id: string, options: WithConfig & { json?: boolean }) =>
      showMessage(requireConfig(options.config).config, id, options),
    );
  const act = (
    name: string,
    description: string,
    job: (options: WithConfig & Selection, ids: readonly string[]) => Promise<unknown>,
  ): void => {
    queue
      .command(`${name} [ids...]`)
      .description(description)
      .option('--recipient <address>', 'only deliveries for this recipient; without ids, all of them')
      .addOption(new Option('--kind <kind>', 'only posts or only mails').choices(['post', 'mail']))
      .addOption(config())
      .addOption(json())
      .action(async (ids: string[], options: WithConfig & Selection) => void (await job(options, ids)));
  };
  act('retry', 'try queued deliveries now', (options, ids) =>
    operateQueue(requireConfig(options.config).config, 'retry', ids, options),
  );
  act('release', 'let held deliveries, and those that wait behind them, go on, decided anew', (options, ids) =>
    operateQueue(requireConfig(options.config).config, 'release', ids, options),
  );
  act('bounce', 'give deliveries up and tell the sender', (options, ids) =>
    bounceQueue(requireConfig(options.config).config, ids, options),
  );
  act('delete', 'give deliveries up without a word', (options, ids) =>
    operateQueue(requireConfig(options.config).config, 'delete', ids, options),
  );
}

/** Ends the process after a command, with its output written out. */
export async function main(argv: readonly string[]): Promise<void> {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EX.OK); // `imipd queue list | head`
    throw error;
  });
  if (argv.length === 0) warn('imipd: no command given; imipd --help lists them');
  process.exitCode = argv.length === 0 ? EX.USAGE : await run(argv);
}
