import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export type ReachOptions = {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** TLS from the start, trusting these authorities (PEM) or the system's. */
  readonly tls?: { readonly ca?: string };
  /** Whether the peer speaks first, as SMTP and LMTP servers do; its first line is then waited for. */
  readonly greets?: boolean;
};

/** Connects once. @returns what the peer said first ('' when it need not), or why it cannot be reached */
export function reach(
  options: ReachOptions,
): Promise<{ readonly ok: true; readonly greeting: string } | { readonly ok: false; readonly reason: string }> {
  const { host, port } = options;
  const { promise, resolve } = Promise.withResolvers<{ ok: true; greeting: string } | { ok: false; reason: string }>();
  const connected = (): void => {
    if (options.greets !== true) finish({ ok: true, greeting: '' });
  };
  const socket: Socket =
    options.tls === undefined
      ? connectTcp({ host, port }, connected)
      : connectTls(
          { host, port, servername: host, ...(options.tls.ca === undefined ? {} : { ca: options.tls.ca }) },
          connected,
        );
  const finish = (result: { ok: true; greeting: string } | { ok: false; reason: string }): void => {
    clearTimeout(timer);
    socket.destroy();
    resolve(result);
  };
  const timer = setTimeout(
    () => finish({ ok: false, reason: `no answer within ${options.timeoutMs} ms` }),
    options.timeoutMs,
  );
  socket.once('error', (error) =>
    finish({ ok: false, reason: error.message === '' && 'code' in error ? String(error.code) : error.message }),
  );
  socket.once('data', (data) => finish({ ok: true, greeting: data.toString('latin1').split('\r\n', 1)[0] ?? '' }));
  socket.once('end', () => finish({ ok: false, reason: 'closed the connection without a word' }));
  return promise;
}
