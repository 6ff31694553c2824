import type { Route } from '../../../src/http/exchange.ts';
import { HttpListener, type HttpListenerOptions } from '../../../src/http/listener.ts';
import { silentLog } from '../../../src/observe/log.ts';

const ROOMY: HttpListenerOptions = {
  name: 'service',
  host: '127.0.0.1',
  port: 0,
  maxConnections: 50,
  maxConnectionsPerClient: 50,
  requestTimeoutMs: 30_000,
  headersTimeoutMs: 30_000,
  idleTimeoutMs: 30_000,
  maxRequests: 20,
  closeTimeoutMs: 5_000,
};

/** A listener on loopback with room for every test, but for what `options` say; `address` is `host:port`. */
export async function openListener(routes: readonly Route[], options: Partial<HttpListenerOptions> = {}) {
  const listener = new HttpListener({ ...ROOMY, ...options }, routes, silentLog);
  const address = await listener.listen();
  return { listener, address, [Symbol.asyncDispose]: () => listener.close() };
}
