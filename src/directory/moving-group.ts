import { addressKey } from '../mail/address.ts';
import { orAborted } from '../net/wait.ts';
import type { Log } from '../observe/log.ts';
import type { Directory, Entry, Expansion } from './directory.ts';
import { dnKey } from './schema.ts';

/** Who is in a group as it stands. */
export type Membership =
  | { readonly kind: 'members'; readonly has: (entry: Entry) => boolean }
  | { readonly kind: 'trouble'; readonly reason: string };

/**
 * A fresh answer may be this old, in ms: every held post asks for one, all in a row, and the group is the same for all.
 */
const FRESH_MS = 1000;

/** The members of one group, read again when they are older than `ttlMs`. That they could not be read is not kept. */
export class GroupMembers {
  readonly #group: string;
  readonly #directory: Pick<Directory, 'lookup' | 'expand'>;
  readonly #ttlMs: number;
  readonly #log: Log;
  readonly #clock: () => number;
  readonly #closing = new AbortController();
  #known: { readonly members: Membership & { kind: 'members' }; readonly askedAt: number } | undefined;
  #pending: Promise<Membership> | undefined;
  #trouble: string | undefined;
  #empty = false;

  /** @param group address or DN */
  constructor(
    group: string,
    directory: Pick<Directory, 'lookup' | 'expand'>,
    ttlMs: number,
    log: Log,
    clock: () => number,
  ) {
    this.#group = group;
    this.#directory = directory;
    this.#ttlMs = ttlMs;
    this.#log = log;
    this.#clock = clock;
  }

  async current(signal: AbortSignal, fresh: boolean): Promise<Membership> {
    const maxAgeMs = fresh ? Math.min(FRESH_MS, this.#ttlMs) : this.#ttlMs;
    if (this.#known !== undefined && this.#clock() - this.#known.askedAt < maxAgeMs) return this.#known.members;
    this.#pending ??= this.#read().finally(() => {
      this.#pending = undefined;
    });
    return (await orAborted(this.#pending, signal)) ?? { kind: 'trouble', reason: 'the look-up was stopped' };
  }

  close(): void {
    this.#closing.abort();
  }

  async #read(): Promise<Membership> {
    const askedAt = this.#clock();
    const expansion = await this.#expand();
    if (expansion.kind === 'members') {
      const members = { kind: 'members', has: memberTest(expansion) } as const;
      this.#known = { members, askedAt };
      this.#note(undefined);
      this.#noteEmpty(expansion.entries.length + expansion.addresses.length === 0);
      return members;
    }
    const why =
      expansion.kind === 'too-large'
        ? `has more than ${expansion.limit} members; set directory.group-limit higher`
        : expansion.reason;
    const reason = `moving-group ${this.#group}: ${why}`;
    if (!this.#closing.signal.aborted) this.#note(reason);
    return { kind: 'trouble', reason };
  }

  async #expand(): Promise<Expansion> {
    const signal = this.#closing.signal;
    if (!isAddress(this.#group)) return this.#directory.expand(groupAround(this.#group), signal);
    const lookup = await this.#directory.lookup(this.#group, signal, { fresh: true });
    if (lookup.kind === 'no-answer') return lookup;
    // Nobody can be said to be outside of a group that is not there: a slip in its name must not end the moves.
    if (lookup.kind === 'unknown')
      return noAnswer('nobody in the directory has this address; create the group, or remove the option');
    const [group, ...others] = lookup.entries;
    if (others.length > 0) return noAnswer(`${1 + others.length} entries have this address, need one`);
    if (group.kind !== 'group') return noAnswer(`${group.dn} is a ${group.kind}, need a group`);
    return this.#directory.expand(group, signal);
  }

  /** An empty group is the usual thing between two moves; one named by a wrong DN looks the same. */
  #noteEmpty(empty: boolean): void {
    if (empty && !this.#empty)
      this.#log.warn(
        { event: 'moving group empty', group: this.#group },
        'moving-group has no members, or is not there: nobody in it is being moved',
      );
    this.#empty = empty;
  }

  /** Logs a change of state only. */
  #note(trouble: string | undefined): void {
    if (trouble === this.#trouble) return;
    if (trouble === undefined) this.#log.info({ event: 'moving group read', group: this.#group });
    else
      this.#log.warn(
        { event: 'moving group unusable', group: this.#group, reason: trouble },
        `${trouble}; look-ups get no answer until it can be read`,
      );
    this.#trouble = trouble;
  }
}

function memberTest(expansion: Expansion & { kind: 'members' }): (entry: Entry) => boolean {
  const dns = new Set(expansion.entries.map(({ dn }) => dnKey(dn)));
  const addresses = new Set(expansion.addresses.map(addressKey));
  return (entry) => dns.has(dnKey(entry.dn)) || entry.addresses.some((one) => addresses.has(addressKey(one)));
}

/** A DN begins with an attribute type and `=` (RFC 4514 §2.2). It may hold an `@`. */
function isAddress(group: string): boolean {
  return !/^\s*(?:[a-z][a-z0-9-]*|[0-9.]+)\s*=/i.test(group);
}

/** What stands for a group of which the DN alone is known: its one member is that group. */
function groupAround(dn: string): Entry {
  return {
    dn: '',
    kind: 'group',
    mail: '',
    addresses: [],
    matchedBy: 'moving-group',
    status: [],
    moving: false,
    calendar: false,
    group: { memberDns: [dn], memberAddresses: [], memberUrls: [] },
  };
}

function noAnswer(reason: string): Expansion {
  return { kind: 'no-answer', reason };
}
