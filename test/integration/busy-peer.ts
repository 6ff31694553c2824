import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { composeReply, escapeXml } from '../../channel/ischedule/wire.ts';

export const PEER_PROTOCOLS = ['ischedule', 'wcap', 'caldav', 'url'] as const;
export type PeerProtocol = (typeof PEER_PROTOCOLS)[number];

/** A question as it came. */
export type PeerQuestion = {
  readonly protocol: PeerProtocol;
  /** Mailboxes. */
  readonly attendees: readonly string[];
  /** '' where the protocol has none. */
  readonly uid: string;
  readonly organizer: string;
  readonly start: string;
  readonly end: string;
};

/** What is said of one attendee. */
export type PeerCalendar = { readonly attendee: string; readonly calendar: string };

/** Where a server answers which protocol. */
const PATHS: readonly (readonly [RegExp, PeerProtocol])[] = [
  [/^\/ischedule$/, 'ischedule'],
  [/^\/wcap\/get_freebusy\.wcap$/, 'wcap'],
  [/^\/outbox\/$/, 'caldav'],
  [/^\/ifb\/.+$/, 'url'],
];

/** A server in the test process that is asked for busy times in every protocol, and answers as the test says. */
export class BusyPeer implements AsyncDisposable {
  answer: (question: PeerQuestion, response: ServerResponse) => void = (_, response) => response.writeHead(500).end();
  /** All of them, oldest first. */
  readonly questions: PeerQuestion[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async listen(): Promise<BusyPeer> {
    const peer = new BusyPeer();
    peer.#server.listen(0, '127.0.0.1');
    await once(peer.#server, 'listening');
    return peer;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Back end of `calendar` for those who are asked about in this protocol. */
  urlOf(protocol: PeerProtocol): string {
    return `${this.origin}/${{ ischedule: 'ischedule', wcap: 'wcap/', caldav: 'outbox/', url: 'ifb/' }[protocol]}`;
  }

  /** Entry of `free-busy.servers`. @param more its other options */
  entryOf(protocol: PeerProtocol, more = ''): string {
    const url = this.urlOf(protocol);
    const template = `${url}{address}?start={start}&end={end}`;
    const account = `user: service, password: secret, as: service@example.test`;
    const at = {
      ...{ ischedule: '', wcap: `, at: '${url}'`, url: `, at: '${template}'` },
      caldav: `, at: '${url}', ${account}`,
    }[protocol];
    return `    - {url: '${url}', by: ${protocol}${at}${more}}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined); // the gateway may have gone
    const { pathname, searchParams } = new URL(request.url ?? '/', this.origin);
    const protocol = PATHS.find(([path]) => path.test(pathname))?.[1];
    if (protocol === undefined || (protocol === 'ischedule' && request.method === 'GET')) {
      response.writeHead(404).end(); // it has no capabilities document
      return;
    }
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return; // whoever asked went away
    }
    const body = Buffer.concat(chunks).toString('utf8');
    const isForm = protocol === 'wcap' && body !== '';
    const question = {
      protocol,
      ...(isForm ? read('', new URLSearchParams(body)) : read(pathname, searchParams, body)),
    };
    this.questions.push(question);
    this.answer(question, response);
  }
}

function read(pathname: string, query: URLSearchParams, body = ''): Omit<PeerQuestion, 'protocol'> {
  if (body === '') {
    const mail = query.get('mail') ?? decodeURIComponent(pathname.slice(pathname.lastIndexOf('/') + 1));
    const at = (...names: readonly string[]) => names.map((name) => query.get(name)).find((one) => one !== null) ?? '';
    return { attendees: [mail], uid: '', organizer: '', start: at('dtstart', 'start'), end: at('dtend', 'end') };
  }
  const text = body.replace(/\r\n[ \t]/g, '');
  const all = (name: string) =>
    [...text.matchAll(new RegExp(`^${name}:(.*)\\r$`, 'gm'))].map(([, value = '']) => value);
  return {
    attendees: all('ATTENDEE').map((value) => value.replace(/^mailto:/, '')),
    uid: all('UID')[0] ?? '',
    organizer: all('ORGANIZER')[0] ?? '',
    start: all('DTSTART')[0] ?? '',
    end: all('DTEND')[0] ?? '',
  };
}

/** The calendar that answers about one attendee. @param lines of its VFREEBUSY, beside those that say whose it is */
export function busyCalendar(
  question: PeerQuestion,
  attendee: string,
  lines: readonly string[],
  { zones = [] }: { readonly zones?: readonly string[] } = {},
): string {
  const { protocol, uid, organizer, start, end } = question;
  const isReply = protocol === 'ischedule' || protocol === 'caldav';
  const isWcap = protocol === 'wcap';
  return [
    ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Example//Free busy//EN'],
    `METHOD:${isReply ? 'REPLY' : 'PUBLISH'}`,
    ...(isWcap ? [`X-NSCP-CALPROPS-RELATIVE-CALID:${attendee}`] : []),
    ...zones,
    ...['BEGIN:VFREEBUSY', 'DTSTAMP:20260101T000000Z', `DTSTART:${start}`, `DTEND:${end}`],
    ...(isReply ? [`UID:${uid}`, `ORGANIZER:${organizer}`, `ATTENDEE:mailto:${attendee}`] : []),
    ...[...lines, 'END:VFREEBUSY', ...(isWcap ? ['X-NSCP-WCAP-ERRNO:0'] : []), 'END:VCALENDAR', ''],
  ].join('\r\n');
}

/** An answer as its protocol has it. */
export function composeAnswer(
  { protocol }: PeerQuestion,
  calendars: readonly PeerCalendar[],
): { readonly type: string; readonly body: string } {
  if (protocol === 'wcap' || protocol === 'url')
    return { type: 'text/calendar; charset=utf-8', body: calendars.map(({ calendar }) => calendar).join('') };
  const responses = calendars.map(({ attendee, calendar }) => ({
    ...{ recipient: `mailto:${attendee}`, requestStatus: '2.0;Success', calendarData: calendar },
  }));
  const body = protocol === 'ischedule' ? composeReply(responses) : composeDav(calendars);
  return { type: 'application/xml; charset=utf-8', body };
}

function composeDav(calendars: readonly PeerCalendar[]): string {
  const responses = calendars.map(
    ({ attendee, calendar }) =>
      `<C:response><C:recipient><D:href>mailto:${escapeXml(attendee)}</D:href></C:recipient>` +
      `<C:request-status>2.0;Success</C:request-status>` +
      `<C:calendar-data>${escapeXml(calendar)}</C:calendar-data></C:response>\n`,
  );
  return (
    '<?xml version="1.0" encoding="utf-8"?>\n' +
    `<C:schedule-response xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">\n${responses.join('')}</C:schedule-response>\n`
  );
}

/** Resolves once the connection of an answer is closed, which it may be already. */
export async function closed(response: ServerResponse): Promise<void> {
  if (!response.closed && response.socket?.destroyed === false) await once(response, 'close');
}
