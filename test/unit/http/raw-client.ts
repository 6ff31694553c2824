import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A connection on which a test writes every octet itself. */
export class RawClient {
  readonly socket: Socket;
  #text = '';

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => {
      this.#text += chunk;
    });
    socket.on('error', () => undefined); // `close` follows
  }

  /** @param from the address of ours that it comes from */
  static async open(address: string, from?: string): Promise<RawClient> {
    const at = address.lastIndexOf(':');
    const socket = connect({
      host: address.slice(0, at),
      port: Number(address.slice(at + 1)),
      ...(from === undefined ? {} : { localAddress: from }),
    });
    const client = new RawClient(socket);
    await once(socket, 'connect');
    return client;
  }

  /** Everything received so far. */
  get text(): string {
    return this.#text;
  }

  send(text: string | Buffer): void {
    this.socket.write(text);
  }

  /** Resolves with everything received once the pattern stands in it; rejects when the connection ends before. */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#text)) {
      if (this.socket.closed) throw new Error(`the connection ended with ${JSON.stringify(this.#text)}`);
      await this.#event('data', 'close');
    }
    return this.#text;
  }

  /** Resolves with everything received when the other side has ended the connection. */
  async ended(): Promise<string> {
    if (!this.socket.closed) await this.#event('close');
    return this.#text;
  }

  /** Writes, and resolves when more can be written, or nothing any more. */
  async drained(chunk: Buffer): Promise<void> {
    if (!this.socket.write(chunk) && !this.socket.closed) await this.#event('drain', 'close');
  }

  /** `once` of node:events would reject for an error. */
  #event(...names: readonly string[]): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        for (const name of names) this.socket.off(name, done);
        resolve();
      };
      for (const name of names) this.socket.on(name, done);
    });
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
