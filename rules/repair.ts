import { buildTree, type Component, properties, property } from '../src/itip/components.ts';
import { type ContentLine, textValue, withValue, writtenLine } from '../src/itip/content-lines.ts';
import { formatUtc, parseDateTime, parseDuration } from '../src/itip/date-time.ts';
import { isMethod, type Repair } from '../src/itip/message.ts';
import { mailboxOf, sameAddress } from '../src/mail/address.ts';
import { METHOD_RULES, type MethodRule } from './data/methods.ts';
import type { RepairName } from './data/repairs.ts';
import { otherOfDelegation } from './repair-delegation.ts';
import { frame } from './repair-frame.ts';
import { LINE_RULES } from './repair-line.ts';
import { listed, note, type RepairLog } from './repair-log.ts';

/** What a repair may know beside the lines. */
export type RepairContext = {
  /** The mail's Date, ms since the epoch; stands in for a missing DTSTAMP. */
  readonly mailDate?: number;
  readonly maxDepth: number;
  /** Of a line that was joined. */
  readonly maxLineBytes: number;
};

export type Repaired =
  | {
      readonly kind: 'calendar';
      readonly lines: readonly ContentLine[];
      readonly calendar: Component;
      readonly repairs: readonly Repair[];
    }
  | { readonly kind: 'refused'; readonly reason: string };

const PRODID = '-//imipd//imipd//EN';
/** Not empty: libical drops a property without a value. */
const NO_TITLE = '(no title)';

/**
 * Mends what a strict calendar server would refuse (`data/repairs.ts` says who needs which). Lines that need nothing
 * come back as they are, so that their octets survive.
 * @param source the text that `lines` were read from
 */
export function repair(source: string, lines: readonly ContentLine[], context: RepairContext): Repaired {
  const log: RepairLog = new Map();
  const framed = frame(source, lines, context.maxLineBytes, log);
  if (typeof framed === 'string') return { kind: 'refused', reason: framed };
  const tree = buildTree(framed, context.maxDepth);
  if (tree.kind === 'refused') return tree;
  const edits = new Edits(log);
  const reason = mend(tree.calendar, context, edits);
  if (reason !== undefined) return { kind: 'refused', reason };
  if (!edits.any) return { kind: 'calendar', lines: framed, calendar: tree.calendar, repairs: listed(log) };
  const mended = edits.apply(framed);
  const rebuilt = buildTree(mended, context.maxDepth);
  if (rebuilt.kind === 'refused') return rebuilt;
  return { kind: 'calendar', lines: mended, calendar: rebuilt.calendar, repairs: listed(log) };
}

/** Runs every rule over the tree. @returns why the object cannot be mended, if so */
function mend(calendar: Component, context: RepairContext, edits: Edits): string | undefined {
  const reason = mendCalendar(calendar, edits);
  if (reason !== undefined) return reason;
  const method = valueOfProperty(calendar, 'METHOD').toUpperCase();
  const rule = isMethod(method) ? METHOD_RULES[method] : undefined;
  for (const component of calendar.children) {
    const failure = mendComponent(component, rule, context, edits);
    if (failure !== undefined) return failure;
  }
  mendLines(calendar, edits);
  return undefined;
}

function mendCalendar(calendar: Component, edits: Edits): string | undefined {
  const versions = properties(calendar, 'VERSION').map((line) => textValue(line).trim());
  if (versions.length === 0) edits.insert(calendar.begin, 'VERSION:2.0', 'version-missing', 'VERSION:2.0 added');
  const other = versions.find((version) => version !== '2.0');
  if (other !== undefined) return `VERSION is ${other.slice(0, 20)}, wanted 2.0`;
  // One without a value is dropped by `mendLines`.
  if (valueOfProperty(calendar, 'PRODID') === '')
    edits.insert(calendar.begin, `PRODID:${PRODID}`, 'prodid-missing', 'our PRODID added');
  return undefined;
}

function mendComponent(
  component: Component,
  rule: MethodRule | undefined,
  context: RepairContext,
  edits: Edits,
): string | undefined {
  if (component.name !== 'VEVENT' && component.name !== 'VTODO') return undefined;
  if (component.children.length === 0 && component.lines.every((line) => line.name === 'UID')) {
    edits.dropComponent(component, 'empty-component', `${component.name} without anything but UID dropped`);
    return undefined;
  }
  if (property(component, 'DTSTAMP') === undefined) {
    if (context.mailDate === undefined) return `${component.name} has no DTSTAMP, and there is no Date to take instead`;
    const stamp = formatUtc(context.mailDate);
    edits.insert(
      component.begin,
      `DTSTAMP:${stamp}`,
      'dtstamp-missing',
      `DTSTAMP:${stamp} added, from the mail's Date`,
    );
  }
  mendEnd(component, component.name === 'VEVENT' ? 'DTEND' : 'DUE', edits);
  mendUsers(component, edits);
  const bystander = rule?.attendees === 'one' ? otherOfDelegation(component) : undefined;
  if (bystander !== undefined)
    edits.drop(bystander, 'delegation', 'the ATTENDEE of the other side of a delegation dropped');
  mendRequired(component, rule?.requires ?? [], edits);
  if (rule?.forbids.includes('REQUEST-STATUS')) {
    for (const line of properties(component, 'REQUEST-STATUS'))
      edits.drop(line, 'request-status', 'REQUEST-STATUS dropped');
  }
  if (rule?.forbids.includes('VALARM')) {
    for (const child of component.children)
      if (child.name === 'VALARM') edits.dropComponent(child, 'alarm', 'VALARM dropped');
  }
  return undefined;
}

