import { isAscii } from './xtext.ts';

/**
 * One unstructured header field with its CRLF, ASCII whatever stands in the text: encoded words (RFC 2047) where plain
 * text will not do.
 */
export function textField(name: string, value: string): string {
  const text = oneLine(value);
  // Text without spaces cannot be folded; beyond the 998 octets of RFC 5322 §2.1.1 only encoded words can be.
  const plain = isAscii(text) && !text.includes('=?') && text.length < 900;
  return `${name}: ${plain ? text : encodedWords(text).join('\r\n ')}\r\n`;
}

/** Runs of white space and controls as one space: nothing from outside can end the line. */
export function oneLine(text: string): string {
  let line = '';
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    const blank = code <= 0x20 || (code >= 0x7f && code < 0xa0) || code === 0x2028 || code === 0x2029;
    if (!blank) line += char;
    else if (!line.endsWith(' ')) line += ' ';
  }
  return line.trim();
}

/**
 * RFC 2047 §4.1 B encoding, no character split over two words, each word within 75 characters.
 * @param taken columns of the line that the first word shares, when the line is to stay within 76 (RFC 2047 §2)
 */
export function encodedWords(text: string, taken = 0): string[] {
  const words: string[] = [];
  let piece = '';
  let room = taken === 0 ? 45 : Math.max(4, Math.floor((76 - taken - 12) / 4) * 3);
  for (const char of text) {
    if (Buffer.byteLength(piece + char) > room) {
      words.push(piece);
      piece = '';
      room = 45;
    }
    piece += char;
  }
  words.push(piece);
  return words.map((word) => `=?UTF-8?B?${Buffer.from(word, 'utf8').toString('base64')}?=`);
}
