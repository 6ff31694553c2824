import type { Endpoint } from './connection.ts';

/** Where a URL leads. */
export function endpointOf(url: URL): Endpoint {
  const secure = url.protocol === 'https:';
  return {
    secure,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || (secure ? 443 : 80)),
  };
}

/** The octets of a request's header, with what HTTP itself needs. */
export function requestHead(method: string, url: URL, headers: readonly (readonly [string, string])[]): string {
  const hasHost = headers.some(([name]) => name.toLowerCase() === 'host');
  const all: (readonly [string, string])[] = [
    ...(hasHost ? [] : [['Host', url.host] as const]),
    ...headers,
    ['User-Agent', 'imipd-doctor'],
    ['Connection', 'close'],
  ];
  const lines = all.map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
