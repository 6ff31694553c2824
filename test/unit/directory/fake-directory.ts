import type { Directory, Entry, Expansion, Lookup, LookupOptions } from '../../../src/directory/directory.ts';

/** A directory that says what the test says, and counts. */
export type FakeDirectory = Directory & {
  /** Addresses and group DNs asked for, in order; a fresh look-up with ` fresh` behind it, a name as `name bob of example.com`. */
  readonly asked: readonly string[];
  readonly closed: () => boolean;
};

export function fakeDirectory(answers: {
  readonly lookup?: (address: string, signal: AbortSignal) => Lookup | Promise<Lookup>;
  readonly lookupName?: (name: string, domain: string, signal: AbortSignal) => Lookup | Promise<Lookup>;
  readonly expand?: (group: Entry) => Expansion | Promise<Expansion>;
  readonly probe?: string;
}): FakeDirectory {
  const asked: string[] = [];
  let closed = false;
  return {
    asked,
    closed: () => closed,
    lookup: async (address: string, signal: AbortSignal, options?: LookupOptions) => {
      asked.push(options?.fresh === true ? `${address} fresh` : address);
      return answers.lookup?.(address, signal) ?? { kind: 'unknown', server: 'fake' };
    },
    lookupName: async (name, domain, signal) => {
      asked.push(`name ${name} of ${domain}`);
      return answers.lookupName?.(name, domain, signal) ?? { kind: 'unknown', server: 'fake' };
    },
    expand: async (group) => {
      asked.push(group.dn);
      return answers.expand?.(group) ?? { kind: 'members', entries: [], addresses: [] };
    },
    probe: async () => answers.probe,
    [Symbol.asyncDispose]: async () => {
      closed = true;
    },
  };
}

export function user(mail: string, rest: Partial<Entry> = {}): Entry {
  return {
    dn: `mail=${mail},o=isp`,
    kind: 'user',
    mail,
    addresses: [mail],
    matchedBy: `mail=${mail}`,
    status: [],
    moving: false,
    calendar: true,
    ...rest,
  };
}

export function group(mail: string, memberDns: readonly string[] = []): Entry {
  return user(mail, { kind: 'group', calendar: false, group: { memberDns, memberAddresses: [], memberUrls: [] } });
}

export function found(first: Entry, ...rest: readonly Entry[]): Lookup {
  return { kind: 'found', entries: [first, ...rest], server: 'fake' };
}
