import { describe, expect, test } from 'vitest';
import type { Entry, Expansion } from '../../../src/directory/directory.ts';
import { fakeDirectory, found, group, user } from '../directory/fake-directory.ts';
import { OPEN } from '../rules/open-access.ts';
import { about, brief, open, V6, V7 } from './scene.ts';
import {
  alike,
  busy,
  hangs,
  knows,
  periods,
  REFUSED,
  ScriptedSource,
  UNAVAILABLE,
  UNKNOWN,
  UNUSABLE,
} from './scripted-source.ts';

const never = new AbortController().signal;
const ann = user('ann@example.com', { marker: 'v7' });
const bob = user('bob@example.com');
const team = group('team@example.com');

function scene(
  members: readonly Entry[] | Expansion,
  v7: ScriptedSource['script'],
  v6: ScriptedSource['script'] = alike(UNKNOWN),
  options: Parameters<typeof open>[2] = {},
) {
  const north = new ScriptedSource('https://cal7.example.com', v7);
  const old = new ScriptedSource('http://cs6.example.com', v6, 'wcap');
  const expansion: Expansion =
    'kind' in members ? members : { kind: 'members', entries: members as readonly Entry[], addresses: [] };
  const known = new Map([team, ann, bob].map((entry) => [entry.mail, entry]));
  const directory = fakeDirectory({
    lookup: (address) => {
      const entry = known.get(address);
      return entry === undefined ? { kind: 'unknown', server: 'fake' } : found(entry);
    },
    expand: () => expansion,
  });
  const { broker } = open({ [V7.url]: north, [V6.url]: old }, [], { directory, ...options });
  return { north, old, broker };
}

