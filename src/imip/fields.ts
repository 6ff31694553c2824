import { addrSpec } from '../mail/compose-imip.ts';
import { encodedWords, oneLine } from '../mail/encoded-word.ts';
import { isAscii } from '../mail/xtext.ts';
import type { Person } from './event-facts.ts';

// In characters. What is longer than anybody reads is cut, so that no header outgrows what readers look at.
const MAX_NAME = 120;
const MAX_SUBJECT = 400;
/** RFC 5322 §2.1.1: lines should not be longer. */
const LINE = 78;
/** An addr-spec is 320 octets at most, quoted twice that: within the 998 of RFC 5322 §2.1.1. */
const MAX_ADDRESS = 320;

/** `Subject` or another field of free text, folded; line ends and marks that turn the direction of text are taken out. */
export function unstructuredField(name: string, value: string): string {
  const text = shown(value, MAX_SUBJECT);
  if (!isPlain(text)) return `${name}: ${encodedWords(text, name.length + 2).join('\r\n ')}\r\n`;
  return fold(`${name}: ${text}`);
}

/** `From` and the like with one mailbox. One that is not ASCII stands as it is (RFC 6532). */
export function mailboxField(field: string, { name, address }: Person): string {
  const spec = `<${addrSpec(clean(address))}>`;
  const text = shown(name ?? '', MAX_NAME);
  if (text === '') return `${field}: ${spec}\r\n`;
  const quoted = `"${text.replace(/["\\]/g, '\\$&')}"`;
  if (isPlain(text) && field.length + 2 + quoted.length <= LINE) return join(`${field}: ${quoted}`, spec);
  const words = encodedWords(text, field.length + 2);
  return join(`${field}: ${words.join('\r\n ')}`, spec);
}

/** A field of one msg-id; nothing when this is none (RFC 5322 §3.6.4). */
export function idField(name: string, id: string | undefined): string {
  return id !== undefined && id.length <= 900 && /^<[!-;=?-~]+>$/.test(id)
    ? `${name}:${id.length > 60 ? '\r\n' : ''} ${id}\r\n`
    : '';
}

/** Nothing when this is no language tag (RFC 5646). */
export function languageField(language: string): string {
  return /^[a-z]{2,8}(?:-[a-z0-9]{1,8}){0,4}$/i.test(language) ? `Content-Language: ${language}\r\n` : '';
}

/** One line as a person sees it: without marks that reverse what is read, and whole Unicode characters. */
function shown(text: string, most: number): string {
  const line = oneLine(text.toWellFormed().replace(/[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, ''));
  if (line.length <= most) return line;
  return `${[...line.slice(0, most * 2)]
    .slice(0, most - 1)
    .join('')
    .trim()}…`;
}

function isPlain(text: string): boolean {
  return isAscii(text) && !text.includes('=?');
}

/**
 * Whatever an address may not hold goes, as it came from an object: from the domain all that is none, from the local
 * part angle brackets too, which are legal in quotes and which mail readers take for the address' own.
 */
function clean(address: string): string {
  const at = Math.max(address.lastIndexOf('@'), 0);
  const written = address.slice(at + 1);
  const isLiteral = /^\[[0-9a-z.:-]+\]$/i.test(written);
  const domain = isLiteral ? written : written.replace(/[\s\p{C}<>()",:;\\]/gu, '');
  const local = address.slice(0, at).replace(/[<>\p{Cc}]/gu, '');
  return `${local}@${domain}`.toWellFormed().slice(-MAX_ADDRESS);
}

function join(start: string, spec: string): string {
  const column = start.length - (start.lastIndexOf('\r\n') < 0 ? 0 : start.lastIndexOf('\r\n') + 2);
  return `${start}${column + 1 + spec.length > LINE ? '\r\n' : ''} ${spec}\r\n`;
}

/** Breaks at blanks (RFC 5322 §2.2.3); a longer word stands on a line of its own. */
function fold(line: string): string {
  if (line.length <= LINE) return `${line}\r\n`;
  const lines: string[] = [];
  let current = '';
  for (const word of line.split(' ')) {
    if (current !== '' && current.length + 1 + word.length > LINE && current.trim() !== '') {
      lines.push(current);
      current = ` ${word}`;
    } else current = current === '' ? word : `${current} ${word}`;
  }
  lines.push(current);
  return `${lines.join('\r\n')}\r\n`;
}
