import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { composeKeyRecord } from '../../../../../channel/ischedule/dkim/key-record.ts';
import {
  answerOf,
  BODY,
  type Change,
  check,
  finderOf,
  H,
  HEADERS,
  KEYS,
  NOW,
  RECORD,
  recordWith,
  SIGNED_AT,
  signedPost,
  TAGS,
} from './worked-example.ts';

const VERIFIED = {
  kind: 'verified',
  domain: 'example.net',
  selector: 'isched',
  expiresAt: (SIGNED_AT + 3600) * 1000,
  signature: 'a37zLAujBfil19DWZ4GkR6UzEKQnoT25GeIqEN8TQJQ=',
  signsMessageId: true,
  testing: false,
};

/** The post with one header exchanged, added or taken away after it was signed. */
function altered(name: string, value: string | undefined, at?: number): { rawHeaders: string[]; body: Buffer } {
  const { rawHeaders, body } = signedPost();
  const index = rawHeaders.indexOf(name);
  const put = value === undefined ? [] : [name, value];
  if (at === undefined) rawHeaders.splice(index, 2, ...put);
  else rawHeaders.splice(at, 0, ...put);
  return { rawHeaders, body };
}

describe('a signature holds', () => {
  test('that of the worked example', async () => {
    expect(await check(signedPost())).toEqual(VERIFIED);
  });

  test('folded anywhere, with white space about every part of it, and a semicolon at its end', async () => {
    const post = signedPost({
      h: H.replaceAll(':', '\r\n\t: '),
      bh: ' 9V/w/g++3+5ReAl+6PP4\r\n 0YBO09KxnuDaaJvsmz/lajc= ',
    });
    const value = post.rawHeaders.at(-1) ?? '';
    const b = value.lastIndexOf('b=') + 2;
    const folded = `${value.slice(0, b)}\r\n ${value.slice(b, b + 70)}\r\n\t${value.slice(b + 70)} `;
    expect(await check({ ...post, rawHeaders: [...post.rawHeaders.slice(0, -1), folded] })).toMatchObject({
      kind: 'verified',
    });
  });

  test('with tags in any order, and some that nobody knows', async () => {
    const tags = Object.fromEntries(Object.entries({ ...TAGS, z: 'a', n_1: '' }).reverse());
    expect((await check(signedPost({}, { tags }))).kind).toBe('verified');
  });

  test('with headers in another order and other spelling of names', async () => {
    const { rawHeaders, body } = signedPost();
    const pairs = rawHeaders.flatMap((name, at) => (at % 2 ? [] : [[name.toUpperCase(), rawHeaders[at + 1] ?? '']]));
    // The two Recipients keep their order between them.
    const others = pairs.filter(([name]) => name !== 'RECIPIENT').reverse();
    const recipients = pairs.filter(([name]) => name === 'RECIPIENT');
    expect((await check({ rawHeaders: [...others, ...recipients].flat(), body })).kind).toBe('verified');
  });

  test('with recipients in one header where they were signed in two', async () => {
    const { rawHeaders, body } = signedPost();
    const at = rawHeaders.indexOf('Recipient');
    rawHeaders.splice(at, 4, 'Recipient', 'mailto:bob@example.com, mailto:cat@example.com, mailto:dan@example.com');
    expect((await check({ rawHeaders, body })).kind).toBe('verified');
  });

  test('with unsigned headers beside it that a proxy adds', async () => {
    const { rawHeaders, body } = signedPost();
    const added = ['Via', '1.1 proxy.example.com', 'Cache-Control', 'no-cache', 'Host', 'cal.example.com'];
    expect((await check({ rawHeaders: [...added, ...rawHeaders], body })).kind).toBe('verified');
  });

  test('without q, which stands for dns/txt', async () => {
    const keys = finderOf(answerOf(RECORD));
    expect((await check(signedPost({ q: undefined }), { keys })).kind).toBe('verified');
    expect(keys.asked).toEqual([{ domain: 'example.net', selector: 'isched', methods: ['dns/txt'] }]);
  });

  test('and the key is asked for by the methods of q in its order', async () => {
    const keys = finderOf(answerOf(RECORD));
    await check(signedPost({ q: 'http/well-known : later/x:DNS/TXT', d: 'Example.NET' }), { keys });
    expect(keys.asked).toEqual([
      { domain: 'example.net', selector: 'isched', methods: ['http/well-known', 'later/x', 'dns/txt'] },
    ]);
  });

  test('with an empty body', async () => {
    expect((await check(signedPost({}, { body: Buffer.alloc(0) }))).kind).toBe('verified');
  });

  test('with c that leaves the form of the body to its default', async () => {
    expect((await check(signedPost({ c: 'ischedule-relaxed' }))).kind).toBe('verified');
  });

  test('with i below d', async () => {
    expect((await check(signedPost({ i: 'ann@cal.Example.net' }))).kind).toBe('verified');
  });

  test('with Authorization when it is signed', async () => {
    const headers = [...HEADERS, ['Authorization', 'Basic YTpi']] as const;
    expect((await check(signedPost({ h: `${H}:Authorization` }, { headers }))).kind).toBe('verified');
  });

  test('whether or not the id of the message is signed, and says which', async () => {
    const post = signedPost({ h: H.replace('iSchedule-Message-ID:', '') });
    expect(await check(post)).toMatchObject({ kind: 'verified', signsMessageId: false });
  });

  test('and copies of it have one mark, other posts another', async () => {
    const [one, spaced, other] = await Promise.all([
      check(signedPost()),
      check(altered('Originator', ' mailto:ann@example.net\t')),
      check(signedPost({ t: String(SIGNED_AT + 1) })),
    ]);
    expect(one).toEqual(spaced);
    expect(other).not.toMatchObject({ signature: VERIFIED.signature });
  });
});

