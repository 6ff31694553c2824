import type { buildConnector } from 'undici';

/** How a connection to one server is made. */
export type TlsOptions = {
  readonly connectTimeoutMs: number;
  /** PEM of the authorities to trust instead of the system's. */
  readonly ca?: string;
  readonly clientCertificate?: { readonly cert: string; readonly key: string };
  readonly minTls?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL's, 0 to 5: below 1 for a server that knows nothing newer than TLS 1.1. */
  readonly securityLevel?: number;
};

/** The same in the words of undici and Node. @param own whether the server may see our client certificate */
export function connectOptions(options: TlsOptions, own: boolean): buildConnector.BuildOptions {
  const { connectTimeoutMs, ca, clientCertificate, minTls, securityLevel } = options;
  return {
    timeout: connectTimeoutMs,
    ...(ca === undefined ? {} : { ca }),
    ...(own && clientCertificate !== undefined ? clientCertificate : {}),
    ...(minTls === undefined ? {} : { minVersion: minTls }),
    ...(securityLevel === undefined ? {} : { ciphers: `DEFAULT@SECLEVEL=${securityLevel}` }),
  };
}