/** One ORGANIZER that stands twice; of two that differ `validate` takes neither. */
function mendUsers(component: Component, edits: Edits): void {
  const [first, ...more] = properties(component, 'ORGANIZER');
  for (const line of more) {
    if (first === undefined || !sameUser(first, line)) continue;
    edits.drop(line, 'second-organizer', 'ORGANIZER stands twice, the second dropped');
  }
}

function sameUser(one: ContentLine, other: ContentLine): boolean {
  const [a, b] = [mailboxOf(textValue(one)), mailboxOf(textValue(other))];
  return a !== undefined && b !== undefined && sameAddress(a, b);
}

function mendRequired(component: Component, requires: MethodRule['requires'], edits: Edits): void {
  if (requires.includes('SEQUENCE') && property(component, 'SEQUENCE') === undefined)
    edits.insert(component.begin, 'SEQUENCE:0', 'sequence-missing', 'SEQUENCE:0 added');
  if (!requires.includes('SUMMARY')) return;
  const summary = property(component, 'SUMMARY');
  if (summary === undefined)
    edits.insert(component.begin, `SUMMARY:${NO_TITLE}`, 'summary-missing', `SUMMARY:${NO_TITLE} added`);
  else if (textValue(summary).trim() === '')
    edits.replace(summary, withValue(summary, NO_TITLE), 'summary-missing', `SUMMARY is empty, ${NO_TITLE} written`);
}

function mendEnd(component: Component, endName: 'DTEND' | 'DUE', edits: Edits): void {
  const duration = property(component, 'DURATION');
  const end = property(component, endName);
  if (duration === undefined || end === undefined) return;
  const start = property(component, 'DTSTART');
  const startAt = start === undefined ? undefined : parseDateTime(textValue(start).trim().toUpperCase());
  const endAt = parseDateTime(textValue(end).trim().toUpperCase());
  const length = parseDuration(textValue(duration).trim());
  const agree =
    startAt !== undefined &&
    endAt !== undefined &&
    startAt.kind === endAt.kind &&
    endAt.localMs - startAt.localMs === length;
  const both = `${endName} ${textValue(end).slice(0, 40)} and DURATION ${textValue(duration).slice(0, 40)}`;
  edits.drop(
    duration,
    'dtend-and-duration',
    agree ? `${both} say the same, DURATION dropped` : `${both} disagree, ${endName} kept`,
  );
}

function mendLines(component: Component, edits: Edits): void {
  for (const line of component.lines) {
    if (isIdle(line)) {
      edits.drop(line, 'empty-property', `${line.name} without a value dropped`);
      continue;
    }
    const rules = LINE_RULES.byName.get(line.name);
    let mended = line;
    for (const rule of rules ?? LINE_RULES.any) {
      const fix = rule(mended);
      if (fix === undefined) continue;
      edits.replace(line, fix.line, fix.name, fix.detail);
      mended = fix.line;
    }
  }
  for (const child of component.children) mendLines(child, edits);
}

/** Whose empty value means something: a text that was cleared, or a defect that is judged elsewhere. */
const MAY_BE_EMPTY =
  /^(?:SUMMARY|DESCRIPTION|LOCATION|COMMENT|URL|UID|METHOD|VERSION|ORGANIZER|ATTENDEE|SEQUENCE|DUE|DURATION|RECURRENCE-ID|DTSTAMP|DTSTART|DTEND)$/;

function isIdle(line: ContentLine): boolean {
  return line.valueAt >= line.text.trimEnd().length && line.name !== '' && !MAY_BE_EMPTY.test(line.name);
}

/** Changes to lines, kept apart until all rules have seen the tree as it came. */
class Edits {
  readonly #log: RepairLog;
  readonly #replaced = new Map<ContentLine, ContentLine | undefined>();
  readonly #inserted = new Map<ContentLine, ContentLine[]>();

  constructor(log: RepairLog) {
    this.#log = log;
  }

  get any(): boolean {
    return this.#replaced.size + this.#inserted.size > 0;
  }

  replace(line: ContentLine, by: ContentLine, name: RepairName, detail: string): void {
    if (this.#replaced.has(line) && this.#replaced.get(line) === undefined) return; // dropped before
    this.#replaced.set(line, by);
    note(this.#log, name, line.line, detail);
  }

  drop(line: ContentLine, name: RepairName, detail: string): void {
    this.#replaced.set(line, undefined);
    note(this.#log, name, line.line, detail);
  }

  dropComponent(component: Component, name: RepairName, detail: string): void {
    note(this.#log, name, component.begin.line, detail);
    const dropLines = (part: Component): void => {
      for (const line of [part.begin, ...part.lines, part.end]) this.#replaced.set(line, undefined);
      part.children.forEach(dropLines);
    };
    dropLines(component);
  }

  insert(after: ContentLine, text: string, name: RepairName, detail: string): void {
    const lines = this.#inserted.get(after) ?? [];
    lines.push(writtenLine(text, after.line));
    this.#inserted.set(after, lines);
    note(this.#log, name, after.line, detail);
  }

  apply(lines: readonly ContentLine[]): readonly ContentLine[] {
    const result: ContentLine[] = [];
    for (const line of lines) {
      const kept = this.#replaced.has(line) ? this.#replaced.get(line) : line;
      if (kept !== undefined) result.push(kept);
      const inserted = this.#inserted.get(line);
      if (inserted !== undefined) result.push(...inserted);
    }
    return result;
  }
}

function valueOfProperty(component: Component, name: string): string {
  const line = property(component, name);
  return line === undefined ? '' : textValue(line).trim();
}
