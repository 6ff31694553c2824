import { ask, type PeerAnswer } from './ischedule-peer.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What a question was answered about one attendee. */
export type Row = {
  /** As the answer names him. */
  readonly attendee: string;
  /** REQUEST-STATUS or errno. */
  readonly said: string;
  /** What the answer says it covers, and the busy times: `09:00-10:30 BUSY`, in hours of the day that was asked about. */
  readonly window?: string;
  readonly times: readonly string[];
};

/** A day in UTC that questions are about. */
export class Day {
  readonly startMs: number;

  constructor(startMs: number) {
    this.startMs = startMs;
  }

  /** @param days from today */
  static ahead(days: number): Day {
    return new Day((Math.floor(Date.now() / DAY_MS) + days) * DAY_MS);
  }

  /** `20261123T093000Z`, so many hours after its beginning; before it where they are less than 0. */
  at(hours: number): string {
    return new Date(this.startMs + hours * HOUR_MS).toISOString().replace(/[-:]|\.\d+/g, '');
  }

  get from(): string {
    return this.at(0);
  }

  get to(): string {
    return this.at(24);
  }

  /** `20261123T090000Z/20261123T100000Z` → `09:00-10:00`. */
  span(period: string): string {
    return period
      .split('/')
      .map((time) => this.#clock(msOf(time)))
      .join('-');
  }

  #clock(ms: number): string {
    const minutes = (ms - this.startMs) / 60_000;
    return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
  }
}

/** Of a basic or an extended text. */
function msOf(time: string): number {
  return Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
}

// ---- questions

/** The object of a question for busy times. */
export function busyRequest(day: Day, organizer: string, attendees: readonly string[]): string {
  return [
    ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Example//Free busy//EN', 'METHOD:REQUEST', 'BEGIN:VFREEBUSY'],
    ...['UID:question-1', 'DTSTAMP:20260101T000000Z', `DTSTART:${day.from}`, `DTEND:${day.to}`],
    ...[`ORGANIZER:mailto:${organizer}`, ...attendees.map((attendee) => `ATTENDEE:mailto:${attendee}`)],
    ...['END:VFREEBUSY', 'END:VCALENDAR', ''],
  ].join('\r\n');
}

/** Asks by a post, as another calendar server does. @param from the address that it comes from */
export function askByPost(
  port: number,
  { day, organizer, attendees, from }: { day: Day; organizer: string; attendees: readonly string[]; from: string },
): Promise<PeerAnswer> {
  return ask(port, {
    ...{ method: 'POST', path: '/ischedule/', from },
    headers: [
      ['iSchedule-Version', '1.0'],
      ['Originator', `mailto:${organizer}`],
      ...attendees.map((attendee) => ['Recipient', `mailto:${attendee}`] as const),
      ['Content-Type', 'text/calendar; charset=utf-8; component=VFREEBUSY; method=REQUEST'],
    ],
    body: busyRequest(day, organizer, attendees),
  });
}

/** `/get_freebusy.wcap?…` about this day. */
export function wcapPath(day: Day, parameters: Readonly<Record<string, string>>): string {
  return `/get_freebusy.wcap?${new URLSearchParams({ ...parameters, dtstart: day.from, dtend: day.to })}`;
}

// ---- answers

/** Of a `schedule-response`. */
export function rowsOfResponse(day: Day, body: string): readonly Row[] {
  return [...body.matchAll(/<response>(.*?)<\/response>/gs)].map(([, response = '']) => {
    const data = unescapeXml(elementOf(response, 'calendar-data') ?? '');
    return {
      attendee: unescapeXml(elementOf(response, 'recipient') ?? '').replace(/^mailto:/, ''),
      said: /^[\d.]+/.exec(elementOf(response, 'request-status') ?? '')?.[0] ?? '',
      ...timesOfComponent(day, data),
    };
  });
}

/** Of a WCAP answer as text/calendar, or of a published document, which is its organizer’s and says nothing of its own. */
export function rowsOfCalendars(day: Day, body: string): readonly Row[] {
  return [...body.matchAll(/BEGIN:VCALENDAR\r\n(.*?)END:VCALENDAR\r\n/gs)].map(([, calendar = '']) => ({
    attendee: propertyOf(calendar, 'X-NSCP-CALPROPS-RELATIVE-CALID') ?? propertyOf(calendar, 'ORGANIZER') ?? '',
    said: propertyOf(calendar, 'X-NSCP-WCAP-ERRNO') ?? '',
    ...timesOfComponent(day, calendar),
  }));
}

