import { createHmac, timingSafeEqual } from 'node:crypto';
import { addressKey, parseAddress } from './address.ts';

/** What a VERP address names: one recipient of one message in our queue. */
export type VerpTarget = { readonly queueId: string; readonly position: number };

const DIGITS = 'abcdefghijklmnopqrstuvwxyz234567';
/** Octets of the message authentication code: nobody guesses one of 2^80. */
const MAC_OCTETS = 10;
const POSITION_OCTETS = 3;
/** A queue id of 14 digits makes a token of 37 characters. */
const TOKEN_LENGTH = 37;
const TOKEN = /^[a-z2-7]{23,60}$/;
/** RFC 5321 §4.5.3.1.1. */
const MAX_LOCAL = 64;
/** What a local part may be, so that `+` and a token can stand behind it. */
export const MAX_VERP_LOCAL = MAX_LOCAL - TOKEN_LENGTH - 1;

/**
 * The token of one recipient of one message: base32 in lower case of position, authentication code and queue id. It is
 * computed, so a mail that leaves a second time has the one it had, and survives a host that folds case.
 * @param queueId letters and digits; its own case is lost, upper case comes back
 */
export function mintToken(secret: Buffer, queueId: string, position: number): string {
  if (!/^[0-9A-Z]{1,26}$/i.test(queueId)) throw new RangeError(`no queue id: ${queueId}`);
  if (!(position >= 0 && position < 2 ** (8 * POSITION_OCTETS))) throw new RangeError(`no position: ${position}`);
  const head = Buffer.alloc(POSITION_OCTETS);
  head.writeUIntBE(position, 0, POSITION_OCTETS);
  const id = idOctets(queueId);
  return base32(Buffer.concat([head, mac(secret, head, id), id]));
}

/** @returns undefined for what {@link mintToken} did not make with this secret */
export function readToken(secret: Buffer, token: string): VerpTarget | undefined {
  const octets = fromBase32(token.toLowerCase());
  if (octets === undefined || octets.length <= POSITION_OCTETS + MAC_OCTETS) return undefined;
  const head = octets.subarray(0, POSITION_OCTETS);
  const given = octets.subarray(POSITION_OCTETS, POSITION_OCTETS + MAC_OCTETS);
  const id = octets.subarray(POSITION_OCTETS + MAC_OCTETS);
  if (!timingSafeEqual(given, mac(secret, head, id))) return undefined;
  return { queueId: idOf(id), position: head.readUIntBE(0, POSITION_OCTETS) };
}

/** `calendar@example.com` and a token → `calendar+token@example.com`. */
export function verpAddress(base: string, token: string): string {
  const at = base.lastIndexOf('@');
  return `${base.slice(0, at)}+${token}${base.slice(at)}`;
}

/**
 * The token in an address made of `base`, in lower case; whether it is a good one is for {@link readToken}.
 * @returns undefined for `base` itself and every other address
 */
export function tokenIn(address: string, base: string): string | undefined {
  const found = parseAddress(addressKey(address));
  const ours = parseAddress(addressKey(base));
  if (found === undefined || ours === undefined || found.domain !== ours.domain) return undefined;
  if (!found.local.startsWith(`${ours.local}+`)) return undefined;
  const token = found.local.slice(ours.local.length + 1);
  return TOKEN.test(token) ? token : undefined;
}

/** @returns what is wrong with an address as the base of VERP addresses, for whoever configured it */
export function verpProblem(base: string): string | undefined {
  const local = parseAddress(base)?.local;
  if (local === undefined) return `got ${JSON.stringify(base)}, need a mailbox such as calendar@example.com`;
  if (!/^[a-z0-9!#$%&'*/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*/=?^_`{|}~-]+)*$/i.test(local))
    return `the part before the @ is ${JSON.stringify(local)}; need plain letters, digits and - _ . without a +, since + and a token are put behind it`;
  if (local.length > MAX_VERP_LOCAL)
    return `the part before the @ has ${local.length} characters; need ${MAX_VERP_LOCAL} at most, since + and a token of ${TOKEN_LENGTH} are put behind it (RFC 5321 §4.5.3.1.1)`;
  return undefined;
}

function mac(secret: Buffer, head: Buffer, id: Buffer): Buffer {
  // The label keeps codes of this secret for another purpose from being tokens.
  return createHmac('sha256', secret).update('imipd verp 1\0').update(head).update(id).digest().subarray(0, MAC_OCTETS);
}

/** The id as a number in base 36, behind a 1 that keeps its zeros. */
function idOctets(queueId: string): Buffer {
  let number = 1n;
  for (const digit of queueId) number = number * 36n + BigInt(Number.parseInt(digit, 36));
  const hex = number.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

function idOf(octets: Buffer): string {
  return BigInt(`0x${octets.toString('hex')}`)
    .toString(36)
    .slice(1)
    .toUpperCase();
}

function base32(octets: Buffer): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const octet of octets) {
    value = (value << 8) | octet;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += DIGITS[(value >> bits) & 31];
    }
    value &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + DIGITS[(value << (5 - bits)) & 31];
}

/** @returns undefined when it is not what {@link base32} makes: one token has one spelling */
function fromBase32(text: string): Buffer | undefined {
  if (!TOKEN.test(text)) return undefined;
  const octets = Buffer.alloc(Math.floor((text.length * 5) / 8));
  let bits = 0;
  let value = 0;
  let at = 0;
  for (const char of text) {
    value = (value << 5) | DIGITS.indexOf(char);
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      octets[at++] = value >> bits;
      value &= (1 << bits) - 1;
    }
  }
  return base32(octets) === text ? octets : undefined;
}
