import { canonicalAddress, parseAddress } from './address.ts';

/** A longer field is nobody's name and address. */
const MAX_LENGTH = 2000;

/**
 * The mailbox of a From field that has exactly one (RFC 5322 §3.6.2), domain normalised. Readers differ in what they make
 * of several, of groups and of what is broken: undefined for all of these.
 */
export function soleMailbox(value: string): string | undefined {
  if (value.length > MAX_LENGTH) return undefined;
  const bare = withoutComments(value);
  if (bare === undefined) return undefined;
  const { text, isQuoted } = bare;
  const outside = [...isQuoted].map((quoted, at) => (quoted ? '_' : text.charAt(at))).join('');
  if (/[,:;]/.test(outside)) return undefined;
  const open = outside.indexOf('<');
  const close = outside.indexOf('>');
  let from = 0;
  let to = text.length;
  if (open >= 0 || close >= 0) {
    const isOnce =
      open >= 0 && close > open && outside.indexOf('<', open + 1) < 0 && outside.indexOf('>', close + 1) < 0;
    if (!isOnce || outside.slice(close + 1).trim() !== '') return undefined;
    from = open + 1;
    to = close;
  }
  const address = text.slice(from, to).trim();
  if (/\s|@.*@/.test(outside.slice(from, to).trim()) || parseAddress(address) === undefined) return undefined;
  return canonicalAddress(address);
}

/** The value with its comments taken out, and which of its characters stand in quotes; undefined when one of either is open. */
function withoutComments(value: string): { readonly text: string; readonly isQuoted: readonly boolean[] } | undefined {
  let text = '';
  const isQuoted: boolean[] = [];
  let depth = 0;
  let inQuotes = false;
  for (let at = 0; at < value.length; at++) {
    const char = value.charAt(at);
    const isEscape = char === '\\' && (inQuotes || depth > 0);
    const taken = isEscape ? value.slice(at, at + 2) : char;
    if (isEscape) at++;
    if (depth === 0 && char === '"') inQuotes = !inQuotes;
    if (!inQuotes && char === '(') depth++;
    else if (!inQuotes && depth > 0 && char === ')') depth--;
    else if (depth === 0) {
      text += taken;
      for (let unit = 0; unit < taken.length; unit++) isQuoted.push(inQuotes || char === '"');
    }
  }
  return depth > 0 || inQuotes ? undefined : { text, isQuoted };
}
