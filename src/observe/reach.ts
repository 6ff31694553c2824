import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';

export type ReachOptions = {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** TLS from the start, trusting these authorities (PEM) or the system's. */
  readonly tls?: { readonly ca?: string };
};
type Unreached = { readonly ok: false; readonly reason: string };

/** Connects once to a server that speaks first, as those of SMTP and LMTP do. @returns its first line, or what is wrong */
export function reach(options: ReachOptions): Promise<{ readonly ok: true; readonly greeting: string } | Unreached> {
  const { host, port, tls, timeoutMs } = options;
  const { promise, resolve } = Promise.withResolvers<{ ok: true; greeting: string } | Unreached>();
  const socket: Socket =
    tls === undefined
      ? connectTcp({ host, port })
      : connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...tls });
  const finish = (result: { ok: true; greeting: string } | Unreached): void => {
    clearTimeout(timer);
    socket.destroy();
    resolve(result);
  };
  const timer = setTimeout(() => finish(silent(timeoutMs)), timeoutMs);
  socket.once('error', (error) => finish(failed(error)));
  socket.once('data', (data) => finish({ ok: true, greeting: data.toString('latin1').split('\r\n', 1)[0] ?? '' }));
  socket.once('end', () => finish({ ok: false, reason: 'it closed the connection without a word' }));
  return promise;
}

/** How TLS is spoken where it is not spoken as usual. */
export type AskTls = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'minVersion' | 'ciphers'>;

/** Asks a web server for a URL once. @returns the status it answers with, or what is wrong */
export function ask(
  url: URL,
  options: AskTls & { readonly timeoutMs: number },
): Promise<{ readonly ok: true; readonly status: number } | Unreached> {
  const { promise, resolve } = Promise.withResolvers<{ ok: true; status: number } | Unreached>();
  const { timeoutMs, ...tls } = options;
  const secure = url.protocol === 'https:';
  const request = secure ? requestHttps(url, { agent: false, ...tls }) : requestHttp(url, { agent: false });
  const timer = setTimeout(() => {
    resolve(silent(timeoutMs));
    request.destroy();
  }, timeoutMs);
  request.once('close', () => clearTimeout(timer));
  request.on('error', (error) => {
    const closed = !secure && 'code' in error && error.code === 'ECONNRESET';
    const reason =
      'it closed the connection without an answer; look whether it wants https on this port, and into its log';
    resolve(closed ? { ok: false, reason } : failed(error));
  });
  request.once('response', (response) => {
    resolve({ ok: true, status: response.statusCode ?? 0 });
    response.destroy();
  });
  request.end();
  return promise;
}

/** Whether a server completes a TLS handshake, whoever signed its certificate. */
export function offersTls(options: Omit<ReachOptions, 'tls'>): Promise<boolean> {
  const { host, port, timeoutMs } = options;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const named = isIP(host) === 0 ? { servername: host } : {};
  // Nothing is sent: whether the certificate is to be trusted is for the URL's https to find out.
  const socket = connectTls({ host, port, rejectUnauthorized: false, ...named });
  const finish = (offered: boolean): void => {
    clearTimeout(timer);
    socket.destroy();
    resolve(offered);
  };
  const timer = setTimeout(() => finish(false), timeoutMs);
  socket.once('error', () => finish(false));
  socket.once('end', () => finish(false));
  socket.once('secureConnect', () => finish(true));
  return promise;
}

function silent(timeoutMs: number): Unreached {
  return { ok: false, reason: `no answer within ${timeoutMs / 1000} s` };
}

const UNTRUSTED = /^(?:UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_UNTRUSTED)/;

function failed(error: Error): Unreached {
  const code = 'code' in error ? String(error.code) : '';
  if (UNTRUSTED.test(code)) {
    return { ok: false, reason: `its certificate is of no authority that is trusted (${code}); name that one with ca` };
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID' || code === 'HPE_INVALID_CONSTANT' || code === '')
    return { ok: false, reason: error.message };
  if (code === 'ENOTFOUND') return { ok: false, reason: `its name cannot be resolved (${code})` };
  if (code === 'ECONNREFUSED') return { ok: false, reason: `nobody listens there (${code})` };
  if (error.message.includes('wrong version number'))
    return { ok: false, reason: `it speaks no TLS on this port (${code})` };
  return { ok: false, reason: error.message.includes(code) ? error.message : `${error.message} (${code})` };
}
