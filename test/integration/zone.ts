/** What stands behind the name of a TXT record in a zone file: strings of at most 255 octets. */
export function txt(text: string): string {
  return `TXT ( ${(text.match(/.{1,200}/g) ?? []).map((part) => `"${part}"`).join(' ')} )`;
}
