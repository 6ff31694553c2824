import { hostname } from 'node:os';
import { SmtpDeliverer } from '../../channel/smtp/deliver.ts';
import { canonicalAddress } from '../mail/address.ts';
import type { Outcome } from '../mail/outcome.ts';
import { silentLog } from '../observe/log.ts';

/** Where a command hands a message over. */
export type Entrance = {
  readonly host: string;
  readonly port: number;
  readonly protocol: 'smtp' | 'lmtp';
  readonly ca?: string;
};

/** Submits a message through a listener, as a mail server would. @returns one outcome per recipient */
export async function submit(
  entrance: Entrance,
  from: string,
  to: readonly string[],
  content: Buffer,
): Promise<readonly Outcome[]> {
  await using deliverer = new SmtpDeliverer(
    {
      ...entrance,
      tls: 'none',
      connections: 1,
      connectTimeoutMs: 10_000,
      commandTimeoutMs: 60_000,
      dataTimeoutMs: 300_000,
      maxMessagesPerConnection: 1,
      hostname: hostname(),
    },
    silentLog,
  );
  const eightBit = content.some((octet) => octet > 0x7f);
  const outcomes = await deliverer.deliver(
    {
      queueId: 'command',
      envelope: { reversePath: from, smtpUtf8: false, body: eightBit ? '8BITMIME' : '7BIT' },
      recipients: to.map((address) => ({ address: canonicalAddress(address), received: address })),
      prepend: Buffer.alloc(0),
      body: () => content,
      size: content.length,
      eightBit,
    },
    AbortSignal.timeout(300_000),
  );
  // The channel calls whom it speaks to the next hop; here that is the gateway itself.
  return outcomes.map((outcome) => ({
    ...outcome,
    reason: outcome.reason.replaceAll('the next hop', 'the gateway'),
  }));
}

/** The host to connect to for a listener's address; one that listens everywhere is here too. */
export function reachable(host: string): string {
  return host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
}

/** A text or binary message with CRLF line ends, as it has to be on the wire (RFC 5321 §2.3.8). */
export function withCrlf(content: Buffer): Buffer {
  return Buffer.from(content.toString('latin1').replace(/\r\n|\r|\n/g, '\r\n'), 'latin1');
}
