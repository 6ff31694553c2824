import type { Decision } from '../../../src/mail/disposition.ts';
import type { Outcome } from '../../../src/mail/outcome.ts';
import type { LedgerRow, Message, NewDelivery, NewMessage, StoredBody } from '../../../src/queue/store.ts';

/** When everything in these tests happens, unless it says otherwise. */
export const NOW = Date.UTC(2026, 10, 21, 8);
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export const CONTENT = Buffer.from('From: a@example.org\r\nSubject: Lunch\r\n\r\nOn Monday?\r\n');

/** A message to `recipients`, with nothing that is optional. */
export function message(
  id: string,
  recipients: readonly string[] = ['bob@example.com'],
  more: Partial<Message> = {},
): Message {
  return {
    id,
    receivedAt: NOW,
    listener: 'mx',
    mode: 'filter',
    origin: 'outside',
    client: { address: '192.0.2.1', protocol: 'ESMTP' },
    envelope: {
      reversePath: 'ann@example.org',
      recipients: recipients.map((address) => ({ address, received: address })),
      smtpUtf8: false,
      body: '7BIT',
    },
    size: CONTENT.length,
    eightBit: false,
    calendar: true,
    passes: 0,
    ...more,
  };
}

export function post(more: Partial<NewDelivery> = {}): NewDelivery {
  return { position: 0, kind: 'post', route: 'calendar', dueAt: NOW, claim: false, ...more };
}

export function mail(more: Partial<NewDelivery> = {}): NewDelivery {
  return { position: 0, kind: 'mail', route: 'next-hop', dueAt: NOW, claim: false, ...more };
}

export function incoming(
  id: string,
  deliveries: readonly NewDelivery[] = [mail()],
  more: {
    readonly message?: Partial<Message>;
    readonly recipients?: readonly string[];
    readonly body?: StoredBody;
  } = {},
): NewMessage {
  return {
    message: message(id, more.recipients, more.message),
    body: more.body ?? { kind: 'inline', bytes: CONTENT },
    deliveries,
  };
}

export const DELIVERED: Outcome = { kind: 'delivered', status: '2.0.0', reason: 'taken', answered: true };
export const DEFERRED: Outcome = { kind: 'deferred', status: '4.4.1', reason: 'no connection', answered: false };
export const FAILED: Outcome = { kind: 'failed', status: '5.1.1', reason: 'no such user', answered: true };

export function decision(rule: string, detail = 'bob'): Decision {
  return {
    post: {
      kind: 'post',
      server: { url: 'http://calendar.example.com/ischedule', profile: 'generic' },
      recipient: 'bob@example.com',
    },
    annotate: true,
    rule,
    steps: [{ question: 'whose recipient is it?', answer: detail }],
  };
}

export function ledgerRow(more: Partial<LedgerRow> = {}): LedgerRow {
  return {
    user: 'bob@example.com',
    uid: 'lunch@example.org',
    recurrenceId: '',
    author: 'ann@example.org',
    organizer: 'ann@example.org',
    sequence: 1,
    dtstamp: '20261121T080000Z',
    digest: 'one',
    usedAt: NOW,
    ...more,
  };
}
