import type { MailBatch } from '../../../../channel/channel.ts';
import { SmtpDeliverer } from '../../../../channel/smtp/deliver.ts';
import type { SmtpHopOptions } from '../../../../channel/smtp/hop.ts';
import type { EnvelopeRecipient } from '../../../../src/mail/envelope.ts';
import { silentLog } from '../../../../src/observe/log.ts';

export function deliverer(port: number, options: Partial<SmtpHopOptions> = {}): SmtpDeliverer {
  return new SmtpDeliverer(
    {
      host: '127.0.0.1',
      port,
      protocol: 'smtp',
      tls: 'none',
      connections: 2,
      connectTimeoutMs: 5000,
      commandTimeoutMs: 5000,
      dataTimeoutMs: 5000,
      maxMessagesPerConnection: 100,
      hostname: 'gateway.example.com',
      ...options,
    },
    silentLog,
  );
}

type BatchFields = Partial<Omit<MailBatch, 'recipients' | 'envelope'>> & {
  readonly to?: readonly (string | EnvelopeRecipient)[];
  readonly envelope?: Partial<MailBatch['envelope']>;
  readonly content?: string | Buffer;
};

export function batch(fields: BatchFields = {}): MailBatch {
  const { to, envelope, content, ...rest } = fields;
  const bytes = Buffer.isBuffer(content) ? content : Buffer.from(content ?? 'Subject: hello\r\n\r\nhello\r\n');
  return {
    queueId: 'q1',
    envelope: { reversePath: 'ann@example.org', smtpUtf8: false, body: '7BIT', ...envelope },
    recipients: (to ?? ['bob@example.com']).map((one) =>
      typeof one === 'string' ? { address: one, received: one } : one,
    ),
    prepend: Buffer.alloc(0),
    body: () => bytes,
    size: bytes.length,
    eightBit: bytes.some((octet) => octet > 127),
    ...rest,
  };
}

export const never = new AbortController().signal;
