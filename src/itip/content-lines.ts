/**
 * Content lines of RFC 5545 §3.1, as a model of our own beside ical.js: it keeps every octet of what it did not
 * change (ical.js rewrites quoting, escapes and parameter order), survives a broken line, and applies the limits
 * before anything expensive sees the text.
 */

/** One unfolded line. One that must be written anew has `start` -1. */
export type ContentLine = {
  /** Property name in upper case; '' when this is no content line at all. */
  readonly name: string;
  /** Unfolded, without line end. */
  readonly text: string;
  /** Where the value begins in `text`. */
  readonly valueAt: number;
  /** Number of its first physical line in the source, from 1. */
  readonly line: number;
  /** Where it stands in the source, folds and line end included: `start` to before `end`. */
  readonly start: number;
  readonly end: number;
};

export type Parameter = {
  /** In upper case. */
  readonly name: string;
  /** As written, without the `;` before it. */
  readonly text: string;
  /** The comma-separated values without their quotes; undefined when there is no `=`. */
  readonly values: readonly string[] | undefined;
};

export type LineLimits = { readonly maxLineBytes: number; readonly maxProperties: number };

export type ReadLines =
  | {
      readonly kind: 'lines';
      readonly lines: readonly ContentLine[];
      /** Numbers of the empty physical lines, which belong to no content line. */
      readonly blanks: readonly number[];
    }
  | { readonly kind: 'refused'; readonly reason: string };

const LF = 10;
const CR = 13;
const SPACE = 32;
const TAB = 9;
const FOLD_OCTETS = 75;

/**
 * Splits CRLF (or LF) text into unfolded lines. Lines without a valid name come back with the name ''.
 * An empty line in front of a continuation is taken as part of the fold.
 */
export function readLines(text: string, limits: LineLimits): ReadLines {
  const lines: ContentLine[] = [];
  const blanks: number[] = [];
  let at = 0;
  let number = 0;
  while (at < text.length) {
    const start = at;
    const first = number + 1;
    let end = lineEnd(text, at);
    let unfolded = text.slice(at, trimEnd(text, at, end));
    at = end;
    number++;
    if (unfolded === '') {
      blanks.push(first);
      continue;
    }
    let pieces: string[] | undefined;
    let length = unfolded.length;
    let torn = false;
    for (;;) {
      const next = continuation(text, at);
      if (next < 0) break;
      for (; at < next; number++) {
        blanks.push(number + 1);
        at = lineEnd(text, at);
        torn = true;
      }
      end = lineEnd(text, at);
      const piece = text.slice(at + 1, trimEnd(text, at, end));
      at = end;
      number++;
      pieces ??= [unfolded];
      pieces.push(piece);
      length += piece.length;
      if (length > limits.maxLineBytes) break;
    }
    if (pieces !== undefined) unfolded = pieces.join('');
    if (tooLong(unfolded, limits.maxLineBytes))
      return { kind: 'refused', reason: `line ${first} is longer than ${limits.maxLineBytes} octets` };
    if (lines.length >= limits.maxProperties)
      return { kind: 'refused', reason: `more than ${limits.maxProperties} content lines` };
    lines.push(torn ? writtenLine(unfolded, first) : contentLine(unfolded, first, start, at));
  }
  return { kind: 'lines', lines, blanks };
}

/** A line of our own, at the place of line number `line`. */
export function writtenLine(text: string, line: number): ContentLine {
  return contentLine(text, line, -1, -1);
}

export function textValue(line: ContentLine): string {
  return line.text.slice(line.valueAt);
}

/** The line's parameters in order, repeated ones included. */
export function parametersOf(line: ContentLine): readonly Parameter[] {
  const parameters: Parameter[] = [];
  const { text } = line;
  const end = line.valueAt - 1;
  let at = line.name.length;
  while (at < end) {
    const from = at + 1;
    at = endOfParameter(text, from, end);
    const part = text.slice(from, at);
    const equals = part.indexOf('=');
    parameters.push({
      name: (equals < 0 ? part : part.slice(0, equals)).trim().toUpperCase(),
      text: part,
      values: equals < 0 ? undefined : splitValues(part.slice(equals + 1)),
    });
  }
  return parameters;
}