/** Of a WCAP answer as text/xml. */
export function rowsOfXml(day: Day, body: string): readonly Row[] {
  return [...body.matchAll(/<iCal .*?<\/iCal>/gs)].map(([calendar]) => {
    const [start, end] = [elementOf(calendar, 'START'), elementOf(calendar, 'END')];
    const times = [...calendar.matchAll(/<FB FBTYPE="([A-Z-]+)">(.*?)<\/FB>/g)];
    return {
      attendee: unescapeXml(elementOf(calendar, 'X-NSCP-CALPROPS-RELATIVE-CALID') ?? ''),
      said: elementOf(calendar, 'X-NSCP-WCAP-ERRNO') ?? '',
      ...(start === undefined ? {} : { window: day.span(`${start}/${end}`) }),
      times: times.map(([, type, period = '']) => `${day.span(period)} ${type}`),
    };
  });
}

type JsonCalendar = {
  readonly 'X-NSCP-CALPROPS-RELATIVE-CALID': string;
  readonly 'X-NSCP-WCAP-ERRNO': number;
  readonly FREEBUSY?: {
    readonly START: string;
    readonly END: string;
    readonly FB: readonly { readonly FBTYPE: string; readonly period: string }[];
  };
};

/** Of a WCAP answer as text/json. */
export function rowsOfJson(day: Day, body: string): readonly Row[] {
  const { iCal } = (JSON.parse(body) as { iCalendar: { iCal: readonly JsonCalendar[] } }).iCalendar;
  return iCal.map(({ FREEBUSY: busy, ...properties }) => ({
    attendee: properties['X-NSCP-CALPROPS-RELATIVE-CALID'],
    said: `${properties['X-NSCP-WCAP-ERRNO']}`,
    ...(busy === undefined ? {} : { window: day.span(`${busy.START}/${busy.END}`) }),
    times: (busy?.FB ?? []).map(({ FBTYPE, period }) => `${day.span(period)} ${FBTYPE}`),
  }));
}

type JsonTimes = { readonly start: string; readonly end: string };
export type JsonAnswer = {
  readonly attendee: string;
  readonly status: { readonly code: string };
  readonly window: JsonTimes;
  readonly periods: readonly (JsonTimes & { readonly type: string })[];
  readonly inquiries: readonly { readonly server: string; readonly protocol: string; readonly result: string }[];
};

/** Of `imipd freebusy --json`, which says of everybody what was asked about. */
export function rowsOfCommand(day: Day, answers: readonly JsonAnswer[]): readonly Row[] {
  return answers.map(({ attendee, status, window, periods }) => ({
    attendee,
    said: status.code,
    ...(status.code === '2.0' ? { window: day.span(`${window.start}/${window.end}`) } : {}),
    times: periods.map(({ start, end, type }) => `${day.span(`${start}/${end}`)} ${type}`),
  }));
}

/** No window where there is no component. */
function timesOfComponent(day: Day, calendar: string): Pick<Row, 'window' | 'times'> {
  const [start, end] = [propertyOf(calendar, 'DTSTART'), propertyOf(calendar, 'DTEND')];
  const times = [...calendar.matchAll(/^FREEBUSY;FBTYPE=([A-Z-]+):(.*)\r$/gm)];
  return {
    ...(start === undefined ? {} : { window: day.span(`${start}/${end}`) }),
    times: times.flatMap(([, type, periods = '']) => periods.split(',').map((one) => `${day.span(one)} ${type}`)),
  };
}

function propertyOf(calendar: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*)\\r$`, 'm').exec(calendar)?.[1];
}

function elementOf(xml: string, name: string): string | undefined {
  return new RegExp(`<${name}>(.*?)</${name}>`, 's').exec(xml)?.[1];
}

function unescapeXml(text: string): string {
  const characters: Readonly<Record<string, string>> = {
    lt: '<',
    gt: '>',
    quot: '"',
    '#13': '\r',
    '#xD': '\r',
    amp: '&',
  };
  return text.replace(/&([#\w]+);/g, (whole, name: string) => characters[name] ?? whole);
}
