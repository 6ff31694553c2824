import { type Answer, decode, encode, RECURSION_DESIRED } from 'dns-packet';
import type { SrvRecord } from './resolver.ts';

export const RECORD_TYPES = ['A', 'AAAA', 'SRV', 'TXT'] as const;
export type RecordType = (typeof RECORD_TYPES)[number];

export type Question = {
  /** In lower case, without the last dot; `isDnsName`. */
  readonly name: string;
  readonly type: RecordType;
};

export type DnsRecord =
  | { readonly type: 'A' | 'AAAA'; readonly address: string }
  | ({ readonly type: 'SRV' } & SrvRecord)
  | { readonly type: 'TXT'; readonly strings: readonly string[] };

/** What one server said. */
export type Reply =
  | { readonly kind: 'records'; readonly records: readonly DnsRecord[]; readonly ttlMs: number }
  | { readonly kind: 'none'; readonly ttlMs: number }
  /** The name is another name for `target`, of which this answer says nothing. */
  | { readonly kind: 'alias'; readonly target: string; readonly ttlMs: number }
  /** Did not fit; to be asked again by TCP. */
  | { readonly kind: 'truncated' }
  /** The server does not understand EDNS, or says so. */
  | { readonly kind: 'no-edns' }
  /** SERVFAIL, REFUSED, a referral, or an answer that cannot be read: another server may know. */
  | { readonly kind: 'unusable'; readonly reason: string };

/** A question as it goes over the wire. */
export type Query = {
  readonly question: Question;
  readonly id: number;
  readonly message: Buffer;
};

/** What fits a datagram on every path (DNS flag day 2020). */
const UDP_PAYLOAD_BYTES = 1232;

/** Records of one answer that are used, so that a zone cannot have us hold or try thousands. */
const MAX_RECORDS = 32;

/** Of all sections; more are not decoded at all. */
const MAX_MESSAGE_RECORDS = 500;

/** Characters of all TXT records of one answer, an empty string counting as 16; those beyond are left out. */
const MAX_TXT_CHARACTERS = 8_192;
const STRING_OVERHEAD = 16;

const MAX_ALIASES = 8;
const HEADER_BYTES = 12;
const RCODES: Readonly<Record<number, string>> = { 1: 'FORMERR', 2: 'SERVFAIL', 4: 'NOTIMP', 5: 'REFUSED' };
const FORMERR = 1;
const NXDOMAIN = 3;
const NOTIMP = 4;

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;

/**
 * Whether something can be asked of the DNS: letters, digits, hyphens and underscores, labels of up to 63 and names of up
 * to 253 octets (RFC 1035 §2.3.4). Lower case, no last dot. A last label of digits is an IP address, not a name.
 */
export function isDnsName(name: string): boolean {
  if (name.length === 0 || name.length > 253) return false;
  const labels = name.split('.');
  return labels.every((label) => LABEL.test(label)) && !/^\d+$/.test(labels.at(-1) ?? '');
}

