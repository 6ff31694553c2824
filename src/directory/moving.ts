import { orAborted } from '../net/wait.ts';
import type { Log } from '../observe/log.ts';
import type { Directory, Entry, Expansion, Lookup, LookupOptions } from './directory.ts';
import { AddressFile } from './moving-file.ts';
import { GroupMembers } from './moving-group.ts';

/** What says that a user is being moved between calendar servers. Any one of them does. */
export type Marks = {
  /** Read by the schema mapping; here it only says how the mark is spelled. */
  readonly attribute?: { readonly attribute: string; readonly value: string };
  readonly group?: {
    /** Address or DN. */
    readonly name: string;
    /** Where it is read: not through a cache, it is kept here. */
    readonly from: Pick<Directory, 'lookup' | 'expand'>;
    readonly ttlMs: number;
  };
  /** Path of a file of addresses. */
  readonly file?: string;
};

/**
 * Adds to what a directory says of its users whether they are being moved. While a mark cannot be read at all, the
 * answer is no answer, never "not moving": a post would go to the server the user is leaving.
 *
 * Closing it closes the directory within.
 * @param clock milliseconds that never go back
 */
export function marking(
  directory: Directory,
  marks: Marks,
  log: Log,
  clock: () => number = () => performance.now(),
): Directory {
  return new MarkingDirectory(directory, marks, log, clock);
}

type Marked =
  | { readonly kind: 'marked'; readonly entries: readonly Entry[] }
  | { readonly kind: 'no-answer'; readonly reason: string };

class MarkingDirectory implements Directory {
  readonly #inner: Directory;
  readonly #attribute: string | undefined;
  readonly #file: { readonly path: string; readonly list: AddressFile } | undefined;
  readonly #group: { readonly name: string; readonly members: GroupMembers } | undefined;

  constructor(inner: Directory, marks: Marks, log: Log, clock: () => number) {
    const { attribute, group, file } = marks;
    this.#inner = inner;
    this.#attribute = attribute && `${attribute.attribute}=${attribute.value}`;
    this.#file = file === undefined ? undefined : { path: file, list: new AddressFile(file, log, clock) };
    this.#group = group && {
      name: group.name,
      members: new GroupMembers(group.name, group.from, group.ttlMs, log, clock),
    };
  }

  async lookup(address: string, signal: AbortSignal, options?: LookupOptions): Promise<Lookup> {
    const lookup = await this.#inner.lookup(address, signal, options);
    return this.#markFound(lookup, signal, options?.fresh === true);
  }

  async lookupName(name: string, domain: string, signal: AbortSignal): Promise<Lookup> {
    return this.#markFound(await this.#inner.lookupName(name, domain, signal), signal, false);
  }

  async #markFound(lookup: Lookup, signal: AbortSignal, fresh: boolean): Promise<Lookup> {
    if (lookup.kind !== 'found') return lookup;
    const marked = await this.#mark(lookup.entries, signal, fresh);
    if (marked.kind === 'no-answer') return marked;
    const [first, ...rest] = marked.entries;
    return first === undefined ? lookup : { ...lookup, entries: [first, ...rest] };
  }

  async expand(group: Entry, signal: AbortSignal): Promise<Expansion> {
    const expansion = await this.#inner.expand(group, signal);
    if (expansion.kind !== 'members') return expansion;
    const marked = await this.#mark(expansion.entries, signal, false);
    return marked.kind === 'no-answer' ? marked : { ...expansion, entries: marked.entries };
  }

  /** Whether the directory answers, and every mark can be read. */
  async probe(signal: AbortSignal): Promise<string | undefined> {
    const wrong = await this.#inner.probe(signal);
    // A directory that does not answer has said why; the group would say it again.
    if (wrong !== undefined) return wrong;
    await this.#file?.list.current(true);
    const members = await this.#group?.members.current(signal, true);
    const found = [this.#file?.list.trouble, members?.kind === 'trouble' ? members.reason : undefined];
    return found.filter((one) => one !== undefined).join('; ') || undefined;
  }

  /** Marks in the order of their cost: the entry's own, the file's, the group's. */
  async #mark(entries: readonly Entry[], signal: AbortSignal, fresh: boolean): Promise<Marked> {
    const marked: Entry[] = [];
    for (const entry of entries) {
      const mark = await this.#markOf(entry, signal, fresh);
      if (typeof mark === 'object') return { kind: 'no-answer', reason: mark.reason };
      marked.push(mark === undefined ? entry : { ...entry, moving: true, movingBy: mark });
    }
    return { kind: 'marked', entries: marked };
  }

  async #markOf(
    entry: Entry,
    signal: AbortSignal,
    fresh: boolean,
  ): Promise<string | undefined | { readonly reason: string }> {
    if (entry.moving) return entry.movingBy ?? this.#attribute ?? 'an attribute of the entry';
    if (entry.kind === 'group') return undefined;
    if (this.#file !== undefined) {
      const list = await orAborted(this.#file.list.current(fresh), signal);
      if (list === undefined) return { reason: 'the look-up was stopped' };
      if (list.kind === 'trouble') return list;
      if (entry.addresses.some(list.has)) return `${this.#file.path} names him`;
    }
    if (this.#group === undefined) return undefined;
    const members = await this.#group.members.current(signal, fresh);
    if (members.kind === 'trouble') return members;
    return members.has(entry) ? `member of ${this.#group.name}` : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#group?.members.close();
    await this.#inner[Symbol.asyncDispose]();
  }
}
