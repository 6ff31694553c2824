import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { type FastifyInstance, type FastifyRequest, fastify } from 'fastify';
import type { Receiver } from '../../channel/channel.ts';
import type { Log } from '../observe/log.ts';
import { addressOf, clientOf } from './client.ts';
import type { HttpReply, Route } from './exchange.ts';
import { composeRefusal, linger, replyBytes, statusOfFault } from './refusal.ts';
import {
  bodyFault,
  fixedPath,
  hasBody,
  hostFault,
  pathOf,
  queryOf,
  routesAt,
  targetOf,
  withoutPrefix,
} from './request-target.ts';
import { Shares } from './shares.ts';
import { readHeadersAhead } from './unfold.ts';

export type HttpListenerOptions = {
  readonly name: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** PEM. With `clientCa` clients are asked for a certificate; one that does not verify is as good as none. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string };
  readonly maxConnections: number;
  /** A client is an IPv4 address, or the first 64 bits of an IPv6 one. */
  readonly maxConnectionsPerClient: number;
  /** Longest time from the first octet of a request to the last of its body; and for its reply to be taken off us. */
  readonly requestTimeoutMs: number;
  /** The same to the end of its headers; also of a TLS handshake, and of a new connection that says nothing. */
  readonly headersTimeoutMs: number;
  /** How long a connection stays open between two requests. */
  readonly idleTimeoutMs: number;
  /** Requests that are read or answered at a time, three quarters of them for one client; one more gets 503. */
  readonly maxRequests: number;
  /** How long `close` lets running requests go on. */
  readonly closeTimeoutMs: number;
};

/** 1,000 Recipient headers have to fit, to be refused in the protocol's own words. */
const MAX_HEADER_BYTES = 256 * 1024;
const MAX_HEADERS = 2000;
/** Of all requests at a time, what one client may have: slow bodies must not shut out everybody else. */
const SHARE_OF_REQUESTS = 0.75;

/** One request from its headers to the end of its reply. */
type Running = {
  readonly route: Route | undefined;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Aborts when nobody waits for the answer any more. */
  readonly gone: AbortController;
  /** Gives its place back to its client; undefined where there was none for it. */
  readonly leave: (() => void) | undefined;
  answered: boolean;
  ended: boolean;
};
/** One connection, TLS undone, with what runs on it. */
type Connection = Set<Running>;

/** Takes HTTP/1.1 requests in on one address and hands those that are whole and within bounds to their routes. */
export class HttpListener implements Receiver {
  readonly #options: HttpListenerOptions;
  readonly #routes: readonly Route[];
  readonly #log: Log;
  readonly #server: Server | TlsServer;
  readonly #app: FastifyInstance;
  /** As accepted: also those whose TLS handshake is not over. */
  readonly #sockets = new Set<Socket>();
  readonly #connections = new Map<Socket, Connection>();
  readonly #connectionShares: Shares;
  readonly #requestShares: Shares;
  readonly #running = new WeakMap<IncomingMessage, Running>();
  readonly #expecting = new WeakSet<IncomingMessage>();
  /** Whose first request had folded headers. */
  readonly #folded = new WeakSet<Socket>();
  #requests = 0;
  #stopping = false;

  /** @throws Error when the key or a certificate is none */
  constructor(options: HttpListenerOptions, routes: readonly Route[], log: Log) {
    this.#options = options;
    this.#routes = routes;
    this.#log = log;
    this.#connectionShares = new Shares(options.maxConnectionsPerClient);
    this.#requestShares = new Shares(Math.ceil(options.maxRequests * SHARE_OF_REQUESTS));
    this.#server = this.#createServer();
    this.#app = this.#createApp();
  }

  /** @throws what the system says: the address is in use, or not ours */
  async listen(): Promise<string> {
    await this.#app.ready();
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    this.#server.on('error', (error) => this.#log.error({ listener: this.#options.name, err: error }, 'HTTP listener'));
    const bound = this.#server.address() as AddressInfo;
    return `${bound.address.includes(':') ? `[${bound.address}]` : bound.address}:${bound.port}`;
  }

