import { inspect } from 'node:util';

const HIDDEN = '[secret]';

/** A password or key. Printing, logging or serialising it shows `[secret]`; only `reveal()` gives the text. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return HIDDEN;
  }

  toJSON(): string {
    return HIDDEN;
  }

  [inspect.custom](): string {
    return HIDDEN;
  }
}

/** What resolving a secret needs of the outside. */
export type SecretSources = {
  /** @throws what the file system says */
  readonly readText: (path: string) => string;
  readonly env: Readonly<Record<string, string | undefined>>;
};

/**
 * The secret that an option names: `file:/path` (without the line end that editors leave), `env:NAME`, or the text itself.
 * @returns `why` it cannot be had, without showing any of it
 */
export function resolveSecret(
  reference: string,
  sources: SecretSources,
): { readonly ok: true; readonly value: Secret } | { readonly ok: false; readonly why: string } {
  if (reference.startsWith('env:')) {
    const name = reference.slice('env:'.length);
    const text = sources.env[name];
    if (text === undefined || text === '')
      return { ok: false, why: `the environment variable ${name} is not set; set it, or name a file with file:/path` };
    return { ok: true, value: new Secret(text) };
  }
  if (reference.startsWith('file:')) {
    const path = reference.slice('file:'.length);
    try {
      const text = sources.readText(path).replace(/\r?\n$/, '');
      return text === ''
        ? { ok: false, why: `${path} is empty; put the secret in it` }
        : { ok: true, value: new Secret(text) };
    } catch (error) {
      return { ok: false, why: `cannot read ${path} (${fileErrorText(error)}); name a file that this user may read` };
    }
  }
  return { ok: true, value: new Secret(reference) };
}

/** What the file system said, in words; anything but a system error is thrown on. */
export function fileErrorText(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') throw error;
  const words: Readonly<Record<string, string>> = {
    ENOENT: 'no such file',
    EACCES: 'permission denied',
    EISDIR: 'it is a folder',
    ENOTDIR: 'no such file',
  };
  return words[error.code] ?? error.code;
}
