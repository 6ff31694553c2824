import type { BusyReading } from '../../src/freebusy/busy.ts';
import { appIdOf, viaOf } from '../../src/freebusy/hops.ts';
import { type OutReply, type OutRequest, Requester, type RequesterOptions } from '../../src/http/requester.ts';
import { formatUtc } from '../../src/itip/date-time.ts';
import type { Log } from '../../src/observe/log.ts';
import type { BusyBatch, BusySource } from '../channel.ts';
import { commandUrl, formOf, refusalOf } from './command.ts';
import { readWcapAnswer, type WcapReading } from './read.ts';
import { type WcapLogin, WcapSession } from './session.ts';

export type WcapOptions = {
  /** Base below which the commands are, with or without a slash at its end. */
  readonly at: URL;
  /** Without one, questions go as `anonymous`: the server's default access control answers them. */
  readonly login?: WcapLogin;
  /** `connections` bounds the questions that are with the server at a time. */
  readonly requester: RequesterOptions;
  /** ms since the epoch */
  readonly clock: () => number;
};

/**
 * Asks a Sun Java System Calendar Server 6 by WCAP, `get_freebusy.wcap`: a question for each attendee, all at the same
 * time, as far as there are connections. By GET; by POST with a session, whose id would else stand in the server's logs.
 * It is told never to look elsewhere (`noredirect=1`), since elsewhere may be us.
 */
export class WcapSource implements BusySource {
  readonly protocol = 'wcap';
  readonly destination: string;
  readonly #requester: Requester;
  readonly #session: WcapSession | undefined;
  readonly #url: URL;

  constructor({ at, login, requester, clock }: WcapOptions, log: Log) {
    this.destination = at.origin;
    this.#requester = new Requester(requester);
    this.#session =
      login === undefined ? undefined : new WcapSession({ at, login, requester: this.#requester, clock }, log);
    this.#url = commandUrl(at, 'get_freebusy');
  }

  ask(batch: BusyBatch, signal: AbortSignal): Promise<readonly BusyReading[]> {
    return Promise.all(batch.attendees.map((attendee) => this.#askAbout(attendee, batch, signal)));
  }

  async #askAbout(attendee: string, batch: BusyBatch, signal: AbortSignal): Promise<BusyReading> {
    // WCAP takes it for the end of a name in a list: the times of the next one would be told as his.
    if (attendee.includes(';')) return { kind: 'unknown', reason: 'his address cannot be named in WCAP' };
    if (this.#session === undefined) {
      const answer = await this.#put(attendee, batch, undefined, signal);
      return answer.kind === 'reading' ? answer.reading : unavailable(WANTS_LOGIN);
    }
    let over: string | undefined;
    for (let attempt = 0; attempt < 2; attempt++) {
      const session = await this.#session.open(signal, over);
      if (session.kind === 'none') return unavailable(session.reason);
      const answer = await this.#put(attendee, batch, session.id, signal);
      if (answer.kind === 'reading') return answer.reading;
      over = session.id;
    }
    return unavailable('the calendar server does not take the session that it has just opened (errno 1)');
  }

  async #put(
    attendee: string,
    batch: BusyBatch,
    session: string | undefined,
    signal: AbortSignal,
  ): Promise<WcapReading> {
    const request = this.#compose(attendee, batch, session);
    const reply = await this.#requester.ask(request, signal);
    return readReply(reply, request.url, batch);
  }

  #compose(attendee: string, { window, hops }: BusyBatch, session: string | undefined): OutRequest {
    const parameters = {
      // Stands for all of his calendars that count for free/busy; a calid would be one of them.
      mail: attendee,
      dtstart: formatUtc(window.startMs),
      // To the second, as it is written: not less than was asked for.
      dtend: formatUtc(Math.ceil(window.endMs / 1000) * 1000),
      ...{ busyonly: '1', 'fmt-out': 'text/calendar', noredirect: '1' },
      ...(hops.length === 0 ? {} : { appid: appIdOf(hops) }),
    };
    const headers = hops.length === 0 ? {} : { Via: viaOf(hops) };
    if (session !== undefined) return formOf(this.#url, { id: session, ...parameters }, headers);
    const url = new URL(this.#url);
    url.search = new URLSearchParams(parameters).toString();
    return { method: 'GET', url, headers };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session?.[Symbol.asyncDispose]();
    await this.#requester[Symbol.asyncDispose]();
  }
}

const WANTS_LOGIN = 'the calendar server wants a login (errno 1): set user and password of this server';

function readReply(reply: OutReply, asked: URL, { window }: BusyBatch): WcapReading {
  if (reply.kind === 'silence') {
    const { reason, isTooLarge } = reply;
    return { kind: 'reading', reading: isTooLarge === true ? { kind: 'unusable', reason } : unavailable(reason) };
  }
  const { status, headers, body } = reply;
  if (status >= 300 && status < 400) return { kind: 'reading', reading: redirected(status, headers, asked) };
  const refusal = refusalOf(reply);
  if (refusal !== undefined) return { kind: 'reading', reading: unavailable(refusal) };
  return readWcapAnswer({ body, contentType: headers['content-type'] ?? '' }, window);
}

/** It was asked not to; if it does all the same it has looked for the user, and has not found him. */
function redirected(status: number, { location = '' }: Readonly<Record<string, string>>, asked: URL): BusyReading {
  const to = URL.parse(location, asked);
  if (to !== null && to.protocol === 'https:' && asked.protocol === 'http:' && to.hostname === asked.hostname)
    return unavailable(`the calendar server wants to be asked by https (HTTP ${status}): look at the URL`);
  return {
    kind: 'unknown',
    reason: `the calendar server does not have the user, and names another in spite of noredirect (HTTP ${status})`,
  };
}

function unavailable(reason: string): BusyReading {
  return { kind: 'unavailable', reason };
}
