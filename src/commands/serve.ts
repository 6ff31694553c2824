import { type Gateway, startGateway } from '../gateway.ts';
import { createLog } from '../observe/log.ts';
import { StoreLockedError } from '../queue/store.ts';
import { startTrialSite, type TrialSite } from '../trial/site.ts';
import { hasConfig, requireConfig } from './config.ts';
import { CommandError, EX } from './exit.ts';
import { print, warn } from './output.ts';

/** Where a trial site keeps its queue, calendars and mailboxes. */
const TRIAL_FOLDER = './imipd-trial';

/** Runs a gateway until SIGTERM or SIGINT; where there is no configuration, on a trial site of its own. */
export async function serve(options: { readonly config?: string }): Promise<void> {
  const site = hasConfig(options.config) ? undefined : await startTrialSite({ folder: TRIAL_FOLDER });
  const { config, warnings } =
    site === undefined ? requireConfig(options.config) : { config: site.config, warnings: [] };
  for (const warning of warnings) warn(warning);
  const log = createLog({
    level: config.log.level,
    ...(config.log.file === undefined ? {} : { destination: config.log.file }),
  });
  const stopSignal = Promise.withResolvers<NodeJS.Signals>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopSignal.resolve(signal));

  let gateway: Gateway;
  try {
    gateway = await startGateway(config, log);
  } catch (error) {
    log.flush();
    await site?.stop();
    if (error instanceof StoreLockedError) throw new CommandError(EX.TEMPFAIL, error.message);
    if (isSystemError(error)) throw new CommandError(EX.UNAVAILABLE, `cannot start: ${error.message}`);
    throw error;
  }
  if (site !== undefined) announce(site, gateway);
  log.info({ event: 'ready' });
  log.flush();

  const signal = await stopSignal.promise;
  log.info({ event: 'stopping', signal });
  await gateway.stop();
  await site?.stop();
  log.info({ event: 'stopped' });
  log.flush();
}

function announce(site: TrialSite, gateway: Gateway): void {
  const address = gateway.listeners.get('in') ?? '';
  print('No configuration found: this is a trial site, with a directory, calendar servers and mailboxes of its own.');
  print(`  mail goes in    ${address} (SMTP)`);
  print(`  for             ${site.users.join(', ')}`);
  print(`  calendars are   ${site.calendars}/SERVER/USER/default/*.ics`);
  print(`  mailboxes are   ${site.mailboxes}/USER/new/*.eml`);
  print('Ctrl-C ends it. For your own site write imipd.yaml (docs/config.md).');
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && 'syscall' in error;
}
