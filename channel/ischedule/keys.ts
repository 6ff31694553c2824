import type { KeyObject } from 'node:crypto';

/** How a public key is found (draft-desruisseaux-ischedule-05 §7.3). */
export const KEY_METHODS = ['dns/txt', 'http/well-known', 'private-exchange'] as const;
export type KeyMethod = (typeof KEY_METHODS)[number];

/** A public key with what its record says of its use (RFC 6376 §3.6.1). */
export type VerificationKey = {
  readonly key: KeyObject;
  readonly bits: number;
  /** Hash algorithms it may be used with; absent: any. */
  readonly hashes?: readonly string[];
  /** Service types; absent: any. */
  readonly services?: readonly string[];
  /** `t=y` */
  readonly testing: boolean;
  /** `t=s`: the domain of i must be d itself. */
  readonly strict: boolean;
  readonly method: KeyMethod;
};

export type KeyAnswer =
  /** Usable keys of this selector; several while one takes the other's place. */
  | { readonly kind: 'keys'; readonly keys: readonly VerificationKey[] }
  /** No record, revoked, or none that can be used. */
  | { readonly kind: 'none'; readonly reason: string }
  /** Temporary: nobody could be asked. */
  | { readonly kind: 'no-answer'; readonly reason: string };

/** Finds and caches public keys. */
export type KeyFinder = {
  /**
   * @param methods in the signer's order of preference
   * @param options.fresh asks again although there is an answer in the cache, unless that one is new itself: the same
   *   object is then returned once more
   */
  find(
    domain: string,
    selector: string,
    methods: readonly string[],
    signal: AbortSignal,
    options?: { readonly fresh?: boolean },
  ): Promise<KeyAnswer>;
};

/** A private key of ours. */
export type SigningKey = {
  /** d: signs for Originators of this domain and of those below it. */
  readonly domain: string;
  readonly selector: string;
  readonly key: KeyObject;
  /** Where its public half is found, most preferred first, when that is not where those of all our keys are. */
  readonly methods?: readonly KeyMethod[];
};
