import type { Transformation } from '../mail/disposition.ts';
import {
  type ContentLine,
  composeLine,
  foldLine,
  parametersOf,
  readLines,
  textValue,
  withValue,
  writtenLine,
} from './content-lines.ts';
import type { Method } from './message.ts';

/** The METHOD of a posted copy. */
export function methodOfCopy(method: Method, transformation: Transformation | undefined): Method {
  return transformation === 'add-as-request' ? 'REQUEST' : method;
}

/**
 * The posted copy of an object that its calendar server takes in another form only (`rules/adapt.ts`). Every octet stays
 * of what need not change.
 * @param content UTF-8, as `SchedulingObject.content`
 */
export function transform(content: Buffer, transformation: Transformation): Buffer {
  switch (transformation) {
    case 'add-as-request':
      return addAsRequest(content);
  }
}

/** Whether an ADD adds exactly one instance, at its DTSTART: only then a RECURRENCE-ID can name it. */
export function addsOneInstance(content: Buffer): boolean {
  const { items, starts, others } = readAdd(content.toString());
  return items === 1 && starts.length === 1 && others === 0;
}

/**
 * ADD as the REQUEST of one instance (RFC 5546 §3.2.4, §3.2.2): its RECURRENCE-ID is its DTSTART, as if the series had
 * had it always.
 */
function addAsRequest(content: Buffer): Buffer {
  const text = content.toString();
  const { method, starts } = readAdd(text);
  const pieces: string[] = [];
  let kept = 0;
  if (method !== undefined) {
    pieces.push(text.slice(kept, method.start), foldLine(withValue(method, 'REQUEST').text));
    kept = method.end;
  }
  for (const start of starts) {
    const isNeeded = ({ name }: { readonly name: string }): boolean => name === 'TZID' || name === 'VALUE';
    const parameters = parametersOf(start).filter(isNeeded);
    const named = composeLine(
      writtenLine('RECURRENCE-ID:', start.line),
      parameters.map((one) => one.text),
      textValue(start).trim(),
    );
    pieces.push(text.slice(kept, start.end), foldLine(named.text));
    kept = start.end;
  }
  pieces.push(text.slice(kept));
  return Buffer.from(pieces.join(''));
}

/** Properties by which an ADD says more than one instance, or names one that is there. */
const MORE_THAN_ONE = new Set(['RRULE', 'RDATE', 'EXDATE', 'EXRULE', 'RECURRENCE-ID']);

type Add = {
  readonly method: ContentLine | undefined;
  /** How many VEVENTs or VTODOs it has, and their DTSTARTs in the order of the text. */
  readonly items: number;
  readonly starts: readonly ContentLine[];
  /** How many lines of {@link MORE_THAN_ONE} they have. */
  readonly others: number;
};

function readAdd(text: string): Add {
  const read = readLines(text, { maxLineBytes: Number.POSITIVE_INFINITY, maxProperties: Number.POSITIVE_INFINITY });
  if (read.kind === 'refused') throw new Error(`refused without a limit: ${read.reason}`);
  const starts: ContentLine[] = [];
  let [method, items, others, depth]: [ContentLine | undefined, number, number, number] = [undefined, 0, 0, 0];
  let isItem = false;
  for (const line of read.lines) {
    if (line.name === 'BEGIN') {
      depth++;
      if (depth === 2) isItem = /^(?:VEVENT|VTODO)$/i.test(textValue(line).trim());
      if (depth === 2 && isItem) items++;
    } else if (line.name === 'END') depth--;
    else if (depth === 1 && line.name === 'METHOD') method = line;
    else if (depth === 2 && isItem && line.name === 'DTSTART') starts.push(line);
    else if (depth === 2 && isItem && MORE_THAN_ONE.has(line.name)) others++;
  }
  return { method, items, starts, others };
}
