import type { Readable } from 'node:stream';
import { canonicalAddress } from '../../src/mail/address.ts';
import type { EnvelopeRecipient } from '../../src/mail/envelope.ts';
import { hasEightBit, headerBlock, MAX_HEADER_BYTES } from '../../src/mail/header.ts';
import type { Outcome } from '../../src/mail/outcome.ts';
import type { PermanentStatus } from '../../src/mail/status.ts';
import { encodeOrcpt, encodeXtext, isAscii } from '../../src/mail/xtext.ts';
import type { MailBatch } from '../channel.ts';

/** What the next hop said it can do, in its answer to EHLO or LHLO. */
export type Offers = {
  readonly dsn: boolean;
  readonly smtpUtf8: boolean;
  readonly eightBitMime: boolean;
  readonly size: boolean;
  /** Octets; 0 when it names no limit. */
  readonly maxSize: number;
};

/** One transaction in the words the next hop understands. */
export type Plan = {
  readonly reversePath: string;
  /** `MAIL FROM:<…>` with its parameters. */
  readonly mail: string;
  /** In the order in which they are sent; `position` points into the batch. */
  readonly recipients: readonly { readonly position: number; readonly address: string; readonly command: string }[];
  /** What the next hop cannot carry, by position: decided here, never dropped in silence. */
  readonly refused: ReadonlyMap<number, Outcome>;
};

/**
 * Fits a batch to what its next hop offers.
 *
 * A domain goes out as A-label, always. Without SMTPUTF8 a non-ASCII local part fails its recipient, and a header in
 * UTF-8 all of them, 5.6.7 (RFC 6531 §3.7.4). Without 8BITMIME 8-bit content fails 5.6.3: to convert it (RFC 6152 §3)
 * would break every signature over it. Without DSN the parameters stay here (RFC 3461 §5.2.2).
 */
export async function planTransaction(batch: MailBatch, offers: Offers, relay: string): Promise<Plan> {
  const reversePath = batch.envelope.reversePath === '' ? '' : canonicalAddress(batch.envelope.reversePath);
  const whole = await refusalOfAll(batch, reversePath, offers);
  const refused = new Map<number, Outcome>();
  const recipients: Plan['recipients'][number][] = [];
  for (const [position, recipient] of batch.recipients.entries()) {
    const address = canonicalAddress(recipient.address);
    const refusal = whole ?? refusalOfAddress(address, offers);
    if (refusal === undefined)
      recipients.push({ position, address, command: `RCPT TO:<${address}>${recipientParameters(recipient, offers)}` });
    else refused.set(position, { kind: 'failed', relay, ...refusal });
  }
  const international =
    batch.envelope.smtpUtf8 || !isAscii(reversePath) || recipients.some(({ address }) => !isAscii(address));
  return {
    reversePath,
    mail: `MAIL FROM:<${reversePath}>${mailParameters(batch, offers, international)}`,
    recipients,
    refused,
  };
}

type Refusal = { readonly status: PermanentStatus; readonly reason: string };

async function refusalOfAll(batch: MailBatch, reversePath: string, offers: Offers): Promise<Refusal | undefined> {
  if (!isSendable(reversePath)) return { status: '5.1.7', reason: 'the sender address cannot be said in SMTP' };
  if (offers.maxSize > 0 && octets(batch) > offers.maxSize) {
    return { status: '5.3.4', reason: `the message has ${octets(batch)} octets, the next hop takes ${offers.maxSize}` };
  }
  if (!offers.smtpUtf8) {
    if (!isAscii(reversePath))
      return { status: '5.6.7', reason: 'the next hop takes no internationalized sender address' };
    if (await hasUtf8Header(batch))
      return { status: '5.6.7', reason: 'the next hop takes no internationalized header fields' };
  }
  if (batch.eightBit && !offers.eightBitMime)
    return { status: '5.6.3', reason: 'the message has 8-bit content, the next hop takes 7-bit only' };
  return undefined;
}

function refusalOfAddress(address: string, offers: Offers): Refusal | undefined {
  if (address === '' || !isSendable(address)) return { status: '5.1.3', reason: 'the address cannot be said in SMTP' };
  if (!offers.smtpUtf8 && !isAscii(address))
    return { status: '5.6.7', reason: 'the next hop takes no internationalized addresses' };
  return undefined;
}

/** Whether it can stand between angle brackets without ending them or the line. */
function isSendable(address: string): boolean {
  for (let i = 0; i < address.length; i++) {
    const code = address.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return false;
  }
  return !/[<>]/.test(address) && address.trim() === address;
}

function mailParameters(batch: MailBatch, offers: Offers, international: boolean): string {
  const { envelope } = batch;
  let parameters = '';
  if (offers.size) parameters += ` SIZE=${octets(batch)}`;
  if (offers.eightBitMime && (batch.eightBit || envelope.body === '8BITMIME')) parameters += ' BODY=8BITMIME';
  if (offers.smtpUtf8 && international) parameters += ' SMTPUTF8';
  if (offers.dsn && envelope.ret !== undefined) parameters += ` RET=${envelope.ret}`;
  if (offers.dsn && envelope.envid !== undefined) parameters += ` ENVID=${encodeXtext(envelope.envid)}`;
  return parameters;
}

function recipientParameters(recipient: EnvelopeRecipient, offers: Offers): string {
  if (!offers.dsn) return '';
  const notify =
    recipient.notify === undefined || recipient.notify.length === 0 ? '' : ` NOTIFY=${recipient.notify.join(',')}`;
  return recipient.orcpt === undefined ? notify : `${notify} ORCPT=${encodeOrcpt(recipient.orcpt)}`;
}

function octets(batch: MailBatch): number {
  return batch.prepend.length + batch.size;
}

/**
 * Clients say SMTPUTF8 for mail that does not need it; only a header that really holds UTF-8 does. Without the
 * client's word for it, raw octets in a header are an old defect that goes on as 8BITMIME.
 */
async function hasUtf8Header(batch: MailBatch): Promise<boolean> {
  if (!batch.envelope.smtpUtf8 || !batch.eightBit) return false;
  const body = batch.body();
  return hasEightBit(headerBlock(Buffer.isBuffer(body) ? body : await beginningOf(body)));
}

async function beginningOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= MAX_HEADER_BYTES) break;
  }
  return Buffer.concat(chunks);
}
