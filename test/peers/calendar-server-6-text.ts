/** What the stand-in of Calendar Server 6.3 writes and reads. Times are basic UTC texts, which sort as they are. */

export const DAY_MS = 86_400_000;

export type BusyTime = {
  /** `20261123T090000Z` */
  readonly start: string;
  readonly end: string;
  readonly type?: 'BUSY' | 'BUSY-TENTATIVE' | 'BUSY-UNAVAILABLE' | 'FREE';
};

export type Range = { readonly start: string; readonly end: string };

/** One VCALENDAR of an answer. */
export type CalendarText = {
  readonly calid?: string;
  readonly name?: string;
  readonly owner?: string;
  readonly email?: string;
  readonly freeBusy?: { readonly range: Range; readonly times: readonly BusyTime[] };
  readonly errno: number;
};

export function utc(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}

export function errnoCalendar(errno: number): CalendarText {
  return { errno };
}

const WEIGHT = { FREE: 0, 'BUSY-TENTATIVE': 1, BUSY: 2, 'BUSY-UNAVAILABLE': 3 } as const;

/** Clipped, the heavier type where several overlap, ascending. @param withFree also what is free, as busyonly=0 wants */
export function layOver(times: readonly BusyTime[], range: Range, withFree: boolean): readonly BusyTime[] {
  const within = times
    .filter(({ start, end }) => start < range.end && end > range.start)
    .map((time) => ({
      start: time.start > range.start ? time.start : range.start,
      end: time.end < range.end ? time.end : range.end,
      type: time.type ?? 'BUSY',
    }));
  const cuts = [...new Set([range.start, range.end, ...within.flatMap(({ start, end }) => [start, end])])].sort();
  const laid: { start: string; end: string; type: keyof typeof WEIGHT }[] = [];
  for (const [index, start] of cuts.slice(0, -1).entries()) {
    const end = cuts[index + 1] ?? start;
    const types = within.filter((time) => time.start <= start && time.end >= end).map(({ type }) => type);
    const type = types.reduce((heaviest, one) => (WEIGHT[one] > WEIGHT[heaviest] ? one : heaviest), 'FREE' as const);
    const last = laid.at(-1);
    if (last?.type === type && last.end === start) last.end = end;
    else laid.push({ start, end, type });
  }
  return withFree ? laid : laid.filter(({ type }) => type !== 'FREE');
}

// ---- WCAP answers

export function formatReply(calendars: readonly CalendarText[], asXml: boolean): string {
  if (asXml) return `${XML}<iCalendar>\n${calendars.map(xmlCalendar).join('')}</iCalendar>\n`;
  return calendars.map(textCalendar).join('');
}

/** The number stands behind the component, not before it. */
function textCalendar({ calid, name, owner, email, freeBusy, errno }: CalendarText): string {
  return crlf([
    ...['BEGIN:VCALENDAR', 'PRODID:-//Sun/Calendar Server', 'METHOD:PUBLISH', 'VERSION:2.0'],
    ...(email === undefined ? [] : [`X-S1CS-EMAIL:${email}`]),
    ...(calid === undefined ? [] : [`X-NSCP-CALPROPS-RELATIVE-CALID:${calid}`]),
    ...(name === undefined ? [] : [`X-NSCP-CALPROPS-NAME:${name}`]),
    ...(owner === undefined
      ? []
      : [`X-NSCP-CALPROPS-PRIMARY-OWNER:${owner}`, 'X-NSCP-CALPROPS-ACCESS-CONTROL-ENTRY:@@o^a^r^g']),
    ...(freeBusy === undefined ? [] : component(freeBusy)),
    ...[`X-NSCP-WCAP-ERRNO:${errno}`, 'END:VCALENDAR'],
  ]);
}

/** No UID, DTSTAMP, ORGANIZER or ATTENDEE. */
function component({
  range,
  times,
}: {
  readonly range: Range;
  readonly times: readonly BusyTime[];
}): readonly string[] {
  return [
    ...['BEGIN:VFREEBUSY', `DTSTART:${range.start}`, `DTEND:${range.end}`],
    ...times.map(({ start, end, type = 'BUSY' }) => `FREEBUSY;FBTYPE=${type}:${start}/${end}`),
    'END:VFREEBUSY',
  ];
}

const XML = '<?xml version="1.0" encoding="UTF-8"?>\n';