/** Lower case and without the last dot; the root stays `.`. */
export function canonicalName(name: string): string {
  const lower = name.toLowerCase();
  return lower.length > 1 && lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

/** @param edns announces that larger datagrams are taken (RFC 6891) */
export function composeQuery(question: Question, id: number, edns: boolean): Query {
  const message = encode({
    type: 'query',
    id,
    flags: RECURSION_DESIRED,
    questions: [{ ...question, class: 'IN' }],
    additionals: edns
      ? [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: UDP_PAYLOAD_BYTES,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ]
      : [],
  });
  return { question, id, message };
}

/**
 * Reads a message from the server that was asked.
 * @returns undefined when it is no answer to this query: another id, another question, or no answer at all
 */
export function readReply(message: Buffer, query: Query): Reply | undefined {
  if (message.length < HEADER_BYTES || message.readUInt16BE(0) !== query.id) return undefined;
  const flags = message.readUInt16BE(2);
  const isStandardAnswer = (flags & 0x8000) !== 0 && (flags & 0x7800) === 0;
  if (!isStandardAnswer) return undefined;
  const rcode = flags & 0xf;
  const questions = message.readUInt16BE(4);
  // A server that cannot parse the query cannot repeat it.
  if (questions === 0 && (rcode === FORMERR || rcode === NOTIMP)) return { kind: 'no-edns' };
  if (questions !== 1 || !repeatsQuestion(message, query)) return undefined;
  if (rcode === FORMERR || rcode === NOTIMP) return { kind: 'no-edns' };
  if (rcode !== 0 && rcode !== NXDOMAIN) return { kind: 'unusable', reason: RCODES[rcode] ?? `code ${rcode}` };
  if ((flags & 0x0200) !== 0) return { kind: 'truncated' };
  const records = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  if (records > MAX_MESSAGE_RECORDS) return { kind: 'unusable', reason: `an answer of ${records} records` };
  try {
    return interpret(decode(message), query.question, rcode);
  } catch {
    // The decoder throws plain errors of many kinds at what is no DNS message.
    return { kind: 'unusable', reason: 'an answer that cannot be read' };
  }
}

/** Byte by byte but for the case of letters: no decoding can make two questions look alike. */
function repeatsQuestion(message: Buffer, query: Query): boolean {
  const end = HEADER_BYTES + query.question.name.length + 2 + 4;
  if (message.length < end) return false;
  const asked = query.message.toString('latin1', HEADER_BYTES, end);
  return message.toString('latin1', HEADER_BYTES, end).toLowerCase() === asked.toLowerCase();
}

type Sections = { readonly answers?: Answer[] | undefined; readonly authorities?: Answer[] | undefined };

function interpret(packet: Sections & { readonly additionals?: Answer[] | undefined }, asked: Question, rcode: number) {
  const { answers = [], authorities = [], additionals = [] } = packet;
  for (const extra of additionals) {
    if (extra.type === 'OPT' && extra.extendedRcode !== 0)
      return { kind: 'unusable', reason: `code ${extra.extendedRcode * 16 + rcode}` } as const;
  }
  const chain = followAliases(answers, asked);
  if (chain === undefined) return { kind: 'unusable', reason: 'names that refer to each other' } as const;
  if (chain.records.length > 0 && rcode === 0)
    return { kind: 'records', records: chain.records, ttlMs: chain.ttlMs } as const;
  return nothingFound(authorities, chain, asked, rcode);
}

/** RFC 2308 §2: an SOA says that there is nothing, name servers without one that another server has to be asked. */
function nothingFound(authorities: readonly Answer[], chain: Chain, asked: Question, rcode: number): Reply {
  for (const record of authorities) {
    if (record.type !== 'SOA') continue;
    const ttlMs = Math.min(chain.ttlMs, ttlOf(record.ttl), ttlOf(record.data.minimum));
    return { kind: 'none', ttlMs };
  }
  if (rcode === NXDOMAIN) return { kind: 'none', ttlMs: 0 };
  if (chain.name !== asked.name) return { kind: 'alias', target: chain.name, ttlMs: chain.ttlMs };
  if (authorities.some((record) => record.type === 'NS')) return { kind: 'unusable', reason: 'a referral' };
  return { kind: 'none', ttlMs: 0 };
}

/** Where the CNAMEs of an answer lead, and what is there. */
type Chain = { readonly name: string; readonly records: readonly DnsRecord[]; readonly ttlMs: number };

/** @returns undefined for a circle, or a chain that is too long */
function followAliases(answers: readonly Answer[], asked: Question): Chain | undefined {
  let name = asked.name;
  let ttlMs = Number.POSITIVE_INFINITY;
  let room = MAX_TXT_CHARACTERS;
  for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
    const records: DnsRecord[] = [];
    let alias: string | undefined;
    for (const answer of answers) {
      if (answer.type === 'OPT' || canonicalName(answer.name) !== name) continue;
      if (answer.type === 'CNAME' && answer.class === 'IN') {
        alias ??= canonicalName(answer.data);
        ttlMs = Math.min(ttlMs, ttlOf(answer.ttl));
      }
      if (answer.type !== asked.type || answer.class !== 'IN' || records.length === MAX_RECORDS) continue;
      ttlMs = Math.min(ttlMs, ttlOf(answer.ttl));
      const record = readRecord(answer);
      if (record === undefined) continue;
      room -= textSize(record);
      if (room >= 0) records.push(record);
    }
    if (records.length > 0 || alias === undefined) return { name, records, ttlMs };
    name = alias;
  }
  return undefined;
}

/** @returns undefined for a type that nobody asks for */
function readRecord(answer: Answer): DnsRecord | undefined {
  switch (answer.type) {
    case 'A':
    case 'AAAA':
      return { type: answer.type, address: answer.data };
    case 'SRV': {
      const { target, port, priority = 0, weight = 0 } = answer.data;
      return { type: 'SRV', target: canonicalName(target), port, priority, weight };
    }
    case 'TXT':
      return { type: 'TXT', strings: [answer.data].flat().map((part) => part.toString()) };
    default:
      return undefined;
  }
}

function textSize(record: DnsRecord): number {
  if (record.type !== 'TXT') return 0;
  return record.strings.reduce((sum, text) => sum + text.length + STRING_OVERHEAD, 0);
}

/** @param seconds with the highest bit set they count as 0 (RFC 2181 §8) */
function ttlOf(seconds: number | undefined): number {
  return seconds === undefined || seconds > 0x7fff_ffff ? 0 : seconds * 1000;
}
