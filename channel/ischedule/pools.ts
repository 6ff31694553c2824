import { type buildConnector, Pool } from 'undici';
import { connectOptions } from '../../src/http/tls-options.ts';
import type { ServerSettings } from './settings.ts';

/** Opens the sockets in place of undici's own: one that looks at the address before it connects (`guard.ts`). */
export type Connector = buildConnector.connector;

export type PoolOptions = {
  readonly connections: number;
  readonly maxResponseBytes: number;
  readonly settings: ServerSettings;
  /** Does TLS as well; the settings' own are then its business. */
  readonly connector?: Connector;
};

/** A server that redirects to ever new ports of its own must not make us keep a pool for each. */
const MAX_POOLS = 8;

/** Kept-alive HTTP/1.1 connections by origin: the server's own, its fallbacks', and those redirects led to. */
export class Pools {
  readonly #options: PoolOptions;
  /** Origins of the service itself: the only ones that see our client certificate. */
  readonly #own: ReadonlySet<string>;
  readonly #pools = new Map<string, Pool>();

  constructor(options: PoolOptions, own: ReadonlySet<string>) {
    this.#options = options;
    this.#own = own;
  }

  of(url: URL): Pool {
    const known = this.#pools.get(url.origin);
    if (known !== undefined) return known;
    const { connections, maxResponseBytes, settings, connector } = this.#options;
    const pool = new Pool(url.origin, {
      connections,
      allowH2: false, // its HTTP/2 merges Recipient headers and lower-cases all names
      headersTimeout: settings.headersTimeoutMs, // the wait in the pool's queue counts in the attempt's own deadline only
      bodyTimeout: settings.bodyTimeoutMs,
      maxResponseSize: maxResponseBytes,
      connect: connector ?? connectOptions(settings, this.#own.has(url.origin)),
    });
    this.#pools.set(url.origin, pool);
    if (this.#pools.size > MAX_POOLS) this.#closeOldest(url.origin);
    return pool;
  }

  #closeOldest(newest: string): void {
    const others = [...this.#pools.keys()].filter((origin) => origin !== newest);
    const oldest = others.find((origin) => !this.#own.has(origin)) ?? others[0];
    if (oldest === undefined) return;
    const pool = this.#pools.get(oldest);
    this.#pools.delete(oldest);
    void pool?.close(); // resolves once its posts have ended; it does not reject on a pool closed once
  }

  /** Requests under way are cut off. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
    this.#pools.clear();
  }
}
