import { performance } from 'node:perf_hooks';
import type { SmtpHopOptions } from './hop.ts';
import { ConnectionPool } from './pool.ts';

/** How long one that could not be used stands behind the others. */
const REST_MS = 60_000;

/** One server of a hop, with its connections. */
export type HopHost = { readonly destination: string; readonly pool: ConnectionPool };

/** The servers of one hop in the order in which they are tried: as configured, those that failed of late last. */
export class HopHosts {
  readonly #hosts: readonly HopHost[];
  readonly #failedAt = new Map<HopHost, number>();
  readonly #now: () => number;

  constructor(options: SmtpHopOptions, now: () => number = () => performance.now()) {
    this.#hosts = [options, ...(options.fallbacks ?? [])].map(({ host, port }) => ({
      destination: destinationOf(host, port),
      pool: new ConnectionPool({ ...options, host, port }),
    }));
    this.#now = now;
  }

  inOrder(): readonly HopHost[] {
    if (this.#failedAt.size === 0) return this.#hosts;
    const since = this.#now() - REST_MS;
    const isResting = (host: HopHost): boolean => (this.#failedAt.get(host) ?? Number.NEGATIVE_INFINITY) > since;
    return [...this.#hosts.filter((host) => !isResting(host)), ...this.#hosts.filter(isResting)];
  }

  /** Takes note that this one could not be used. */
  failed(host: HopHost): void {
    // Alone it is tried first whatever happens.
    if (this.#hosts.length > 1) this.#failedAt.set(host, this.#now());
  }

  served(host: HopHost): void {
    this.#failedAt.delete(host);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#hosts.map(({ pool }) => pool[Symbol.asyncDispose]()));
  }
}

export function destinationOf(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
