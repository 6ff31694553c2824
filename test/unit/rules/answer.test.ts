import { describe, expect, test } from 'vitest';
import { decide, type Policy, type Question } from '../../../rules/decide.ts';
import type { SchedulingObject } from '../../../src/itip/message.ts';
import type { Decision } from '../../../src/mail/disposition.ts';
import type { Sending } from '../../../src/queue/store.ts';
import { BOB, NORTH, OLGA, POLICY, QUESTION, REPLY, ROW, user } from './samples.ts';

const ANNA = 'anna@example.com';
const SENDING: Sending = {
  token: 't1',
  uid: REPLY.uid,
  recurrenceIds: [''],
  method: 'REQUEST',
  attendee: OLGA,
  organizer: BOB,
  sentTo: OLGA,
  reversePath: BOB,
  messageId: 'invitation-1@example.com',
  queueId: 'A1',
  sentAt: 0,
  keepUntil: 1,
};
const REMEMBERED = {
  meeting: {
    ...{ uid: REPLY.uid, organizer: BOB, attendees: [{ address: OLGA }, { address: ANNA }] },
    ...{ told: {}, keepUntil: 1 },
  },
  sendings: [SENDING],
};
const { organizer: _, ...WITHOUT_ORGANIZER } = REPLY;
const ALIAS = 'o.olsen@example.net';
const byAlias: SchedulingObject = { ...REPLY, attendees: [{ ...user(ALIAS), partstat: 'ACCEPTED' }] };
const toInvitation = { references: ['invitation-1@example.com'] };

function ask(object: SchedulingObject, more: Partial<Question> = {}, policy: Partial<Policy> = {}): Decision {
  const question = { ...QUESTION, examination: { kind: 'object', object } as const, remembered: REMEMBERED, ...more };
  return decide(question, { ...POLICY, ...policy });
}
const said = ({ steps }: Decision, about: string) => steps.find(({ question }) => question.includes(about))?.answer;
const post = { kind: 'post', server: NORTH, recipient: BOB };

describe('an answer of somebody invited', () => {
  test('is posted as it came', () => {
    const decision = ask(REPLY);
    expect(decision).toMatchObject({ rule: 'post', post });
    expect(decision.post).toEqual(post);
    expect(said(decision, 'author')).toBe('yes');
  });

  test('from another address is posted under the one that was invited, and the evidence is told', () => {
    const decision = ask(byAlias, toInvitation);
    expect(decision.post).toEqual({ ...post, author: { from: ALIAS, to: OLGA } });
    expect(said(decision, 'author')).toBe(`yes; matched to ${OLGA} by In-Reply-To`);
  });

  test.each([
    ['with fields of a mail behind it', `mailto:${OLGA}?to=eve@example.net`],
    ['in escapes', `mailto:%6F${OLGA.slice(1)}`],
  ])('whose address stands there %s is posted under it as it was invited', (_, uri) => {
    const decision = ask({ ...REPLY, attendees: [{ uri, mailbox: OLGA, partstat: 'ACCEPTED' }] });
    expect(decision.post).toEqual({ ...post, author: { from: OLGA, to: OLGA } });
  });

  test('without ORGANIZER gets him back from the journal', () => {
    const decision = ask(WITHOUT_ORGANIZER);
    expect(decision.post).toEqual({ ...post, organizer: BOB });
    expect(said(decision, 'author')).toBe(`yes; it has no ORGANIZER, and the journal knows ${BOB}`);
    expect(said(decision, 'meant')).toBe(`yes, as ${BOB}`);
  });

  test('without ORGANIZER is posted to the alias that was invited from, written for the address his server knows', () => {
    const meeting = { ...REMEMBERED.meeting, organizer: 'b.brown@example.com' };
    expect(ask(WITHOUT_ORGANIZER, { remembered: { ...REMEMBERED, meeting } }).post).toEqual({
      ...post,
      organizer: 'b.brown@example.com',
      rewrite: 'b.brown@example.com',
    });
  });

  test('without ORGANIZER is for nobody but whom the journal knows', () => {
    const meeting = { ...REMEMBERED.meeting, organizer: 'carla@example.com' };
    expect(ask(WITHOUT_ORGANIZER, { remembered: { ...REMEMBERED, meeting } })).toMatchObject({
      rule: 'not-attendee',
      post: { kind: 'none', reason: 'the REPLY is for carla@example.com' },
    });
  });

  test('from two of his addresses is no news the second time', () => {
    const ledger = [{ ...ROW, uid: REPLY.uid, author: OLGA, organizer: BOB }];
    expect(ask(byAlias, { ...toInvitation, ledger }).rule).toBe('duplicate');
  });

  test('is the same for COUNTER and REFRESH', () => {
    for (const method of ['COUNTER', 'REFRESH'] as const)
      expect(said(ask({ ...byAlias, method }, toInvitation), 'author')).toBe(`yes; matched to ${OLGA} by In-Reply-To`);
  });
});

