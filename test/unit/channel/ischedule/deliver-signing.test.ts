import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { ServerSettings } from '../../../../channel/ischedule/settings.ts';
import { makeAuthority } from '../../../servers/authority.ts';
import { installed } from '../../../servers/installed.ts';
import { accept, batchFor, delivererFor, noSignal, type Received, startPeer } from './peer.ts';

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const publicKey = createPublicKey(privateKey);
const signer = {
  keyFor: (domain: string) =>
    domain === 'outside.test' ? { domain: 'outside.test', selector: 'cal', key: privateKey } : undefined,
};
const NOW = Date.UTC(2026, 10, 23, 12);

function tagsOf(received: Received): Map<string, string> {
  const [value = ''] = received.values('DKIM-Signature');
  return new Map(value.split('; ').map((tag) => [tag.slice(0, tag.indexOf('=')), tag.slice(tag.indexOf('=') + 1)]));
}

/** Checks a signature by the letter of the draft, with none of the code that made it. */
function isRight(received: Received, key: KeyObject): boolean {
  const [signature = ''] = received.values('DKIM-Signature');
  const tags = tagsOf(received);
  const relaxed = tags.get('c')?.startsWith('ischedule-relaxed') === true;
  const canonical = (name: string, values: readonly string[]): string =>
    relaxed
      ? `${name.toLowerCase()}:${values
          .join(',')
          .replace(/[ \t]+/g, ' ')
          .replace(/ ?, ?/g, ',')
          .trim()}`
      : `${name}: ${values.join(', ')}`;
  const lines = (tags.get('h') ?? '').split(':').map((name) => `${canonical(name, received.values(name))}\r\n`);
  const unsigned = signature.replace(/( b=)[^;]*$/, '$1');
  const text = lines.join('') + canonical('DKIM-Signature', [unsigned]);
  const hash = createHash('sha256').update(received.body).digest('base64'); // it ends in one CRLF
  return (
    tags.get('bh') === hash && verify('sha256', Buffer.from(text), key, Buffer.from(tags.get('b') ?? '', 'base64'))
  );
}

async function postTo(
  settings: Partial<ServerSettings>,
  overrides: Parameters<typeof batchFor>[1] = {},
): Promise<Received> {
  await using peer = await startPeer(accept);
  await using channel = delivererFor(peer.url, settings, { signer, clock: () => NOW });
  const [outcome] = await channel.deliver(batchFor(peer.url, overrides), noSignal);
  expect(outcome).toMatchObject({ kind: 'delivered' });
  return peer.received[0]!;
}

const RECIPIENTS = { recipients: ['alice@example.com', 'bob@example.com'] };

test('q says where the key itself is found, else where all our keys are', async () => {
  const key = { domain: 'outside.test', selector: 'cal', key: privateKey };
  const queries: (string | undefined)[] = [];
  for (const one of [key, { ...key, methods: ['private-exchange' as const] }]) {
    await using peer = await startPeer(accept);
    const all = { keyFor: () => one, methods: ['dns/txt' as const, 'http/well-known' as const] };
    const settings = { sign: 'ischedule-relaxed' as const };
    await using channel = delivererFor(peer.url, settings, { signer: all, clock: () => NOW });
    await channel.deliver(batchFor(peer.url, { originator: 'olga@outside.test' }), noSignal);
    queries.push(tagsOf(peer.received[0]!).get('q'));
  }
  expect(queries).toEqual(['dns/txt:http/well-known', 'private-exchange']);
});

describe('a post is signed', () => {
  test('as the last draft says, for a generic server, several Recipient fields included', async () => {
    const received = await postTo({}, RECIPIENTS);
    const tags = tagsOf(received);
    expect(tags.get('h')?.toLowerCase().split(':').sort()).toEqual([
      'content-type',
      'ischedule-message-id',
      'ischedule-version',
      'originator',
      'recipient',
      'user-agent',
    ]);
    expect([tags.get('d'), tags.get('s'), tags.get('c'), tags.get('t')]).toEqual([
      ...['outside.test', 'cal', 'ischedule-relaxed/simple', String(NOW / 1000)],
    ]);
    expect(received.values('Recipient')).toEqual(['mailto:alice@example.com', 'mailto:bob@example.com']);
    expect(isRight(received, publicKey)).toBe(true);
  });

  test('as -01 says, for DAViCal: with the Host that goes out and one Recipient field', async () => {
    const received = await postTo({}, { profile: 'davical', ...RECIPIENTS });
    const tags = tagsOf(received);
    expect(tags.get('h')?.split(':')).toEqual(
      expect.arrayContaining(['Host', 'Originator', 'Recipient', 'Content-Type']),
    );
    expect([tags.get('c'), tags.get('q')]).toEqual(['simple-http', 'dns/txt']);
    expect(received.values('Recipient')).toEqual(['mailto:alice@example.com, mailto:bob@example.com']);
    expect(received.values('Host')).toHaveLength(1);
    expect(isRight(received, publicKey)).toBe(true);
  });

  test('as the settings say, whatever the profile says', async () => {
    const received = await postTo({ sign: 'simple-http' }, { profile: 'apple', ...RECIPIENTS });
    expect(tagsOf(received).get('c')).toBe('simple-http');
    expect(received.values('Recipient')).toHaveLength(1);
    expect(isRight(received, publicKey)).toBe(true);
  });

  test('with the key that the settings name where there is none of the Originator’s domain', async () => {
    const received = await postTo({ signAs: 'outside.test' }, { originator: 'olga@other.test' });
    expect(tagsOf(received).get('d')).toBe('outside.test');
    expect(isRight(received, publicKey)).toBe(true);
  });
});

