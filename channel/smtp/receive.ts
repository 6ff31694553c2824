import type { Acceptor, ListenerFacts } from '../../src/flow/acceptor.ts';
import type { Log } from '../../src/observe/log.ts';
import type { Receiver } from '../channel.ts';
import type { ContentLimits } from './content.ts';
import { SmtpListener } from './listener.ts';

export type SmtpListenerOptions = ListenerFacts &
  ContentLimits & {
    /** Our own name: in the greeting, in Received, and the domain of `postmaster` without one. */
    readonly hostname: string;
    readonly host: string;
    /** 0: any free port. */
    readonly port: number;
    /** Addresses and CIDR blocks that may connect and relay; every other client gets 554 5.7.1 at once. */
    readonly clients: readonly string[];
    /** MTAs whose XFORWARD, or XCLIENT, is believed. It names the real client for the record; it admits nobody. */
    readonly xforward: readonly string[];
    readonly xclient: readonly string[];
    /** PEM. */
    readonly tls?: { readonly kind: 'starttls' | 'implicit'; readonly cert: string; readonly key: string };
    readonly maxConnections: number;
    readonly maxConnectionsPerClient: number;
    readonly maxRecipients: number;
    /** Longest silence of a client that owes us something. */
    readonly idleTimeoutMs: number;
    /** Longest time from DATA to the end of data, however busy the client is. */
    readonly dataTimeoutMs: number;
    /** Longest life of a connection; a message that is in whole is still answered. */
    readonly sessionTimeoutMs: number;
    /** How long `close` lets open transactions run on. */
    readonly closeTimeoutMs: number;
  };

/** Takes mail in by SMTP (RFC 5321) or LMTP (RFC 2033) on one address and hands it to an {@link Acceptor}. */
export class SmtpReceiver implements Receiver {
  readonly #options: SmtpListenerOptions;
  readonly #listener: SmtpListener;

  /** @throws RangeError when `clients`, `xforward` or `xclient` hold what is no network; Error when the key or certificate is none */
  constructor(options: SmtpListenerOptions, acceptor: Acceptor, log: Log) {
    this.#options = options;
    this.#listener = new SmtpListener(options, acceptor, log);
  }

  /** @throws what the system says: the address is in use, or not ours */
  async listen(): Promise<string> {
    const { host, port } = this.#options;
    const bound = await this.#listener.open(host, port);
    return `${bound.address.includes(':') ? `[${bound.address}]` : bound.address}:${bound.port}`;
  }

  /** Idle clients get 421 now, the others after their transaction, or when `closeTimeoutMs` is over. */
  async close(): Promise<void> {
    await this.#listener.shutDown(this.#options.closeTimeoutMs);
  }
}
