/** xtext (RFC 3461 §4): octets outside `!`–`~`, and `+` and `=`, as `+HH`. */
export function encodeXtext(text: string): string {
  if (/^[\x21-\x2a\x2c-\x3c\x3e-\x7e]*$/.test(text)) return text;
  let encoded = '';
  for (const octet of Buffer.from(text, 'utf8')) {
    const plain = octet > 0x20 && octet < 0x7f && octet !== 0x2b && octet !== 0x3d;
    encoded += plain ? String.fromCharCode(octet) : `+${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/**
 * Non-ASCII characters and controls as `\x{HEX}` (RFC 6533 §3), so that an internationalized address fits where only
 * ASCII may stand. Text that is printable ASCII comes back as it is.
 */
export function embedUnicode(text: string): string {
  let embedded = '';
  for (const char of text) {
    embedded += /[\x20-\x7e]/.test(char)
      ? char
      : `\\x{${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(2, '0')}}`;
  }
  return embedded;
}

/**
 * Value of the ORCPT parameter, ASCII whatever the next hop offers (RFC 3461 §4.2, RFC 6533 §3).
 * @param orcpt `type;address`, xtext-decoded
 */
export function encodeOrcpt(orcpt: string): string {
  if (isAscii(orcpt)) return encodeXtext(orcpt);
  const address = orcpt.slice(orcpt.indexOf(';') + 1);
  // Of the address types only utf-8 can say a non-ASCII address. In it + and = need the embedded form, not xtext's.
  return `utf-8;${embedUnicode(address).replace(/[ +=]/g, (char) => `\\x{${char.charCodeAt(0).toString(16).toUpperCase()}}`)}`;
}

export function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}
