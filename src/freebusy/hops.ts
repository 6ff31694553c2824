import { createHash } from 'node:crypto';

/** Gateways that a question may pass; more of them is a loop. */
export const MAX_HOPS = 4;

/** How a gateway names itself in the questions it passes on: says nothing of its host, and is the same at every start. */
export function hopName(hostname: string): string {
  return `imipd-${createHash('sha256').update(hostname.toLowerCase()).digest('hex').slice(0, 16)}`;
}

/** Values of Via headers (RFC 9110 §7.6.3) → the gateways among them. */
export function hopsOfVia(values: readonly string[]): readonly string[] {
  return values.flatMap((value) => value.match(/\bimipd-[0-9a-f]{16}\b/g) ?? []);
}

/** The gateways that the `appid` of a WCAP question names. */
export function hopsOfAppId(appId: string): readonly string[] {
  return appId.match(/\bimipd-[0-9a-f]{16}\b/g) ?? [];
}

export function viaOf(hops: readonly string[]): string {
  return hops.map((hop) => `1.1 ${hop}`).join(', ');
}

export function appIdOf(hops: readonly string[]): string {
  return hops.join('.');
}
