import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** One step of the peer: what it was told, and what it answers; undefined stays silent, 'close' hangs up. */
export type Script = (line: string, session: number) => string | undefined;

export type ReceivedContent = { readonly session: number; readonly octets: string };

/**
 * A stand-in for a next hop that says exactly what a test wants, in SMTP or LMTP, and keeps what it was told.
 * Content is kept as latin1 with its dots still stuffed, up to and without the final dot.
 */
export class Peer {
  readonly commands: string[] = [];
  readonly contents: ReceivedContent[] = [];
  sessions = 0;
  readonly sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(script: Script, greeting: string) {
    this.#server = createServer((socket) => this.#serve(socket, script, greeting));
  }

  static async listen(script: Script, greeting = '220 next.example.com ESMTP'): Promise<Peer> {
    const peer = new Peer(script, greeting);
    peer.#server.listen(0, '127.0.0.1');
    await once(peer.#server, 'listening');
    return peer;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Commands but for EHLO and QUIT. */
  get transaction(): string[] {
    return this.commands.filter((line) => !/^(EHLO|LHLO|QUIT)/.test(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket, script: Script, greeting: string): void {
    const session = ++this.sessions;
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => undefined);
    if (greeting !== '') socket.write(`${greeting}\r\n`);
    let pending = '';
    let inData = false;
    const answer = (line: string) => {
      const reply = script(line, session);
      if (reply === 'close') socket.destroy();
      else if (reply !== undefined) socket.write(`${reply.replaceAll('\n', '\r\n')}\r\n`);
      return reply;
    };
    socket.on('data', (chunk: Buffer) => {
      pending += chunk.toString('latin1');
      for (;;) {
        if (inData) {
          const end = `\r\n${pending}`.indexOf('\r\n.\r\n');
          if (end < 0) return;
          this.contents.push({ session, octets: pending.slice(0, end) });
          pending = pending.slice(end + 3);
          inData = false;
          answer('.');
        } else {
          const end = pending.indexOf('\r\n');
          if (end < 0) return;
          const line = pending.slice(0, end);
          pending = pending.slice(end + 2);
          this.commands.push(line);
          inData = answer(line)?.startsWith('354') === true && line === 'DATA';
        }
      }
    });
  }
}

export const ALL_EXTENSIONS = ['PIPELINING', 'SIZE 10000000', '8BITMIME', 'SMTPUTF8', 'DSN', 'ENHANCEDSTATUSCODES'];

/** A peer that accepts everything but what `exceptions` answers otherwise. */
export function accepting(
  extensions: readonly string[] = ALL_EXTENSIONS,
  exceptions: Script = () => undefined,
): Script {
  return (line, session) => {
    const other = exceptions(line, session);
    if (other !== undefined) return other;
    if (/^(EHLO|LHLO)/.test(line))
      return ['next.example.com', ...extensions]
        .map((text, i) => `250${i === extensions.length ? ' ' : '-'}${text}`)
        .join('\n');
    if (line === 'DATA') return '354 go on';
    if (line === '.') return '250 2.0.0 queued as 42';
    if (line === 'QUIT') return '221 2.0.0 bye';
    return '250 2.1.0 ok';
  };
}
