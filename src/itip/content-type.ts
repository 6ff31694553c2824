/** A Content-Type field taken apart (RFC 2045 §5.1, RFC 2231). */
export type ContentType = {
  /** `type/subtype` in lower case, without comments; '' when it is none. */
  readonly type: string;
  /** By lower-case name. A name that stands twice has two values: readers differ in which one they take. */
  readonly parameters: ReadonlyMap<string, readonly string[]>;
};

/**
 * mailsplit's own parse leaves comments in type and parameters and keeps the last of two parameters of one name
 * without a word, so the field is read here again.
 * @param value unfolded or not, octets as Latin-1
 */
export function parseContentType(value: string): ContentType {
  const parts = splitParts(value);
  const type = (parts[0] ?? '').replace(/\s+/g, '').toLowerCase();
  const plain = new Map<string, string[]>();
  const pieces = new Map<string, { index: number; extended: boolean; text: string }[]>();
  for (const part of parts.slice(1)) {
    const equals = part.indexOf('=');
    if (equals < 0) continue;
    const name = part.slice(0, equals).trim().toLowerCase();
    const text = part.slice(equals + 1).trim();
    const match = /^([^*]+)\*(?:(\d{1,3})(\*)?)?$/.exec(name);
    if (match?.[1] === undefined) push(plain, name, text);
    else
      push(pieces, match[1], {
        index: Number(match[2] ?? 0),
        extended: match[2] === undefined || match[3] !== undefined,
        text,
      });
  }
  for (const [name, list] of pieces) push(plain, name, joinPieces(list));
  return { type, parameters: plain };
}

/** The charset that a Content-Type of HTTP names, however it is written otherwise; undefined where there is none. */
export function charsetOf(value: string): string | undefined {
  return /;\s*charset\s*=\s*"?([\w.:-]+)/i.exec(value)?.[1];
}

/** The field's parts between semicolons: comments gone, quoted strings bare, both as RFC 5322 §3.2 has them. */
function splitParts(value: string): readonly string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  let depth = 0;
  for (let at = 0; at < value.length; at++) {
    const char = value.charAt(at);
    if (char === '\\' && (quoted || depth > 0)) {
      at++;
      if (depth === 0) part += value.charAt(at);
    } else if (depth > 0) {
      if (char === '(') depth++;
      else if (char === ')') depth--;
    } else if (char === '"') quoted = !quoted;
    else if (quoted) part += char === '\r' || char === '\n' ? '' : char;
    else if (char === '(') depth = 1;
    else if (char === ';') {
      parts.push(part);
      part = '';
    } else part += char;
  }
  parts.push(part);
  return parts;
}

/** RFC 2231 §3, §4: pieces in order of their number; charset and language of the first are of no use here. */
function joinPieces(
  pieces: readonly { readonly index: number; readonly extended: boolean; readonly text: string }[],
): string {
  return [...pieces]
    .sort((a, b) => a.index - b.index)
    .map(({ extended, text }, at) => {
      if (!extended) return text;
      const coded = at === 0 ? text.replace(/^[^']*'[^']*'/, '') : text;
      return coded.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    })
    .join('');
}

function push<T>(map: Map<string, T[]>, name: string, value: T): void {
  const list = map.get(name);
  if (list === undefined) map.set(name, [value]);
  else list.push(value);
}
