import type { HttpReply } from './exchange.ts';

/** A reply of one line of words. */
export function textReply(status: number, words: string, headers: Readonly<Record<string, string>> = {}): HttpReply {
  return { status, headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers }, body: `${words}\n` };
}

/** What a person should know of a refusal by the listener (`Route.refuse`), where the route has no words of its own. */
export function refusalWords(status: number): string {
  return REFUSALS[status] ?? 'the request was refused';
}

const REFUSALS: Readonly<Record<number, string>> = {
  400: 'the request is not HTTP as RFC 9112 has it',
  408: 'the request took too long to come',
  415: 'found a Content-Encoding, wanted none',
  417: 'wanted no Expect but 100-continue',
  431: 'the headers are too long',
  500: 'the request failed here; the log says why',
  503: 'too busy at the moment',
};
