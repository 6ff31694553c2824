import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type MimeNode, Splitter, type SplitterChunk } from '@zone-eu/mailsplit';
import { type Candidate, choose } from './choose.ts';
import { type ContentType, parseContentType } from './content-type.ts';
import type { Examination } from './message.ts';
import { prepareWord, WordFinder } from './prefilter.ts';

export type ExamineLimits = {
  /** A larger message is not examined. */
  readonly maxExamineBytes: number;
  /** Of one calendar part, transfer encoding undone. */
  readonly maxObjectBytes: number;
  /** Of one unfolded content line. */
  readonly maxLineBytes: number;
  /** Of components, VCALENDAR included. */
  readonly maxDepth: number;
  /** Content lines of one calendar part, BEGIN and END included. */
  readonly maxProperties: number;
};

export const DEFAULT_LIMITS: ExamineLimits = {
  maxExamineBytes: 25_000_000,
  maxObjectBytes: 2_000_000,
  maxLineBytes: 65_536,
  maxDepth: 8,
  maxProperties: 50_000,
};

// Mail without either word is not parsed at all. `text/calendar` cannot be written without its second half: no encoding
// applies to a media type (RFC 2045 §5.1), and neither a comment nor a fold may stand inside a token.
const CALENDAR = prepareWord('calendar');
// Never scheduled alone, but such a message is calendar mail for its record.
const ICS = prepareWord('application/ics');

/** A message that shows no calendar word in its first bytes is parsed from here on, so that little is kept in memory. */
const HELD_BYTES = 256 * 1024;
const MAX_HEADER_BYTES = 256 * 1024;
const MAX_NODES = 1000;
/** Nested multiparts; real mail stays below ten. */
const MAX_LEVELS = 20;
const MAX_PARTS = 16;
/** Encoded size over decoded size: quoted-printable triples at worst, base64 adds a third. */
const ENCODED_FACTOR = 3.2;
const DECODED_AT_ONCE = 256 * 1024;

type Part = {
  readonly node: MimeNode;
  readonly kind: 'calendar' | 'ics';
  readonly type: ContentType;
  readonly chunks: Buffer[];
  bytes: number;
};
type None = Extract<Examination, { kind: 'none' }>;

/**
 * Searches one message for its scheduling object while it arrives. Bounded in memory and time, and never throws or
 * rejects for what the message is: that becomes `{ kind: 'none' }` with the reason.
 */
export class Examiner {
  readonly #limits: ExamineLimits;
  readonly #calendar = new WordFinder(CALENDAR);
  readonly #ics = new WordFinder(ICS);
  /** The multiparts that are looked into, with the level of their children. */
  readonly #levels = new Map<MimeNode, number>();
  readonly #parts: Part[] = [];
  #held: Buffer[] = [];
  #splitter: Splitter | undefined;
  #size = 0;
  #sawCalendar = false;
  #verdict: None | undefined;
  #mailDate: number | undefined;

  constructor(limits: ExamineLimits) {
    this.#limits = limits;
  }

