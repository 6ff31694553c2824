import { afterAll, beforeAll, expect, test } from 'vitest';
import { CS7_QUESTION } from '../peers/calendar-server-7.ts';
import { calendarObject, type EventFields } from './invitations.ts';
import { answered, ask, post } from './ischedule-peer.ts';
import { ALICE, BOB, mailFor, OLGA, type SmallSite, startSmallSite } from './small-site.ts';

/** A server of draft -00, one of today, and somebody who is no peer. */
const OLD = '127.0.0.2';
const NEW = '127.0.0.3';
const STRANGER = '127.0.0.4';

let site: SmallSite;

beforeAll(async () => {
  site = await startSmallSite({
    listeners: ['name: in'],
    more: `
http: {service: {address: '127.0.0.1:0'}}
ischedule:
  peers:
    - {name: cal6, origin: inside, dialect: draft00, domains: [example.com], networks: [${OLD}], answer-wait: 5s}
    - {name: cal8, origin: inside, domains: [example.com], networks: [${NEW}], answer-wait: 5s}
`,
  });
});
afterAll(() => site?.[Symbol.asyncDispose]());

function event(uid: string, fields: Partial<EventFields> = {}): EventFields {
  return { uid, organizer: ALICE, attendees: [BOB], method: 'REQUEST', ...fields };
}

/** A post as the sample has it: not a header but what HTTP needs, and a Content-Type without parameters. */
async function bare(body: string, from = OLD) {
  const headers = [['Content-Type', 'text/calendar']] as const;
  return await ask(site.gateway.port('service'), { method: 'POST', path: '/ischedule/', headers, body, from });
}

test('a REQUEST without headers reaches everybody whom the object invites, outsiders by mail', async () => {
  const fields = event('bare-request', { attendees: [BOB, OLGA] });
  expect(answered(await bare(calendarObject(fields)))).toEqual([`${BOB} 2.0`, `${OLGA} 1.1`]);
  const [posted, ...more] = site.calendar.of(fields.uid);
  expect([posted?.recipients, posted?.body, more]).toEqual([[BOB], calendarObject(fields), []]);
  expect((await mailFor(site.world, OLGA, 'Review')).from).toBe(ALICE);
});

test('a CANCEL without headers reaches those whom the object names', async () => {
  const fields = event('bare-cancel', { method: 'CANCEL', sequence: 1 });
  expect(answered(await bare(calendarObject(fields)))).toEqual([`${BOB} 2.0`]);
  expect(site.calendar.of(fields.uid).map(({ recipients }) => recipients)).toEqual([[BOB]]);
});

test('a REPLY without headers reaches the organizer', async () => {
  const fields = event('bare-reply', { method: 'REPLY' });
  expect(answered(await bare(calendarObject(fields)))).toEqual([`${ALICE} 2.0`]);
  expect(site.calendar.of(fields.uid).map(({ recipients }) => recipients)).toEqual([[ALICE]]);
});

test('the same server may send all headers as well', async () => {
  const fields = event('full-request');
  const whole = { event: fields, originator: ALICE, recipients: [BOB] };
  expect(answered(await post(site.gateway.port('service'), whole, OLD))).toEqual([`${BOB} 2.0`]);
});

test('an organizer whom it may not speak for is refused, although no header names him', async () => {
  const fields = event('bare-foreign', { organizer: OLGA, attendees: [ALICE] });
  expect(answered(await bare(calendarObject(fields)))).toEqual(['403 originator-denied']);
  expect(site.calendar.of(fields.uid)).toEqual([]);
});

test.each([
  ['a peer of today', NEW],
  ['an address that no peer has', STRANGER],
])('from %s the headers are needed', async (_, from) => {
  const fields = event(`bare-${from}`);
  expect(answered(await bare(calendarObject(fields), from))).toEqual(['400 version-not-supported']);
  expect([site.calendar.of(fields.uid), site.store.list({}).filter(({ uid }) => uid === fields.uid)]).toEqual([[], []]);
});

test('the question for busy times of the product’s own guide is not taken, and the answer says so', async () => {
  const answer = await bare(CS7_QUESTION);
  expect(answered(answer)).toEqual(['403 invalid-scheduling-message']);
  expect(answer.body).toContain('VFREEBUSY');
});