describe('nothing is proved', () => {
  test('by a post without signature', async () => {
    expect(await check({ rawHeaders: HEADERS.flat(), body: BODY })).toEqual({ kind: 'missing' });
  });

  test.each<[name: string, make: (value: string) => string]>([
    ['the same signature again', (value) => value],
    ['another signature', (value) => value.replace('isched', 'other')],
  ])('by a post with %s', async (_name, make) => {
    const { rawHeaders, body } = signedPost();
    const twice = [...rawHeaders, 'dkim-signature', make(rawHeaders.at(-1) ?? '')];
    expect(await check({ rawHeaders: twice, body })).toEqual({
      kind: 'refused',
      reason: 'more than one DKIM-Signature',
    });
  });

  test.each(['v', 'a', 'bh', 'c', 'd', 'h', 's'])('without %s=', async (name) => {
    expect(await check(signedPost({ [name]: undefined }))).toEqual({
      kind: 'refused',
      reason: `the signature has no ${name}=`,
    });
  });

  test('without b=', async () => {
    const { rawHeaders, body } = signedPost();
    const value = rawHeaders.at(-1) ?? '';
    const cut = value.slice(0, value.lastIndexOf('; b='));
    expect(await check({ rawHeaders: [...rawHeaders.slice(0, -1), cut], body })).toEqual({
      kind: 'refused',
      reason: 'the signature has no b=',
    });
  });

  test.each<[text: string, reason: string]>([
    ['v=1; d=example.com; ', 'the signature has d= twice'],
    ['v=1;; a=rsa-sha256; ', 'the signature has a part without name='],
    ['v=1; rsa-sha256; ', 'the signature has a part without name='],
    ['v=1; e=caf\xe9; ', 'the signature has characters in e= that are not printable ASCII'],
    ['v=1;\xa0; ', 'the signature has a part without name='],
    ['v=1; e=a\vb; ', 'the signature has characters in e= that are not printable ASCII'],
    [`v=1; ${'y'.repeat(9000)}=; `, 'the signature has more than 8192 characters'],
    [Array.from({ length: 50 }, (_, at) => `y${at}=; `).join(''), 'the signature has more than 40 tags'],
  ])('by a list of tags that begins with %.30j', async (text, reason) => {
    const { rawHeaders, body } = signedPost();
    const value = (rawHeaders.at(-1) ?? '').replace('v=1; ', text);
    expect(await check({ rawHeaders: [...rawHeaders.slice(0, -1), value], body })).toEqual({ kind: 'refused', reason });
  });

  test.each<[reason: string, change: Change]>([
    ['v=2, need 1', { v: '2' }],
    ['a=rsa-sha1, need rsa-sha256', { a: 'rsa-sha1' }],
    ['a=ed25519-sha256, need rsa-sha256', { a: 'ed25519-sha256' }],
    ['a=RSA-SHA256, need rsa-sha256', { a: 'RSA-SHA256' }],
    ...['simple/simple', 'relaxed/relaxed', 'ischedule-relaxed/relaxed', 'ISCHEDULE-RELAXED/simple', '__proto__'].map(
      (c): [string, Change] => [`c=${c}, need ischedule-relaxed/simple or simple-http`, { c }],
    ),
    ...[
      '',
      'exa mple.net',
      '-a.net',
      'a..net',
      'a.net.',
      'a_b.net',
      '127.0.0.1',
      '0x7f.0x1',
      `${'a'.repeat(64)}.net`,
    ].map((d): [string, Change] => ['d is no domain name', { d }]),
    ['d is no domain name', { d: `${'a.'.repeat(126)}abc` }],
    ...['', 'a/b', '../a', 'a b', 'a?b', '.a'].map((s): [string, Change] => ['s is no name for the DNS', { s }]),
    ...['example.net', '@example.com', '@notexample.net', '@net', 'a@', '@.example.net'].map((i): [string, Change] => [
      'i is not within d',
      { i },
    ]),
    ['l is not taken', { l: String(BODY.length) }],
    ['bh is no SHA-256 in base64', { bh: 'AAAA' }],
    ['bh is no SHA-256 in base64', { bh: 'not*base64' }],
    ['the body is not the one that was signed', { bh: 'frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=' }],
    ['h is without recipient', { h: H.replace(':Recipient', '') }],
    ['h is without originator', { h: H.replace(':Originator', '') }],
    ['h is without ischedule-version', { h: H.replace(':iSchedule-Version', '') }],
    ['h is without content-type', { h: H.replace('Content-Type:', '') }],
    ['h has recipient twice', { h: `${H}:recipient` }],
    ['h has x-absent twice', { h: `${H}:X-Absent:X-Absent` }],
    ['h has what is no header name', { h: `${H}:` }],
    ['h has what is no header name', { h: `${H}:a b` }],
    ['h has more than 40 names', { h: `${H}${Array.from({ length: 40 }, (_, at) => `:x${at}`).join('')}` }],
    ...[
      'cache-control',
      'connection',
      'content-length',
      'dkim-signature',
      'host',
      'keep-alive',
      'proxy-authenticate',
      'proxy-authorization',
      'te',
      'trailer',
      'transfer-encoding',
      'upgrade',
    ].map((name): [string, Change] => [`h has ${name}, which must not be signed`, { h: `${H}:${name.toUpperCase()}` }]),
    ['t is 301 s ahead, 300 s are allowed', { t: String(NOW / 1000 + 301) }],
    ['t is no time in seconds', { t: '-1' }],
    ['t is no time in seconds', { t: '1e9' }],
    ['x is no time in seconds', { x: 'never' }],
    ['x has passed', { x: String(NOW / 1000) }],
    ['x is not after t', { x: String(SIGNED_AT) }],
    ['x is not after t', { t: String(SIGNED_AT + 60), x: String(SIGNED_AT + 30) }],
    ['neither t nor x: its age cannot be told', { t: undefined, x: undefined }],
    ['it was signed too long ago', { t: String(SIGNED_AT - 3600), x: undefined }],
    ['it was signed too long ago', { t: String(SIGNED_AT - 86400), x: String(SIGNED_AT + 3600) }],
    ['x is more than a day ahead, without t', { t: undefined, x: String(SIGNED_AT + 90_000) }],
  ])('%s: %j', async (reason, change) => {
    expect(await check(signedPost(change))).toEqual({ kind: 'refused', reason });
  });

  test('by a canonicalization that is known and not taken from this peer', async () => {
    expect(await check(signedPost(), { canonicalizations: ['simple-http'] })).toEqual({
      kind: 'refused',
      reason: 'c=ischedule-relaxed/simple, need simple-http',
    });
  });

  test('while Authorization is there and is not signed', async () => {
    expect(await check(altered('Authorization', 'Basic YTpi', 0))).toEqual({
      kind: 'refused',
      reason: 'h is without authorization',
    });
  });

  const CHANGED = 'the signature is not by the key of its domain and selector, or a signed header was changed';

  test.each([
    ['Recipient', 'mailto:eve@example.com'],
    ['Recipient', ''],
    ['Content-Type', 'text/html'],
    ['User-Agent', 'other'],
    ['Originator', 'mailto:eve@example.net'],
    ['iSchedule-Version', '1.0'],
    ['iSchedule-Message-ID', 'b7c1@gw.example.net'],
  ])('once a second %s, %j, is added before or after', async (name, value) => {
    const outcome = { kind: 'refused', reason: CHANGED };
    expect(await check(altered(name, value, 0))).toEqual(outcome);
    expect(await check(altered(name.toUpperCase(), value, 16))).toEqual(outcome);
  });

  test.each(HEADERS.map(([name]) => name))('once %s is taken away', async (name) => {
    expect(await check(altered(name, undefined))).toEqual({ kind: 'refused', reason: CHANGED });
  });

  test('once a header that was signed as absent appears', async () => {
    const post = signedPost({ h: `${H}:X-Extra` });
    expect((await check(post)).kind).toBe('verified');
    const added = { ...post, rawHeaders: ['X-Extra', '', ...post.rawHeaders] };
    expect(await check(added)).toEqual({ kind: 'refused', reason: CHANGED });
  });

  test('once two recipients change places', async () => {
    const value = 'mailto:cat@example.com, mailto:bob@example.com';
    expect(await check(altered('Recipient', value))).toEqual({ kind: 'refused', reason: CHANGED });
  });

  test.each([' d=evil.test;', ' x=1795251601;'])('once %s is put for the tag it was', async (tag) => {
    const { rawHeaders, body } = signedPost();
    const name = tag.slice(1, 3);
    const value = (rawHeaders.at(-1) ?? '').replace(new RegExp(` ${name}[^;]*;`), tag);
    expect(await check({ rawHeaders: [...rawHeaders.slice(0, -1), value], body })).toEqual({
      kind: 'refused',
      reason: CHANGED,
    });
  });

  test('by a signature that is cut, empty or not base64', async () => {
    const { rawHeaders, body } = signedPost();
    const value = rawHeaders.at(-1) ?? '';
    const b = value.lastIndexOf('b=') + 2;
    const results = [value.slice(0, b + 40), value.slice(0, b), `${value.slice(0, b)}***`].map((cut) =>
      check({ rawHeaders: [...rawHeaders.slice(0, -1), cut], body }),
    );
    expect(await Promise.all(results)).toEqual([
      { kind: 'refused', reason: CHANGED },
      { kind: 'refused', reason: 'b is not base64' },
      { kind: 'refused', reason: 'b is not base64' },
    ]);
  });

  test('by another key', async () => {
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 });
    expect(await check(signedPost({}, { key: other.privateKey }))).toEqual({ kind: 'refused', reason: CHANGED });
  });

  test('while a line end hides in a signed header', async () => {
    expect(await check(altered('User-Agent', 'gw/1\r\nX: y'))).toEqual({
      kind: 'refused',
      reason: 'a line end or NUL in a signed header',
    });
  });

  test('and no key is asked for where the post itself is wrong', async () => {
    const keys = finderOf(answerOf(RECORD));
    await check({ ...signedPost(), body: Buffer.from('other') }, { keys });
    await check(signedPost({ l: '1' }), { keys });
    expect(keys.asked).toEqual([]);
  });
});