  /** Takes the next piece. @returns a promise to wait for when the parser is behind */
  write(chunk: Buffer): Promise<void> | undefined {
    this.#size += chunk.length;
    if (this.#verdict !== undefined) return undefined;
    if (this.#size > this.#limits.maxExamineBytes) {
      this.#give(`the message is larger than max-examine (${this.#limits.maxExamineBytes} octets)`);
      return undefined;
    }
    if (this.#splitter !== undefined) return this.#feed(this.#splitter, chunk);
    this.#held.push(chunk);
    if (!this.#calendar.find(chunk) && !this.#ics.find(chunk) && this.#size <= HELD_BYTES) return undefined;
    const held = this.#held.length === 1 ? chunk : Buffer.concat(this.#held);
    this.#held = [];
    return this.#feed(this.#open(), held);
  }

  /** Says what was found, once the message is complete. */
  async finish(): Promise<Examination> {
    const splitter = this.#splitter;
    if (splitter !== undefined && this.#verdict === undefined) {
      splitter.end();
      await settled(splitter, 'end');
    }
    try {
      return this.#verdict ?? (await this.#conclude());
    } finally {
      this.destroy();
    }
  }

  /** Lets go of everything; nothing can be asked afterwards. */
  destroy(): void {
    this.#splitter?.destroy();
    this.#splitter = undefined;
    this.#held = [];
    this.#parts.length = 0;
    this.#levels.clear();
    this.#verdict ??= { kind: 'none', reason: 'not examined', calendar: false };
  }

  #open(): Splitter {
    const splitter = new Splitter({ ignoreEmbedded: true, maxHeadSize: MAX_HEADER_BYTES, maxChildNodes: MAX_NODES });
    this.#splitter = splitter;
    // mailsplit's types narrow `on` to its data event.
    (splitter as NodeJS.EventEmitter).on('error', (error: Error & { code?: string }) => {
      this.#give(
        error.code === 'EMAXLEN' ? `a limit of MIME was passed: ${error.message}` : `broken MIME: ${error.message}`,
      );
    });
    splitter.on('data', (chunk: SplitterChunk) => {
      if (this.#verdict !== undefined) return;
      try {
        if (chunk.type === 'node') this.#node(chunk);
        else if (chunk.type === 'body' && chunk.value !== undefined) this.#body(chunk.node, chunk.value);
      } catch (error) {
        this.#give(`broken MIME: ${error instanceof Error ? error.message : String(error)}`);
      }
    });
    return splitter;
  }

  #feed(splitter: Splitter, chunk: Buffer): Promise<void> | undefined {
    if (splitter.write(chunk) || splitter.destroyed) return undefined;
    return settled(splitter, 'drain');
  }

  /** Ends the examination; what is still written goes nowhere. */
  #give(reason: string): void {
    this.#verdict ??= { kind: 'none', reason, calendar: this.#sawCalendar };
    this.#held = [];
    this.#parts.length = 0;
    this.#splitter?.destroy();
  }

  #node(node: MimeNode): void {
    const fields = node.headers === false ? [] : node.headers.getList();
    if (node.root) this.#mailDate = readDate(fieldValues(fields, 'date')[0]);
    const types = fieldValues(fields, 'content-type');
    // The first field counts, as for mailsplit and every MIME parser; its absence means text/plain (RFC 2045 §5.2).
    const type = parseContentType(types[0] ?? 'text/plain');
    const parent = node.parentNode === false ? undefined : node.parentNode;
    const level = parent === undefined ? 0 : this.#levels.get(parent);
    // Below anything but a multipart, and below a report, nothing is ours: forwarded and bounced mail.
    if (level === undefined) return;
    if (level > MAX_LEVELS) {
      this.#give(`parts are nested deeper than ${MAX_LEVELS}`);
      return;
    }
    if (type.type.startsWith('multipart/')) {
      if (type.type !== 'multipart/report') this.#levels.set(node, level + 1);
      return;
    }
    const isCalendar = type.type === 'text/calendar';
    if (types.length > 1 && types.some((other) => (parseContentType(other).type === 'text/calendar') !== isCalendar)) {
      this.#sawCalendar = true;
      this.#give('a part has two Content-Type fields, and only one of them says text/calendar');
      return;
    }
    if (!isCalendar && type.type !== 'application/ics') return;
    this.#sawCalendar = true;
    if (this.#parts.length >= MAX_PARTS) this.#give(`more than ${MAX_PARTS} calendar parts`);
    else this.#parts.push({ node, kind: isCalendar ? 'calendar' : 'ics', type, chunks: [], bytes: 0 });
  }

