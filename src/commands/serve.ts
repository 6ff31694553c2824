import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/options.ts';
import { fileErrorText } from '../config/secrets.ts';
import { type Gateway, ListenError, startGateway } from '../gateway.ts';
import { createLog, type ProcessLog } from '../observe/log.ts';
import { StoreLockedError } from '../queue/store.ts';
import { startTrialSite, type TrialSite } from '../trial/site.ts';
import { hasConfig, requireConfig } from './config.ts';
import { CommandError, EX } from './exit.ts';
import { print, warn } from './output.ts';
import { Reloader } from './reload.ts';
import { stateError, userName } from './state.ts';

/** Where a trial site keeps its queue, calendars and mailboxes. */
const TRIAL_FOLDER = './imipd-trial';

/**
 * Runs a gateway until SIGTERM or SIGINT; where there is no configuration, on a trial site of its own. SIGHUP opens the
 * log anew and reads the configuration again; a trial site it ends.
 */
export async function serve(options: { readonly config?: string }): Promise<void> {
  const site = hasConfig(options.config) ? undefined : await openTrialSite();
  const loaded =
    site === undefined
      ? requireConfig(options.config)
      : { ok: true as const, config: site.config, warnings: [], files: [] };
  const { config, warnings } = loaded;
  for (const warning of warnings) warn(warning);
  const log = openLog(config);
  const stopSignal = Promise.withResolvers<NodeJS.Signals>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopSignal.resolve(signal));
  const reloader = await Reloader.prepare(log, () => loadConfig(options.config, process.env), loaded);
  process.on('SIGHUP', () => {
    log.reopen();
    if (site === undefined) void reloader.reload('SIGHUP');
    else stopSignal.resolve('SIGHUP');
  });

  let gateway: Gateway;
  try {
    gateway = await startGateway(config, log);
  } catch (error) {
    await log.close();
    await site?.stop();
    if (error instanceof StoreLockedError) throw new CommandError(EX.TEMPFAIL, error.message);
    if (error instanceof ListenError) throw new CommandError(EX.UNAVAILABLE, `cannot start: ${error.message}`);
    throw stateError(config, error);
  }
  reloader.start(gateway);
  if (site !== undefined) announce(site, gateway);
  log.info({ event: 'ready' });
  log.flush();

  const signal = await stopSignal.promise;
  log.info({ event: 'stopping', signal });
  log.flush();
  await reloader.stop();
  await gateway.stop();
  await site?.stop();
  log.info({ event: 'stopped' });
  await log.close();
}

async function openTrialSite(): Promise<TrialSite> {
  try {
    return await startTrialSite({ folder: TRIAL_FOLDER });
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new CommandError(
      EX.UNAVAILABLE,
      `cannot start a trial site: ${error.message}; start in a folder that ${userName()} may write, or name a configuration with --config`,
    );
  }
}

function openLog({ log: { level, file } }: Config): ProcessLog {
  try {
    return createLog({ level, ...(file === undefined ? {} : { file }) });
  } catch (error) {
    throw new CommandError(
      EX.CONFIG,
      `log.file: cannot write ${file} (${fileErrorText(error)}), need a file in a folder that ${userName()} may write`,
    );
  }
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
