import { expect, test } from 'vitest';
import { isOwnReceived, receivedLine } from '../../../src/mail/received.ts';

const facts = {
  client: { address: '192.0.2.7', name: 'mx.example.org', helo: 'mx.example.org', protocol: 'ESMTPS' },
  hostname: 'gw.example.com',
  queueId: 'A1B2C3',
  date: new Date(Date.UTC(2026, 10, 21, 8, 0, 5)),
};

test('the trace line names client, us, protocol, queue id and date', () => {
  expect(receivedLine({ ...facts, recipient: 'bob@example.com' })).toBe(
    'Received: from mx.example.org (mx.example.org [192.0.2.7])\r\n' +
      '\tby gw.example.com (imipd) with ESMTPS id A1B2C3\r\n' +
      '\tfor <bob@example.com>;\r\n' +
      '\tSat, 21 Nov 2026 08:00:05 +0000\r\n',
  );
});

test('without a recipient there is no for clause, an IPv6 address is marked, and what is unknown is said', () => {
  expect(receivedLine({ ...facts, client: { address: '2001:db8::1', protocol: 'SMTP' } })).toBe(
    'Received: from unknown ([IPv6:2001:db8::1])\r\n\tby gw.example.com (imipd) with SMTP id A1B2C3;\r\n\tSat, 21 Nov 2026 08:00:05 +0000\r\n',
  );
});

test('what a client says of itself cannot end the line or the comment', () => {
  const client = { address: '192.0.2.7', helo: 'x) by gw.example.com (imipd)\r\nSubject: y', protocol: 'ESMTP' };
  const line = receivedLine({ ...facts, client });
  expect(line.split('\r\n')[0]).toBe('Received: from x??by?gw.example.com??imipd???Subject:?y ([192.0.2.7])');
});

test('a recipient that is not ASCII is named in an internationalized message only', () => {
  const utf8 = { ...facts.client, protocol: 'UTF8SMTP' };
  expect(receivedLine({ ...facts, recipient: 'jörg@example.com' })).not.toContain('for <');
  expect(receivedLine({ ...facts, client: utf8, recipient: 'jörg@example.com' })).toContain('for <jörg@example.com>;');
});

test('our own line is known again, folded or not and by another case, and no other is', () => {
  const value = receivedLine(facts).slice('Received:'.length);
  expect(isOwnReceived(value, 'GW.example.com')).toBe(true);
  expect(isOwnReceived(value.replace(/\r\n/g, ''), 'gw.example.com')).toBe(true);
  expect(isOwnReceived(value, 'gw2.example.com')).toBe(false);
  expect(isOwnReceived('from a by gw.example.com (Postfix) with ESMTP id 1; date', 'gw.example.com')).toBe(false);
});