describe('time', () => {
  test('t may be as far ahead as clocks may differ, and x ends the signature to the second', async () => {
    const post = signedPost();
    const kindAt = async (now: number, clockSkewMs?: number) =>
      (await check(post, { now, ...(clockSkewMs === undefined ? {} : { clockSkewMs }) })).kind;
    expect(await kindAt((SIGNED_AT - 300) * 1000)).toBe('verified');
    expect(await kindAt((SIGNED_AT - 301) * 1000)).toBe('refused');
    expect(await kindAt((SIGNED_AT - 301) * 1000, 360_000)).toBe('verified');
    expect(await kindAt((SIGNED_AT + 3600) * 1000 - 1)).toBe('verified');
    expect(await kindAt((SIGNED_AT + 3600) * 1000)).toBe('refused');
  });

  test.each<[expiresAt: number, change: Change]>([
    [SIGNED_AT + 3600, { x: undefined }],
    [SIGNED_AT + 86_400, { x: '99999999999' }],
    [SIGNED_AT + 300, { x: String(SIGNED_AT + 300) }],
    [SIGNED_AT + 900, { t: undefined, x: String(SIGNED_AT + 900) }],
  ])('it holds until %s with %j', async (expiresAt, change) => {
    expect(await check(signedPost(change))).toMatchObject({ kind: 'verified', expiresAt: expiresAt * 1000 });
  });
});

