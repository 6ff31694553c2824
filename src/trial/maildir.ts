import { randomBytes } from 'node:crypto';
import { copyFile, link, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Acceptor, Incoming, ListenerFacts, RecipientVerdict } from '../flow/acceptor.ts';
import type { EnvelopeRecipient } from '../mail/envelope.ts';
import { type Reply, reply } from '../mail/status.ts';
import { folderName } from './vdir.ts';

const STORED = reply('2.0.0', 'stored');

/**
 * A mail sink behind our own SMTP or LMTP receiver, for trial and tests only: takes every recipient and keeps each
 * message, byte for byte, once per recipient, as `folder/<mailbox>/new/<unique>.eml`. A file appears whole or not at
 * all, but is not fsynced.
 */
export class TrialMailbox implements Acceptor {
  readonly #folder: string;
  #count = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async recipient(_listener: ListenerFacts, recipient: EnvelopeRecipient): Promise<RecipientVerdict> {
    return { kind: 'accepted', recipient };
  }

  async message(incoming: Incoming): Promise<readonly Reply[]> {
    const spool = join(this.#folder, '.tmp');
    await mkdir(spool, { recursive: true });
    const name = this.#uniqueName();
    const temporary = join(spool, name);
    try {
      await write(temporary, incoming.content);
      const { recipients } = incoming.envelope;
      for (const [position, { address }] of recipients.entries()) {
        const mailbox = join(this.#folder, folderName(address), 'new');
        await mkdir(mailbox, { recursive: true });
        const target = join(mailbox, `${name}.${position}.eml`);
        if (position === recipients.length - 1) await rename(temporary, target);
        else await share(temporary, target);
      }
      return incoming.listener.protocol === 'lmtp' ? recipients.map(() => STORED) : [STORED];
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** Ascending in order of arrival within one process and, by the clock, over several. */
  #uniqueName(): string {
    this.#count += 1;
    const arrived = Date.now().toString().padStart(14, '0');
    return `${arrived}.${this.#count.toString().padStart(8, '0')}.${randomBytes(4).toString('hex')}`;
  }
}

async function write(file: string, content: AsyncIterable<Buffer>): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    for await (const chunk of content) await handle.write(chunk);
  } finally {
    await handle.close();
  }
}

/** A second name for the same bytes, or a copy where the file system has no hard links. */
async function share(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code === 'EEXIST') throw error;
    await copyFile(from, to);
  }
}

/** The messages of one mailbox, oldest first; none when nothing has come. */
export async function readMailbox(folder: string, mailbox: string): Promise<{ file: string; content: Buffer }[]> {
  const path = join(folder, folderName(mailbox), 'new');
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
  const files = names.filter((name) => name.endsWith('.eml')).sort();
  return Promise.all(files.map(async (file) => ({ file, content: await readFile(join(path, file)) })));
}
