import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { calendarObject, type EventFields } from './invitations.ts';

/** A post as a calendar server makes it. */
export type PeerPost = {
  readonly event: EventFields;
  readonly originator: string;
  readonly recipients: readonly string[];
  readonly messageId?: string;
};

export type PeerAnswer = {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
};

/** Posts to the receiver of the gateway that listens at this port, from 127.0.0.1 or the address named. */
export function post(port: number, { event, originator, recipients, messageId }: PeerPost, from?: string) {
  return ask(port, {
    method: 'POST',
    path: '/ischedule/',
    ...(from === undefined ? {} : { from }),
    headers: [
      ['iSchedule-Version', '1.0'],
      ...(messageId === undefined ? [] : [['iSchedule-Message-ID', messageId] as const]),
      ['Originator', `mailto:${originator}`],
      ...recipients.map((recipient) => ['Recipient', `mailto:${recipient}`] as const),
      ['Content-Type', `text/calendar; charset=utf-8; component=VEVENT; method=${event.method}`],
      ['Cache-Control', 'no-cache, no-transform'],
    ],
    body: calendarObject(event),
  });
}

export type Question = {
  readonly method?: string;
  readonly path: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string | Buffer;
  /** The address to connect from. */
  readonly from?: string;
};

/** One request of its own connection. Headers go out as they stand here. */
export async function ask(port: number, { method = 'GET', path, headers = [], body = '', from }: Question) {
  const sent = request({
    host: '127.0.0.1',
    port,
    method,
    path,
    agent: false,
    ...(from === undefined ? {} : { localAddress: from }),
    headers: [
      ...['Host', `127.0.0.1:${port}`],
      ...headers.flat(),
      ...(body.length === 0 ? [] : ['Content-Length', `${Buffer.byteLength(body)}`]),
    ],
  });
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    body: Buffer.concat(chunks).toString('utf8'),
  } satisfies PeerAnswer;
}

/** What each recipient was answered, as `bob@example.com 2.0`; for anything else the status and the first element. */
export function answered({ status, body }: PeerAnswer): readonly string[] {
  const responses = [...body.matchAll(/<recipient>(?:mailto:)?(.*?)<\/recipient>\s*<request-status>([\d.]+);/g)];
  if (responses.length > 0) return responses.map(([, recipient, code]) => `${recipient} ${code}`);
  return [`${status} ${/<error[^>]*>\s*<([a-z-]+)/.exec(body)?.[1] ?? body.trim()}`];
}