describe('a post is not signed', () => {
  test.each([
    ['for Apple', {}, { profile: 'apple' }],
    ['for Cyrus', {}, { profile: 'cyrus' }],
    ['for Oracle', {}, { profile: 'oracle-v7' }],
    ['where the settings forbid it', { sign: 'none' }, {}],
    ['without a key for the Originator’s domain', {}, { originator: 'olga@other.test' }],
    ['for an Originator without a domain', {}, { originator: 'olga' }],
  ] as const)('%s', async (_, settings, overrides) => {
    const received = await postTo(settings, overrides);
    expect(received.values('DKIM-Signature')).toEqual([]);
  });
});

test('after a redirect it is signed anew, with the other Host and the time of then', async () => {
  let now = NOW;
  await using target = await startPeer(accept);
  await using peer = await startPeer((_, response) => {
    now += 7000;
    response.writeHead(307, { Location: target.url.href.replace('127.0.0.1', 'localhost') }).end();
  });
  const redirectHosts = [`localhost:${target.url.port}`];
  await using channel = delivererFor(peer.url, {}, { signer, clock: () => now, redirectHosts });
  const [outcome] = await channel.deliver(batchFor(peer.url, { profile: 'davical' }), noSignal);
  expect(outcome).toMatchObject({ kind: 'delivered' });
  const [first, second] = [peer.received[0]!, target.received[0]!];
  expect([first.values('Host'), second.values('Host')]).toEqual([[peer.url.host], [`localhost:${target.url.port}`]]);
  expect([tagsOf(first).get('t'), tagsOf(second).get('t')]).toEqual([String(NOW / 1000), String(NOW / 1000 + 7)]);
  expect([isRight(first, publicKey), isRight(second, publicKey)]).toEqual([true, true]);
});

describe.skipIf(!installed('openssl'))('credentials', () => {
  const authorization = 'Basic Z3c6c2VjcmV0';

  test('go out by https, and are signed', async () => {
    await using authority = await makeAuthority();
    await using peer = await startPeer(accept, await authority.issue({ name: 'localhost' }));
    await using channel = delivererFor(peer.url, { authorization, ca: authority.pem }, { signer });
    await channel.deliver(batchFor(peer.url), noSignal);
    const received = peer.received[0]!;
    expect(received.values('Authorization')).toEqual([authorization]);
    expect(tagsOf(received).get('h')?.toLowerCase().split(':')).toContain('authorization');
    expect(isRight(received, publicKey)).toBe(true);
  });

  test('do not go out by http', async () => {
    await using peer = await startPeer(accept);
    await using channel = delivererFor(peer.url, { authorization, capabilities: 'action' });
    await channel.deliver(batchFor(peer.url), noSignal);
    expect(peer.received.map(({ method, values }) => [method, values('Authorization')])).toEqual([
      ['GET', []],
      ['POST', []],
    ]);
  });

  test('do not follow a redirect to another origin, and do to the same', async () => {
    await using authority = await makeAuthority();
    const tls = await authority.issue({ name: 'localhost' });
    await using target = await startPeer(accept, tls);
    await using peer = await startPeer((received, response) => {
      const location = received.path === '/ischedule' ? '/deeper' : target.url.href;
      response.writeHead(307, { Location: location }).end();
    }, tls);
    const redirectHosts = [target.url.host];
    await using channel = delivererFor(peer.url, { authorization, ca: authority.pem }, { redirectHosts });
    const [outcome] = await channel.deliver(batchFor(peer.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'delivered' });
    expect(peer.received.map(({ path, values }) => [path, values('Authorization')])).toEqual([
      ['/ischedule', [authorization]],
      ['/deeper', [authorization]],
    ]);
    expect(target.received.map(({ values }) => values('Authorization'))).toEqual([[]]);
  });

  test('go to the fallbacks of the settings, not to those a batch brings along', async () => {
    await using authority = await makeAuthority();
    const tls = await authority.issue({ name: 'localhost' });
    const gone = await startPeer(accept, tls);
    await gone[Symbol.asyncDispose]();
    await using other = await startPeer(accept, tls);
    const settings = { authorization, ca: authority.pem };
    await using configured = delivererFor(gone.url, { ...settings, fallbacks: [other.url.href] });
    await configured.deliver(batchFor(gone.url), noSignal);
    await using brought = delivererFor(gone.url, settings);
    await brought.deliver(batchFor(gone.url, { fallbacks: [other.url] }), noSignal);
    expect(other.received.map(({ values }) => values('Authorization'))).toEqual([[authorization], []]);
  });
});