  /** Connections without a request end now, the others after their reply, or when `closeTimeoutMs` is over. */
  async close(): Promise<void> {
    this.#stopping = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const [socket, running] of this.#connections) if (running.size === 0) socket.destroy();
    const deadline = setTimeout(() => {
      for (const running of this.#connections.values()) for (const one of running) one.gone.abort();
      for (const socket of this.#sockets) socket.destroy();
    }, this.#options.closeTimeoutMs);
    await closed;
    clearTimeout(deadline);
    await this.#app.close();
  }

  #createServer(): Server | TlsServer {
    const { tls, headersTimeoutMs, requestTimeoutMs, idleTimeoutMs, maxConnections } = this.#options;
    const settings = {
      headersTimeout: Math.min(headersTimeoutMs, requestTimeoutMs),
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: idleTimeoutMs,
      connectionsCheckingInterval: Math.min(1000, Math.max(20, Math.floor(headersTimeoutMs / 4))),
      maxHeaderSize: MAX_HEADER_BYTES,
      insecureHTTPParser: false,
      requireHostHeader: false, // Node would refuse in words of its own; `hostFault` does
    };
    const server =
      tls === undefined
        ? createServer(settings)
        : createTlsServer({
            ...settings,
            cert: tls.cert,
            key: tls.key,
            minVersion: 'TLSv1.2',
            handshakeTimeout: headersTimeoutMs,
            ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: false }),
          });
    // Node drops the headers beyond its limit without a word: one more than we take is let in to be noticed.
    server.maxHeadersCount = MAX_HEADERS + 1;
    server.maxConnections = maxConnections;
    // The only way to Node's parser is the listener that the server has of its own.
    const opened = tls === undefined ? 'connection' : 'secureConnection';
    const [parse] = server.listeners(opened);
    if (parse === undefined) throw new Error(`node:http has no listener for ${opened} any more`);
    server.removeAllListeners(opened);
    server.on('connection', (socket: Socket) => this.#admit(socket));
    server.on(opened, (socket: Socket) => this.#open(socket, (one) => void parse.call(server, one)));
    server.on('tlsClientError', (error: Error & { readonly code?: string }, socket: Socket) => {
      // Who only looks whether the port is open says nothing.
      const level = error.code === 'ECONNRESET' ? 'debug' : 'info';
      const facts = { listener: this.#options.name, client: addressOf(socket), code: error.code };
      this.#log[level](facts, 'TLS handshake failed');
    });
    // Whether the body may come is for `#begin` to say.
    for (const event of ['checkContinue', 'checkExpectation']) {
      server.on(event, (request: IncomingMessage, response: ServerResponse) => {
        this.#expecting.add(request);
        server.emit('request', request, response);
      });
    }
    return server;
  }

  /** Gives the connection to Node's parser once the headers of its first request are there. */
  #open(socket: Socket, parse: (socket: Socket) => void): void {
    this.#track(socket);
    if (socket.destroyed) return;
    const { headersTimeoutMs, requestTimeoutMs } = this.#options;
    const limits = { maxBytes: MAX_HEADER_BYTES, timeoutMs: Math.min(headersTimeoutMs, requestTimeoutMs) };
    readHeadersAhead(socket, limits, (ahead) => {
      if (ahead.kind === 'too-slow') {
        this.#refuseUnread({ code: 'ERR_HTTP_REQUEST_TIMEOUT' }, socket);
        return;
      }
      if (ahead.isFolded) this.#folded.add(socket);
      parse(socket);
    });
  }

  #createApp(): FastifyInstance {
    const app = fastify({
      serverFactory: (handler) => {
        this.#server.on('request', handler);
        return this.#server as Server; // what fastify does with it is common to both kinds
      },
      clientErrorHandler: (error, socket) => this.#refuseUnread(error, socket),
      frameworkErrors: (_error, request, reply) => {
        reply.hijack();
        this.#refuse(request.raw, reply.raw, 400);
      },
      // RFC 9112 §3.2.2: a target may name the host as well.
      rewriteUrl: (request) => withoutPrefix(targetOf(request), this.#routes),
      return503OnClosing: false,
      exposeHeadRoutes: false,
      // A route is given its query as it came (`queryOf`): nobody reads fastify's.
      routerOptions: { ignoreTrailingSlash: true, querystringParser: () => ({}) },
    });
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    app.addHook('onRequest', async (request, reply) => {
      const route = (request.routeOptions.config as { readonly route?: Route }).route;
      const refusal = this.#begin(request, reply.raw, route);
      if (refusal === undefined) return;
      reply.hijack();
      this.#refuse(request.raw, reply.raw, refusal);
    });
    app.setNotFoundHandler(async (_request, reply) => reply.hijack()); // answered by the hook
    app.setErrorHandler<Error & { readonly statusCode?: number }>((error, request, reply) => {
      reply.hijack();
      const status = error.statusCode ?? 500;
      if (status >= 500) this.#log.error({ listener: this.#options.name, err: error }, 'an HTTP request failed');
      this.#refuse(request.raw, reply.raw, status);
    });
    for (const route of this.#routes) {
      app.route({
        method: [...route.methods],
        url: fixedPath(route),
        bodyLimit: Math.max(1, route.maxBodyBytes), // fastify's least
        config: { route } as object,
        handler: async (request, reply) => {
          reply.hijack();
          await this.#handle(route, request, reply.raw);
        },
      });
    }
    return app;
  }

  #admit(socket: Socket): void {
    const leave = this.#stopping ? undefined : this.#connectionShares.take(socket.remoteAddress ?? '');
    if (leave === undefined) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      leave();
    });
  }

  #track(socket: Socket): void {
    if (socket.destroyed) return;
    const running: Connection = new Set();
    this.#connections.set(socket, running);
    socket.once('close', () => {
      this.#connections.delete(socket);
      for (const one of running) this.#end(running, one);
    });
  }

  /** Counts the request in. @returns the status to refuse it with, before anything of its body was read */
  #begin(request: FastifyRequest, response: ServerResponse, route: Route | undefined): number | undefined {
    const { raw } = request;
    const connection = this.#connections.get(raw.socket);
    const leave = this.#requestShares.take(clientOf(raw.socket).address);
    const state = { leave, answered: false, ended: false };
    const running = { route, request: raw, response, gone: new AbortController(), ...state };
    this.#running.set(raw, running);
    this.#requests += 1;
    connection?.add(running);
    response.once('close', () => this.#end(connection, running));
    // Its next request is folded as well, and so has to be the first one of a connection.
    if (this.#folded.has(raw.socket)) response.shouldKeepAlive = false;
    if (this.#stopping || leave === undefined || this.#requests > this.#options.maxRequests) return 503;
    if (route === undefined) return routesAt(this.#routes, pathOf(raw)).length > 0 ? 405 : 404;
    if (raw.rawHeaders.length / 2 > MAX_HEADERS) return 431;
    const fault = hostFault(raw) ?? bodyFault(raw, route.maxBodyBytes);
    if (fault !== undefined) return fault;
    // The media type is the route's to judge; fastify would refuse what it cannot read in words of its own.
    if (raw.headers['content-type'] !== undefined) raw.headers['content-type'] = 'application/octet-stream';
    if (!this.#expecting.has(raw)) return undefined;
    if (raw.headers.expect?.toLowerCase() !== '100-continue') return 417;
    response.writeContinue();
    return undefined;
  }

  #end(connection: Connection | undefined, running: Running): void {
    if (running.ended) return;
    running.ended = true;
    running.leave?.();
    connection?.delete(running);
    this.#requests -= 1;
    if (!running.answered) running.gone.abort();
  }

  async #handle(route: Route, request: FastifyRequest, response: ServerResponse): Promise<void> {
    const { raw } = request;
    const signal = this.#running.get(raw)?.gone.signal ?? AbortSignal.abort();
    let reply: HttpReply;
    try {
      reply = await route.handle({
        method: raw.method ?? '',
        path: pathOf(raw),
        query: queryOf(raw),
        rawHeaders: raw.rawHeaders,
        client: clientOf(raw.socket),
        body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
        signal,
      });
    } catch (error) {
      if (signal.aborted) return; // whatever it gave up, nobody waits for it
      this.#log.error({ listener: this.#options.name, path: route.path, err: error }, 'an HTTP request failed');
      reply = route.refuse(500);
    }
    this.#answer(raw, response, reply);
    response.end();
  }

  /** Refuses a request whose body was not read, or not to its end: the connection ends with it. */
  #refuse(request: IncomingMessage, response: ServerResponse, status: number): void {
    if (response.destroyed || response.headersSent) return;
    const here = routesAt(this.#routes, pathOf(request));
    const reply = composeRefusal(this.#running.get(request)?.route ?? here[0], status, here);
    const { method } = request;
    this.#report(request.socket, status, { method, path: pathOf(request).slice(0, 200) });
    const unread = hasBody(request) && !request.complete;
    if (unread) response.shouldKeepAlive = false;
    this.#answer(request, response, reply);
    // Who asks first sends nothing more.
    if (unread && !this.#expecting.has(request)) linger(request, () => response.end());
    else response.end();
  }

  /** Everything but the end of the reply. */
  #answer(request: IncomingMessage, response: ServerResponse, reply: HttpReply): void {
    const running = this.#running.get(request);
    if (running !== undefined) running.answered = true;
    if (response.destroyed) return;
    if (this.#stopping) response.shouldKeepAlive = false;
    this.#cutOffUnread(response);
    const body = Buffer.from(reply.body);
    const bodiless = reply.status === 204 || reply.status === 304;
    response.writeHead(reply.status, {
      ...reply.headers,
      ...(bodiless ? {} : { 'Content-Length': `${body.length}` }),
    });
    if (!bodiless && body.length > 0 && request.method !== 'HEAD') response.write(body);
  }

  /** No route writes a line of its own about these. Scanners ask for what is not there all day. */
  #report(socket: Socket, status: number, facts: Readonly<Record<string, string | undefined>>): void {
    const level = status === 503 ? 'warn' : status === 404 || status === 405 ? 'debug' : 'info';
    const { name: listener } = this.#options;
    this.#log[level]({ listener, client: addressOf(socket), ...facts, status }, 'request refused');
  }

  /** Node waits without end for a client that does not read its reply. Behind an earlier one it is not its turn yet. */
  #cutOffUnread(response: ServerResponse): void {
    const timer = setInterval(() => response.socket?.destroy(), this.#options.requestTimeoutMs);
    response.once('close', () => clearInterval(timer));
  }

  /** What Node's parser refuses, and who was too slow. No route has seen it. */
  #refuseUnread(error: { readonly code?: string }, socket: Socket): void {
    const { name: listener } = this.#options;
    this.#log.debug({ listener, client: socket.remoteAddress, code: error.code }, 'HTTP connection refused');
    const connection = this.#connections.get(socket);
    if (connection === undefined || !socket.writable || error.code === 'ECONNRESET') {
      socket.destroy();
      return;
    }
    const running = [...connection].at(-1);
    if (running?.answered === true) {
      socket.destroySoon(); // the refusal is on its way already
      return;
    }
    if (running?.request.complete === true) {
      // What is wrong came behind requests that are not answered yet: they are, and then it ends.
      running.response.shouldKeepAlive = false;
      return;
    }
    if (connection.size > 1) {
      socket.destroy(); // a reply that is due to an earlier request must not be mixed with this one
      return;
    }
    if (running !== undefined) running.answered = true;
    const status = statusOfFault(error.code ?? '');
    this.#report(socket, status, { code: error.code });
    const reply = composeRefusal(running?.route ?? this.#routes[0], status, []);
    socket.end(replyBytes(reply), () => socket.destroy());
  }
}
