import { expect, test } from 'vitest';
import { reply } from '../../../../src/mail/status.ts';
import { StoreFullError } from '../../../../src/queue/store.ts';
import { greeted, serve, WireClient } from './wire-client.ts';

const MESSAGE = 'From: a@example.org\r\nSubject: x\r\n\r\nHello\r\n';

test('a whole SMTP session is answered with exactly these lines', async () => {
  await using service = await serve();
  await using client = await WireClient.open(service.address);
  expect(await client.reply()).toBe('220 gw.example.com ESMTP imipd');
  expect(await client.ask('EHLO mx.example.org')).toBe(
    '250-gw.example.com\n250-PIPELINING\n250-8BITMIME\n250-SMTPUTF8\n250-ENHANCEDSTATUSCODES\n250-DSN\n250 SIZE 1000000',
  );
  expect(await client.ask('NOOP')).toBe('250 2.0.0 OK');
  expect(await client.ask('RCPT TO:<bob@example.com>')).toBe('503 5.5.1 need MAIL first');
  expect(await client.ask('DATA')).toBe('503 5.5.1 need MAIL first');
  expect(await client.ask('MAIL FROM:<a@example.org> SIZE=1000 BODY=8BITMIME')).toBe('250 2.1.0 sender accepted');
  expect(await client.ask('MAIL FROM:<a@example.org>')).toBe('503 5.5.1 a transaction is open already, RSET first');
  expect(await client.ask('DATA')).toBe('503 5.5.1 need an accepted RCPT first');
  expect(await client.ask('RCPT TO:<bob@example.com>')).toBe('250 2.1.5 recipient accepted');
  expect(await client.ask('DATA now')).toBe('501 5.5.4 DATA takes no argument');
  expect(await client.ask('DATA')).toBe('354 end data with <CR><LF>.<CR><LF>');
  client.write(`${MESSAGE}.\r\n`);
  expect(await client.reply()).toBe('250 2.6.0 queued');
  expect(await client.ask('RSET')).toBe('250 2.0.0 Flushed');
  expect(await client.ask('VRFY bob')).toBe('252 2.0.0 not verified here, send the message to find out');
  expect(await client.ask('VRFY')).toBe('501 5.5.4 VRFY needs an address');
  expect(await client.ask('AUTH PLAIN AAAA')).toBe('500 5.5.2 Error: command not recognized');
  expect(await client.ask('STARTTLS')).toBe('500 5.5.2 Error: command not recognized');
  expect(await client.ask('KILL')).toBe('500 5.5.2 Error: command not recognized');
  expect(await client.ask('XFORWARD NAME=a')).toBe('550 5.7.0 XFORWARD is not for you');
  expect(await client.ask('QUIT')).toBe('221 2.0.0 Bye');
  expect(await client.reply()).toBe('');
  expect(service.acceptor.messages).toEqual([
    {
      listener: { name: 'test', protocol: 'smtp', mode: 'filter', origin: 'outside', copyDomains: new Map() },
      client: { address: '127.0.0.1', helo: 'mx.example.org', protocol: 'ESMTP' },
      envelope: {
        reversePath: 'a@example.org',
        recipients: [{ address: 'bob@example.com', received: 'bob@example.com' }],
        smtpUtf8: false,
        body: '8BITMIME',
      },
      content: MESSAGE,
    },
  ]);
});

test('an LMTP session speaks LHLO and answers once per accepted RCPT, in order, equal addresses included', async () => {
  await using service = await serve({ protocol: 'lmtp' });
  service.acceptor.onRecipient = (recipient) =>
    recipient.address.startsWith('nobody')
      ? { kind: 'refused', reply: reply('5.1.1', 'no such user') }
      : { kind: 'accepted', recipient };
  await using client = await WireClient.open(service.address);
  expect(await client.reply()).toBe('220 gw.example.com LMTP imipd');
  expect(await client.ask('EHLO mx.example.org')).toMatch(/^500 /);
  expect(await client.ask('LHLO mx.example.org')).toMatch(/^250-gw\.example\.com\n/);
  client.write(
    [
      'MAIL FROM:<>',
      'RCPT TO:<bob@example.com> ORCPT=rfc822;bob@example.com',
      'RCPT TO:<nobody@example.com>',
      'RCPT TO:<BOB@example.com> ORCPT=rfc822;sales+2Bx@example.com NOTIFY=never',
      'RCPT TO:<bob@example.com>',
      'DATA',
      `${MESSAGE}.`,
      'NOOP',
      '',
    ].join('\r\n'),
  );
  expect(await client.replies(10)).toEqual([
    '250 2.1.0 sender accepted',
    '250 2.1.5 recipient accepted',
    '550 5.1.1 no such user',
    '250 2.1.5 recipient accepted',
    '250 2.1.5 recipient accepted',
    '354 end data with <CR><LF>.<CR><LF>',
    '250 2.1.5 queued for rfc822;bob@example.com',
    '250 2.1.5 queued for rfc822;sales+x@example.com',
    '250 2.1.5 queued for bob@example.com',
    '250 2.0.0 OK',
  ]);
  expect(service.acceptor.messages[0]?.client.protocol).toBe('LMTP');
  expect(service.acceptor.messages[0]?.envelope).toEqual({
    reversePath: '',
    recipients: [
      { address: 'bob@example.com', received: 'bob@example.com', orcpt: 'rfc822;bob@example.com' },
      {
        address: 'BOB@example.com',
        received: 'BOB@example.com',
        orcpt: 'rfc822;sales+x@example.com',
        notify: ['NEVER'],
      },
      { address: 'bob@example.com', received: 'bob@example.com' },
    ],
    smtpUtf8: false,
    body: '7BIT',
  });
});

