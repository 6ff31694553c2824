import { expect, test } from 'vitest';
import { greeted, serve, WireClient } from './wire-client.ts';

const SEND = 'MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\n';

// Invented for these tests; it guards nothing.
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg71YWV4V4DpwyT7ab
/2vnPI68kty76gjJfFw6tqPDQuyhRANCAATc9PKnU4LV7S2NXg2XZcwMRmUnYImt
fnVlhpWA+YteAszZonuJ6Cv+N1bTaniJ6hOgXxhh8cfDRYDhsbOw8smo
-----END PRIVATE KEY-----
`;
const cert = `-----BEGIN CERTIFICATE-----
MIIBtDCCAVugAwIBAgIUOQ/ZjnobIoZ36jS7yOJzItZfMGowCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOZ3cuZXhhbXBsZS5jb20wIBcNMjYxMTIxMTAzNDE4WhgPMjEy
NjEwMjgxMDM0MThaMBkxFzAVBgNVBAMMDmd3LmV4YW1wbGUuY29tMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAE3PTyp1OC1e0tjV4Nl2XMDEZlJ2CJrX51ZYaVgPmL
XgLM2aJ7iegr/jdW02p4ieoToF8YYfHHw0WA4bGzsPLJqKN/MH0wHQYDVR0OBBYE
FMLWQ845Y935mieRjJ+Sf0WorON6MB8GA1UdIwQYMBaAFMLWQ845Y935mieRjJ+S
f0WorON6MA8GA1UdEwEB/wQFMAMBAf8wKgYDVR0RBCMwIYIOZ3cuZXhhbXBsZS5j
b22CCWxvY2FsaG9zdIcEfwAAATAKBggqhkjOPQQDAgNHADBEAiACEPiWwbVK4pH/
wH8li5MDOJJy221V9nNzIvPjsN53hAIgfwqsrU9zn026wdXpk/cxHL6OU7kM+3Nz
URzFZAX4Tew=
-----END CERTIFICATE-----
`;

test('XFORWARD from a listed MTA names the real client of the next transaction only', async () => {
  await using service = await serve({ xforward: ['127.0.0.0/30'] });
  await using client = await WireClient.open(service.address);
  await client.reply();
  const hello = await client.ask('EHLO mta.example.com');
  expect(hello.split('\n').filter((line) => line.includes('XFORWARD'))).toEqual([
    '250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE',
  ]);
  expect(await client.ask('XFORWARD NAME=mx.example.org ADDR=192.0.2.7 PORT=4711')).toBe('250 2.0.0 attributes taken');
  expect(await client.ask('XFORWARD PROTO=SMTP HELO=helo.example.org')).toBe('250 2.0.0 attributes taken');
  client.write(SEND);
  await client.replies(4);
  expect(await client.ask('XFORWARD NAME=[UNAVAILABLE] HELO=[UNAVAILABLE] SOURCE=LOCAL')).toBe(
    '250 2.0.0 attributes taken',
  );
  client.write(SEND);
  expect((await client.replies(4)).at(-1)).toBe('250 2.6.0 queued');
  expect(await client.ask('XFORWARD ADDR=mx.example.org')).toBe(
    '501 5.5.4 bad attributes, need NAME=value with the value as xtext',
  );
  await client.ask('MAIL FROM:<a@example.org>');
  expect(await client.ask('XFORWARD NAME=late.example.org')).toBe('503 5.5.1 XFORWARD belongs before MAIL');
  expect(service.acceptor.messages.map((message) => message.client)).toEqual([
    { address: '192.0.2.7', name: 'mx.example.org', helo: 'helo.example.org', protocol: 'SMTP' },
    { address: '127.0.0.1', helo: 'mta.example.com', protocol: 'ESMTP' },
  ]);
});

test('XCLIENT from a listed MTA hands the session over to the real client', async () => {
  await using service = await serve({ xclient: ['127.0.0.1'] });
  await using client = await greeted(service);
  expect(await client.ask('XCLIENT NAME=mx.example.org ADDR=IPV6:2001:db8::7 PROTO=ESMTP')).toBe(
    '220 gw.example.com ESMTP imipd',
  );
  expect(await client.ask('EHLO helo.example.org')).not.toContain('XCLIENT');
  client.write(SEND);
  expect((await client.replies(4)).at(-1)).toBe('250 2.6.0 queued');
  expect(service.acceptor.messages.map((message) => message.client)).toEqual([
    { address: '2001:db8::7', name: 'mx.example.org', helo: 'helo.example.org', protocol: 'ESMTP' },
  ]);
  expect(await client.ask('XCLIENT ADDR=192.0.2.1')).toMatch(/^550 5\.7\.0 /);
});

test('neither is offered to, or believed from, anybody else', async () => {
  await using service = await serve({ xforward: ['192.0.2.1'], xclient: ['192.0.2.1'] });
  await using client = await WireClient.open(service.address);
  await client.reply();
  expect(await client.ask('EHLO mx.example.org')).not.toMatch(/XFORWARD|XCLIENT/);
  expect(await client.ask('XFORWARD ADDR=192.0.2.7')).toMatch(/^550 5\.7\.0 /);
  expect(await client.ask('XCLIENT ADDR=192.0.2.7')).toMatch(/^550 5\.7\.0 /);
});

test('STARTTLS is offered, protects, forgets what was said before it, and drops commands slipped in behind it', async () => {
  await using service = await serve({ tls: { kind: 'starttls', key, cert } });
  await using client = await WireClient.open(service.address);
  await client.reply();
  expect(await client.ask('EHLO mx.example.org')).toContain('250-STARTTLS');
  await client.ask('MAIL FROM:<old@example.org>');
  client.write('STARTTLS\r\nRSET\r\nNOOP\r\n');
  expect(await client.reply()).toBe('220 2.0.0 Ready to start TLS');
  await client.upgrade();
  expect(await client.ask('MAIL FROM:<a@example.org>')).toBe('503 5.5.1 Error: send HELO/EHLO first');
  expect(await client.ask('EHLO mx.example.org')).not.toContain('STARTTLS');
  client.write(SEND);
  expect((await client.replies(4)).at(-1)).toBe('250 2.6.0 queued');
  expect(service.acceptor.messages.map((message) => message.client.protocol)).toEqual(['ESMTPS']);
});

test('implicit TLS greets within TLS, for LMTP too', async () => {
  await using service = await serve({ tls: { kind: 'implicit', key, cert }, protocol: 'lmtp' });
  await using client = await WireClient.open(service.address, true);
  expect(await client.reply()).toBe('220 gw.example.com LMTP imipd');
  await client.ask('LHLO mx.example.org');
  client.write(SEND);
  expect((await client.replies(4)).at(-1)).toBe('250 2.1.5 queued for b@example.com');
  expect(service.acceptor.messages.map((message) => message.client.protocol)).toEqual(['LMTPS']);
});

test('a client that does not manage TLS does not end the server', async () => {
  await using service = await serve({ tls: { kind: 'implicit', key, cert } });
  await using plain = await WireClient.open(service.address);
  plain.write('EHLO mx.example.org\r\n');
  await plain.reply();
  await using client = await WireClient.open(service.address, true);
  expect(await client.reply()).toBe('220 gw.example.com ESMTP imipd');
});

test('networks and keys that are none are refused at once', async () => {
  await expect(serve({ clients: ['127.0.0.1/40'] })).rejects.toThrow('got "127.0.0.1/40"');
  await expect(serve({ tls: { kind: 'starttls', key: 'x', cert: 'y' } })).rejects.toThrow(/PEM|no start line/i);
});
