import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Incoming, ListenerFacts } from '../../../src/flow/acceptor.ts';
import { readMailbox, TrialMailbox } from '../../../src/trial/maildir.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imipd-mail-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const MAIL = Buffer.from('Subject: x\r\n\r\n.dots and \0 stay\r\n');

function listener(protocol: 'smtp' | 'lmtp'): ListenerFacts {
  return { name: 'sink', protocol, mode: 'final', origin: 'outside', copyDomains: new Map() };
}

function incoming(protocol: 'smtp' | 'lmtp', recipients: readonly string[], content: AsyncIterable<Buffer>): Incoming {
  return {
    listener: listener(protocol),
    client: { address: '127.0.0.1', protocol: 'ESMTP' },
    envelope: {
      ...{ reversePath: 'olga@outside.test', smtpUtf8: false, body: '7BIT' },
      recipients: recipients.map((address) => ({ address, received: address })),
    },
    content,
    signal: new AbortController().signal,
  };
}

async function* chunks(...parts: readonly (Buffer | Error)[]): AsyncGenerator<Buffer> {
  for (const part of parts) {
    if (part instanceof Error) throw part;
    yield part;
  }
}

test('each recipient gets the message byte for byte, an address named twice gets it twice', async () => {
  const mailbox = new TrialMailbox(folder);
  const recipients = ['Alice@example.com', 'bob@example.com', 'alice@example.com'];
  const replies = await mailbox.message(incoming('lmtp', recipients, chunks(MAIL.subarray(0, 5), MAIL.subarray(5))));
  expect(replies).toEqual(recipients.map(() => ({ code: 250, status: '2.0.0', text: 'stored' })));
  expect((await readMailbox(folder, 'alice@example.com')).map(({ content }) => content)).toEqual([MAIL, MAIL]);
  expect((await readMailbox(folder, 'bob@example.com')).map(({ content }) => content)).toEqual([MAIL]);
  expect(readdirSync(join(folder, '.tmp'))).toEqual([]);
});

test('SMTP has one reply, and mail is read in the order it came', async () => {
  const mailbox = new TrialMailbox(folder);
  for (const subject of ['1', '2', '3']) {
    const recipients = ['alice@example.com', 'bob@example.com'];
    expect(await mailbox.message(incoming('smtp', recipients, chunks(Buffer.from(subject))))).toHaveLength(1);
  }
  expect((await readMailbox(folder, 'alice@example.com')).map(({ content }) => content.toString())).toEqual([
    '1',
    '2',
    '3',
  ]);
});

test('a client that goes away leaves nothing behind', async () => {
  const gone = new Error('gone');
  const message = incoming('smtp', ['alice@example.com'], chunks(MAIL, gone));
  await expect(new TrialMailbox(folder).message(message)).rejects.toBe(gone);
  expect(readdirSync(join(folder, '.tmp'))).toEqual([]);
  expect(await readMailbox(folder, 'alice@example.com')).toEqual([]);
});

test('every recipient is accepted as it came, and none leads out of the folder', async () => {
  const mailbox = new TrialMailbox(folder);
  const recipient = { address: '../../x/y@example.com', received: 'x' };
  expect(await mailbox.recipient(listener('smtp'), recipient)).toEqual({ kind: 'accepted', recipient });
  await mailbox.message(incoming('smtp', [recipient.address], chunks(MAIL)));
  expect(readdirSync(folder).sort()).toEqual(['%2E.%2F..%2Fx%2Fy@example.com', '.tmp']);
});