describe('keys', () => {
  test.each<[outcome: string, record: string]>([
    ['verified', recordWith('')],
    ['verified', recordWith('v=DKIM1; h=sha1:sha256; s=email:ischedule; t=s; ')],
    ['verified', recordWith('v=DKIM1; s=*; ')],
    ['the key is not for iSchedule', recordWith('v=DKIM1; s=email; ')],
    ['the key is not for iSchedule', recordWith('v=DKIM1; s=calendar; ')],
    ['the key is not for iSchedule', recordWith('v=DKIM1; s=ischedule2; ')],
    ['the key is not for SHA-256', recordWith('v=DKIM1; h=sha1; ')],
  ])('%s: %.40s', async (outcome, record) => {
    const result = await check(signedPost(), { keys: finderOf(answerOf(record)) });
    expect(result.kind === 'refused' ? result.reason : result.kind).toBe(outcome);
  });

  test('a strict key wants i to be of d itself', async () => {
    const keys = finderOf(answerOf(recordWith('v=DKIM1; t=y:s; ')));
    expect(await check(signedPost({ i: '@cal.example.net' }), { keys })).toEqual({
      kind: 'refused',
      reason: 'the key is for d alone, and i is below it',
    });
    expect((await check(signedPost({ i: '@Example.net' }), { keys })).kind).toBe('verified');
  });

  test('a key under test is told apart', async () => {
    const keys = finderOf(answerOf(recordWith('v=DKIM1; t=y; ')));
    expect(await check(signedPost(), { keys })).toMatchObject({ kind: 'verified', testing: true });
  });

  test('any of several keys will do', async () => {
    const other = composeKeyRecord(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey);
    const keys = finderOf(answerOf(other, recordWith('v=DKIM1; s=email; '), RECORD));
    expect((await check(signedPost(), { keys })).kind).toBe('verified');
  });

  test('an RSA key of 1024 bits is enough', async () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const keys = finderOf(answerOf(composeKeyRecord(weak.publicKey)));
    expect((await check(signedPost({}, { key: weak.privateKey }), { keys })).kind).toBe('verified');
  });

  test('none, and nobody to ask, are two things', async () => {
    const none = { kind: 'none', reason: 'no TXT record' } as const;
    const silent = { kind: 'no-answer', reason: 'the DNS is silent' } as const;
    expect(await check(signedPost(), { keys: finderOf(none) })).toEqual({ ...none, kind: 'refused' });
    expect(await check(signedPost(), { keys: finderOf(silent) })).toEqual(silent);
  });

  test('a key that fails is asked for afresh, once', async () => {
    const old = answerOf(composeKeyRecord(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey));
    const question = { domain: 'example.net', selector: 'isched', methods: ['dns/txt'] };
    const changed = finderOf(old, answerOf(RECORD));
    expect((await check(signedPost(), { keys: changed })).kind).toBe('verified');
    expect(changed.asked).toEqual([question, { ...question, fresh: true }]);
    const same = finderOf(old);
    expect((await check(signedPost(), { keys: same })).kind).toBe('refused');
    expect(same.asked).toHaveLength(2);
    const silent = finderOf(old, { kind: 'no-answer', reason: 'silent' });
    expect(await check(signedPost(), { keys: silent })).toEqual({ kind: 'no-answer', reason: 'silent' });
    const revoked = finderOf(old, { kind: 'none', reason: 'the key is revoked' });
    expect(await check(signedPost(), { keys: revoked })).toEqual({ kind: 'refused', reason: 'the key is revoked' });
  });
});

