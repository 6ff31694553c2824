import type { Trouble } from './failures.ts';
import { HopConnection, type SmtpHopOptions } from './hop.ts';

const IDLE_TIMEOUT_MS = 15_000;

export type Lease = {
  readonly connection: HopConnection;
  /** Whether it has served before, so that the peer may have closed it meanwhile. */
  readonly reused: boolean;
};

type Idle = { readonly connection: HopConnection; readonly timer: NodeJS.Timeout };

/**
 * Connections to one next hop. The one used last is used next, so that under little load the others run out and are
 * closed; a connection that ended, or has served its number of messages, is not used again.
 */
export class ConnectionPool {
  readonly #options: SmtpHopOptions;
  readonly #idle: Idle[] = [];
  /** Being reset; nobody waits for them. */
  readonly #retiring = new Set<HopConnection>();
  readonly #waiting: (() => void)[] = [];
  #free: number;
  #isDisposed = false;

  constructor(options: SmtpHopOptions) {
    this.#options = options;
    this.#free = options.connections;
  }

  /** Waits for a free place, then takes an idle connection or opens one. Give a lease back with {@link release}. */
  async acquire(signal: AbortSignal): Promise<Lease | Trouble> {
    if (!(await this.#takePlace(signal))) return { kind: 'aborted' };
    const idle = this.#takeIdle();
    if (idle !== undefined) return { connection: idle, reused: true };
    return await this.#open(signal);
  }

  /** Another connection, newly opened, for one that turned out to be dead. On trouble the place is given back. */
  async renew(lease: Lease, signal: AbortSignal): Promise<Lease | Trouble> {
    lease.connection.close();
    return await this.#open(signal);
  }

  /** Takes a connection back. Resetting it, where that is needed, is waited for by nobody but its place. */
  release(lease: Lease): void {
    void this.#retire(lease.connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    // A peer that does not answer would keep the process for as long as a command may take.
    for (const connection of this.#retiring) connection.close();
    await Promise.all(
      this.#idle.splice(0).map(({ connection, timer }) => {
        clearTimeout(timer);
        return connection.quit();
      }),
    );
  }

  async #open(signal: AbortSignal): Promise<Lease | Trouble> {
    const opened = await HopConnection.open(this.#options, signal);
    if (opened instanceof HopConnection) return { connection: opened, reused: false };
    this.#givePlace();
    return opened;
  }

  async #retire(connection: HopConnection): Promise<void> {
    this.#retiring.add(connection);
    const goesOn =
      connection.served < this.#options.maxMessagesPerConnection && !this.#isDisposed && (await connection.reset());
    this.#retiring.delete(connection);
    if (goesOn && !this.#isDisposed) this.#keep(connection);
    else void connection.quit();
    this.#givePlace();
  }

  #keep(connection: HopConnection): void {
    const drop = () => {
      const place = this.#idle.findIndex((idle) => idle.connection === connection);
      if (place >= 0) this.#idle.splice(place, 1);
    };
    const timer = setTimeout(() => {
      drop();
      void connection.quit();
    }, this.#options.idleTimeoutMs ?? IDLE_TIMEOUT_MS);
    timer.unref();
    this.#idle.push({ connection, timer });
  }

  #takeIdle(): HopConnection | undefined {
    for (;;) {
      const idle = this.#idle.pop();
      if (idle === undefined) return undefined;
      clearTimeout(idle.timer);
      if (!idle.connection.isClosed) return idle.connection;
    }
  }

  async #takePlace(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.#free > 0) {
      this.#free--;
      return true;
    }
    return await new Promise((resolve) => {
      const onPlace = () => {
        signal.removeEventListener('abort', onAbort);
        resolve(true);
      };
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(onPlace), 1);
        resolve(false);
      };
      this.#waiting.push(onPlace);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #givePlace(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
