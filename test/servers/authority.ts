import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type IssuedCertificate = {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** SHA-256 in upper-case hexadecimal with colons. */
  readonly fingerprint256: string;
};

export type CertificateWish = {
  /** DNS name: common name and subjectAltName. */
  readonly name: string;
  /** IP addresses beside the name; 127.0.0.1 when absent and not for a client. */
  readonly addresses?: readonly string[];
  /** For a TLS client instead of a server. */
  readonly client?: boolean;
  /** How long it is valid, 1 when absent; -1: it has expired already. */
  readonly days?: number;
};

/** A certification authority made on the spot with the openssl command. Disposing removes its folder. */
export type Authority = {
  /** Its own certificate, PEM. */
  readonly pem: string;
  readonly file: string;
  issue(wish: CertificateWish): Promise<IssuedCertificate>;
  [Symbol.asyncDispose](): Promise<void>;
};

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export async function makeAuthority(): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), 'imipd-authority-'));
  const at = (name: string) => join(folder, name);
  const openssl = (...args: readonly string[]) => run('openssl', [...args], { cwd: folder });
  let issued = 0;
  try {
    const extensions = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'];
    await openssl(
      ...['req', '-x509', ...NEW_KEY, '-keyout', at('ca.key'), '-out', at('ca.pem'), '-days', '2'],
      ...['-subj', '/CN=imipd test authority', ...extensions],
    );
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }

  async function issue(wish: CertificateWish): Promise<IssuedCertificate> {
    issued += 1;
    const [certFile, keyFile, request, extensions] = ['pem', 'key', 'csr', 'ext'].map((end) =>
      at(`${issued}.${end}`),
    ) as [string, string, string, string];
    const addresses = wish.addresses ?? (wish.client === true ? [] : ['127.0.0.1']);
    const names = [`DNS:${wish.name}`, ...addresses.map((address) => `IP:${address}`)];
    await writeFile(
      extensions,
      `basicConstraints=CA:FALSE\nsubjectAltName=${names.join(',')}\n` +
        `extendedKeyUsage=${wish.client === true ? 'clientAuth' : 'serverAuth'}\n`,
    );
    await openssl('req', '-new', ...NEW_KEY, '-keyout', keyFile, '-out', request, '-subj', `/CN=${wish.name}`);
    // With -1 day it ended before it began.
    const validity = ['-days', `${wish.days ?? 1}`];
    await openssl(
      ...['x509', '-req', '-in', request, '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-set_serial', `${issued}`],
      ...['-extfile', extensions, '-out', certFile, ...validity],
    );
    const [cert, key] = (await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])) as [
      string,
      string,
    ];
    return { cert, key, certFile, keyFile, fingerprint256: new X509Certificate(cert).fingerprint256 };
  }

  return {
    pem: await readFile(at('ca.pem'), 'utf8'),
    file: at('ca.pem'),
    issue,
    async [Symbol.asyncDispose]() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
