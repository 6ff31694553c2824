import type { Socket } from 'node:net';

/**
 * The one network connection of a client. ldapts does not notice when a connection closes after StartTLS: this
 * one ends both sockets when either ends, which makes it give its waiting searches up.
 */
export class Line {
  #raw: Socket | undefined;
  #secure: Socket | undefined;
  #up = true;
  #timedOut = false;
  readonly #closed = Promise.withResolvers<void>();

  /** @throws Error at the second call */
  connect<S extends Socket>(dial: () => S): S {
    if (this.#raw !== undefined || !this.#up) throw new Error('an LDAP client connects once');
    const socket = dial();
    this.#raw = socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    this.#watch(socket);
    return socket;
  }

  upgrade<S extends Socket>(socket: S): S {
    this.#secure = socket;
    this.#watch(socket);
    return socket;
  }

  get isUp(): boolean {
    return this.#up;
  }

  get timedOut(): boolean {
    return this.#timedOut;
  }

  /** Rejects when the connection is gone: ldapts itself waits for ever when that happens in a TLS handshake. */
  get lost(): Promise<never> {
    return this.#closed.promise.then(() => {
      throw new Error('closed');
    });
  }

  /** Resolves when the connection is gone, at once when there was none. */
  get closed(): Promise<void> {
    return this.#raw === undefined ? Promise.resolve() : this.#closed.promise;
  }

  /** @param late it was ended because it took too long */
  destroy(late = false): void {
    if (late && this.#up) this.#timedOut = true;
    this.#up = false;
    for (const socket of [this.#secure, this.#raw]) {
      // ldapts takes its listeners off a socket that it gives up; a late error would then end the process.
      socket?.off('error', ignore).on('error', ignore);
      socket?.destroy();
    }
  }

  #watch(socket: Socket): void {
    socket.once('close', () => {
      this.destroy();
      if (socket === this.#raw) this.#closed.resolve();
    });
  }
}

function ignore(): void {}
