import type { HostPort } from './kinds.ts';
import type { OptionPath, Problem } from './problem.ts';

/** What options say together. `about` are all the options it rests on; `path` is the one to change. */
export type Finding = Problem & { readonly level: 'error' | 'warning'; readonly about: readonly OptionPath[] };

export function error(path: OptionPath, text: string, ...others: OptionPath[]): Finding {
  return { level: 'error', path, text, about: [path, ...others] };
}

export function warning(path: OptionPath, text: string, ...others: OptionPath[]): Finding {
  return { level: 'warning', path, text, about: [path, ...others] };
}

/** A host as it is compared. */
export function plainHost(host: string): string {
  const plain = host.toLowerCase().replace(/\.$/, '');
  return plain === 'localhost' ? '127.0.0.1' : plain;
}

/** Of a host name or address, with or without the brackets of a URL. */
export function isLoopback(host: string): boolean {
  const plain = plainHost(host).replace(/^\[|\]$/g, '');
  return plain === '::1' || /^127\.\d+\.\d+\.\d+$/.test(plain);
}

/** Addresses that stand for every one of the machine. */
export const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Whether what is sent to `target` comes in at `listener`. */
export function reaches(target: HostPort, listener: HostPort, hostname: string): boolean {
  if (target.port !== listener.port) return false;
  const host = plainHost(target.host);
  return (
    host === plainHost(listener.host) ||
    (WILDCARDS.has(listener.host) && (isLoopback(host) || WILDCARDS.has(host) || host === plainHost(hostname)))
  );
}
