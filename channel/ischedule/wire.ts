import { XMLParser, XMLValidator } from 'fast-xml-parser';
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

// Elements in order, so that text and CDATA keep their places; entities are ours, since the parser would leave
// numeric ones and must not touch CDATA. The answers we know are four levels deep.
const parser = new XMLParser({
  preserveOrder: true,
  cdataPropName: '#cdata',
  processEntities: false,
  ignoreAttributes: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  removeNSPrefix: true,
  parseTagValue: false,
  trimValues: false,
  maxNestedTags: 16,
});

/**
 * Reads the body of an answer: any namespace prefix, any order of children, text or CDATA, the element names of all
 * drafts (`href` inside `recipient`, `responsedescription`). DOCTYPE is refused and nothing is ever fetched.
 * @param contentType value of the Content-Type header, '' when absent
 */
export function parseReply(body: Buffer, contentType: string): Reply {
  const text = decode(body, contentType);
  if (!/^\s*</.test(text)) return unreadable(text.trim() === '' ? 'the answer is empty' : 'the answer is not XML');
  if (/<!DOCTYPE/i.test(text)) return unreadable('the answer has a DOCTYPE');
  const elements = parseElements(text);
  if (elements === undefined) return unreadable('the answer is not well-formed XML');
  const root = elements.find((element) => element.name !== '');
  if (root === undefined) return unreadable('the answer has no element');
  if (root.name === 'schedule-response') {
    return { kind: 'responses', responses: childrenNamed(root, 'response').map(readResponse) };
  }
  if (root.name === 'error') {
    const { element, description } = readError(root);
    return { kind: 'error', element, description };
  }
  return unreadable('the answer is not a schedule-response');
}

function unreadable(reason: string): Reply {
  return { kind: 'unreadable', reason };
}

/** RFC 7303 §3: byte order mark, then the charset parameter, then the XML declaration, then UTF-8. */
function decode(body: Buffer, contentType: string): string {
  if (body[0] === 0xff && body[1] === 0xfe) return body.subarray(2).toString('utf16le');
  if (body[0] === 0xfe && body[1] === 0xff)
    return Buffer.from(body.subarray(2, body.length & ~1))
      .swap16()
      .toString('utf16le');
  const label =
    /;\s*charset\s*=\s*"?([\w.:-]+)/i.exec(contentType)?.[1] ??
    /^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([\w.:-]+)/.exec(body.toString('latin1', 0, 200))?.[1] ??
    'utf-8';
  if (/^(?:utf-?8|us-ascii)$/i.test(label)) return body.toString('utf8').replace(/^\uFEFF/, '');
  try {
    return new TextDecoder(label).decode(body);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // a charset nobody knows: the markup is ASCII in nearly all of them
    return body.toString('utf8');
  }
}

/** `name` is '' for text, whose entities are decoded already. */
type Element = { readonly name: string; readonly text: string; readonly children: readonly Element[] };

function parseElements(text: string): readonly Element[] | undefined {
  if (XMLValidator.validate(text) !== true) return undefined;
  try {
    return toElements(parser.parse(text));
  } catch (error) {
    // The parser throws plain errors for what it will not read: too deep, a name it must not use as a key.
    if (!(error instanceof Error)) throw error;
    return undefined;
  }
}

function toElements(nodes: unknown): Element[] {
  if (!Array.isArray(nodes)) return [];
  return nodes.flatMap((node: unknown) => {
    if (typeof node !== 'object' || node === null) return [];
    return Object.entries(node).flatMap(([name, value]): Element[] => {
      if (name === ':@') return [];
      if (name === '#text') return [{ name: '', text: decodeEntities(String(value)), children: [] }];
      if (name === '#cdata') return [{ name: '', text: rawText(value), children: [] }];
      return [{ name, text: '', children: toElements(value) }];
    });
  });
}

function rawText(nodes: unknown): string {
  if (!Array.isArray(nodes)) return '';
  return nodes.map((node: { readonly '#text'?: unknown }) => String(node['#text'] ?? '')).join('');
}

function childrenNamed(element: Element, ...names: readonly string[]): Element[] {
  return element.children.filter((child) => names.includes(child.name));
}

/** All text below an element: `<recipient>` holds it itself, in the first draft inside `<href>`. */
function textOf(element: Element | undefined): string {
  if (element === undefined) return '';
  return element.text + element.children.map(textOf).join('');
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

const NAMED_ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** The five names and the numbers; any other reference stays as written, since there is no DTD to define it. */
function decodeEntities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return NAMED_ENTITIES[name] ?? whole;
    const code = decimal !== undefined ? Number.parseInt(decimal, 10) : Number.parseInt(hex, 16);
    const character = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    return character ? String.fromCodePoint(code) : '\uFFFD';
  });
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