describe('an answer of somebody who was not invited', () => {
  const reason = `${ALIAS} was not invited: neither his address nor what the mail answers is that of anybody invited`;

  test('goes on as mail only', () => {
    const { steps, ...decision } = ask(byAlias);
    expect(decision).toEqual({ rule: 'never-invited', post: { kind: 'none', reason }, annotate: true });
    expect(steps).toContainEqual({ question: 'May its author say this?', answer: `no: ${reason}` });
  });

  test('is refused where a post is all there is', () => {
    for (const mode of ['final', 'relay'] as const)
      expect(ask(byAlias, { mode }).post).toEqual({ kind: 'reject', status: '5.7.1', reason });
  });

  test('is posted when one of our own servers says it', () => {
    const decision = ask(byAlias, { origin: 'inside', mode: 'relay' });
    expect(decision.post).toEqual(post);
    expect(said(decision, 'author')).toBe(`yes; ${reason}, but our own server says so`);
  });
});

describe('nobody from outside speaks for one of ours', () => {
  const oursBy = (reason: string) => ({ rule: 'author-is-ours', post: { kind: 'none', reason }, annotate: true });
  const reason = 'the ATTENDEE is of our own domain example.com, the message came from outside';

  test('by his address', () => {
    expect(ask({ ...REPLY, attendees: [user(ANNA)] })).toMatchObject(oursBy(reason));
  });

  test('by what the journal would take for his', () => {
    const sendings = [{ ...SENDING, attendee: ANNA }];
    const remembered = { ...REMEMBERED, sendings };
    expect(ask(byAlias, { ...toInvitation, remembered })).toMatchObject(oursBy(reason));
    expect(ask(byAlias, { from: ANNA })).toMatchObject(oursBy(reason));
    const attendees = [{ ...user(ALIAS), email: ANNA }];
    expect(ask({ ...REPLY, attendees })).toMatchObject(oursBy(reason));
  });

  test('by saying that he was sent by him', () => {
    const attendees = [{ ...user(ALIAS), delegatedFrom: [`mailto:${ANNA}`] }];
    expect(ask({ ...REPLY, attendees })).toMatchObject({
      rule: 'never-invited',
      post: { reason: `${ALIAS} was not invited: nothing says that ${ANNA}, who is ours, has delegated to him` },
    });
    expect(ask({ ...REPLY, attendees }, { origin: 'inside' }).rule).toBe('post');
  });

  test('by saying that he is in a list of ours', () => {
    const attendees = [{ ...user(ALIAS), member: [`mailto:${ANNA}`] }];
    expect(ask({ ...REPLY, attendees })).toMatchObject({
      rule: 'never-invited',
      post: { reason: `${ALIAS} was not invited: nothing says that he is in ${ANNA}, which is ours` },
    });
    expect(ask({ ...REPLY, attendees: [{ ...user(ALIAS), member: [`mailto:${OLGA}`] }] }).rule).toBe('post');
  });
});

describe('an answer to a UID that the journal does not hold', () => {
  const askUnknown = (object: SchedulingObject, unknownUid?: Policy['unknownUid'], more: Partial<Question> = {}) =>
    decide(
      { ...QUESTION, examination: { kind: 'object', object }, ...more },
      { ...POLICY, ...(unknownUid === undefined ? {} : { unknownUid }) },
    );
  const reason = `nothing of UID ${REPLY.uid} is in the journal`;

  test('is posted, which the decision notes', () => {
    for (const policy of [undefined, 'post'] as const) {
      const decision = askUnknown(REPLY, policy);
      expect(decision.post).toEqual(post);
      expect(said(decision, 'author')).toBe(`yes; ${reason}`);
    }
  });

  test('goes on as mail only where that is configured', () => {
    const { steps: _steps, ...decision } = askUnknown(REPLY, 'mail');
    expect(decision).toEqual({ rule: 'unknown-uid', post: { kind: 'none', reason }, annotate: true });
  });

  test('becomes a mail where a post is all that a peer gave', () => {
    expect(askUnknown(REPLY, 'mail', { mode: 'relay' }).post).toEqual({ kind: 'mail', reason });
  });

  test('is posted when one of our own answers, whatever is configured: what he was invited to did not leave from here', () => {
    const decision = askUnknown({ ...REPLY, attendees: [user(ANNA)] }, 'mail', { origin: 'inside' });
    expect(decision.post).toEqual(post);
    expect(said(decision, 'author')).toBe('yes');
  });

  test('and without ORGANIZER is for nobody', () => {
    for (const policy of ['post', 'mail'] as const)
      expect(askUnknown(WITHOUT_ORGANIZER, policy)).toMatchObject({
        rule: 'not-attendee',
        post: { kind: 'none', reason: 'a REPLY without ORGANIZER names nobody' },
      });
  });
});

test('what an organizer says is not looked for among the answers', () => {
  expect(decide({ ...QUESTION, remembered: REMEMBERED }, { ...POLICY, unknownUid: 'mail' }).rule).toBe('post');
});

test('one of ours who was invited by another address stays matched by that', () => {
  const remembered = {
    ...REMEMBERED,
    meeting: { ...REMEMBERED.meeting, attendees: [{ address: 'team-lead@example.com' }] },
  };
  const object = { ...REPLY, attendees: [user(ANNA)] };
  const decision = ask(object, { origin: 'inside', invitedAs: 'team-lead@example.com', remembered });
  expect(decision.post).toEqual({ ...post, author: { from: ANNA, to: 'team-lead@example.com' } });
  expect(said(decision, 'author')).toBe(`yes; ${ANNA} was invited as team-lead@example.com`);
});
