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
  /** Nobody has the asked address; the entry takes all mail of its domain (`@example.com`). */
  readonly catchAll?: true;
  readonly status: readonly StatusValue[];
  /** Being moved between calendar servers: posts are held until the mark goes. */
  readonly moving: boolean;
  /** What says that he is being moved, such as `mailUserStatus=hold`; present when `moving`. */
  readonly movingBy?: string;
  /** Whether the entry is a calendar user, resource or v7 entity at all. */
  readonly calendar: boolean;
  /** Value of the marker attribute (`davStore` in the Sun preset); undefined when absent or none is configured. */
  readonly marker?: string;
  /** Per-user override: the name of a back end, or a URL with options as a domain map line has them. */
  readonly server?: string;
  readonly mailHost?: string;
  /** Where he publishes his busy times (RFC 2739 calFBURL). */
  readonly freeBusyUrl?: string;
  /** What he reads: language tags (BCP 47), the most wished first; absent when the entry says nothing. */
  readonly languages?: readonly string[];
  /** Of a group. */
  readonly group?: GroupFacts;
};

/** How a group names its members, as its entry has it: not expanded. */
export type GroupFacts = {
  readonly memberDns: readonly string[];
  readonly memberAddresses: readonly string[];
  /** LDAP URLs (RFC 4516) of dynamic groups. */
  readonly memberUrls: readonly string[];
  /** What restricts who may send to it, such as `mgrpAllowedBroadcaster`; absent when nothing does. */
  readonly restrictedBy?: string;
};

/**
 * The answer to "who is this address". Three different things end to end: an address nobody has (`unknown`), an entry
 * or several (`found`), and no answer, which is temporary and never reads as unknown.
 */
export type Lookup =
  | ({ readonly kind: 'found'; readonly entries: readonly [Entry, ...Entry[]] } & Asked)
  | ({ readonly kind: 'unknown' } & Asked)
  | { readonly kind: 'no-answer'; readonly reason: string };

/** Who was asked, and how: for `imipd explain`. */
export type Asked = {
  readonly server: string;
  /** Where the search began, and its filter (RFC 4515). LDAP only. */
  readonly base?: string;
  readonly filter?: string;
};

/**
 * Everybody in a group, groups within it included, each once. Entries are users and resources; `addresses` are those
 * of members nobody in the directory has. A group found again within itself is not entered a second time.
 */
export type Expansion =
  | {
      readonly kind: 'members';
      readonly entries: readonly Entry[];
      readonly addresses: readonly string[];
      /** A group within it that restricts who may send, and by what: `mgrpModerator of cn=board,o=example`. */
      readonly restrictedBy?: string;
    }
  | { readonly kind: 'too-large'; readonly limit: number }
  | { readonly kind: 'no-answer'; readonly reason: string };

export type LookupOptions = {
  /** Past the cache, and for a directory in a file past nothing: what it says now. */
  readonly fresh?: boolean;
};

export type Directory = {
  /** Looks one address up. Never rejects; `signal` cuts the wait short with `no-answer`. */
  lookup(address: string, signal: AbortSignal, options?: LookupOptions): Promise<Lookup>;
  /**
   * Looks up what v6 knows somebody by, where that is no address: `icsCalendar`, with and without the default domain,
   * else `uid`; which attributes, the mapping says. Never rejects; `signal` cuts the wait short with `no-answer`.
   * @param domain the default domain: an entry of another one is not found by a bare name
   */
  lookupName(name: string, domain: string, signal: AbortSignal): Promise<Lookup>;
  /** Who is in a group that `lookup` found. Never rejects. */
  expand(group: Entry, signal: AbortSignal): Promise<Expansion>;
  /** Reaches the directory once, for `imipd check`. @returns undefined when all is well, else what is wrong */
  probe(signal: AbortSignal): Promise<string | undefined>;
  [Symbol.asyncDispose](): Promise<void>;
};
