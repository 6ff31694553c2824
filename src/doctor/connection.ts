import type { X509Certificate } from 'node:crypto';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { ServerSettings, TlsVersion } from '../../channel/ischedule/settings.ts';
import { type Answer, readAnswer } from './http-answer.ts';

/** Where to connect. `address` is connected to in place of what `host` resolves to. */
export type Endpoint = {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  readonly address?: string;
};

/** How to connect; what is absent is as Node and OpenSSL have it. */
export type DialOptions = Partial<Pick<ServerSettings, 'ca' | 'clientCertificate' | 'minTls' | 'securityLevel'>> & {
  readonly timeoutMs: number;
};

/** What a TLS handshake showed. Whom to trust is for the reader to judge: an untrusted peer is connected to as well. */
export type TlsFacts = {
  readonly protocol: string;
  readonly cipher: string;
  /** Why the certificate is not to be trusted, by OpenSSL's name (`CERT_HAS_EXPIRED`); names are not looked at. */
  readonly distrust?: string;
  /** The peer's own first. */
  readonly chain: readonly X509Certificate[];
};

export type Dialed =
  | { readonly kind: 'connected'; readonly socket: Socket; readonly address: string; readonly tls?: TlsFacts }
  | { readonly kind: 'failed'; readonly code: string; readonly reason: string };

/** Connects once, and completes the TLS handshake where there is one. The caller destroys the socket. */
export function dial(endpoint: Endpoint, options: DialOptions): Promise<Dialed> {
  const { promise, resolve } = Promise.withResolvers<Dialed>();
  const target = { host: endpoint.address ?? endpoint.host, port: endpoint.port };
  const socket: Socket = endpoint.secure
    ? connectTls({
        ...target,
        ...(isIP(endpoint.host) === 0 ? { servername: endpoint.host } : {}),
        ...tlsOptions(options),
      })
    : connectTcp(target);
  const fail = (code: string, reason: string): void => {
    clearTimeout(timer);
    socket.destroy();
    resolve({ kind: 'failed', code, reason });
  };
  const timer = setTimeout(
    () => fail('ETIMEDOUT', `no answer within ${options.timeoutMs / 1000} s`),
    options.timeoutMs,
  );
  socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? '', said(error)));
  socket.once('end', () => fail('ECONNRESET', 'it closed the connection before anything was said'));
  socket.once(endpoint.secure ? 'secureConnect' : 'connect', () => {
    clearTimeout(timer);
    socket.removeAllListeners('end');
    resolve({
      kind: 'connected',
      socket,
      address: socket.remoteAddress ?? target.host,
      ...(endpoint.secure ? { tls: tlsFacts(socket as TLSSocket) } : {}),
    });
  });
  return promise;
}

function tlsOptions(options: DialOptions) {
  return {
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...(options.clientCertificate ?? {}),
    ...(options.minTls === undefined ? {} : { minVersion: options.minTls }),
    ...(options.securityLevel === undefined ? {} : { ciphers: `DEFAULT@SECLEVEL=${options.securityLevel}` }),
  };
}

function tlsFacts(socket: TLSSocket): TlsFacts {
  const chain: X509Certificate[] = [];
  let certificate = socket.getPeerX509Certificate();
  while (certificate !== undefined && chain.length < 10) {
    const next: X509Certificate | undefined = certificate.issuerCertificate;
    chain.push(certificate);
    if (next === undefined || next.fingerprint256 === certificate.fingerprint256) break;
    certificate = next;
  }
  // A name that does not match is found out by the reader, against every name that would do.
  const error: unknown = socket.authorizationError;
  const distrust = error instanceof Error && 'code' in error ? String(error.code) : String(error ?? '');
  return {
    protocol: socket.getProtocol() ?? 'unknown',
    cipher: socket.getCipher().standardName,
    ...(distrust === '' || distrust === 'ERR_TLS_CERT_ALTNAME_INVALID' ? {} : { distrust }),
    chain,
  };
}

function said(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOTFOUND':
      return 'its name cannot be resolved (ENOTFOUND)';
    case 'ECONNREFUSED':
      return 'nobody listens there (ECONNREFUSED)';
    default:
      return error.code === undefined || error.message.includes(error.code)
        ? error.message
        : `${error.message} (${error.code})`;
  }
}

