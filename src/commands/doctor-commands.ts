import { type Command, Option } from 'commander';
import { requireConfig } from './config.ts';
import { CANONICALIZATIONS, type ConformanceOptions, checkConformance } from './conformance.ts';
import { type DoctorOptions, diagnose } from './doctor.ts';
import { CommandError, EX } from './exit.ts';
import { KEY_BITS, type NewKeyOptions, newKey, type PublishedOptions, showKeyRecords } from './keys.ts';

type DoctorCommand = DoctorOptions & Omit<ConformanceOptions, keyof DoctorOptions> & { readonly conformance?: string };

/** Adds `doctor` and `keys` to the commands. @param findings sets the exit code: 1 unless clean */
export function addDoctorCommands(
  program: Command,
  findings: (isClean: boolean) => void,
  config: () => Option,
  json: () => Option,
): void {
  const dns = (): Option => new Option('--dns <server...>', 'DNS servers to ask, such as 127.0.0.1:5353');
  program
    .command('doctor [domain|url]')
    .description(
      'how a domain, or a service by its URL, can be reached by iSchedule, and what would be refused; posts nothing without --conformance; needs no configuration',
    )
    .option(
      '--selector <name...>',
      'keys of the domain to look at beside our own; with --sign-with, the one of the key',
    )
    .addOption(dns())
    .option('--ca <file>', 'PEM file with the authorities to trust')
    .option('--timeout <seconds>', 'how long one connection or answer is waited for', '10')
    .option('--conformance <url>', 'post every case of the draft to a receiver, and compare what it answers')
    .option('--originator <address>', 'in whose name the cases are posted (default: imipd-conformance@example.com)')
    .option('--recipient <address>', 'a calendar user there, who gets test events that are cancelled at once')
    .option('--sign-with <file>', 'private key (PEM) to sign the cases with')
    .addOption(
      new Option('--canonicalization <name>', 'how they are signed')
        .choices(CANONICALIZATIONS)
        .default('ischedule-relaxed'),
    )
    .option('--insecure-http', 'allow the cases to go to an http URL')
    .addOption(new Option('--markdown', 'print the cases as a table for documents').conflicts('json'))
    .addOption(config())
    .addOption(json())
    .action(async (given: string | undefined, options: DoctorCommand) => {
      const { conformance } = options;
      if (conformance !== undefined && given === undefined)
        return findings(await checkConformance(conformance, options));
      if (given !== undefined && conformance === undefined) return findings(await diagnose(given, options));
      const wanted = 'want one of: a domain, the URL of a service, --conformance with a URL';
      const isList = given === undefined && (options.dns !== undefined || options.selector !== undefined);
      const hint = '; what follows --dns or --selector belongs to it, so the domain comes first';
      throw new CommandError(EX.USAGE, `${wanted}${isList ? hint : ''}`);
    });

  const keys = program.command('keys').description('keys that posts are signed with');
  keys
    .command('new')
    .description('make a key pair: the private key in a new file, and the records to publish')
    .requiredOption('--domain <domain>', 'signs for originators of this domain')
    .requiredOption('--selector <name>', 'name of the key, such as cal1')
    .addOption(new Option('--bits <number>', 'size').choices(KEY_BITS).default('2048'))
    .option('--out <file>', 'where the private key goes, a new file (default: SELECTOR.DOMAIN.pem)')
    .option('--host <name>', 'where the gateway is reached by https (default: the domain)')
    .option('--port <port>', 'its port', '443')
    .option('--path <path>', 'path of its service', '/.well-known/ischedule')
    .addOption(json())
    .action((options: NewKeyOptions) => newKey(options));
  keys
    .command('dns')
    .description('the records of the configured keys')
    .option('--check', 'compare them with what the DNS has; exit code 1 where that is not right')
    .addOption(dns())
    .addOption(config())
    .addOption(json())
    .action(async (options: PublishedOptions & { readonly config?: string }) =>
      findings(await showKeyRecords(requireConfig(options.config).config, options)),
    );
}
