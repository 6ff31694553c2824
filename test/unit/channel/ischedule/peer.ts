import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { PostBatch } from '../../../../channel/channel.ts';
import { IScheduleDeliverer, type IScheduleOptions } from '../../../../channel/ischedule/deliver.ts';
import type { ServerSettings } from '../../../../channel/ischedule/settings.ts';
import { composeReply } from '../../../../channel/ischedule/wire.ts';
import type { Log } from '../../../../src/observe/log.ts';
import { silentLog } from '../../../../src/observe/log.ts';

export type Received = {
  readonly method: string;
  readonly path: string;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly secure: boolean;
  /** The client's certificate, common name. */
  readonly client?: string;
  /** Values of one field, in order. */
  values(name: string): string[];
};

export type Peer = {
  readonly url: URL;
  readonly received: Received[];
  posts(): Received[];
  [Symbol.asyncDispose](): Promise<void>;
};

/** A calendar server on loopback that answers as told, once the request is there as a whole. */
export async function startPeer(
  answer: (received: Received, response: ServerResponse) => void,
  tls?: ServerOptions,
): Promise<Peer> {
  const received: Received[] = [];
  const listener = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    response.on('error', () => undefined);
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return; // the client has gone
    }
    const { rawHeaders, socket } = request;
    const certificate =
      'getPeerCertificate' in socket ? (socket as never as CertificateSocket).getPeerCertificate() : {};
    const one: Received = {
      ...{ method: request.method ?? '', path: request.url ?? '', rawHeaders, body: Buffer.concat(chunks) },
      secure: tls !== undefined,
      ...(certificate.subject === undefined ? {} : { client: certificate.subject.CN }),
      values: (name) =>
        rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name.toLowerCase()),
    };
    received.push(one);
    answer(one, response);
  };
  const server: Server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/ischedule`),
    received,
    posts: () => received.filter(({ method }) => method === 'POST'),
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

type CertificateSocket = { getPeerCertificate(): { subject?: { CN: string } } };

/** Takes every recipient. */
export function accept(received: Received, response: ServerResponse): void {
  const recipients = received.values('Recipient').flatMap((value) => value.split(/\s*,\s*/));
  response.writeHead(200, { 'Content-Type': 'application/xml' });
  response.end(composeReply(recipients.map((recipient) => ({ recipient, requestStatus: '2.0;Success' }))));
}

export const CONTENT = 'BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n';

export function batchFor(server: URL, overrides: Partial<PostBatch> = {}): PostBatch {
  return {
    ...{ queueId: 'Q1', server, profile: 'generic', messageId: 'Q1.0@gw.test', originator: 'olga@outside.test' },
    ...{ recipients: ['alice@example.com'], method: 'REQUEST', component: 'VEVENT', content: Buffer.from(CONTENT) },
    ...overrides,
  };
}

/** A deliverer that asks for no capabilities unless told to. */
export function delivererFor(
  server: URL,
  settings: Partial<ServerSettings> = {},
  options: Partial<IScheduleOptions> = {},
  log: Log = silentLog,
): IScheduleDeliverer {
  return new IScheduleDeliverer(
    {
      ...{ server, timeoutMs: 20_000, connectTimeoutMs: 5000, connections: 2, maxRedirects: 3, redirectHosts: [] },
      ...{ userAgent: 'imipd/test', maxResponseBytes: 1_000_000 },
      settings: {
        ...{ fallbacks: [], capabilities: 'none', timeoutMs: 20_000, connectTimeoutMs: 5000 },
        ...{ headersTimeoutMs: 20_000, bodyTimeoutMs: 20_000 },
        ...settings,
      },
      ...options,
    },
    log,
  );
}

export const noSignal = new AbortController().signal;
