import { describe, expect, test } from 'vitest';
import { fromReply, fromTrouble, outcomesOf, type ReplyScope, troubleOf } from '../../../../channel/smtp/failures.ts';

const RELAY = 'next.example.com:25';

describe('a reply becomes an outcome:', () => {
  const table: [ReplyScope, string, string][] = [
    ['recipient', '550 5.1.1 unknown', 'failed 5.1.1'],
    ['recipient', '550 unknown', 'failed 5.2.0'],
    ['recipient', '551 moved', 'failed 5.1.6'],
    ['recipient', '552 full', 'failed 5.2.2'],
    ['recipient', '553 bad', 'failed 5.1.3'],
    ['recipient', '554 no', 'failed 5.0.0'],
    ['recipient', '556 no mail here', 'failed 5.1.10'],
    ['recipient', '550 4.2.1 of another class', 'failed 5.2.0'],
    ['recipient', '550 5.1.1unknown', 'failed 5.2.0'],
    ['recipient', '450 greylisted', 'deferred 4.2.0'],
    ['recipient', '451 4.7.1 greylisted', 'deferred 4.7.1'],
    ['recipient', '452 too many', 'deferred 4.3.1'],
    ['recipient', '503 out of step', 'deferred 4.5.0'],
    ['recipient', '250 2.1.5 stored', 'delivered 2.1.5'],
    ['message', '250 ok', 'delivered 2.0.0'],
    ['message', '552 too big', 'failed 5.3.4'],
    ['message', '552 5.2.3 too big', 'failed 5.2.3'],
    ['message', '554 5.7.1 spam', 'failed 5.7.1'],
    ['message', '555 parameter', 'failed 5.5.4'],
    ['message', '499 odd', 'deferred 4.0.0'],
    ['message', '354 go on', 'deferred 4.5.0'],
    ['message', 'gibberish', 'deferred 4.5.0'],
    ['message', '530 5.7.0 log in first', 'deferred 4.3.5 alarm'],
    ['recipient', '530 5.7.0 STARTTLS first', 'deferred 4.3.5 alarm'],
    ['server', '554 go away', 'deferred 4.3.5 alarm'],
    ['server', '535 5.7.8 wrong password', 'deferred 4.3.5 alarm'],
    ['server', '454 4.7.0 try later', 'deferred 4.7.0'],
    ['server', '421 busy', 'deferred 4.3.2'],
    ['server', '250 ok', 'deferred 4.5.0'],
  ];
  for (const [scope, reply, expected] of table) {
    test(`${scope}: ${reply} → ${expected}`, () => {
      const outcome = fromReply(scope, reply, RELAY);
      expect(`${outcome.kind} ${outcome.status}${outcome.alarm === true ? ' alarm' : ''}`).toBe(expected);
    });
  }

  test('several lines become one, code and status said once, controls gone', () => {
    expect(fromReply('recipient', '550-5.7.1 first\t\u0007 line\n550-5.7.1 second\n550 5.7.1 third', RELAY)).toEqual({
      kind: 'failed',
      status: '5.7.1',
      reason: 'the next hop refused the recipient',
      relay: RELAY,
      answered: true,
      diagnostic: 'smtp; 550 5.7.1 first line second third',
    });
  });

  test('552 without status after accepted recipients may mean too many, and is tried again', () => {
    const replies = {
      mail: '250 ok',
      recipients: ['250 ok', '552 too many recipients', '552 5.2.2 full'],
      data: '354 go',
      end: ['250 ok'],
    };
    expect(outcomesOf(replies, 3, 'smtp', RELAY).map(({ kind, status }) => `${kind} ${status}`)).toEqual([
      'delivered 2.0.0',
      'deferred 4.5.3',
      'failed 5.2.2',
    ]);
  });
});

describe('silence becomes an outcome:', () => {
  const table: [string, boolean, string][] = [
    ['ECONNREFUSED', false, 'deferred 4.4.1'],
    ['EHOSTUNREACH', false, 'deferred 4.4.1'],
    ['timeout', false, 'deferred 4.4.1'],
    ['timeout', true, 'deferred 4.4.2'],
    ['ECONNRESET', true, 'deferred 4.4.2'],
    ['ENOTFOUND', false, 'deferred 4.4.4 alarm'],
    ['ESERVFAIL', false, 'deferred 4.4.3'],
    ['SELF_SIGNED_CERT_IN_CHAIN', false, 'deferred 4.3.5 alarm'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', true, 'deferred 4.3.5 alarm'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', true, 'deferred 4.3.5 alarm'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', false, 'deferred 4.3.5 alarm'],
    ['CERT_HAS_EXPIRED', true, 'deferred 4.3.5 alarm'],
  ];
  for (const [code, standing, expected] of table) {
    test(`${code} ${standing ? 'on a standing connection' : 'while connecting'} → ${expected}`, () => {
      const outcome = fromTrouble(troubleOf(code, standing), RELAY);
      expect(`${outcome.kind} ${outcome.status}${outcome.alarm === true ? ' alarm' : ''}`).toBe(expected);
      expect(outcome.answered).toBe(false);
    });
  }

  test('a 5xx out of turn fails nobody', () => {
    expect(fromTrouble({ kind: 'refused', reply: '554 5.7.1 go away' }, RELAY)).toEqual(
      expect.objectContaining({ kind: 'deferred', status: '4.3.5', alarm: true }),
    );
  });
});
