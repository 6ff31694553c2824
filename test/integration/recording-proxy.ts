import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy before a server that keeps all that clients sent, and can cut them off. */
export type RecordingProxy = {
  /** The target's, with this proxy's address in place of its host and port. */
  readonly url: string;
  /** Every octet from clients to the server, over all connections. */
  sent(): Buffer;
  connections(): number;
  /** Ends all connections; new ones are taken. */
  drop(): Promise<void>;
  /** Ends all connections and takes no new ones. */
  refuse(): Promise<void>;
} & AsyncDisposable;

/** @param options.from address to connect to the server from */
export async function startRecordingProxy(
  targetUrl: string,
  options: { readonly from?: string } = {},
): Promise<RecordingProxy> {
  const target = new URL(targetUrl);
  const chunks: Buffer[] = [];
  const clients = new Set<Socket>();
  let connections = 0;
  const server = createServer((client) => {
    connections++;
    clients.add(client);
    const upstream = connect({
      ...{ port: Number(target.port), host: target.hostname },
      ...(options.from === undefined ? {} : { localAddress: options.from }),
    });
    client.on('data', (data: Buffer) => chunks.push(data));
    client.pipe(upstream).pipe(client);
    client.on('error', () => undefined).on('close', () => upstream.destroy());
    upstream.on('error', () => undefined).on('close', () => client.destroy());
    client.on('close', () => clients.delete(client));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  const drop = async () => {
    await Promise.all(
      [...clients].map(async (client) => {
        client.destroy();
        if (!client.closed) await once(client, 'close');
      }),
    );
  };
  const refuse = async () => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    await drop();
    await closed;
  };
  return {
    url: targetUrl.replace(/^(\w+:\/\/)[^/]*/, `$1127.0.0.1:${port}`),
    sent: () => Buffer.concat(chunks),
    connections: () => connections,
    drop,
    refuse,
    [Symbol.asyncDispose]: refuse,
  };
}
