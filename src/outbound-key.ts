import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Octets of the secret that VERP tokens are made with. */
const KEY_BYTES = 32;
const FILE_NAME = 'outbound.key';

/** The secret's file cannot be used; the message names it and says what to do. */
export class OutboundKeyError extends Error {
  override readonly name = 'OutboundKeyError';
}

/**
 * The secret that envelope senders of ours are proved by, from the folder of the queue; made there at the first start.
 * It outlives restarts: with another one no bounce of what has left already would find its attendee.
 * @throws OutboundKeyError when there is a file that is not such a secret, or that others may read; what the file
 *   system says of the folder
 */
export async function openOutboundKey(folder: string): Promise<Buffer> {
  const path = join(folder, FILE_NAME);
  return (await readKey(path)) ?? (await makeKey(folder, path));
}

/** The same, of a folder that nothing is made in. @returns undefined when no gateway has been started with one yet */
export function readOutboundKey(folder: string): Promise<Buffer | undefined> {
  return readKey(join(folder, FILE_NAME));
}

// Written whole under another name first: nobody ever finds half a key, also after a crash.
async function makeKey(folder: string, path: string): Promise<Buffer> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const key = randomBytes(KEY_BYTES);
  const draft = `${path}.${randomBytes(8).toString('hex')}`;
  try {
    await writeDraft(draft, key);
    await link(draft, path);
    return key;
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
    // Another process was a moment earlier, and what it made counts.
    const made = await readKey(path);
    if (made === undefined) throw error;
    return made;
  } finally {
    await rm(draft, { force: true });
  }
}

async function writeDraft(path: string, key: Buffer): Promise<void> {
  const file = await open(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
  try {
    await file.writeFile(key);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function readKey(path: string): Promise<Buffer | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    if (isCode(error, 'ELOOP')) throw new OutboundKeyError(`${path} is a link, need the file itself`);
    throw error;
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new OutboundKeyError(`${path} is no file, need one of ${KEY_BYTES} octets`);
    if ((stat.mode & 0o077) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(3, '0');
      throw new OutboundKeyError(
        `${path} is open to others (mode ${mode}), who could forge bounces with it; chmod 600 it, or remove it for a new one`,
      );
    }
    if (stat.size !== KEY_BYTES) {
      throw new OutboundKeyError(
        `${path} has ${stat.size} octets, need ${KEY_BYTES}; restore it from a backup, or remove it for a new one (bounces of mail that has left already are then refused)`,
      );
    }
    return await file.readFile();
  } finally {
    await file.close();
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
