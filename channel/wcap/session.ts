import type { Requester } from '../../src/http/requester.ts';
import { orAborted } from '../../src/net/wait.ts';
import type { Log } from '../../src/observe/log.ts';
import { type Element, readDocument, textOf } from '../../src/xml/document.ts';
import { commandUrl, formOf, refusalOf } from './command.ts';
import { wordsOf } from './errno.ts';

export type WcapLogin = { readonly user: string; readonly password: string };

export type SessionOptions = {
  readonly at: URL;
  readonly login: WcapLogin;
  readonly requester: Requester;
  readonly clock: () => number;
};

export type SessionId =
  | { readonly kind: 'session'; readonly id: string }
  | { readonly kind: 'none'; readonly reason: string };

/** A login has a deadline of its own: those who wait for it have several. */
const LOGIN_MS = 10_000;
const LOGOUT_MS = 1_000;
/** How long a login that the server did not take is not tried again: enough of them lock an account. */
const REFUSED_MS = 30_000;

/**
 * The one session with a WCAP server that all questions share: opened when first wanted, by one login however many
 * want it, and kept until the server says that it is over. Its id is a secret: who has it acts as the user.
 */
export class WcapSession implements AsyncDisposable {
  readonly #options: SessionOptions;
  readonly #log: Log;
  readonly #disposal = new AbortController();
  #pending: Promise<SessionId> | undefined;
  #id: string | undefined;
  #refused: { readonly reason: string; readonly untilMs: number } | undefined;

  constructor(options: SessionOptions, log: Log) {
    this.#options = options;
    this.#log = log;
  }

  /**
   * @param over the session that the server calls invalid; another one that was opened since is given instead
   * @param signal ends the wait, not the login
   */
  async open(signal: AbortSignal, over?: string): Promise<SessionId> {
    if (over !== undefined && this.#id === over) this.#id = undefined;
    if (this.#id !== undefined) return { kind: 'session', id: this.#id };
    const now = this.#options.clock();
    if (this.#refused !== undefined && now < this.#refused.untilMs) {
      return { kind: 'none', reason: `${this.#refused.reason}; not tried again for the moment` };
    }
    this.#pending ??= this.#logIn().finally(() => {
      this.#pending = undefined;
    });
    const waited = await orAborted(this.#pending, signal);
    return waited ?? { kind: 'none', reason: 'the calendar server did not answer the login in time' };
  }

  async #logIn(): Promise<SessionId> {
    const { at, login, requester, clock } = this.#options;
    this.#refused = undefined;
    const request = formOf(commandUrl(at, 'login'), { ...login, 'fmt-out': 'text/xml' });
    const signal = AbortSignal.any([AbortSignal.timeout(LOGIN_MS), this.#disposal.signal]);
    const reply = await requester.ask(request, signal);
    if (reply.kind === 'silence') return none(`login: ${reply.reason}`);
    const refusal = refusalOf(reply);
    const values =
      refusal === undefined ? readValues(reply.body, reply.headers['content-type'] ?? '') : new Map<string, string>();
    const id = values.get('X-NSCP-WCAP-SESSION-ID') ?? '';
    const errno = values.get('X-NSCP-WCAP-ERRNO') ?? '';
    // 2: it is well, and a default calendar was made.
    if (id !== '' && /^[02]?$/.test(errno)) {
      this.#id = id;
      return { kind: 'session', id };
    }
    const isRefused = errno === '1' || reply.status === 401 || reply.status === 403;
    const reason = isRefused
      ? 'the calendar server refused the login: look at user and password'
      : `login: ${refusal ?? (/^-?\d{1,9}$/.test(errno) ? wordsOf(Number(errno)) : 'the answer names no session')}`;
    this.#refused = { reason, untilMs: clock() + REFUSED_MS };
    this.#log.warn({ event: 'wcap login failed', server: at.origin, user: login.user, reason });
    return none(reason);
  }

  /** Logs out, if the server takes it quickly. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { at, requester } = this.#options;
    const id = this.#id;
    this.#id = undefined;
    this.#disposal.abort();
    await this.#pending;
    const last = id ?? this.#id;
    if (last === undefined) return;
    await requester.ask(formOf(commandUrl(at, 'logout'), { id: last }), AbortSignal.timeout(LOGOUT_MS));
  }
}

function none(reason: string): SessionId {
  return { kind: 'none', reason };
}

/** X- properties of an answer without components, by their names: XML as was asked for, or iCalendar all the same. */
function readValues(body: Buffer, contentType: string): ReadonlyMap<string, string> {
  const read = readDocument(body, contentType);
  if (read.kind === 'document') return new Map(leaves(read.root));
  const text = body.toString('utf8').replace(/\r?\n[ \t]/g, '');
  return new Map([...text.matchAll(/^(X-[\w-]+):(.*)$/gm)].map(([, name = '', value = '']) => [name, value.trim()]));
}

function leaves(element: Element): [string, string][] {
  return [[element.name, textOf(element).trim()], ...element.children.flatMap(leaves)];
}
