/** Counts what each client has of something that all of them share, so that none can have it all. */
export class Shares {
  readonly #most: number;
  readonly #taken = new Map<string, number>();

  /** @param most that one client may have at a time */
  constructor(most: number) {
    this.#most = most;
  }

  /**
   * Takes one for the client.
   * @param address IP address; '' counts as one client
   * @returns what gives it back, to be called once; undefined when the client has its share
   */
  take(address: string): (() => void) | undefined {
    const client = networkOf(address);
    const taken = this.#taken.get(client) ?? 0;
    if (taken >= this.#most) return undefined;
    this.#taken.set(client, taken + 1);
    return () => {
      const left = (this.#taken.get(client) ?? 1) - 1;
      if (left === 0) this.#taken.delete(client);
      else this.#taken.set(client, left);
    };
  }
}

/**
 * The address that stands for a client: an IPv4 address, also a mapped one, is itself; of an IPv6 address the first 64
 * bits, for whoever has one of those has all that begin with them.
 */
export function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (!plain.includes(':')) return plain;
  const [head = [], tail = []] = plain.split('::').map((half) => (half === '' ? [] : half.split(':')));
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => '0');
  return `${[...head, ...zeros, ...tail].slice(0, 4).join(':')}::`;
}