  #body(node: MimeNode, value: Buffer): void {
    const part = this.#parts.findLast((candidate) => candidate.node === node);
    if (part === undefined) return;
    part.bytes += value.length;
    const isTooLarge = part.bytes > this.#limits.maxObjectBytes * ENCODED_FACTOR;
    if (!isTooLarge) part.chunks.push(value);
    else if (part.kind === 'calendar') this.#give(this.#tooLarge());
    else part.chunks.length = 0; // counts as unreadable, and those are ignored
  }

  async #conclude(): Promise<Examination> {
    if (this.#parts.length === 0) return { kind: 'none', reason: 'no calendar part', calendar: this.#sawCalendar };
    const candidates: Candidate[] = [];
    for (const part of this.#parts) {
      const bytes = await decodeTransfer(part.node, part.chunks);
      if (part.kind === 'calendar' && bytes === undefined)
        return this.#none('the transfer encoding of the calendar part is not known');
      if (bytes !== undefined && bytes.length > this.#limits.maxObjectBytes) {
        if (part.kind === 'ics') continue;
        return this.#none(this.#tooLarge());
      }
      if (bytes === undefined) continue;
      const charset = part.type.parameters.get('charset')?.[0];
      candidates.push({
        kind: part.kind,
        methods: part.type.parameters.get('method') ?? [],
        ...(charset === undefined ? {} : { charset }),
        bytes,
      });
    }
    const { maxLineBytes, maxProperties, maxDepth } = this.#limits;
    return choose(candidates, {
      maxLineBytes,
      maxProperties,
      maxDepth,
      ...(this.#mailDate === undefined ? {} : { mailDate: this.#mailDate }),
    });
  }

  #none(reason: string): None {
    return { kind: 'none', reason, calendar: true };
  }

  #tooLarge(): string {
    return `the calendar part is larger than ${this.#limits.maxObjectBytes} octets`;
  }
}

/** Examines a whole message. */
export async function examine(content: Buffer, limits: ExamineLimits = DEFAULT_LIMITS): Promise<Examination> {
  const examiner = new Examiner(limits);
  await examiner.write(content);
  return examiner.finish();
}

/** Waits for the event, or for the stream's end by error or `destroy`, whichever comes first. */
function settled(splitter: Splitter, event: 'drain' | 'end'): Promise<void> {
  return new Promise((resolve) => {
    if (splitter.destroyed) return resolve();
    const events = splitter as NodeJS.EventEmitter;
    const done = (): void => {
      events.off(event, done).off('close', done);
      resolve();
    };
    events.on(event, done).on('close', done);
  });
}

/** @returns undefined for an encoding nobody defined (RFC 2045 §6.4) */
async function decodeTransfer(node: MimeNode, chunks: readonly Buffer[]): Promise<Buffer | undefined> {
  const raw = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
  switch (node.encoding) {
    case false:
    case '':
    case '7bit':
    case '8bit':
    case 'binary':
      return raw;
    case 'base64':
    case 'quoted-printable': {
      const decoder = node.getDecoder();
      const decoded: Buffer[] = [];
      decoder.on('data', (chunk: Buffer) => decoded.push(chunk));
      const ended = once(decoder, 'end');
      for (let at = 0; at < raw.length; at += DECODED_AT_ONCE) {
        if (at > 0) await nextTurn(); // 6 MB of quoted-printable take half a second
        decoder.write(raw.subarray(at, at + DECODED_AT_ONCE));
      }
      decoder.end();
      await ended;
      return Buffer.concat(decoded);
    }
    default:
      return undefined;
  }
}

function fieldValues(
  fields: readonly { readonly key: string; readonly line: string }[],
  name: string,
): readonly string[] {
  return fields.filter(({ key }) => key === name).map(({ line }) => line.slice(line.indexOf(':') + 1));
}

function readDate(value: string | undefined): number | undefined {
  const ms = value === undefined ? Number.NaN : Date.parse(value.replace(/\s+/g, ' ').trim());
  return Number.isFinite(ms) && ms > 0 && ms < 253_402_300_800_000 ? ms : undefined; // four-digit years only
}
