import { parseContentType } from '../../src/itip/content-type.ts';
import { childrenNamed, type Element, readDocument, textOf } from '../../src/xml/document.ts';
import type { PostBatch } from '../channel.ts';
import { headerAddress, recipientHeaders } from './profiles.ts';

export const NAMESPACE = 'urn:ietf:params:xml:ns:ischedule';

/** What the peer said about one recipient. */
export type RecipientResponse = {
  /** As it stands in the answer: the URI as sent, in practice also without its `mailto:`. */
  readonly recipient: string;
  /** `code;description`, not taken apart; '' when the element is missing. */
  readonly requestStatus: string;
  readonly calendarData?: string;
  /** Another response about the same recipient says something else. */
  readonly isDisputed?: true;
  /** Name of the precondition element inside `error`. */
  readonly error?: string;
  readonly description?: string;
};

/** An answer's body. */
export type Reply =
  | { readonly kind: 'responses'; readonly responses: readonly RecipientResponse[] }
  /** Whole-request failure; `element` is the precondition's name without prefix, '' when there is none. */
  | { readonly kind: 'error'; readonly element: string; readonly description: string }
  | { readonly kind: 'unreadable'; readonly reason: string };

/**
 * The request's headers as a flat list of names and values, in the order they go out. Every value is printable ASCII,
 * whatever the batch holds.
 */
export function composeRequest(batch: PostBatch, userAgent: string): string[] {
  const headers = [
    'iSchedule-Version',
    '1.0',
    'iSchedule-Message-ID',
    batch.messageId.replace(/[^\x21-\x7e]/g, ''),
    'Originator',
    headerAddress(batch.originator),
  ];
  for (const value of recipientHeaders(batch.profile, batch.recipients)) headers.push('Recipient', value);
  headers.push(
    'Content-Type',
    `text/calendar; component=${token(batch.component)}; method=${token(batch.method)}; charset=utf-8`,
    'Cache-Control',
    'no-cache, no-transform',
    'User-Agent',
    userAgent,
  );
  return headers;
}

function token(value: string): string {
  return value.replace(/[^A-Za-z0-9-]/g, '');
}

/**
 * Reads the body of an answer: any namespace prefix, any order of children, text or CDATA, the element names of all
 * drafts (`href` inside `recipient`, `responsedescription`). DOCTYPE is refused and nothing is ever fetched.
 * @param contentType value of the Content-Type header, '' when absent
 */
export function parseReply(body: Buffer, contentType: string): Reply {
  const document = readDocument(body, contentType);
  if (document.kind === 'unreadable') return document;
  const { root } = document;
  if (root.name === 'schedule-response') {
    return { kind: 'responses', responses: childrenNamed(root, 'response').map(readResponse) };
  }
  if (root.name === 'error') {
    const { element, description } = readError(root);
    return { kind: 'error', element, description };
  }
  return { kind: 'unreadable', reason: 'the answer is not a schedule-response' };
}

/** iCalendar where a `schedule-response` belongs: servers of draft -00 may answer a question for busy times so. */
export type BareAnswer = { readonly content: Buffer; readonly charset: string | undefined };

/**
 * Takes a body that is no reply for iCalendar by how it begins, or else by its label.
 * @param contentType value of the Content-Type header, '' when absent
 */
export function readBare(content: Buffer, contentType: string): BareAnswer | undefined {
  const { type, parameters } = parseContentType(contentType);
  const beginning = content
    .toString('latin1', 0, 64)
    .replace(/^\xef\xbb\xbf/, '')
    .trimStart();
  const isCalendar = /^BEGIN:/i.test(beginning) || (type === 'text/calendar' && /^[^<]/.test(beginning));
  return isCalendar ? { content, charset: parameters.get('charset')?.[0]?.trim() } : undefined;
}

function readResponse(response: Element): RecipientResponse {
  const calendarData = childrenNamed(response, 'calendar-data')[0];
  const error = childrenNamed(response, 'error')[0];
  const description = childrenNamed(response, 'response-description', 'responsedescription')[0];
  return {
    recipient: textOf(childrenNamed(response, 'recipient')[0]).trim(),
    requestStatus: textOf(childrenNamed(response, 'request-status')[0]).trim(),
    ...(calendarData === undefined ? {} : { calendarData: textOf(calendarData) }),
    ...(error === undefined ? {} : { error: readError(error).element }),
    ...(description === undefined ? {} : { description: textOf(description).trim() }),
  };
}

function readError(error: Element): { element: string; description: string } {
  const description = childrenNamed(error, 'response-description', 'responsedescription')[0];
  const element = error.children.find((child) => child.name !== '' && child !== description);
  return { element: element?.name ?? '', description: textOf(description).trim() };
}

const DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n';

/** A `schedule-response` with the children in the order of the DTD, which Bedework's client insists on. */
export function composeReply(responses: readonly RecipientResponse[]): string {
  const body = responses.map(
    (response) =>
      `  <response>\n${element('recipient', response.recipient)}${element('request-status', response.requestStatus)}` +
      `${element('calendar-data', response.calendarData)}` +
      `${response.error === undefined ? '' : `    <error><${xmlName(response.error)}/></error>\n`}` +
      `${element('response-description', response.description)}  </response>\n`,
  );
  return `${DECLARATION}<schedule-response xmlns="${NAMESPACE}">\n${body.join('')}</schedule-response>\n`;
}

/** An `error` for the whole request: one precondition element, then what a person should know. */
export function composeError(precondition: string, description?: string): string {
  return (
    `${DECLARATION}<error xmlns="${NAMESPACE}">\n    <${xmlName(precondition)}/>\n` +
    `${element('response-description', description)}</error>\n`
  );
}

function element(name: string, text: string | undefined): string {
  return text === undefined ? '' : `    <${name}>${escapeXml(text)}</${name}>\n`;
}

function xmlName(name: string): string {
  return name.replace(/[^A-Za-z0-9-]/g, '');
}

/** Text for XML 1.0: markup escaped, CR kept as a reference, characters that XML cannot carry dropped. */
export function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\x20-\uFFFD\u{10000}-\u{10FFFF}]/gu, '')
    .replace(/[&<>"\r]/g, (char) => ESCAPES[char] ?? char);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#13;',
};
