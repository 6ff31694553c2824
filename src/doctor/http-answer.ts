/** What came back to one request. */
export type Answer =
  | {
      readonly kind: 'answer';
      readonly status: number;
      /** Names and values as they came. */
      readonly headers: readonly (readonly [name: string, value: string])[];
      readonly body: Buffer;
      /** Status codes 1xx that came before. */
      readonly interim: readonly number[];
    }
  | { readonly kind: 'nothing'; readonly reason: string };

/** All values of a header, joined by a comma as RFC 9110 §5.3 has it; undefined when absent. */
export function header(answer: Answer, name: string): string | undefined {
  if (answer.kind === 'nothing') return undefined;
  const values = answer.headers.filter(([one]) => one.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
  return values.length === 0 ? undefined : values.join(', ');
}

/**
 * Reads an HTTP/1 answer from what was received so far.
 * @param state.closed nothing more will come
 */
export function readAnswer(
  received: Buffer,
  state: { readonly isHead: boolean; readonly closed: boolean },
): Answer | 'incomplete' {
  const interim: number[] = [];
  let rest = received;
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end === -1) break;
    const [start = '', ...lines] = rest.toString('latin1', 0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(start)?.[1] ?? Number.NaN);
    if (Number.isNaN(status)) return { kind: 'nothing', reason: `it does not speak HTTP: "${start.slice(0, 60)}"` };
    rest = rest.subarray(end + 4);
    if (status >= 100 && status < 200 && status !== 101) {
      interim.push(status);
      continue;
    }
    const headers = lines.map((line): readonly [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    });
    const answer = { kind: 'answer', status, headers, interim } as const;
    const body = readBody({ ...answer, body: rest }, rest, state);
    return body === 'incomplete' ? body : { ...answer, body };
  }
  if (!state.closed) return 'incomplete';
  return received.length === 0
    ? { kind: 'nothing', reason: 'it closed the connection without an answer' }
    : { kind: 'nothing', reason: 'it closed the connection in the middle of its answer' };
}

function readBody(
  answer: Extract<Answer, { kind: 'answer' }>,
  rest: Buffer,
  state: { readonly isHead: boolean; readonly closed: boolean },
): Buffer | 'incomplete' {
  if (state.isHead || answer.status === 204 || answer.status === 304) return Buffer.alloc(0);
  if (/(?:^|,)\s*chunked\s*$/i.test(header(answer, 'Transfer-Encoding') ?? '')) return readChunks(rest, state.closed);
  const length = header(answer, 'Content-Length');
  if (length !== undefined && /^\d{1,12}$/.test(length)) {
    const wanted = Number(length);
    return rest.length >= wanted ? rest.subarray(0, wanted) : state.closed ? rest : 'incomplete';
  }
  return state.closed ? rest : 'incomplete';
}

function readChunks(rest: Buffer, closed: boolean): Buffer | 'incomplete' {
  const chunks: Buffer[] = [];
  let at = 0;
  for (;;) {
    const line = rest.indexOf('\r\n', at);
    const size = line === -1 ? Number.NaN : Number.parseInt(rest.toString('latin1', at, line), 16);
    const start = line + 2;
    if (size === 0) return Buffer.concat(chunks);
    if (Number.isNaN(size) || rest.length < start + size + 2) return closed ? Buffer.concat(chunks) : 'incomplete';
    chunks.push(rest.subarray(start, start + size));
    at = start + size + 2;
  }
}
