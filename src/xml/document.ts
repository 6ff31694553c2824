import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { charsetOf } from '../itip/content-type.ts';

// Elements in order, so that text and CDATA keep their places; entities are ours, since the parser would leave
// numeric ones and must not touch CDATA. The answers we know are four levels deep.
const OPTIONS = {
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
} as const;
const parser = new XMLParser(OPTIONS);
const attributeParser = new XMLParser({
  ...OPTIONS,
  ignoreAttributes: false,
  parseAttributeValue: false,
  attributeNamePrefix: '',
});

/** An answer for all recipients of a post has a thousand; of those that a megabyte can hold, reading takes half a second. */
const MAX_TAGS = 20_000;

/** An element without its prefix; `name` is '' for text, whose entities are decoded already. */
export type Element = {
  readonly name: string;
  readonly text: string;
  readonly children: readonly Element[];
  /** Read on request only. */
  readonly attributes?: ReadonlyMap<string, string>;
};

export type XmlDocument =
  | { readonly kind: 'document'; readonly root: Element }
  | { readonly kind: 'unreadable'; readonly reason: string };

/**
 * Reads the XML of an answer, without regard to namespaces. DOCTYPE is refused, so there are no entities to expand, and
 * nothing is ever fetched. The caller bounds the size.
 * @param contentType value of the Content-Type header, '' when absent
 */
export function readDocument(body: Buffer, contentType: string, options?: { readonly attributes: true }): XmlDocument {
  const text = decode(body, contentType);
  if (!/^\s*</.test(text)) return unreadable(text.trim() === '' ? 'the answer is empty' : 'the answer is not XML');
  if (/<!DOCTYPE/i.test(text)) return unreadable('the answer has a DOCTYPE');
  if (hasMoreTags(text, MAX_TAGS)) return unreadable(`the answer has more than ${MAX_TAGS} tags`);
  const elements = parseElements(text, options?.attributes === true ? attributeParser : parser);
  if (elements === undefined) return unreadable('the answer is not well-formed XML');
  const root = elements.find((element) => element.name !== '');
  return root === undefined ? unreadable('the answer has no element') : { kind: 'document', root };
}

function hasMoreTags(text: string, most: number): boolean {
  let count = 0;
  for (let at = text.indexOf('<'); at >= 0; at = text.indexOf('<', at + 1)) if (++count > most) return true;
  return false;
}

function unreadable(reason: string): XmlDocument {
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
    charsetOf(contentType) ??
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

function parseElements(text: string, reader: XMLParser): readonly Element[] | undefined {
  if (XMLValidator.validate(text) !== true) return undefined;
  try {
    return toElements(reader.parse(text));
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
    const attributes = ':@' in node ? { attributes: readAttributes(node[':@']) } : {};
    return Object.entries(node).flatMap(([name, value]): Element[] => {
      if (name === ':@') return [];
      if (name === '#text') return [{ name: '', text: decodeEntities(String(value)), children: [] }];
      if (name === '#cdata') return [{ name: '', text: rawText(value), children: [] }];
      return [{ name, text: '', children: toElements(value), ...attributes }];
    });
  });
}

function readAttributes(value: unknown): ReadonlyMap<string, string> {
  if (typeof value !== 'object' || value === null) return new Map();
  return new Map(Object.entries(value).map(([name, text]) => [name, decodeEntities(String(text))]));
}

function rawText(nodes: unknown): string {
  if (!Array.isArray(nodes)) return '';
  return nodes.map((node: { readonly '#text'?: unknown }) => String(node['#text'] ?? '')).join('');
}

export function childrenNamed(element: Element, ...names: readonly string[]): Element[] {
  return element.children.filter((child) => names.includes(child.name));
}

/** All text below an element: `<recipient>` holds it itself, in the first draft inside `<href>`. */
export function textOf(element: Element | undefined): string {
  if (element === undefined) return '';
  return element.text + element.children.map(textOf).join('');
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