test('DSN and SMTPUTF8 parameters reach the acceptor, domains as A-labels, the recipient also as it stood', async () => {
  await using service = await serve();
  await using client = await greeted(service);
  client.write(
    'MAIL FROM:<jörg@bücher.example> SMTPUTF8 RET=hdrs ENVID=QQ+2B314\r\n' +
      'RCPT TO:<@relay.example.org:bob@XN--BCHER-KVA.Example> NOTIFY=SUCCESS,DELAY\r\nRCPT TO:<Postmaster>\r\n' +
      `DATA\r\n${MESSAGE}.\r\n`,
  );
  expect((await client.replies(5)).at(-1)).toBe('250 2.6.0 queued');
  expect(service.acceptor.messages[0]?.envelope).toEqual({
    reversePath: 'jörg@xn--bcher-kva.example',
    recipients: [
      {
        address: 'bob@xn--bcher-kva.example',
        received: 'bob@XN--BCHER-KVA.Example',
        notify: ['SUCCESS', 'DELAY'],
      },
      { address: 'Postmaster@gw.example.com', received: 'Postmaster' },
    ],
    smtpUtf8: true,
    body: '7BIT',
    envid: 'QQ+314',
    ret: 'HDRS',
  });
  expect(service.acceptor.messages[0]?.client.protocol).toBe('UTF8SMTP');
});

test('RSET and EHLO end a transaction; the next one starts from nothing', async () => {
  await using service = await serve();
  await using client = await greeted(service);
  for (const reset of ['RSET', 'EHLO again.example.org', 'HELO again.example.org']) {
    await client.ask('MAIL FROM:<a@example.org> ENVID=old');
    await client.ask('RCPT TO:<old@example.com>');
    expect(await client.ask(reset)).toMatch(/^250/);
    expect(await client.ask('RCPT TO:<bob@example.com>')).toBe('503 5.5.1 need MAIL first');
  }
  client.write(`MAIL FROM:<b@example.org>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n${MESSAGE}.\r\n`);
  expect((await client.replies(4)).at(-1)).toBe('250 2.6.0 queued');
  expect(service.acceptor.messages).toHaveLength(1);
  expect(service.acceptor.messages[0]?.envelope).toEqual({
    reversePath: 'b@example.org',
    recipients: [{ address: 'bob@example.com', received: 'bob@example.com' }],
    smtpUtf8: false,
    body: '7BIT',
  });
  expect(service.acceptor.messages[0]?.client).toEqual({
    address: '127.0.0.1',
    helo: 'again.example.org',
    protocol: 'SMTP',
  });
});

test('what the acceptor throws becomes a reply, for LMTP once per recipient, and the session goes on', async () => {
  const errors: unknown[] = [];
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: (facts: unknown) => errors.push(facts) };
  await using service = await serve({ protocol: 'lmtp' }, log);
  await using client = await greeted(service, 'LHLO mx.example.org');
  const thrown: [unknown, string][] = [
    [new StoreFullError('disk'), '452 4.3.1 no room in the queue, try again later'],
    [new TypeError('our bug'), '451 4.3.0 internal error, try again later'],
    ['not even an error', '451 4.3.0 internal error, try again later'],
  ];
  for (const [error, expected] of thrown) {
    service.acceptor.onMessage = () => {
      throw error;
    };
    client.write(
      `MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n${MESSAGE}.\r\n`,
    );
    expect((await client.replies(6)).slice(4)).toEqual([expected, expected]);
  }
  service.acceptor.onMessage = () => [reply('2.0.0', 'one reply for two')];
  client.write(
    `MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n${MESSAGE}.\r\n`,
  );
  expect((await client.replies(6)).slice(4)).toEqual([thrown[1]?.[1], thrown[1]?.[1]]);
  expect(errors).toHaveLength(3);

  service.acceptor.onRecipient = () => {
    throw new TypeError('our bug');
  };
  expect(await client.ask('MAIL FROM:<a@example.org>')).toBe('250 2.1.0 sender accepted');
  expect(await client.ask('RCPT TO:<b@example.com>')).toBe('451 4.3.0 internal error, try again later');
  expect(errors).toHaveLength(4);
});

test('an acceptor that refuses without reading is answered for after the end of data, not within it', async () => {
  await using service = await serve();
  service.acceptor.message = async () => [reply('5.7.1', 'not this one')];
  await using client = await greeted(service);
  client.write(`MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n`);
  await client.replies(3);
  client.write(`${'x'.repeat(70)}\r\n`.repeat(10_000));
  client.write('.\r\nNOOP\r\n');
  expect(await client.replies(2)).toEqual(['550 5.7.1 not this one', '250 2.0.0 OK']);
});

test('a reply text of somebody else cannot break the line, its length or its character set', async () => {
  await using service = await serve();
  service.acceptor.onMessage = () => [reply('5.7.1', `bad\r\n250 2.0.0 fine ü ${'x'.repeat(1000)}`)];
  await using client = await greeted(service);
  client.write(`MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n${MESSAGE}.\r\n`);
  const [, , , last = ''] = await client.replies(4);
  expect(last).toMatch(/^550 5\.7\.1 bad 250 2\.0\.0 fine \? x+$/);
  expect(last.length).toBeLessThan(512);
});
