import { namesAt } from '../../rules/data/profiles.ts';
import type { BusyReading } from '../../src/freebusy/busy.ts';
import { composeBusyRequest } from '../../src/freebusy/compose.ts';
import { viaOf } from '../../src/freebusy/hops.ts';
import { type OutReply, Requester, type RequesterOptions } from '../../src/http/requester.ts';
import type { Log } from '../../src/observe/log.ts';
import type { BusyBatch, BusySource } from '../channel.ts';
import { readAnswer } from './read.ts';

export type CalDavOptions = {
  /** The schedule-outbox-URL of the service account (RFC 6638 §2.1.1). */
  readonly outbox: URL;
  /** Value of Authorization; sent to the outbox' origin only. */
  readonly authorization?: string;
  /** Mailbox of the service account: ORGANIZER of every question, which servers compare with the account. */
  readonly organizer: string;
  readonly requester: RequesterOptions;
  /** ms since the epoch */
  readonly clock: () => number;
};

const MAX_REDIRECTS = 3;
const TEMPORARY_REDIRECT = 307;
const PERMANENT_REDIRECT = 308;

/** Asks a CalDAV server by a POST to the scheduling outbox of a service account (RFC 6638 §5). */
export class CalDavSource implements BusySource {
  readonly protocol = 'caldav';
  readonly destination: string;
  readonly #options: CalDavOptions;
  readonly #requester: Requester;
  readonly #log: Log;
  /** What an operator was told last: the same again would be told with every question. */
  #told = '';

  constructor(options: CalDavOptions, log: Log) {
    this.destination = options.outbox.origin;
    this.#options = options;
    this.#requester = new Requester(options.requester);
    this.#log = log;
  }

  async ask(batch: BusyBatch, signal: AbortSignal): Promise<readonly BusyReading[]> {
    // Cyrus' httpd dies of an ATTENDEE with a sub-address, and the answer about everybody else with it.
    const alone = batch.attendees.filter((attendee) => attendee.includes('+'));
    const together = batch.attendees.filter((attendee) => !attendee.includes('+'));
    const questions = [together, ...alone.map((attendee) => [attendee])].filter(({ length }) => length > 0);
    const answers = await Promise.all(questions.map((attendees) => this.#askAbout({ ...batch, attendees }, signal)));
    const readings = answers.flat();
    const byAttendee = new Map(questions.flat().map((attendee, at) => [attendee, readings[at]]));
    return batch.attendees.flatMap((attendee) => byAttendee.get(attendee) ?? []);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#requester[Symbol.asyncDispose]();
  }

  async #askAbout(batch: BusyBatch, signal: AbortSignal): Promise<readonly BusyReading[]> {
    const { organizer, clock } = this.#options;
    const { uid, attendees, window } = batch;
    const body = composeBusyRequest({
      ...{ uid, organizer, window, now: clock() },
      attendees: namesAt(batch.profile, attendees),
    });
    const posted = await this.#post(body, batch.hops, signal);
    if (posted.kind === 'silence') return this.#same(batch, posted.reason, false);
    if (posted.kind === 'astray') return this.#same(batch, posted.reason, true);
    const answer = readAnswer(posted, { uid, organizer, attendees, window });
    if (answer.kind === 'refused') return this.#same(batch, answer.reason, answer.isOurs);
    this.#told = '';
    return answer.readings;
  }

  async #post(
    body: Buffer,
    hops: readonly string[],
    signal: AbortSignal,
  ): Promise<OutReply | { readonly kind: 'astray'; readonly reason: string }> {
    const { outbox, authorization } = this.#options;
    const headers = {
      'Content-Type': 'text/calendar; charset=utf-8; component=VFREEBUSY; method=REQUEST',
      Accept: 'application/xml, text/xml',
      ...(hops.length === 0 ? {} : { Via: viaOf(hops) }),
      ...(authorization === undefined ? {} : { Authorization: authorization }),
    };
    let url = outbox;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const reply = await this.#requester.ask({ method: 'POST', url, headers, body }, signal);
      if (reply.kind === 'silence' || reply.status < 300 || reply.status > 399) return reply;
      const { status } = reply;
      const { location } = reply.headers;
      const next = location === undefined ? null : URL.parse(location, url);
      // The others turn a POST into a GET (RFC 9110 §15.4), and nobody else gets the account's credentials.
      const keepsPost = status === TEMPORARY_REDIRECT || status === PERMANENT_REDIRECT;
      if (!keepsPost || next === null || next.origin !== outbox.origin)
        return { kind: 'astray', reason: `found a redirect to ${next?.host ?? 'nowhere'} (${status}), ${WANTED}` };
      url = next;
    }
    return { kind: 'astray', reason: `found more than ${MAX_REDIRECTS} redirects, ${WANTED}` };
  }

  /** @param isOurs whether it is for our operator to put right */
  #same({ attendees }: BusyBatch, reason: string, isOurs: boolean): readonly BusyReading[] {
    if (isOurs && reason !== this.#told) {
      this.#told = reason;
      this.#log.warn({ protocol: 'caldav', relay: this.destination, reason }, 'free/busy: the outbox is not as wanted');
    }
    return attendees.map(() => ({ kind: 'unavailable', reason }));
  }
}

const WANTED = 'wanted the schedule-outbox-URL of the service account';
