import { isIPv6 } from 'node:net';
import type { Client } from './envelope.ts';
import { isAscii } from './xtext.ts';

/** Names us in the by clause, so that a message that passes a second time is known again. */
const PRODUCT = 'imipd';

export type ReceivedFacts = {
  readonly client: Client;
  /** Our own name. */
  readonly hostname: string;
  readonly queueId: string;
  /** Only when the message has exactly one recipient: a second name would betray a Bcc (RFC 5321 §7.2). */
  readonly recipient?: string;
  readonly date: Date;
};

/** Our trace line (RFC 5321 §4.4), folded, with its final CRLF. What the client says of itself cannot break its syntax. */
export function receivedLine(facts: ReceivedFacts): string {
  const { client } = facts;
  const address = isIPv6(client.address) ? `IPv6:${client.address}` : client.address;
  const peer = address === '' ? 'unknown' : `[${plain(address)}]`;
  const helo = plain(client.helo ?? client.name ?? '') || 'unknown';
  const name = client.name === undefined ? '' : `${plain(client.name)} `;
  const lines = [
    `Received: from ${helo} (${name}${peer})`,
    `\tby ${facts.hostname} (${PRODUCT}) with ${plain(client.protocol)} id ${facts.queueId}`,
  ];
  // Only an internationalized message may carry the address as it is (RFC 6532 §3.2); the clause is optional.
  const { recipient } = facts;
  if (recipient !== undefined && (isAscii(recipient) || client.protocol.startsWith('UTF8')))
    lines.push(`\tfor <${recipient}>`);
  return `${lines.join('\r\n')};\r\n\t${facts.date.toUTCString().replace(/GMT$/, '+0000')}\r\n`;
}

/** Whether a Received field's value, folded or not, is one that {@link receivedLine} composed for this host. */
export function isOwnReceived(value: string, hostname: string): boolean {
  const by = /(?:^|\s)by\s+([^\s;()]+)\s+\(imipd\)/i.exec(value);
  return by?.[1]?.toLowerCase() === hostname.toLowerCase();
}

/** Domain and address literal characters only; anything else would need quoting in a comment. */
function plain(text: string): string {
  return text.replace(/[^A-Za-z0-9._:[\]-]/g, '?');
}