describe('a list', () => {
  test('is answered for as one, with the times of all its members laid over each other', async () => {
    const { broker } = scene(
      [ann, bob],
      alike(periods(busy(9, 11))),
      alike(periods(busy(10, 12, 'BUSY-UNAVAILABLE'), busy(14, 15))),
    );
    const answers = await broker.ask(about(['team@example.com']), never);
    expect(answers.map(brief)).toEqual(['team@example.com 2.0 BUSY 9-10 BUSY-UNAVAILABLE 10-12 BUSY 14-15']);
    expect(answers[0]?.inquiries.map(({ mailbox }) => mailbox)).toEqual(['ann@example.com', 'bob@example.com']);
  });

  test('that is named by several of its addresses is expanded and laid together once', async () => {
    let expanded = 0;
    const directory = fakeDirectory({
      lookup: () => found(team),
      expand: () => {
        expanded++;
        return { kind: 'members', entries: [ann, bob], addresses: [] };
      },
    });
    const { broker } = scene([], alike(periods(busy(9, 11))), alike(periods(busy(10, 12))), { directory });
    const answers = await broker.ask(about(['team@example.com', 'team+x@example.com', 'crew@example.com']), never);
    expect(answers.map(brief)).toEqual([
      'team@example.com 2.0 BUSY 9-12',
      'team+x@example.com 2.0 BUSY 9-12',
      'crew@example.com 2.0 BUSY 9-12',
    ]);
    expect(expanded).toBe(1);
    expect(answers.map((answer) => answer.periods === answers[0]?.periods)).toEqual([true, true, true]);
  });

  test('whose member is asked about by name as well asks about him once', async () => {
    const { north, broker } = scene([ann], alike(periods(busy(9, 11))));
    const answers = await broker.ask(about(['ann@example.com', 'team@example.com']), never);
    expect(answers.map(brief)).toEqual(['ann@example.com 2.0 BUSY 9-11', 'team@example.com 2.0 BUSY 9-11']);
    expect(north.asked).toEqual([['ann@example.com']]);
  });

  test('leaves out who has no calendar, whom no server knows, and who is in no directory', async () => {
    const clerk = user('clerk@example.com', { calendar: false });
    const members = { kind: 'members', entries: [ann, bob, clerk], addresses: ['zoe@example.org'] } as const;
    const { broker } = scene(members, alike(periods(busy(9, 11))), alike(UNKNOWN));
    const [answer] = await broker.ask(about(['team@example.com']), never);
    expect(brief(answer!)).toBe('team@example.com 2.0 BUSY 9-11');
    expect(answer?.steps).toContainEqual({
      question: 'Who is in it?',
      answer: '2 who can be asked about, 2 without a calendar here',
    });
  });

  test('is refused as a whole when the server of one member refuses, whatever else is missing', async () => {
    const { broker } = scene(
      [ann, bob, user('cat@example.com', { marker: 'v7' })],
      knows({ 'ann@example.com': REFUSED, 'cat@example.com': UNAVAILABLE }),
      alike(periods()),
    );
    const [answer] = await broker.ask(about(['team@example.com']), never);
    expect([answer?.status.code, answer?.rule, answer?.periods]).toEqual(['3.8', 'list-member-refused', []]);
  });

  test('is refused as a whole when one member may not be asked about, and nobody is asked', async () => {
    const { north, old, broker } = scene([ann, bob], alike(periods()), alike(periods()));
    const asker = { name: 'web', access: { ...OPEN, notAbout: ['bob@example.com'] } };
    const [answer] = await broker.ask(about(['team@example.com'], { asker }), never);
    expect([answer?.status.code, answer?.rule]).toEqual(['3.8', 'list-member-refused']);
    expect([north.asked, old.asked]).toEqual([[], []]);
    const hidden = { name: 'web', access: { ...asker.access, unknown: 'hidden' as const } };
    const [told] = await broker.ask(about(['team@example.com'], { asker: hidden }), never);
    expect(told?.status).toEqual({ code: '3.7', description: 'Invalid calendar user' });
  });

  test('is unavailable as a whole when one member is, in time or not, or nothing of him can be used', async () => {
    const { broker } = scene([ann, bob], alike(periods(busy(9, 11))), alike(UNAVAILABLE));
    const [answer] = await broker.ask(about(['team@example.com']), never);
    expect([answer?.status.code, answer?.rule, answer?.periods]).toEqual(['5.1', 'list-member-unavailable', []]);
    const unusable = scene([ann, bob], alike(periods(busy(9, 11))), alike(UNUSABLE));
    const [unusableAnswer] = await unusable.broker.ask(about(['team@example.com']), never);
    expect([unusableAnswer?.status.code, unusableAnswer?.rule, unusableAnswer?.periods]).toEqual([
      ...['5.1', 'list-member-unavailable'],
      [],
    ]);
    const late = scene([ann, bob], alike(periods(busy(9, 11))), hangs(), { deadlineMs: 40 });
    const [lateAnswer] = await late.broker.ask(about(['team@example.com']), never);
    expect([lateAnswer?.status.code, lateAnswer?.rule]).toEqual(['5.1', 'deadline']);
  });

  test('is unavailable when the home of one member is a riddle', async () => {
    const { broker } = scene([ann, user('lost@example.com', { marker: 'v8' })], alike(periods(busy(9, 11))));
    const [answer] = await broker.ask(about(['team@example.com']), never);
    expect([answer?.status.code, answer?.rule]).toEqual(['5.1', 'list-member-unavailable']);
  });

  test('in which nobody has a calendar has no scheduling', async () => {
    const nobody = scene([], alike(periods()));
    const [empty] = await nobody.broker.ask(about(['team@example.com']), never);
    expect([empty?.status.code, empty?.rule]).toEqual(['5.3', 'list-empty']);
    const unknown = scene([ann, bob], alike(UNKNOWN));
    const [answer] = await unknown.broker.ask(about(['team@example.com']), never);
    expect([answer?.status.code, answer?.rule]).toEqual(['5.3', 'list-empty']);
  });

  test.each([
    ['the directory stops at so many', { kind: 'too-large', limit: 1000 } as const],
    ['it has more members than are asked', [ann, bob, user('cat@example.com')]],
  ])('is too large where %s', async (_, members) => {
    const { north, broker } = scene(members, alike(periods()), alike(periods()), { groupLimit: 2 });
    const [answer] = await broker.ask(about(['team@example.com']), never);
    expect([answer?.status.code, answer?.rule]).toEqual(['5.3', 'list-too-large']);
    expect(north.asked).toEqual([]);
    const asker = { name: 'web', access: { ...OPEN, unknown: 'hidden' as const } };
    const [hidden] = await broker.ask(about(['team@example.com'], { asker }), never);
    expect(hidden?.status).toEqual({ code: '3.7', description: 'Invalid calendar user' });
  });

  test('that the directory does not expand is unavailable; one with a restricted list in it is refused', async () => {
    const silent = scene({ kind: 'no-answer', reason: 'connection refused' }, alike(periods()));
    const [answer] = await silent.broker.ask(about(['team@example.com']), never);
    expect([answer?.status.code, answer?.rule]).toEqual(['5.1', 'directory-silent']);
    const members = {
      kind: 'members',
      entries: [ann],
      addresses: [],
      restrictedBy: 'mgrpModerator of cn=board',
    } as const;
    const restricted = scene(members, alike(periods()));
    const [refused] = await restricted.broker.ask(about(['team@example.com']), never);
    expect([refused?.status.code, refused?.rule]).toEqual(['3.8', 'list-restricted']);
  });
});
