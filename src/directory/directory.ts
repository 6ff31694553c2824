/** One status attribute that an entry or its domain carries, in the order of the chain: domain, user, mail, calendar. */
export type StatusValue = {
  readonly scope: 'domain' | 'user' | 'mail' | 'calendar';
  readonly attribute: string;
  readonly value: string;
};

/** What the directory says about one recipient. */
export type Entry = {
  readonly dn: string;
  /** `group` is a list; it has members, not a calendar. */
  readonly kind: 'user' | 'resource' | 'group';
  /** Primary address, domain normalised. */
  readonly mail: string;
  /** Every address of the entry, the primary one first. */
  readonly addresses: readonly string[];
  /** How the asked address led here, such as `mailAlternateAddress=a.adams@example.com`. */
  readonly matchedBy: string;
  /** The detail of a sub-address that had to be taken off to find the entry. */
  readonly detail?: string;
  readonly status: readonly StatusValue[];
  /** Being moved between calendar servers: posts are held until the mark goes. */
  readonly moving: boolean;
  /** Whether the entry is a calendar user, resource or v7 entity at all. */
  readonly calendar: boolean;
  /** Value of the marker attribute (`davStore` in the Sun preset); undefined when absent or none is configured. */
  readonly marker?: string;
  readonly mailHost?: string;
};

/**
 * The answer to "who is this address". Three different things end to end: an address nobody has (`unknown`), an entry
 * or several (`found`), and no answer, which is temporary and never reads as unknown.
 */
export type Lookup =
  | { readonly kind: 'found'; readonly entries: readonly [Entry, ...Entry[]]; readonly server: string }
  | { readonly kind: 'unknown'; readonly server: string }
  | { readonly kind: 'no-answer'; readonly reason: string };

export type Directory = {
  /** Looks one address up. Never rejects; `signal` cuts the wait short with `no-answer`. */
  lookup(address: string, signal: AbortSignal): Promise<Lookup>;
  /** Reaches the directory once, for `imipd check`. @returns undefined when all is well, else what is wrong */
  probe(signal: AbortSignal): Promise<string | undefined>;
  [Symbol.asyncDispose](): Promise<void>;
};
