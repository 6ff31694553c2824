import type { BusyType, Period, Window } from '../../src/freebusy/busy.ts';
import { foldLine } from '../../src/itip/content-lines.ts';
import { formatUtc } from '../../src/itip/date-time.ts';
import { WCAP_ERRNO, type WcapErrno } from './errno.ts';
import type { WcapFormat } from './parameters.ts';

/** What is answered of one calendar, or, without `calid`, of the whole question. */
export type WcapAnswer = {
  /** As it was asked for. */
  readonly calid?: string;
  readonly email?: string;
  readonly errno: WcapErrno;
  /** With errno 0 alone. */
  readonly busy?: { readonly window: Window; readonly periods: readonly Period[] };
};

const PRODID = '-//imipd//EN';
const CALID = 'X-NSCP-CALPROPS-RELATIVE-CALID';
const EMAIL = 'X-S1CS-EMAIL';
const ERRNO = 'X-NSCP-WCAP-ERRNO';

const MEDIA_TYPES: Readonly<Record<WcapFormat, string>> = {
  'text/calendar': 'text/calendar; charset=utf-8',
  'text/xml': 'text/xml; charset=utf-8',
  'text/json': 'text/json; charset=utf-8',
};

/**
 * The answers in the shapes of Calendar Server 6.3, one calendar after the other. It has no JSON: that is the XML's
 * structure, with attributes as members beside the children.
 *
 * Of a single calendar that does not exist the answer in text/calendar is empty, as that server's is.
 */
export function composeWcap(
  answers: readonly WcapAnswer[],
  format: WcapFormat,
): { readonly contentType: string; readonly body: string } {
  return { contentType: MEDIA_TYPES[format], body: COMPOSERS[format](answers.map(written)) };
}

const COMPOSERS: Readonly<Record<WcapFormat, (answers: readonly Written[]) => string>> = {
  'text/calendar': (answers) => {
    const [only, ...more] = answers;
    const isUnknown = only?.errno === WCAP_ERRNO.noSuchCalendar && more.length === 0;
    return isUnknown ? '' : answers.map(calendarText).join('');
  },
  'text/xml': (answers) =>
    `<?xml version="1.0" encoding="UTF-8"?>\n<iCalendar>\n${answers.map(xmlText).join('')}</iCalendar>\n`,
  'text/json': (answers) => `${JSON.stringify({ iCalendar: { iCal: answers.map(jsonObject) } })}\n`,
};

/** An answer with its times as all three formats write them. */
type Written = {
  /** Name and value, those that there are. */
  readonly properties: readonly (readonly [string, string])[];
  readonly busy?: {
    readonly start: string;
    readonly end: string;
    readonly periods: readonly { readonly type: BusyType; readonly period: string }[];
  };
  readonly errno: WcapErrno;
};

function written({ calid, email, errno, busy }: WcapAnswer): Written {
  const properties = [
    ...(calid === undefined ? [] : [[CALID, oneLine(calid)] as const]),
    ...(email === undefined ? [] : [[EMAIL, oneLine(email)] as const]),
  ];
  if (busy === undefined) return { properties, errno };
  const { window, periods } = busy;
  return {
    properties,
    errno,
    busy: {
      start: formatUtc(window.startMs),
      end: formatUtc(window.endMs),
      periods: periods.map(({ type, startMs, endMs }) => ({
        type,
        period: `${formatUtc(startMs)}/${formatUtc(endMs)}`,
      })),
    },
  };
}

/** Values go out as they were asked for, not escaped: who asked compares them. Nothing in them may end a line. */
function oneLine(text: string): string {
  return text.toWellFormed().replace(/[\p{Cc}\u2028\u2029]/gu, '');
}

function calendarText({ properties, busy, errno }: Written): string {
  const lines = [
    'BEGIN:VCALENDAR',
    `PRODID:${PRODID}`,
    'METHOD:PUBLISH',
    'VERSION:2.0',
    ...properties.map(([name, value]) => `${name}:${value}`),
    ...(busy === undefined
      ? []
      : [
          'BEGIN:VFREEBUSY',
          `DTSTART:${busy.start}`,
          `DTEND:${busy.end}`,
          ...busy.periods.map(({ type, period }) => `FREEBUSY;FBTYPE=${type}:${period}`),
          'END:VFREEBUSY',
        ]),
    `${ERRNO}:${errno}`,
    'END:VCALENDAR',
  ];
  return lines.map(foldLine).join('');
}

function xmlText({ properties, busy, errno }: Written): string {
  const lines = [
    `  <iCal version="2.0" prodid="${PRODID}" METHOD="PUBLISH">`,
    ...properties.map(([name, value]) => `    <${name}>${escapeXml(value)}</${name}>`),
    ...(busy === undefined
      ? []
      : [
          '    <FREEBUSY>',
          `      <START>${busy.start}</START><END>${busy.end}</END>`,
          ...busy.periods.map(({ type, period }) => `      <FB FBTYPE="${type}">${period}</FB>`),
          '    </FREEBUSY>',
        ]),
    `    <${ERRNO}>${errno}</${ERRNO}>`,
    '  </iCal>',
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function jsonObject({ properties, busy, errno }: Written): unknown {
  return {
    version: '2.0',
    prodid: PRODID,
    METHOD: 'PUBLISH',
    ...Object.fromEntries(properties),
    ...(busy === undefined
      ? {}
      : {
          FREEBUSY: {
            START: busy.start,
            END: busy.end,
            FB: busy.periods.map(({ type, period }) => ({ FBTYPE: type, period })),
          },
        }),
    [ERRNO]: errno,
  };
}

/** Text without control characters, for XML 1.0: U+FFFE and U+FFFF cannot be in it at all. */
function escapeXml(text: string): string {
  return text.replace(/[\uFFFE\uFFFF]/g, '').replace(/[&<>"]/g, (char) => ESCAPES[char] ?? char);
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
