import {
  type ContentLine,
  composeLine,
  parameter,
  parametersOf,
  textValue,
  withValue,
} from '../src/itip/content-lines.ts';
import type { RepairName } from './data/repairs.ts';

export type LineFix = { readonly name: RepairName; readonly line: ContentLine; readonly detail: string };
/** A repair that needs to see one line only. @returns undefined when the line needs none */
export type LineRule = (line: ContentLine) => LineFix | undefined;

const ONE_TIME = ['DTSTART', 'DTEND', 'DUE', 'RECURRENCE-ID'];
const TIME_LISTS = ['EXDATE', 'RDATE'];
const STAMPS = ['DTSTAMP', 'CREATED', 'LAST-MODIFIED', 'COMPLETED'];
const MUST_NOT_TRAVEL = new Set(['SCHEDULE-AGENT', 'SCHEDULE-FORCE-SEND', 'SCHEDULE-STATUS']);

function bareParameter(line: ContentLine): LineFix | undefined {
  if (line.valueAt === line.name.length + 1) return undefined;
  const parameters = parametersOf(line);
  const bare = parameters.filter(({ values }) => values === undefined);
  if (bare.length === 0) return undefined;
  const kept = parameters.filter(({ values }) => values !== undefined).map(({ text }) => text);
  // `ORGANIZER;mailto:bob@example.com`: a semicolon stands where the colon should.
  const isUri = bare.at(-1) === parameters.at(-1) && bare.at(-1)?.name === 'MAILTO';
  const value = isUri ? `mailto:${textValue(line)}` : textValue(line);
  const detail = isUri
    ? `${line.name}: the value begins with mailto:`
    : `${line.name}: ${bare.length} parameter without value dropped`;
  return { name: 'bare-parameter', line: composeLine(line, kept, value), detail };
}

function lowerCaseTime(line: ContentLine): LineFix | undefined {
  const value = textValue(line);
  if (!/[tz]/.test(value) || !/^[\dtz,]+$/i.test(value)) return undefined;
  return {
    name: 'lower-case-time',
    line: withValue(line, value.toUpperCase()),
    detail: `${line.name}: T and Z written in upper case`,
  };
}

function utcWithTzid(line: ContentLine): LineFix | undefined {
  if (!/^\d{8}T\d{6}Z(,\d{8}T\d{6}Z)*$/.test(textValue(line)) || parameter(line, 'TZID') === undefined)
    return undefined;
  const kept = parametersOf(line).filter(({ name }) => name !== 'TZID');
  return {
    name: 'utc-with-tzid',
    line: composeLine(
      line,
      kept.map(({ text }) => text),
    ),
    detail: `${line.name}: TZID dropped, the value is UTC`,
  };
}

function valueDate(line: ContentLine): LineFix | undefined {
  if (!/^\d{8}(,\d{8})*$/.test(textValue(line)) || parameter(line, 'VALUE') !== undefined) return undefined;
  const kept = parametersOf(line).filter(({ name }) => name !== 'TZID'); // no TZID on a DATE (RFC 5545 §3.2.19)
  return {
    name: 'value-date',
    line: composeLine(line, ['VALUE=DATE', ...kept.map(({ text }) => text)]),
    detail: `${line.name}: VALUE=DATE added`,
  };
}

function upperCase(name: RepairName): LineRule {
  return (line) => {
    const value = textValue(line);
    const upper = value.trim().toUpperCase();
    return value === upper
      ? undefined
      : { name, line: withValue(line, upper), detail: `${line.name}: written in upper case` };
  };
}

function sequenceNumber(line: ContentLine): LineFix | undefined {
  const value = textValue(line);
  if (/^\s*\+?\d+\s*$/.test(value) && Number(value) <= 0x7fffffff) return undefined; // the range of RFC 5545 §3.3.8
  return { name: 'sequence-number', line: withValue(line, '0'), detail: 'SEQUENCE: no number, read as 0' };
}

function scheduleParameter(line: ContentLine): LineFix | undefined {
  const parameters = parametersOf(line);
  const kept = parameters.filter(({ name }) => !MUST_NOT_TRAVEL.has(name));
  if (kept.length === parameters.length) return undefined;
  const dropped = parameters.filter(({ name }) => MUST_NOT_TRAVEL.has(name)).map(({ name }) => name);
  const detail = `${line.name}: ${dropped.join(', ')} dropped`;
  return {
    name: 'schedule-parameter',
    line: composeLine(
      line,
      kept.map(({ text }) => text),
    ),
    detail,
  };
}

const TABLE: readonly (readonly [readonly string[], readonly LineRule[]])[] = [
  [
    [...ONE_TIME, ...TIME_LISTS],
    [lowerCaseTime, utcWithTzid, valueDate],
  ],
  [STAMPS, [lowerCaseTime, utcWithTzid]],
  [['RRULE', 'EXRULE'], [upperCase('rrule-case')]],
  [['SEQUENCE'], [sequenceNumber]],
  [['METHOD'], [upperCase('method-case')]],
  [['ATTENDEE', 'ORGANIZER'], [scheduleParameter]],
];

const ANY: readonly LineRule[] = [bareParameter];

/** Rules by property name, those for any line first among them. */
export const LINE_RULES: {
  readonly any: readonly LineRule[];
  readonly byName: ReadonlyMap<string, readonly LineRule[]>;
} = {
  any: ANY,
  byName: new Map(TABLE.flatMap(([names, rules]) => names.map((name) => [name, [...ANY, ...rules]]))),
};
