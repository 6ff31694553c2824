import { describe, expect, test } from 'vitest';
import { judgeReturn, type ReturnFacts, requestStatusOf } from '../../../rules/returned.ts';
import type { DsnEntry } from '../../../src/itip/person.ts';
import type { Sending } from '../../../src/queue/store.ts';

const SENDING: Sending = {
  token: 'aaaa',
  uid: 'budget@example.com',
  recurrenceIds: [''],
  method: 'REQUEST',
  attendee: 'bob@example.org',
  organizer: 'ann@example.com',
  sentTo: 'bob@example.org',
  reversePath: 'calendar-server@example.com',
  messageId: 'q1.0@gateway.example.com',
  queueId: 'Q1',
  sentAt: 0,
  keepUntil: 1,
};
const KNOWN: ReturnFacts = { sending: SENDING, sender: SENDING.reversePath, automatic: true, cameBack: false };
const FAILED: DsnEntry = {
  finalRecipient: 'bob@example.org',
  action: 'failed',
  status: '5.1.1',
  diagnostic: 'smtp; 550 5.1.1 <bob@example.org>:\r\n  no such user',
};

describe('a failure report', () => {
  test('names the attendee, the status and the words of the MTA without their type', () => {
    expect(judgeReturn({ ...KNOWN, dsn: [FAILED] })).toEqual({
      kind: 'failure',
      attendee: 'bob@example.org',
      status: '5.1.1',
      reason: '550 5.1.1 <bob@example.org>: no such user',
    });
  });

  test('of the address that his mail is forwarded to is one of his: the token names him', () => {
    expect(judgeReturn({ ...KNOWN, dsn: [{ ...FAILED, finalRecipient: 'b.jones@far.test' }] })).toMatchObject({
      kind: 'failure',
      attendee: 'bob@example.org',
    });
  });

  test('of several addresses counts by the one that is his, final or original', () => {
    const others = [
      { ...FAILED, finalRecipient: 'x@far.test', status: '5.2.2' },
      { ...FAILED, finalRecipient: 'y@far.test', status: '5.7.1' },
    ];
    const his = { ...FAILED, finalRecipient: 'z@far.test', originalRecipient: 'BOB@example.org', status: '5.4.4' };
    expect(judgeReturn({ ...KNOWN, dsn: [...others, his] })).toMatchObject({ kind: 'failure', status: '5.4.4' });
    expect(judgeReturn({ ...KNOWN, dsn: others })).toEqual({
      kind: 'pass-on',
      to: 'calendar-server@example.com',
      reason: 'a delivery report for others',
    });
  });

  test('that says his copy was delivered and failed both, counts as failed', () => {
    const delivered = { ...FAILED, action: 'delivered', status: '2.0.0' };
    expect(judgeReturn({ ...KNOWN, dsn: [delivered, FAILED] })).toMatchObject({ kind: 'failure', status: '5.1.1' });
  });

  test('with the last temporary status of a queue that gave up is a failure', () => {
    expect(judgeReturn({ ...KNOWN, dsn: [{ ...FAILED, status: '4.4.1' }] })).toMatchObject({
      kind: 'failure',
      status: '4.4.1',
    });
  });

  test.each(['', '2.0.0'])('whose status is %j says only that it failed', (status) => {
    expect(judgeReturn({ ...KNOWN, dsn: [{ ...FAILED, status }] })).toMatchObject({ kind: 'failure', status: '5.0.0' });
  });

  test('without a diagnostic has no words, one with a long text is cut', () => {
    const { diagnostic: _, ...bare } = FAILED;
    expect(judgeReturn({ ...KNOWN, dsn: [bare] })).toMatchObject({ reason: '' });
    const long = { ...FAILED, diagnostic: `smtp; ${'550 no '.repeat(1000)}` };
    const verdict = judgeReturn({ ...KNOWN, dsn: [long] });
    expect(verdict.kind === 'failure' && verdict.reason.length).toBeLessThanOrEqual(301);
  });

  test('of a message that came from the null reverse-path is told all the same', () => {
    const sending = { ...SENDING, reversePath: '' };
    expect(judgeReturn({ ...KNOWN, sending, sender: '', dsn: [FAILED] })).toMatchObject({ kind: 'failure' });
  });

  test('of an answer goes on to whoever answered', () => {
    const sending = { ...SENDING, method: 'REPLY' };
    expect(judgeReturn({ ...KNOWN, sending, dsn: [FAILED] })).toEqual({
      kind: 'pass-on',
      to: 'calendar-server@example.com',
      reason: 'a delivery report: failed',
    });
  });
});

describe('what is no failure goes on to the original envelope sender', () => {
  const to = 'calendar-server@example.com';
  test.each(['delayed', 'relayed', 'delivered', 'expanded', 'invented'])('a report that says %s', (action) => {
    expect(judgeReturn({ ...KNOWN, dsn: [{ ...FAILED, action }] })).toEqual({
      kind: 'pass-on',
      to,
      reason: `a delivery report: ${action}`,
    });
  });

  test('a vacation answer', () => {
    expect(judgeReturn(KNOWN)).toEqual({ kind: 'pass-on', to, reason: 'an automatic message, no failure report' });
  });

  test('a mail of a person', () => {
    expect(judgeReturn({ ...KNOWN, automatic: false })).toEqual({
      kind: 'pass-on',
      to,
      reason: 'a message, no failure report',
    });
  });

  test('a report of a message that is in the queue but not in the journal', () => {
    expect(judgeReturn({ sender: to, automatic: true, cameBack: false, dsn: [FAILED] })).toEqual({
      kind: 'pass-on',
      to,
      reason: 'a delivery report',
    });
  });
});

describe('where nobody is left', () => {
  test('an automatic message ends, a person is told', () => {
    expect(judgeReturn({ automatic: true, cameBack: false })).toEqual({
      kind: 'done',
      reason: 'an automatic message, no failure report, and what it answers is not remembered',
    });
    expect(judgeReturn({ automatic: false, cameBack: false })).toEqual({
      kind: 'refused',
      status: '5.1.1',
      reason: 'no such address: what it answers is not remembered',
    });
    expect(judgeReturn({ ...KNOWN, sender: '' })).toEqual({
      kind: 'done',
      reason: 'an automatic message, no failure report, and what it answers had no sender',
    });
  });

  test('a report of what the journal forgot ends', () => {
    expect(judgeReturn({ automatic: true, cameBack: false, dsn: [FAILED] })).toMatchObject({ kind: 'done' });
  });
});

test('what was here before ends, whatever it is', () => {
  for (const more of [{}, { dsn: [FAILED] }, { automatic: false }])
    expect(judgeReturn({ ...KNOWN, ...more, cameBack: true })).toEqual({
      kind: 'done',
      reason: 'it has been returned here before',
    });
});

test('an address that cannot be is 3.7, everything else 5.1', () => {
  const statuses = ['5.1.1', '5.1.10', '5.2.2', '5.7.1', '4.4.1', '5.0.0'];
  expect(statuses.map(requestStatusOf)).toEqual(['3.7', '3.7', '5.1', '5.1', '5.1', '5.1']);
});