/** The handshakes to try with a peer that refuses the usual one: each asks less of it than the one before. */
const CONCESSIONS: readonly { readonly minTls: TlsVersion; readonly securityLevel: number }[] = [
  { minTls: 'TLSv1.2', securityLevel: 1 },
  { minTls: 'TLSv1.2', securityLevel: 0 },
  { minTls: 'TLSv1.1', securityLevel: 0 },
  { minTls: 'TLSv1', securityLevel: 0 },
];

export type Handshake =
  | { readonly kind: 'agreed'; readonly tls: TlsFacts; readonly address: string; readonly needs?: TlsConcession }
  | { readonly kind: 'failed'; readonly reason: string };
export type TlsConcession = { readonly minTls: TlsVersion; readonly securityLevel: number };

/** Finds the strictest settings that a peer agrees to. `needs` when the usual ones, or those given, do not do. */
export async function shakeHands(endpoint: Endpoint, options: DialOptions): Promise<Handshake> {
  const first = await agree(endpoint, options);
  if (first.kind === 'agreed' || !isTlsFailure(first.code)) return first;
  for (const needs of CONCESSIONS) {
    const again = await agree(endpoint, { ...options, ...needs });
    if (again.kind === 'agreed') return { ...again, needs };
  }
  return first;
}

async function agree(
  endpoint: Endpoint,
  options: DialOptions,
): Promise<Extract<Handshake, { kind: 'agreed' }> | { kind: 'failed'; code: string; reason: string }> {
  const dialed = await dial({ ...endpoint, secure: true }, options);
  if (dialed.kind === 'failed') return dialed;
  dialed.socket.destroy();
  if (dialed.tls === undefined) throw new TypeError('a secure connection without TLS');
  return { kind: 'agreed', tls: dialed.tls, address: dialed.address };
}

function isTlsFailure(code: string): boolean {
  return /^(?:ERR_SSL_|EPROTO|ECONNRESET)/.test(code);
}

/** One request as octets. `body` waits for a `100 Continue`, at most `continueMs`, where `awaitsContinue`. */
export type RawRequest = { readonly head: string; readonly body: Buffer; readonly awaitsContinue?: boolean };

const CONTINUE_MS = 2_000;

/** Sends octets as they are, which no HTTP library would, and reads one answer. */
export async function exchange(
  endpoint: Endpoint,
  request: RawRequest,
  options: DialOptions & { readonly maxBytes: number },
): Promise<Answer> {
  const dialed = await dial(endpoint, options);
  if (dialed.kind === 'failed') return { kind: 'nothing', reason: dialed.reason };
  const { socket } = dialed;
  const isHead = request.head.startsWith('HEAD ');
  const { promise, resolve } = Promise.withResolvers<Answer>();
  let received = Buffer.alloc(0);
  let bodySent = request.awaitsContinue !== true;
  const sendBody = (): void => {
    if (bodySent || socket.destroyed) return;
    bodySent = true;
    socket.write(request.body);
  };
  const end = (closed: boolean): void => {
    const answer = readAnswer(received, { isHead, closed });
    if (answer !== 'incomplete') resolve(answer);
    else if (closed) resolve({ kind: 'nothing', reason: 'it closed the connection in the middle of its answer' });
  };
  socket.on('data', (data: Buffer) => {
    received = Buffer.concat([received, data]);
    if (/^HTTP\/1\.1 100 /.test(received.toString('latin1', 0, 13))) sendBody();
    if (received.length > options.maxBytes)
      resolve({ kind: 'nothing', reason: `its answer is longer than ${options.maxBytes} octets` });
    else end(false);
  });
  socket.on('end', () => end(true));
  socket.on('close', () => end(true));
  // What the peer said before it cut the connection is its answer: a refusal of a large body comes like that.
  socket.on('error', () => end(true));
  const timers = [
    setTimeout(
      () => resolve({ kind: 'nothing', reason: `no answer within ${options.timeoutMs / 1000} s` }),
      options.timeoutMs,
    ),
    setTimeout(sendBody, CONTINUE_MS),
  ];
  const head = Buffer.from(request.head, 'latin1');
  socket.write(bodySent ? Buffer.concat([head, request.body]) : head);
  try {
    return await promise;
  } finally {
    for (const timer of timers) clearTimeout(timer);
    socket.destroy();
  }
}
