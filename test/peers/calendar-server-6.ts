import { once } from 'node:events';
import {
  createServer,
  get,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { Cs6Calendars, type Cs6User } from './calendar-server-6-calendars.ts';
import {
  type CalendarText,
  DAY_MS,
  errnoCalendar,
  formatReply,
  propertiesReply,
  type Range,
  readVFreeBusy,
  scheduleResponse,
  utc,
} from './calendar-server-6-text.ts';

export type Cs6Login = {
  readonly user: string;
  readonly password: string;
  /** calmaster with service.admin.calmaster.overrides.accesscontrol. */
  readonly overridesAcl?: boolean;
};

/** One request as it came, whole. */
export type Cs6Request = {
  readonly method: string;
  /** `get_freebusy.wcap`, `ischedule` … */
  readonly command: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Of the query and of a posted form. */
  readonly parameters: URLSearchParams;
  readonly body: string;
};

/** What becomes of a request: answered, or as servers in trouble do. `html`: an error page with status 200. */
export type Cs6Manner = 'answer' | 'hang' | 'hang-after-headers' | 'html' | 'close';

export type Cs6Options = {
  readonly users: readonly Cs6User[];
  readonly logins?: readonly Cs6Login[];
  /** service.http.allowanonymouslogin: questions without a session are answered. Default true. */
  readonly anonymous?: boolean;
  /** Commands that a session lasts; endless when absent. */
  readonly sessionCommands?: number;
  /** service.wcap.freebusy.redirecturl, tried for users that are not found unless noredirect=1. */
  readonly redirect?: { readonly url: string; readonly by: '302' | 'relay' };
  /** Redirects although noredirect=1 asks for the contrary. */
  readonly ignoresNoRedirect?: boolean;
  /** What a real 6.3 does about unknown users is `empty`; its documentation says errno 29. */
  readonly unknown?: 'empty' | 'errno';
  /** Answer to `mail`: one calendar for all of them, or one for each. */
  readonly mailAnswer?: 'merged' | 'each';
  /** Answer to an iSchedule question: what the draft says, or the bare calendar that cannot be excluded. */
  readonly ischedule?: 'schedule-response' | 'calendar';
  /** A slow server awaits something of the test's here. */
  readonly manner?: (request: Cs6Request) => Cs6Manner | Promise<Cs6Manner>;
  /** Whether `requests` grows; default true. */
  readonly records?: boolean;
  readonly clock?: () => number;
};

type Reply = { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body: string };

/**
 * A stand-in of Sun Java System Calendar Server 6.3, which cannot be had any more: its WCAP commands for free/busy
 * and sessions, and its iSchedule service, as the product's documentation and clients of its time describe them. With
 * its quirks: failures have status 200 and a number, the number stands after the component, an unknown user gets an
 * empty body, and who is not found may be looked for at another server.
 */
export class CalendarServer6 implements AsyncDisposable {
  readonly requests: Cs6Request[] = [];
  /** Connections that were opened to it. */
  connections = 0;
  /** Below it are the commands; that of iSchedule is `/ischedule/`. */
  url = new URL('http://127.0.0.1/');
  /** Of the options; may be set once the other server is there. */
  redirect: Cs6Options['redirect'];
  readonly #options: Cs6Options;
  readonly #server: Server;
  readonly #calendars: Cs6Calendars;
  readonly #sessions = new Map<string, { readonly login: Cs6Login; left: number }>();
  #lastSession = 0;

  private constructor(options: Cs6Options) {
    this.#options = options;
    this.redirect = options.redirect;
    this.#calendars = new Cs6Calendars(options.users);
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on('connection', () => {
      this.connections++;
    });
  }

  static async listen(options: Cs6Options): Promise<CalendarServer6> {
    const server = new CalendarServer6(options);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    server.url = new URL(`http://127.0.0.1:${(server.#server.address() as AddressInfo).port}/`);
    return server;
  }

  /** Those of one command, in order. */
  asked(command: string): readonly Cs6Request[] {
    return this.requests.filter((request) => request.command === command);
  }

  get sessions(): readonly string[] {
    return [...this.#sessions.keys()];
  }

  /** As if all of them had been idle too long. */
  expireSessions(): void {
    this.#sessions.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined);
    let body = '';
    message.setEncoding('utf8');
    try {
      for await (const chunk of message) body += chunk;
    } catch {
      return; // the client has gone
    }
    const url = new URL(message.url ?? '/', 'http://stand-in.test');
    const isForm = /^application\/x-www-form-urlencoded/i.test(message.headers['content-type'] ?? '');
    const request: Cs6Request = {
      method: message.method ?? '',
      command: url.pathname.replace(/^\/+|\/+$/g, ''),
      url: message.url ?? '',
      headers: message.headers,
      parameters: new URLSearchParams([...url.searchParams, ...(isForm ? new URLSearchParams(body) : [])]),
      body,
    };
    if (this.#options.records !== false) this.requests.push(request);
    const manner = (await this.#options.manner?.(request)) ?? 'answer';
    if (manner === 'hang') return;
    if (manner === 'close') {
      message.socket.destroy();
      return;
    }
    if (manner === 'hang-after-headers') {
      response.writeHead(200, { 'Content-Type': 'text/calendar; charset=UTF-8' }).flushHeaders();
      return;
    }
    const reply = manner === 'html' ? ERROR_PAGE : await this.#answer(request);
    response.writeHead(reply.status, { Server: 'Sun-ONE-Calendar-Server/6.3', ...reply.headers });
    response.end(reply.body);
  }

  #answer(request: Cs6Request): Reply | Promise<Reply> {
    switch (request.command) {
      case 'get_freebusy.wcap':
        return this.#getFreeBusy(request);
      case 'login.wcap':
        return this.#login(request.parameters);
      case 'logout.wcap':
        this.#sessions.delete(request.parameters.get('id') ?? '');
        return properties(request.parameters, { 'X-NSCP-WCAP-ERRNO': '-1' });
      case 'check_id.wcap': {
        const isKnown = this.#sessions.has(request.parameters.get('id') ?? '');
        return properties(request.parameters, { 'X-NSCP-WCAP-CHECK-ID': isKnown ? '1' : '0' });
      }
      case 'version.wcap':
        return properties(request.parameters, { 'X-NSCP-WCAPVERSION': '3.3.0', 'X-NSCP-WCAP-ERRNO': '0' });
      case 'ping.wcap':
        return properties(request.parameters, { 'X-NSCP-WCAP-ERRNO': '0' });
      case 'ischedule':
        return this.#ischedule(request);
    }
    // Commands have no path before them.
    return /^\w+\.wcap$/.test(request.command)
      ? properties(request.parameters, { 'X-NSCP-WCAP-ERRNO': '52' })
      : { status: 404, headers: { 'Content-Type': 'text/html' }, body: '<html><body>Not Found</body></html>' };
  }

  // ---- sessions

  #login(parameters: URLSearchParams): Reply {
    const user = parameters.get('user') ?? '';
    const password = parameters.get('password') ?? '';
    const isAnonymous = user === 'anonymous' && this.#options.anonymous !== false;
    const login = isAnonymous
      ? { user, password }
      : this.#options.logins?.find((one) => one.user === user && one.password === password);
    if (login === undefined) return properties(parameters, { 'X-NSCP-WCAP-ERRNO': '1' });
    const id = `s${++this.#lastSession}x${'0123456789abcdef'.repeat(2)}`;
    this.#sessions.set(id, { login, left: this.#options.sessionCommands ?? Number.POSITIVE_INFINITY });
    return properties(parameters, {
      'X-NSCP-WCAP-SESSION-ID': id,
      'X-NSCP-WCAP-USER-ID': user,
      'X-NSCP-WCAP-CALENDAR-ID': user,
      'X-NSCP-WCAP-ERRNO': '0',
    });
  }

  /** @returns the number of what is wrong with it */
  #session(parameters: URLSearchParams): Cs6Login | undefined | 1 | 75 {
    const id = parameters.get('id');
    if (id === null) return this.#options.anonymous === false ? 75 : undefined;
    const session = this.#sessions.get(id);
    if (session === undefined || session.left-- <= 0) {
      this.#sessions.delete(id);
      return 1;
    }
    return session.login;
  }

  // ---- WCAP free/busy

  async #getFreeBusy(request: Cs6Request): Promise<Reply> {
    const { parameters } = request;
    const session = this.#session(parameters);
    if (typeof session === 'number') return calendars(parameters, [errnoCalendar(session)]);
    const format = parameters.get('fmt-out') ?? 'text/calendar';
    if (!/^text\/(?:calendar|xml)$/.test(format)) return calendars(parameters, [errnoCalendar(58)]);
    const range = this.#range(parameters);
    if (range === undefined) return calendars(parameters, [errnoCalendar(60)]);
    const found = this.#calendars.find(parameters, session?.user);
    if (found.length === 0) return calendars(parameters, [errnoCalendar(38)]);
    const [first] = found;
    const mayRedirect = parameters.get('noredirect') !== '1' || this.#options.ignoresNoRedirect === true;
    if (found.length === 1 && first?.kind === 'unknown') {
      if (this.redirect !== undefined && mayRedirect) return redirected(request, this.redirect);
      if (this.#options.unknown !== 'errno') return { status: 200, headers: TYPES['text/calendar'], body: '' };
    }
    const how = {
      withFree: parameters.get('busyonly') === '0',
      overridesAcl: session?.overridesAcl === true,
      each: this.#options.mailAnswer === 'each',
    };
    return calendars(
      parameters,
      found.flatMap((one) => this.#calendars.texts(one, range, how)),
    );
  }

  /** In one of three ways; a duration wins over the others. */
  #range(parameters: URLSearchParams): Range | undefined {
    const now = this.#options.clock?.() ?? Date.now();
    const days = (name: string, otherwise: number): number => {
      const text = parameters.get(name);
      return text === null || text === '' ? otherwise : /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
    };
    const around = (before: number, after: number): Range | undefined =>
      Number.isNaN(before + after) ? undefined : { start: utc(now - before * DAY_MS), end: utc(now + after * DAY_MS) };
    const [start, end] = [parameters.get('dtstart'), parameters.get('dtend')];
    if (parameters.has('duration')) {
      const duration = days('duration', 60);
      if (start === null) return around(0, duration);
      const at = Date.parse(start.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
      return Number.isNaN(at + duration) ? undefined : { start, end: utc(at + duration * DAY_MS) };
    }
    const isAround = parameters.has('freebusybegin') || parameters.has('freebusyend');
    if (start === null && end === null)
      return isAround ? around(days('freebusybegin', 30), days('freebusyend', 30)) : around(0, 60);
    const isTime = (text: string | null): text is string => /^\d{8}T\d{6}Z$/.test(text ?? '');
    return isTime(start) && isTime(end) && start < end ? { start, end } : undefined;
  }

  // ---- iSchedule

  #ischedule(request: Cs6Request): Reply {
    if (request.method !== 'POST') return { status: 405, headers: { Allow: 'POST' }, body: '' };
    const question = readVFreeBusy(request.body);
    if (question === undefined) {
      const error = '<error xmlns="urn:ietf:params:xml:ns:ischedule"><invalid-scheduling-message/></error>';
      return { status: 403, headers: TYPES['text/xml'], body: error };
    }
    const answers = this.#calendars.answer(question);
    if (this.#options.ischedule !== 'calendar')
      return { status: 200, headers: TYPES['text/xml'], body: scheduleResponse(answers) };
    const body = answers.map(({ calendar }) => calendar ?? '').join('');
    return { status: 200, headers: TYPES['text/calendar'], body };
  }
}

const TYPES = {
  'text/calendar': { 'Content-Type': 'text/calendar; charset=UTF-8' },
  'text/xml': { 'Content-Type': 'text/xml; charset=UTF-8' },
} as const;

const ERROR_PAGE: Reply = {
  status: 200,
  headers: { 'Content-Type': 'text/html' },
  body: '<!DOCTYPE html>\n<html><head><title>Error</title></head><body><p>Internal error &nbsp; try again</body></html>\n',
};

function typesOf(parameters: URLSearchParams): Readonly<Record<string, string>> {
  return TYPES[parameters.get('fmt-out') === 'text/xml' ? 'text/xml' : 'text/calendar'];
}

function calendars(parameters: URLSearchParams, texts: readonly CalendarText[]): Reply {
  return {
    status: 200,
    headers: typesOf(parameters),
    body: formatReply(texts, parameters.get('fmt-out') === 'text/xml'),
  };
}

function properties(parameters: URLSearchParams, values: Readonly<Record<string, string>>): Reply {
  const body = propertiesReply(values, parameters.get('fmt-out') === 'text/xml');
  return { status: 200, headers: typesOf(parameters), body };
}

/** The question goes on as it came, session and all. */
async function redirected(
  { parameters }: Cs6Request,
  { url, by }: { url: string; by: '302' | 'relay' },
): Promise<Reply> {
  const location = new URL(url);
  if (!location.pathname.endsWith('.wcap'))
    location.pathname = `${location.pathname.replace(/\/$/, '')}/get_freebusy.wcap`;
  location.search = parameters.toString();
  if (by === '302') return { status: 302, headers: { Location: location.href }, body: '' };
  const request = get(location, { agent: false });
  try {
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    let body = '';
    response.setEncoding('utf8');
    for await (const chunk of response) body += chunk;
    const type = response.headers['content-type'];
    return {
      status: response.statusCode ?? 500,
      ...(type === undefined ? {} : { headers: { 'Content-Type': type } }),
      body,
    };
  } catch {
    return calendars(parameters, [errnoCalendar(39)]);
  }
}
