import { once } from 'node:events';
import { composeDsn, returnsContent } from '../../src/mail/dsn.ts';
import { MAX_HEADER_BYTES } from '../../src/mail/header.ts';
import type { Message, NewMessage, Store } from '../../src/queue/store.ts';
import type { ReportLine } from '../channel.ts';

/** What composing needs of the outside. */
export type BounceOptions = {
  readonly hostname: string;
  readonly store: Pick<Store, 'newId' | 'body' | 'bodyStream'>;
  readonly clock: () => number;
};

/**
 * Composes reports as messages to be queued: from the null reverse-path (RFC 3461 §6), to the sender, by the smart host.
 * @returns a function that reads the original and makes one report of all its lines
 */
export function createReporter(
  options: BounceOptions,
): (message: Message, lines: readonly ReportLine[]) => Promise<NewMessage> {
  return async (message, lines) => {
    const now = options.clock();
    const queueId = options.store.newId(now);
    const { envelope } = message;
    const recipients = lines.map(({ delivery, outcome, action }) => {
      const orcpt = envelope.recipients[delivery.position]?.orcpt;
      return {
        address: delivery.recipient,
        action,
        status: outcome.status,
        reason: outcome.reason,
        kind: delivery.kind,
        lastAttemptAt: now,
        ...(orcpt === undefined ? {} : { orcpt }),
        ...(outcome.diagnostic === undefined ? {} : { diagnostic: outcome.diagnostic }),
        ...(outcome.relay === undefined ? {} : { remoteMta: outcome.relay.replace(/:\d+$/, '') }),
      };
    });
    const about = {
      queueId,
      hostname: options.hostname,
      to: envelope.reversePath,
      now,
      arrivedAt: message.receivedAt,
      recipients,
      originalSize: message.size,
      ...(envelope.envid === undefined ? {} : { envid: envelope.envid }),
      ...(envelope.ret === undefined ? {} : { ret: envelope.ret }),
      // The id of a post is no Message-ID of a mail that anybody has.
      ...(message.messageId === undefined || message.mode === 'relay' ? {} : { messageId: message.messageId }),
    };
    const original = returnsContent(about)
      ? await options.store.body(message.id)
      : await beginning(options.store, message);
    const bytes = composeDsn({ ...about, original });
    return queueable(queueId, options.hostname, now, message, bytes);
  };
}

/** As much of the message as its header can be. */
async function beginning(store: BounceOptions['store'], message: Message): Promise<Buffer> {
  if (message.size <= MAX_HEADER_BYTES) return store.body(message.id);
  const stream = store.bodyStream(message.id);
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of stream as AsyncIterable<Buffer>) {
    pieces.push(piece);
    size += piece.length;
    if (size >= MAX_HEADER_BYTES) break;
  }
  if (!stream.destroyed) {
    stream.destroy();
    await once(stream, 'close');
  }
  return Buffer.concat(pieces, size);
}

function queueable(queueId: string, hostname: string, now: number, about: Message, bytes: Buffer): NewMessage {
  const to = about.envelope.reversePath;
  return {
    message: {
      id: queueId,
      receivedAt: now,
      listener: 'bounce',
      mode: 'filter',
      origin: 'inside',
      client: { address: '127.0.0.1', protocol: 'local' },
      envelope: {
        reversePath: '',
        recipients: [{ address: to, received: to }],
        smtpUtf8: about.envelope.smtpUtf8,
        body: '8BITMIME',
      },
      messageId: `<${queueId}@${hostname}>`,
      size: bytes.length,
      eightBit: bytes.some((octet) => octet > 0x7f),
      calendar: false,
      passes: 0,
    },
    body: { kind: 'inline', bytes },
    deliveries: [{ position: 0, kind: 'mail', route: 'smart-host', dueAt: now, claim: false }],
  };
}