/** First value of the first parameter of that name (in upper case); undefined when there is none. */
export function parameter(line: ContentLine, name: string): string | undefined {
  if (line.valueAt === line.name.length + 1) return undefined;
  return parametersOf(line).find((candidate) => candidate.name === name)?.values?.[0];
}

/** The line with these parameters (each as written, without `;`) and this value, its name as it was. */
export function composeLine(
  line: ContentLine,
  parameters: readonly string[],
  value: string = textValue(line),
): ContentLine {
  const list = parameters.map((text) => `;${text}`).join('');
  return writtenLine(`${line.text.slice(0, line.name.length)}${list}:${value}`, line.line);
}

/** The line with another value. */
export function withValue(line: ContentLine, value: string): ContentLine {
  return writtenLine(`${line.text.slice(0, line.valueAt)}${value}`, line.line);
}

/** Folds at 75 octets without splitting a character, CRLF at the end (RFC 5545 §3.1). */
export function foldLine(text: string): string {
  if (text.length * 3 <= FOLD_OCTETS || Buffer.byteLength(text) <= FOLD_OCTETS) return `${text}\r\n`;
  const pieces: string[] = [];
  let piece = '';
  let octets = 0;
  for (const char of text) {
    const width = Buffer.byteLength(char);
    if (octets + width > FOLD_OCTETS) {
      pieces.push(piece);
      piece = '';
      octets = 1; // the blank that begins a continuation counts
    }
    piece += char;
    octets += width;
  }
  pieces.push(piece);
  return `${pieces.join('\r\n ')}\r\n`;
}

function contentLine(text: string, line: number, start: number, end: number): ContentLine {
  const nameEnd = endOfName(text);
  if (nameEnd === 0) return { name: '', text, valueAt: 0, line, start, end };
  const colon = text.charCodeAt(nameEnd) === 58 ? nameEnd : colonOutsideQuotes(text, nameEnd);
  if (colon < 0) return { name: '', text, valueAt: 0, line, start, end };
  return { name: text.slice(0, nameEnd).toUpperCase(), text, valueAt: colon + 1, line, start, end };
}

/** Length of the name that a `:` or `;` ends; 0 when there is none. */
function endOfName(text: string): number {
  let at = 0;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 58 || code === 59) return at;
    // The underscore is no name character (RFC 5545 §3.1), but Lotus, Yandex and Outlook for Mac write X-LOTUS-CHILD_UID.
    const isNameChar =
      (code >= 65 && code <= 90) ||
      (code >= 97 && code <= 122) ||
      (code >= 48 && code <= 57) ||
      code === 45 ||
      code === 95;
    if (!isNameChar) return 0;
  }
  return 0;
}

/** Unbalanced quotes are common in CN: then the first colon of all ends the parameters. */
function colonOutsideQuotes(text: string, from: number): number {
  let quoted = false;
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 34) quoted = !quoted;
    else if (code === 58 && !quoted) return at;
  }
  return text.indexOf(':', from);
}

function endOfParameter(text: string, from: number, end: number): number {
  let quoted = false;
  for (let at = from; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code === 34) quoted = !quoted;
    else if (code === 59 && !quoted) return at;
  }
  return end;
}

function splitValues(raw: string): readonly string[] {
  if (!raw.includes('"')) return raw.split(',');
  const values: string[] = [];
  let value = '';
  let quoted = false;
  for (const char of raw) {
    if (char === '"') quoted = !quoted;
    else if (char === ',' && !quoted) {
      values.push(value);
      value = '';
    } else value += char;
  }
  values.push(value);
  return values;
}

function lineEnd(text: string, from: number): number {
  const at = text.indexOf('\n', from);
  return at < 0 ? text.length : at + 1;
}

function trimEnd(text: string, start: number, end: number): number {
  let at = end;
  if (at > start && text.charCodeAt(at - 1) === LF) at--;
  if (at > start && text.charCodeAt(at - 1) === CR) at--;
  return at;
}

/** Where a continuation of the line before begins, empty lines skipped; -1 when none follows. */
function continuation(text: string, from: number): number {
  let at = from;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code === SPACE || code === TAB) return at;
    if (code === CR && text.charCodeAt(at + 1) === LF) at += 2;
    else if (code === LF) at += 1;
    else return -1;
  }
}

function tooLong(text: string, maxBytes: number): boolean {
  if (text.length > maxBytes) return true;
  return text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes;
}
