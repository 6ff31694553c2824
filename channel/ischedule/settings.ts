import type { Canonicalization } from '../../rules/peer.ts';

export const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
export type TlsVersion = (typeof TLS_VERSIONS)[number];

export const CAPABILITY_QUERIES = ['none', 'action', 'query'] as const;
/** How a server is asked what it takes: not at all, `?action=capabilities`, or the `?query=capabilities` of -00 and -01. */
export type CapabilityQuery = (typeof CAPABILITY_QUERIES)[number];

/** How we speak to one calendar server. */
export type ServerSettings = {
  /** The same service elsewhere, tried in this order where the one before gives no answer. */
  readonly fallbacks: readonly string[];
  /** `none`: never; else with the key of the Originator's domain, where there is one. Undefined: as the profile wants. */
  readonly sign?: 'none' | Canonicalization;
  /** The domain whose key signs where there is none of the Originator's. Undefined: such posts go unsigned. */
  readonly signAs?: string;
  readonly capabilities?: CapabilityQuery;
  /** The one deadline of an attempt. */
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  /** From the request's end to the answer's headers, and between two pieces of its body. */
  readonly headersTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  /** PEM. */
  readonly ca?: string;
  readonly clientCertificate?: { readonly cert: string; readonly key: string };
  readonly minTls?: TlsVersion;
  /** OpenSSL's, 0 to 5: below 1 for a server that knows nothing newer than TLS 1.1. */
  readonly securityLevel?: number;
  /** Sent as it stands, by https only. */
  readonly authorization?: string;
};
