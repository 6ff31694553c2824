import { isUtf8 } from 'node:buffer';
import type { Repair } from './message.ts';

export type DecodedText = {
  readonly text: string;
  readonly repairs: readonly Repair[];
  /** The folds are gone already, because they split characters. */
  readonly unfolded: boolean;
};

const BOM = '\uFEFF';

/**
 * Text of a calendar part. An absent, unknown or US-ASCII charset means UTF-8 (RFC 5545 §3.1.4; RFC 6047 §2.4 would
 * have it US-ASCII), and windows-1252 when the octets are not UTF-8: old Exchange sends that without a parameter.
 */
export function decodeText(bytes: Buffer, charset: string | undefined): DecodedText {
  const label = charset?.trim().toLowerCase() ?? '';
  if (label === '' || label === 'utf-8' || label === 'utf8' || label === 'us-ascii') return decodeUtf8(bytes);
  const text = decodeAs(bytes, label);
  if (text === undefined) return decodeUtf8(bytes);
  if (bytes.equals(Buffer.from(text))) return withoutBom(text, []);
  return withoutBom(text, [{ name: 'charset', line: 1, detail: `converted from ${label.slice(0, 40)} to UTF-8` }]);
}

function decodeUtf8(bytes: Buffer): DecodedText {
  if (isUtf8(bytes)) return withoutBom(bytes.toString(), []);
  // RFC 5545 §3.1 warns of folding between octets: generators that count octets cut characters in two.
  const unfolded = Buffer.from(bytes.toString('latin1').replace(/\r?\n[ \t]/g, ''), 'latin1');
  if (isUtf8(unfolded)) {
    const repair = {
      name: 'split-character',
      line: 1,
      detail: 'a fold stood inside a UTF-8 character, all lines folded anew',
    };
    return { ...withoutBom(unfolded.toString(), [repair]), unfolded: true };
  }
  const repair = { name: 'charset', line: 1, detail: 'not UTF-8, read as windows-1252 and converted to UTF-8' };
  return withoutBom(decodeAs(bytes, 'windows-1252') ?? bytes.toString('latin1'), [repair]);
}

function withoutBom(text: string, repairs: readonly Repair[]): DecodedText {
  if (!text.startsWith(BOM)) return { text, repairs, unfolded: false };
  return {
    text: text.slice(1),
    repairs: [{ name: 'bom', line: 1, detail: 'byte order mark dropped' }, ...repairs],
    unfolded: false,
  };
}

/** @returns undefined when the label names no charset we know */
function decodeAs(bytes: Buffer, label: string): string | undefined {
  try {
    return new TextDecoder(label, { ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return undefined;
  }
}
