import { once } from 'node:events';
import type { Socket } from 'node:net';
import { SMTPServer } from 'smtp-server';
import type { SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js';
import type { Acceptor } from '../../src/flow/acceptor.ts';
import { type Networks, parseNetworks } from '../../src/mail/network.ts';
import type { Reply } from '../../src/mail/status.ts';
import type { Log } from '../../src/observe/log.ts';
import { Connection, unavailable } from './connection.ts';
import type { SmtpListenerOptions } from './receive.ts';
import type { SessionContext } from './session.ts';

// Room for MAIL with every parameter we know and a long rewritten sender (RFC 5321 §4.5.3.1.4 and each extension's part).
const MAX_COMMAND_LENGTH = 8192;

/** smtp-server as the listening side: who may connect, how many at once, and an orderly end. */
export class SmtpListener extends SMTPServer {
  readonly settings: SmtpListenerOptions;
  readonly context: SessionContext;
  readonly #log: Log;
  readonly #clients: Networks;
  readonly #xforward: Networks;
  readonly #xclient: Networks;
  /** Every connection whose socket is open, also those already told to go. */
  readonly #open = new Set<Connection>();
  /** Those that count against the limits. */
  readonly #admitted = new Set<Connection>();
  readonly #perClient = new Map<string, number>();
  #closing = false;

  constructor(settings: SmtpListenerOptions, acceptor: Acceptor, log: Log) {
    const { tls } = settings;
    super({
      name: settings.hostname,
      banner: 'imipd',
      heloResponse: '%s',
      lmtp: settings.protocol === 'lmtp',
      size: settings.maxSizeBytes,
      hideENHANCEDSTATUSCODES: false,
      hideDSN: false,
      authOptional: true,
      disabledCommands: ['AUTH', 'WIZ', 'SHELL', 'KILL', ...(tls?.kind === 'starttls' ? [] : ['STARTTLS'])],
      disableReverseLookup: true,
      logger: false,
      maxClients: settings.maxConnections,
      maxCommandLength: MAX_COMMAND_LENGTH,
      socketTimeout: settings.idleTimeoutMs,
      minVersion: 'TLSv1.2',
      secure: tls?.kind === 'implicit',
      ...(tls === undefined ? {} : { cert: tls.cert, key: tls.key }),
    });
    // Clients that were told to go count no more, but their sockets may stay for seconds: beyond this, no answer at all.
    this.server.maxConnections = 2 * settings.maxConnections;
    this.settings = settings;
    this.#log = log;
    this.#clients = parseNetworks(settings.clients);
    this.#xforward = parseNetworks(settings.xforward);
    this.#xclient = parseNetworks(settings.xclient);
    const { name, protocol, mode, origin, copyDomains, verp, hostname } = settings;
    const { maxSizeBytes, maxRecipients } = settings;
    const listener = { name, protocol, mode, origin, copyDomains, ...(verp === undefined ? {} : { verp }) };
    this.context = { listener, acceptor, log, hostname, maxSizeBytes, maxRecipients };
  }

  /** Whether clients are being sent away because we stop. */
  get closing(): boolean {
    return this.#closing;
  }

  /** @returns where it listens */
  async open(host: string, port: number): Promise<{ readonly address: string; readonly port: number }> {
    // smtp-server passes every error of server and connections on as its own, and one without a listener would throw.
    this.on('error', (error: Error & { remoteAddress?: string }) => {
      if (!this.server.listening) return; // `once` below rejects with it
      const facts = { listener: this.settings.name, client: error.remoteAddress, reason: error.message };
      this.#log.info(facts, 'connection failed');
    });
    this.server.listen({ host, port });
    await once(this.server, 'listening');
    const bound = this.server.address();
    return typeof bound === 'object' && bound !== null ? bound : { address: host, port };
  }

  /**
   * Stops listening; idle clients get 421 now, the others when their transaction has ended.
   * @param graceMs after this, all others too
   */
  async shutDown(graceMs: number): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const socket of this._pendingSockets.values()) socket.destroy();
    for (const connection of this.#open) connection.endWhenIdle();
    const grace = setTimeout(() => {
      for (const connection of this.#open) connection.endNow();
    }, graceMs);
    await closed;
    clearTimeout(grace);
  }

  override connect(socket: Socket, options?: SMTPConnectionOptions | null): void {
    if (socket.destroyed) return;
    const connection = new Connection(this, socket, options);
    this.connections.add(connection);
    connection.on('error', (error) => this._onError(error));
    connection.init();
  }

  /** Counts a connection in. @returns why it must go at once */
  admit(connection: Connection): Reply | undefined {
    const client = connection._originalRemoteAddress;
    const ofClient = (this.#perClient.get(client) ?? 0) + 1;
    this.#open.add(connection);
    this.#admitted.add(connection);
    this.#perClient.set(client, ofClient);
    const refusal = this.#refusal(client, ofClient);
    if (refusal !== undefined) {
      this.#log.info({ listener: this.settings.name, client, reason: refusal.text }, 'connection refused');
    }
    return refusal;
  }

  /** Counts a connection out that has been told to go, or has gone. */
  release(connection: Connection): void {
    if (!this.#admitted.delete(connection)) return;
    const client = connection._originalRemoteAddress;
    const left = (this.#perClient.get(client) ?? 1) - 1;
    if (left > 0) this.#perClient.set(client, left);
    else this.#perClient.delete(client);
  }

  /** Its socket is closed. */
  forget(connection: Connection): void {
    this.release(connection);
    this.#open.delete(connection);
  }

  /** Whether this client is an MTA whose word about its own client counts. */
  mayForward(client: string, command: string): boolean {
    return (command === 'XCLIENT' ? this.#xclient : this.#xforward).contains(client);
  }

  #refusal(client: string, ofClient: number): Reply | undefined {
    const { maxConnections, maxConnectionsPerClient } = this.settings;
    if (!this.#clients.contains(client)) {
      return { code: 554, status: '5.7.1', text: `${client} may not connect here` };
    }
    if (this.#admitted.size > maxConnections) return unavailable('too many connections, try again later');
    if (ofClient > maxConnectionsPerClient) {
      return { code: 421, status: '4.7.0', text: 'too many connections from your address, try again later' };
    }
    return this.#closing ? unavailable('shutting down') : undefined;
  }
}
