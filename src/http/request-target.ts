import type { IncomingMessage } from 'node:http';
import type { Route } from './exchange.ts';

/** Path of a request's target, in origin or absolute form (RFC 9112 §3.2). */
export function pathOf(request: IncomingMessage): string {
  const [path = ''] = targetOf(request).split('?', 1);
  return path;
}

export function queryOf(request: IncomingMessage): URLSearchParams {
  const target = targetOf(request);
  const at = target.indexOf('?');
  return new URLSearchParams(at < 0 ? '' : target.slice(at + 1));
}

/** Path and query of a request's target. */
export function targetOf({ url = '' }: { readonly url?: string | undefined }): string {
  const target = url.replace(/^https?:\/\/[^/?#]*/i, '');
  return target.startsWith('/') ? target : `/${target}`;
}

/** Routes whose path is this one, whatever their methods. */
export function routesAt(routes: readonly Route[], path: string): readonly Route[] {
  const bare = path.replace(/(.)\/$/, '$1');
  return routes.filter((route) =>
    route.path.endsWith('/*') ? path.startsWith(route.path.slice(0, -1)) : fixedPath(route) === bare,
  );
}

/** Where the route is once what may stand before it is cut off. */
export function fixedPath({ path }: Route): string {
  return path.replace(/^\*/, '');
}

/** The target without what stands before the path of a route that may be anywhere. */
export function withoutPrefix(target: string, routes: readonly Route[]): string {
  const end = target.indexOf('?');
  const path = end < 0 ? target : target.slice(0, end);
  const bare = path.replace(/\/$/, '');
  const route = routes.find((one) => one.path.startsWith('*') && bare.endsWith(fixedPath(one)));
  return route === undefined ? target : `${fixedPath(route)}${target.slice(path.length)}`;
}

/** RFC 9112 §3.2: HTTP/1.1 has exactly one Host. @returns 400, or undefined when it is right */
export function hostFault({ rawHeaders, httpVersion }: IncomingMessage): number | undefined {
  const hosts = rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'host').length;
  return hosts > 1 || (hosts === 0 && httpVersion === '1.1') ? 400 : undefined;
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/**
 * What is wrong with a request's body, from its headers alone. Lengths that differ, are no number, or stand beside
 * `chunked` are refused by Node's parser before.
 * @returns 400, 413 or 415; undefined when it may be read
 */
export function bodyFault(request: IncomingMessage, maxBodyBytes: number): number | undefined {
  const { headers, method, httpVersion } = request;
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? '';
  if (encoding !== '' && encoding !== 'identity') return 415;
  const transfer = headers['transfer-encoding'];
  // Node reads any list that ends in `chunked`, and leaves what stands before it to whoever reads the body.
  // In HTTP/1.0 there are no chunks (RFC 9112 §6.1): what stands in front of us may take the body for the next request.
  if (transfer !== undefined && httpVersion !== '1.1') return 400;
  if (transfer !== undefined && transfer.trim().toLowerCase() !== 'chunked') return 400;
  if (Number(headers['content-length'] ?? 0) > maxBodyBytes) return 413;
  const bodiless = method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
  return bodiless && hasBody(request) ? 400 : undefined;
}
