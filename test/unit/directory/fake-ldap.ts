import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

/** Tags of LDAP messages (RFC 4511 §4.2 and on). */
export const BIND = 0x60;
export const SEARCH = 0x63;
export const EXTENDED = 0x77;
export const UNBIND = 0x42;

export type Request = { readonly id: number; readonly tag: number; readonly bytes: Buffer; readonly socket: Socket };

/** A stand-in for what no real server can be made to do: it answers each request as the test says, or not at all. */
export type FakeLdap = {
  readonly url: string;
  readonly requests: readonly Request[];
  connections(): number;
} & AsyncDisposable;

/** @param answer gives the bytes to send for a request; undefined for silence */
export async function startFakeLdap(answer: (request: Request) => Buffer | undefined): Promise<FakeLdap> {
  const requests: Request[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let waiting: Buffer = Buffer.alloc(0);
    socket.on('data', (data: Buffer) => {
      if (waiting.length === 0 && data[0] !== 0x30) return; // a TLS handshake
      waiting = Buffer.concat([waiting, data]);
      for (let end = messageEnd(waiting); end !== undefined && end <= waiting.length; end = messageEnd(waiting)) {
        const request = { ...readHead(waiting.subarray(0, end)), bytes: waiting.subarray(0, end), socket };
        waiting = waiting.subarray(end);
        requests.push(request);
        const reply = answer(request);
        if (reply !== undefined) socket.write(reply);
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `ldap://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    connections: () => connections,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The answer to a bind, a StartTLS request or the end of a search, with a result code of RFC 4511 appendix A. */
export function result(request: Pick<Request, 'id' | 'tag'>, code: number, name = ''): Buffer {
  const tag = { [BIND]: 0x61, [SEARCH]: 0x65, [EXTENDED]: 0x78 }[request.tag] ?? 0x65;
  return message(request.id, ber(tag, ber(0x0a, Buffer.from([code])), octets(name), octets('')));
}

export function entry(
  request: Pick<Request, 'id'>,
  dn: string,
  attributes: Readonly<Record<string, readonly string[]>>,
): Buffer {
  const pairs = Object.entries(attributes).map(([name, values]) =>
    ber(0x30, octets(name), ber(0x31, ...values.map(octets))),
  );
  return message(request.id, ber(0x64, octets(dn), ber(0x30, ...pairs)));
}

export function reference(request: Pick<Request, 'id'>, url: string): Buffer {
  return message(request.id, ber(0x73, octets(url)));
}

function message(id: number, operation: Buffer): Buffer {
  return ber(0x30, ber(0x02, Buffer.from([id >> 8, id & 0xff])), operation);
}

function octets(text: string): Buffer {
  return ber(0x04, Buffer.from(text));
}

function ber(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag, 0x82, content.length >> 8, content.length & 0xff]), content]);
}

function messageEnd(bytes: Buffer): number | undefined {
  const head = lengthAt(bytes, 1);
  return head && head.start + head.length;
}

function readHead(bytes: Buffer): { id: number; tag: number } {
  const idAt = lengthAt(bytes, 1)!.start;
  const id = lengthAt(bytes, idAt + 1)!;
  return { id: bytes.readUIntBE(id.start, id.length), tag: bytes[id.start + id.length]! };
}

function lengthAt(bytes: Buffer, at: number): { start: number; length: number } | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  if (first < 0x80) return { start: at + 1, length: first };
  const size = first & 0x7f;
  return bytes.length < at + 1 + size ? undefined : { start: at + 1 + size, length: bytes.readUIntBE(at + 1, size) };
}
