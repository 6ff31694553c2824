import type { Config } from '../config/options.ts';
import { createResolver, type DnsResolver } from '../net/dns.ts';
import { CommandError, EX } from './exit.ts';

/**
 * Asks the DNS for a command: by the servers named to it, else those of the configuration, else the system's.
 * @throws CommandError (EX_USAGE) for a server that is no address
 */
export function openResolver(servers: readonly string[], config: Config | undefined): DnsResolver {
  try {
    return createResolver({
      servers: servers.length > 0 ? servers : (config?.dns.servers ?? []),
      timeoutMs: config?.dns.timeoutMs ?? 3_000,
      tries: 2,
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CommandError(EX.USAGE, `--dns: ${error.message}`);
  }
}