describe('simple-http', () => {
  const HOSTED = [['Host', 'cal.example.com'], ...HEADERS.slice(0, 4), ...HEADERS.slice(5)] as const;
  const SIMPLE = { c: 'simple-http', h: 'Host:iSchedule-Version:Originator:Recipient:Content-Type' };
  const options = { headers: HOSTED, canonicalization: 'simple-http' } as const;

  test('holds with Host, with l of the whole body, and with a key for calendar', async () => {
    const keys = finderOf(answerOf(recordWith('v=DKIM1; s=calendar; ')));
    const post = signedPost({ ...SIMPLE, l: String(BODY.length), i: '@example.net' }, options);
    expect(await check(post, { keys })).toMatchObject({ kind: 'verified', signsMessageId: false });
  });

  test.each(['0', '1', String(BODY.length - 1), String(BODY.length + 1)])('is refused with l=%s', async (l) => {
    expect(await check(signedPost({ ...SIMPLE, l }, options))).toEqual({
      kind: 'refused',
      reason: 'l is not the length of the body',
    });
  });

  test('is refused with l that is no number', async () => {
    expect(await check(signedPost({ ...SIMPLE, l: 'all' }, options))).toEqual({
      kind: 'refused',
      reason: 'l is not taken',
    });
  });

  test('is refused once Host changes, or a line end is added to the body', async () => {
    const post = signedPost(SIMPLE, options);
    expect((await check({ ...post, rawHeaders: ['Host', 'x', ...post.rawHeaders.slice(2)] })).kind).toBe('refused');
    expect((await check({ ...post, body: Buffer.concat([BODY, Buffer.from('\r\n')]) })).kind).toBe('refused');
  });

  test('is refused once white space in a header changes', async () => {
    const post = signedPost(SIMPLE, options);
    const rawHeaders = post.rawHeaders.map((value) => value.replace(',\t mailto', ', mailto'));
    expect((await check({ ...post, rawHeaders })).kind).toBe('refused');
  });

  test('wants the headers signed that are mandatory elsewhere', async () => {
    expect(await check(signedPost({ ...SIMPLE, h: SIMPLE.h.replace(':Content-Type', '') }, options))).toEqual({
      kind: 'refused',
      reason: 'h is without content-type',
    });
  });
});

test('the post whose key pair made the sample is not by chance right: its body is read', async () => {
  const body = Buffer.from(BODY);
  body[100] = (body[100] ?? 0) ^ 1;
  expect(await check({ ...signedPost({}, { key: KEYS.privateKey }), body })).toEqual({
    kind: 'refused',
    reason: 'the body is not the one that was signed',
  });
});
