import { createPublicKey, generateKeyPairSync, type KeyObject, sign as rsaSign } from 'node:crypto';
import { bodyHash, canonicalHeaders } from '../../../../../channel/ischedule/dkim/canonical.ts';
import { composeKeyRecord, parseKeyRecord } from '../../../../../channel/ischedule/dkim/key-record.ts';
import { type Verification, type VerifyOptions, verify } from '../../../../../channel/ischedule/dkim/verify.ts';
import type { KeyAnswer, KeyFinder } from '../../../../../channel/ischedule/keys.ts';
import type { Canonicalization } from '../../../../../rules/peer.ts';

/** 2026-11-21T08:00:00Z */
export const SIGNED_AT = 1795248000;
export const NOW = SIGNED_AT * 1000 + 5_000;

export const BODY = Buffer.from(
  `${`BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Example//Gateway//EN
METHOD:REQUEST
BEGIN:VFREEBUSY
UID:fb-1@gw.example.net
DTSTAMP:20261121T080000Z
DTSTART:20261123T000000Z
DTEND:20261124T000000Z
ORGANIZER:mailto:ann@example.net
ATTENDEE:mailto:bob@example.com
ATTENDEE:mailto:cat@example.com
END:VFREEBUSY
END:VCALENDAR`.replaceAll('\n', '\r\n')}\r\n`,
);

export const HEADERS = [
  ['iSchedule-Version', '1.0'],
  ['iSchedule-Message-ID', 'b7c1@gw.example.net'],
  ['Originator', 'mailto:ann@example.net'],
  ['Recipient', 'mailto:bob@example.com ,\t mailto:cat@example.com'],
  ['Recipient', '  mailto:dan@example.com'],
  ['Content-Type', 'text/calendar;  component=VFREEBUSY; method=REQUEST;\r\n charset=utf-8'],
  ['User-Agent', 'gw/1'],
] as const satisfies readonly (readonly [string, string])[];

export const H = 'Content-Type:iSchedule-Version:iSchedule-Message-ID:Originator:Recipient:User-Agent';

export const KEYS = generateKeyPairSync('rsa', { modulusLength: 2048 });
export const RECORD = composeKeyRecord(KEYS.publicKey);

/** Tags of the worked example, b left out. */
export const TAGS: Readonly<Record<string, string>> = {
  v: '1',
  d: 'example.net',
  s: 'isched',
  t: String(SIGNED_AT),
  x: String(SIGNED_AT + 3600),
  a: 'rsa-sha256',
  q: 'dns/txt',
  c: 'ischedule-relaxed/simple',
  h: H,
  bh: '9V/w/g++3+5ReAl+6PP40YBO09KxnuDaaJvsmz/lajc=',
};

export type Change = Readonly<Record<string, string | undefined>>;

/** A post whose signature is right in every respect but for what `change` does to its tags before it is signed. */
export function signedPost(
  change: Change = {},
  {
    headers = HEADERS,
    body = BODY,
    canonicalization = 'ischedule-relaxed',
    key = KEYS.privateKey,
    tags: own = TAGS,
  }: {
    readonly headers?: readonly (readonly [string, string])[];
    readonly body?: Buffer;
    readonly canonicalization?: Canonicalization;
    readonly key?: KeyObject;
    readonly tags?: Readonly<Record<string, string>>;
  } = {},
): { rawHeaders: string[]; body: Buffer } {
  const tags = { ...own, bh: bodyHash(body, canonicalization).toString('base64'), ...change };
  const list = Object.entries(tags).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
  const unsigned = `${list.join('; ')}; b=`;
  const names = (change.h ?? own.h ?? H).split(':').map((name) => name.trim());
  const input = canonicalHeaders(headers.flat(), names, unsigned, canonicalization);
  if (input === undefined) throw new Error('the sample cannot be signed');
  const b = rsaSign('sha256', input, key).toString('base64');
  return { rawHeaders: [...headers.flat(), 'DKIM-Signature', unsigned + b], body };
}

export function answerOf(...records: readonly string[]): KeyAnswer {
  const keys = records.flatMap((text) => {
    const record = parseKeyRecord(text);
    return record.kind === 'key' ? [{ ...record.key, method: 'dns/txt' as const }] : [];
  });
  return keys.length > 0 ? { kind: 'keys', keys } : { kind: 'none', reason: 'no key' };
}

/** Answers every question alike and notes it. */
export function finderOf(...answers: readonly KeyAnswer[]): KeyFinder & { readonly asked: unknown[] } {
  const asked: unknown[] = [];
  return {
    asked,
    async find(domain, selector, methods, _signal, options) {
      asked.push({ domain, selector, methods, ...options });
      const answer = answers[Math.min(asked.length, answers.length) - 1];
      if (answer === undefined) throw new Error('no answer');
      return answer;
    },
  };
}

export function check(
  post: { rawHeaders: readonly string[]; body: Buffer },
  options: Partial<VerifyOptions> = {},
): Promise<Verification> {
  const keys = options.keys ?? finderOf(answerOf(RECORD));
  return verify(post, { now: NOW, ...options, keys }, AbortSignal.timeout(5_000));
}

/** The record's public key with other tags about it. */
export function recordWith(tags: string): string {
  const p = createPublicKey(KEYS.privateKey).export({ type: 'spki', format: 'der' }).toString('base64');
  return `${tags}p=${p}`;
}
