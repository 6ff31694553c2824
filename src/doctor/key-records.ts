import type { KeyObject } from 'node:crypto';
import { composeKeyRecord } from '../../channel/ischedule/dkim/key-record.ts';

/** One record as it stands in a zone file, and what it is for. */
export type ZoneRecord = { readonly name: string; readonly line: string; readonly why: string };

/** A domain name's own name for the key of a selector (RFC 6376 §3.6.2.1). */
export function keyName(domain: string, selector: string): string {
  return `${selector}._domainkey.${domain}`;
}

/** The TXT record that publishes a key: strings of at most 255 octets, as a zone file wants them (RFC 1035 §5.1). */
export function keyRecord(domain: string, selector: string, publicKey: KeyObject): ZoneRecord {
  const strings = split(composeKeyRecord(publicKey)).map((part) => `"${part}"`);
  const text = strings.length === 1 ? strings.join('') : `(\n${strings.map((part) => `    ${part}`).join('\n')} )`;
  const name = `${keyName(domain, selector)}.`;
  return { name, line: `${name} IN TXT ${text}`, why: 'the public key, by which others verify our signatures' };
}

const LONGEST_STRING = 255;

function split(text: string): string[] {
  const count = Math.ceil(text.length / LONGEST_STRING);
  return Array.from({ length: count }, (_, n) => text.slice(n * LONGEST_STRING, (n + 1) * LONGEST_STRING));
}

/**
 * The other records of a domain whose calendars can be reached by iSchedule.
 * @param host where the gateway is reached, with TLS
 * @param path of its service; a TXT record is needed when it is not the well-known one
 */
export function serviceRecords(domain: string, host: string, port: number, path: string): readonly ZoneRecord[] {
  const service = `_ischedules._tcp.${domain}.`;
  const lookup = `_domainkey_lookup._tcp.${domain}.`;
  return [
    {
      name: service,
      line: `${service} IN SRV 0 0 ${port} ${host}.`,
      why: 'where others post invitations for people of this domain, by https',
    },
    ...(path === '/.well-known/ischedule'
      ? []
      : [{ name: service, line: `${service} IN TXT "path=${path}"`, why: 'the path of the service there' }]),
    {
      name: lookup,
      line: `${lookup} IN SRV 0 0 ${port} ${host}.`,
      why: `where the key can be had by https as well, at /.well-known/domainkey/${domain}/SELECTOR`,
    },
  ];
}
