import { createSocket } from 'node:dgram';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type Answer, type DecodedPacket, decode, encode, type Packet } from 'dns-packet';

/** One question as it came. */
export type Asked = { readonly by: 'udp' | 'tcp'; readonly packet: DecodedPacket; readonly message: Buffer };

/** The messages to send back, in order; none: silence. */
export type Script = (asked: Asked) => readonly Buffer[];

export type DnsStandIn = {
  readonly address: string;
  /** `udp SRV name`, in the order of their coming. */
  readonly asked: string[];
  script: Script;
  [Symbol.asyncDispose](): Promise<void>;
};

/** A DNS server that says what a test wants, by UDP and TCP on one port. */
export async function startDnsStandIn(script: Script): Promise<DnsStandIn> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const take = (by: 'udp' | 'tcp', message: Buffer): readonly Buffer[] => {
    const packet = decode(message);
    asked.push(`${by} ${packet.questions?.[0]?.type} ${packet.questions?.[0]?.name}`);
    return standIn.script({ by, packet, message });
  };
  const tcp = createServer((socket) => {
    sockets.add(socket);
    let received = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const answers = take('tcp', received.subarray(2, 2 + received.readUInt16BE(0)));
      received = Buffer.alloc(0);
      for (const answer of answers) {
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(length);
        socket.write(answer);
      }
      if (answers.length === 0) socket.destroy();
    });
  });
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
  const { port } = tcp.address() as AddressInfo;
  const udp = createSocket('udp4');
  udp.on('message', (message, from) => {
    for (const answer of take('udp', message)) udp.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve));
  const standIn: DnsStandIn = {
    address: `127.0.0.1:${port}`,
    asked,
    script,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await Promise.all([
        new Promise<void>((resolve) => tcp.close(() => resolve())),
        new Promise<void>((resolve) => udp.close(resolve)),
      ]);
    },
  };
  return standIn;
}

/** An answer to what was asked, with anything in it changed. */
export function answering(
  asked: Asked,
  answers: readonly Answer[],
  changes: Partial<Packet> & { rcode?: number } = {},
) {
  const { rcode = 0, flags = 0x0180, ...rest } = changes;
  return encode({
    type: 'response',
    id: asked.packet.id ?? 0,
    flags: flags | rcode,
    questions: asked.packet.questions ?? [],
    answers: [...answers],
    ...rest,
  });
}

export function srv(name: string, target: string, more: { priority?: number; weight?: number; port?: number } = {}) {
  const { priority = 0, weight = 0, port = 443 } = more;
  return { type: 'SRV', class: 'IN', name, ttl: 60, data: { priority, weight, port, target } } as const;
}

export function txt(name: string, ...strings: string[]) {
  return { type: 'TXT', class: 'IN', name, ttl: 60, data: strings } as const;
}

export function cname(name: string, data: string) {
  return { type: 'CNAME', class: 'IN', name, ttl: 60, data } as const;
}

export function a(name: string, data: string, ttl = 60) {
  return { type: 'A', class: 'IN', name, ttl, data } as const;
}

export function soa(name: string, ttl: number, minimum: number) {
  const data = {
    mname: `ns.${name}`,
    rname: `hostmaster.${name}`,
    serial: 1,
    refresh: 1,
    retry: 1,
    expire: 1,
    minimum,
  };
  return { type: 'SOA', class: 'IN', name, ttl, data } as const;
}
