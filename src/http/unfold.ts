import type { Socket } from 'node:net';

const HEADERS_END = Buffer.from('\r\n\r\n');

/** How reading the headers ahead ended. `ready`: what was read stands in the socket again, for who reads it next. */
export type ReadAhead = { readonly kind: 'ready'; readonly isFolded: boolean } | { readonly kind: 'too-slow' };

/**
 * Reads the headers of the first request on a connection, and joins those that are folded over several lines: Node's
 * parser refuses these unless it is told to take much worse as well, and RFC 9112 §5.2 lets us put blanks for each
 * fold before anybody reads the field. Only octets before the first empty line are touched, so where the body begins is
 * as it was.
 * @param limits.maxBytes headers longer than that are left as they are; the parser has a bound of its own
 * @param done not called when the connection ends before
 */
export function readHeadersAhead(
  socket: Socket,
  limits: { readonly maxBytes: number; readonly timeoutMs: number },
  done: (ahead: ReadAhead) => void,
): void {
  let read: Buffer = Buffer.alloc(0);
  let size = 0;
  const end = (ahead: ReadAhead, again?: Buffer): void => {
    clearTimeout(timer);
    socket.off('data', onData);
    socket.off('close', onClose);
    socket.off('error', onError);
    socket.pause();
    if (again !== undefined) socket.unshift(again); // a socket that flows would give it to nobody
    done(ahead);
    socket.resume();
  };
  const onData = (chunk: Buffer): void => {
    const searchFrom = Math.max(0, size - HEADERS_END.length + 1);
    if (size === 0) read = chunk;
    else if (size + chunk.length > read.length) {
      // Twice as much as is needed: headers that come octet by octet are not copied for each of them.
      const larger = Buffer.alloc(2 * (size + chunk.length));
      read.copy(larger, 0, 0, size);
      read = larger;
    }
    if (size > 0) chunk.copy(read, size);
    size += chunk.length;
    const all = read.subarray(0, size);
    const length = all.indexOf(HEADERS_END, searchFrom);
    if (length < 0 && size < limits.maxBytes && isMethod(all)) return;
    const headers = length < 0 ? undefined : unfold(all.subarray(0, length));
    const again = headers === undefined ? all : Buffer.concat([headers, all.subarray(length)]);
    end({ kind: 'ready', isFolded: headers !== undefined }, again);
  };
  const onClose = (): void => clearTimeout(timer);
  const onError = (): void => undefined; // `close` follows
  const timer = setTimeout(() => end({ kind: 'too-slow' }), limits.timeoutMs);
  socket.on('data', onData);
  socket.once('close', onClose);
  socket.on('error', onError);
}

/** Whether it begins as a request does; all else, a TLS handshake too, is the parser's to refuse at once. */
function isMethod([first = 0]: Buffer): boolean {
  return first >= 0x41 && first <= 0x5a;
}

/** @returns undefined when nothing is folded, or the first header is, which goes on with nothing */
function unfold(headers: Buffer): Buffer | undefined {
  const text = headers.toString('latin1');
  if (!/\r\n[ \t]/.test(text) || /^[^\r\n]*\r\n[ \t]/.test(text)) return undefined;
  return Buffer.from(text.replace(/\r\n(?=[ \t])/g, ''), 'latin1');
}