function xmlCalendar({ calid, name, owner, email, freeBusy, errno }: CalendarText): string {
  const times = freeBusy?.times.map(({ start, end, type = 'BUSY' }) => `<FB FBTYPE="${type}">${start}/${end}</FB>\n`);
  return [
    '<iCal version="2.0" prodid="-//Sun/Calendar Server" METHOD="PUBLISH">\n',
    element('X-S1CS-EMAIL', email),
    element('X-NSCP-CALPROPS-RELATIVE-CALID', calid),
    element('X-NSCP-CALPROPS-NAME', name),
    element('X-NSCP-CALPROPS-PRIMARY-OWNER', owner),
    freeBusy === undefined
      ? ''
      : `<FREEBUSY>\n${element('START', freeBusy.range.start)}${element('END', freeBusy.range.end)}${times?.join('')}</FREEBUSY>\n`,
    `${element('X-NSCP-WCAP-ERRNO', `${errno}`)}</iCal>\n`,
  ].join('');
}

/** An answer without components: of sessions, version and ping. */
export function propertiesReply(values: Readonly<Record<string, string>>, asXml: boolean): string {
  const entries = Object.entries(values);
  if (asXml) {
    const elements = entries.map(([name, value]) => element(name, value)).join('');
    return `${XML}<iCalendar>\n<iCal version="2.0" prodid="-//Sun/Calendar Server" METHOD="PUBLISH">\n${elements}</iCal>\n</iCalendar>\n`;
  }
  const lines = entries.map(([name, value]) => `${name}:${value}`);
  return crlf([
    ...['BEGIN:VCALENDAR', 'PRODID:-//Sun/Calendar Server', 'METHOD:PUBLISH', 'VERSION:2.0'],
    ...[...lines, 'END:VCALENDAR'],
  ]);
}

function element(name: string, value: string | undefined): string {
  return value === undefined ? '' : `<${name}>${escapeXml(value)}</${name}>\n`;
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function crlf(lines: readonly string[]): string {
  return `${lines.join('\r\n')}\r\n`;
}

// ---- iSchedule

export type VPostedQuestion = {
  readonly uid: string;
  readonly organizer: string;
  /** As they were written. */
  readonly attendees: readonly string[];
  readonly range: Range;
};

/** @returns undefined for anything but a VFREEBUSY REQUEST: this server takes no invitations there */
export function readVFreeBusy(body: string): VPostedQuestion | undefined {
  const lines = body.replace(/\r?\n[ \t]/g, '').split(/\r?\n/);
  const values = (name: string) => lines.flatMap((line) => propertyOf(line, name) ?? []);
  const [start, end] = [values('DTSTART')[0], values('DTEND')[0]];
  const isRequest =
    values('METHOD')[0]?.toUpperCase() === 'REQUEST' && lines.some((line) => /^BEGIN:VFREEBUSY$/i.test(line));
  if (!isRequest || start === undefined || end === undefined || !(start < end)) return undefined;
  return {
    uid: values('UID')[0] ?? '',
    organizer: values('ORGANIZER')[0] ?? '',
    attendees: values('ATTENDEE'),
    range: { start, end },
  };
}

const NAME_AND_PARAMETERS = /^([\w-]+)(?:;[\w-]+=(?:"[^"]*"|[^";:])*)*:/;

function propertyOf(line: string, name: string): string | undefined {
  const head = NAME_AND_PARAMETERS.exec(line);
  return head?.[1]?.toUpperCase() === name ? line.slice(head[0].length) : undefined;
}

export function replyCalendar(
  question: VPostedQuestion,
  replies: readonly { readonly attendee: string; readonly times: readonly BusyTime[] }[],
): string {
  return crlf([
    ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Sun/Calendar Server', 'METHOD:REPLY'],
    ...replies.flatMap(({ attendee, times }) => [
      ...['BEGIN:VFREEBUSY', `DTSTAMP:${question.range.start}`, `UID:${question.uid}`],
      ...[`DTSTART:${question.range.start}`, `DTEND:${question.range.end}`],
      ...(question.organizer === '' ? [] : [`ORGANIZER:${question.organizer}`]),
      `ATTENDEE:${attendee}`,
      ...times.map(({ start, end, type = 'BUSY' }) => `FREEBUSY;FBTYPE=${type}:${start}/${end}`),
      'END:VFREEBUSY',
    ]),
    'END:VCALENDAR',
  ]);
}

export function scheduleResponse(
  answers: readonly { readonly attendee: string; readonly status: string; readonly calendar: string | undefined }[],
): string {
  const responses = answers.map(
    ({ attendee, status, calendar }) =>
      `<response>\n${element('recipient', attendee)}${element('request-status', status)}${element('calendar-data', calendar)}</response>\n`,
  );
  return `${XML}<schedule-response xmlns="urn:ietf:params:xml:ns:ischedule">\n${responses.join('')}</schedule-response>\n`;
}
