import { describe, expect, test } from 'vitest';
import { user } from '../directory/fake-directory.ts';
import { OPEN } from '../rules/open-access.ts';
import { about, brief, directoryOf, open, SITE, V6, V7 } from './scene.ts';
import {
  alike,
  busy,
  HOUR,
  hangs,
  knows,
  MONDAY,
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
const cat = user('cat@example.com', { marker: 'v7' });

function sources(v7: ScriptedSource['script'], v6: ScriptedSource['script'] = alike(UNKNOWN)) {
  const north = new ScriptedSource('https://cal7.example.com', v7);
  const old = new ScriptedSource('http://cs6.example.com', v6, 'wcap');
  return { north, old, all: { [V7.url]: north, [V6.url]: old } };
}

describe('a question about several people', () => {
  test('asks each server once, and answers in the order of the question', async () => {
    const { north, old, all } = sources(
      knows({ 'ann@example.com': periods(busy(9, 10)), 'cat@example.com': periods() }),
      knows({ 'bob@example.com': periods(busy(8, 12, 'BUSY-TENTATIVE')) }),
    );
    const { broker } = open(all, [ann, bob, cat]);
    const answers = await broker.ask(
      about(['bob@example.com', 'ann@example.com', 'nobody@example.com', 'cat@example.com']),
      never,
    );
    expect(answers.map(brief)).toEqual([
      'bob@example.com 2.0 BUSY-TENTATIVE 8-12',
      'ann@example.com 2.0 BUSY 9-10',
      'nobody@example.com 3.7',
      'cat@example.com 2.0',
    ]);
    expect(north.asked).toEqual([['ann@example.com', 'cat@example.com']]);
    expect(old.asked).toEqual([['bob@example.com']]);
    expect(north.batches[0]).toMatchObject({
      server: new URL(V7.url),
      profile: 'oracle-v7',
      originator: 'olga@example.com',
      window: { startMs: MONDAY, endMs: MONDAY + 24 * HOUR },
      hops: ['imipd-0123456789abcdef'],
    });
  });

  test('tells 200,000 periods at most; whose times are more than is left has none, and the others theirs', async () => {
    const many = Array.from({ length: 19_999 }, (_, at) => busy(at / 1000, (at + 0.5) / 1000));
    const { all } = sources(knows({ 'ann@example.com': periods(...many), 'cat@example.com': periods(busy(9, 10)) }));
    const spellings = Array.from({ length: 12 }, (_, at) => `ann+${at}@example.com`);
    const anna = user('ann@example.com', { marker: 'v7', addresses: ['ann@example.com', ...spellings] });
    const { broker } = open(all, [anna, cat]);
    const answers = await broker.ask(about([...spellings, 'cat@example.com']), never);
    expect(answers.map(({ status, periods }) => [status.code, periods.length])).toEqual([
      ...Array.from({ length: 10 }, () => ['2.0', 19_999]),
      ['5.1', 0],
      ['5.1', 0],
      ['2.0', 1],
    ]);
    expect(answers[10]).toMatchObject({
      rule: 'answer-too-large',
      status: { detail: 'The answer would be too large: ask about fewer people, or about less time.' },
    });
  });

  test('answers about every spelling of one user and asks once', async () => {
    const anna = user('ann@example.com', { marker: 'v7', addresses: ['ann@example.com', 'a.adams@example.com'] });
    const { north, all } = sources(knows({ 'ann@example.com': periods(busy(9, 10)) }));
    const { broker } = open(all, [anna]);
    const answers = await broker.ask(about(['Ann@Example.COM', 'a.adams@example.com', 'ann@example.com']), never);
    expect(answers.map(brief)).toEqual([
      'Ann@Example.COM 2.0 BUSY 9-10',
      'a.adams@example.com 2.0 BUSY 9-10',
      'ann@example.com 2.0 BUSY 9-10',
    ]);
    expect(north.asked).toEqual([['ann@example.com']]);
  });

  test('about five hundred is asked in batches that fit a request, and looked up 32 at a time', async () => {
    const people = Array.from({ length: 500 }, (_, at) => user(`u${at}@example.com`, { marker: 'v7' }));
    const { north, all } = sources(alike(periods(busy(9, 10))));
    const directory = directoryOf(people);
    let running = 0;
    let most = 0;
    const { broker } = open(all, people, {
      directory: {
        ...directory,
        lookup: async (address, signal) => {
          most = Math.max(most, ++running);
          await new Promise((resolve) => setImmediate(resolve));
          running--;
          return directory.lookup(address, signal);
        },
      },
    });
    const answers = await broker.ask(about(people.map(({ mail }) => mail)), never);
    expect(answers.filter(({ status }) => status.code === '2.0')).toHaveLength(500);
    expect(north.asked.map((batch) => batch.length)).toEqual([64, 64, 64, 64, 64, 64, 64, 52]);
    expect(most).toBe(32);
  });

  test('one whose answer cannot be used is 5.1, by another rule than one whose server does not answer', async () => {
    const { old, all } = sources(knows({ 'ann@example.com': UNUSABLE, 'cat@example.com': UNAVAILABLE }));
    const { broker, lines } = open(all, [ann, cat]);
    const [unusable, silent] = await broker.ask(about(['ann@example.com', 'cat@example.com']), never);
    expect([unusable?.rule, unusable?.status, unusable?.periods]).toEqual([
      'answer-unusable',
      { code: '5.1', description: 'Service unavailable', detail: 'The calendar server tells no times of this user.' },
      [],
    ]);
    expect(unusable?.inquiries).toMatchObject([{ result: 'unusable', reason: 'found a web page' }]);
    expect([silent?.rule, silent?.status.code]).toEqual(['server-unavailable', '5.1']);
    expect(old.asked).toEqual([]);
    expect(lines.find(({ level }) => level === 'info')).toMatchObject({ answered: 0, unavailable: 2 });
  });

  test('says unknown, refused and unavailable each in its own code', async () => {
    const { all } = sources(knows({ 'ann@example.com': REFUSED, 'cat@example.com': UNAVAILABLE }), alike(UNKNOWN));
    const { broker } = open(all, [ann, bob, cat]);
    const answers = await broker.ask(about(['ann@example.com', 'bob@example.com', 'cat@example.com']), never);
    expect(answers.map(({ status, rule }) => [status.code, rule])).toEqual([
      ['3.8', 'server-refused'],
      ['3.7', 'not-at-server'],
      ['5.1', 'server-unavailable'],
    ]);
  });

  test('tells an asker who is not to know who exists the same of all that is no for good', async () => {
    const { all } = sources(knows({ 'ann@example.com': REFUSED }));
    const { broker } = open(all, [ann, bob]);
    const asker = { name: 'web', access: { ...OPEN, unknown: 'hidden' as const } };
    const answers = await broker.ask(
      about(['ann@example.com', 'bob@example.com', 'nobody@example.com'], { asker }),
      never,
    );
    const hidden = { code: '3.7', description: 'Invalid calendar user' };
    expect(answers.map(({ status }) => status)).toEqual([hidden, hidden, hidden]);
  });

  test('a server that cannot be asked by a fault of ours is 5.1, and the others answer', async () => {
    const { north, all } = sources(() => {
      throw new TypeError('a bug');
    }, alike(periods()));
    const { broker, lines } = open(all, [ann, bob]);
    const answers = await broker.ask(about(['ann@example.com', 'bob@example.com']), never);
    expect(answers.map(brief)).toEqual(['ann@example.com 5.1', 'bob@example.com 2.0']);
    expect(north.batches).toHaveLength(1);
    expect(lines.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
      'asking for busy times failed',
    ]);
  });

  test('a source that answers about too few is a fault of ours and nobody gets the times of another', async () => {
    const { all } = sources(() => [periods(busy(9, 10))]);
    const { broker } = open(all, [ann, cat]);
    const answers = await broker.ask(about(['ann@example.com', 'cat@example.com']), never);
    expect(answers.map(brief)).toEqual(['ann@example.com 5.1', 'cat@example.com 5.1']);
  });

  test('makes one line in the log, and one for each attendee for those who look closer', async () => {
    const { all } = sources(knows({ 'ann@example.com': periods() }));
    const { broker, lines } = open(all, [ann]);
    await broker.ask(about(['ann@example.com', 'nobody@example.com']), never);
    expect(lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'debug busy times of one',
      'debug busy times of one',
      'info busy times asked',
    ]);
    expect(lines[2]).toEqual({
      level: 'info',
      message: 'busy times asked',
      asker: 'cal7',
      from: 'olga@example.com',
      attendees: 2,
      answered: 1,
      unknown: 1,
      refused: 0,
      unavailable: 0,
      tookMs: expect.any(Number),
      servers: { 'https://cal7.example.com ischedule': expect.any(Number) },
    });
  });

  test('says in its line of the log why a server gave nothing', async () => {
    const { all } = sources(alike(UNAVAILABLE), alike(REFUSED));
    const { broker, lines } = open(all, [ann, bob]);
    await broker.ask(about(['ann@example.com', 'bob@example.com']), never);
    expect(lines.find(({ level }) => level === 'info')).toMatchObject({
      refused: 1,
      unavailable: 1,
      reasons: {
        'https://cal7.example.com ischedule': 'connection refused',
        'http://cs6.example.com wcap': 'no authority',
      },
    });
  });

  test('warns of a user whose home nobody can tell', async () => {
    const { all } = sources(alike(periods()));
    const lost = user('lost@example.com', { marker: 'v8' });
    const { broker, lines } = open(all, [lost]);
    const [answer] = await broker.ask(about(['lost@example.com']), never);
    expect(answer?.status.code).toBe('5.1');
    expect(lines.filter(({ level }) => level === 'warn')).toEqual([
      {
        level: 'warn',
        message: 'busy times of one need a look',
        alarm: true,
        asker: 'cal7',
        to: 'lost@example.com',
        rule: 'marker-unknown',
      },
    ]);
  });
});

describe('the window of a question', () => {
  test('is answered as far as the asker may see, in whole minutes, and periods are cut to it', async () => {
    const { north, all } = sources(alike(periods(busy(-5, 3), busy(20, 30))));
    const { broker } = open(all, [ann], { clock: () => MONDAY + 1234 });
    const asker = { name: 'web', access: { ...OPEN, pastMs: 0 } };
    const window = { startMs: MONDAY - 10 * HOUR, endMs: MONDAY + 24 * HOUR };
    const [answer] = await broker.ask(about(['ann@example.com'], { asker, window }), never);
    const seen = { startMs: MONDAY, endMs: MONDAY + 24 * HOUR };
    expect(answer?.window).toEqual(seen);
    expect(answer?.periods).toEqual([busy(0, 3), busy(20, 24)]);
    expect(north.batches[0]?.window).toEqual(seen);
  });

  test('that ends before it begins is refused for everybody, and nobody is looked up', async () => {
    const directory = directoryOf([ann]);
    const { broker } = open({}, [], { directory });
    const window = { startMs: MONDAY, endMs: MONDAY - 1 };
    const answers = await broker.ask(about(['ann@example.com', 'bob@example.com'], { window }), never);
    expect(answers.map(({ status, rule }) => [status.code, rule])).toEqual([
      ['3.5', 'window-empty'],
      ['3.5', 'window-empty'],
    ]);
    expect(directory.asked).toEqual([]);
  });
});

describe('whom the first server does not know', () => {
  test('is asked about at the second one', async () => {
    const { north, old, all } = sources(
      knows({ 'ann@example.com': periods(busy(9, 10)) }),
      knows({ 'cat@example.com': periods(busy(11, 12)) }),
    );
    const { broker } = open(all, [ann, cat]);
    const answers = await broker.ask(about(['ann@example.com', 'cat@example.com']), never);
    expect(answers.map(brief)).toEqual(['ann@example.com 2.0 BUSY 9-10', 'cat@example.com 2.0 BUSY 11-12']);
    expect(north.asked).toEqual([['ann@example.com', 'cat@example.com']]);
    expect(old.asked).toEqual([['cat@example.com']]);
    expect(answers[1]?.inquiries.map(({ server, protocol, result }) => [server, protocol, result])).toEqual([
      ['https://cal7.example.com', 'ischedule', 'unknown'],
      ['http://cs6.example.com', 'wcap', 'answered'],
    ]);
  });

  test('is unavailable, not unknown, where the second one does not answer', async () => {
    const { all } = sources(alike(UNKNOWN), alike(UNAVAILABLE));
    const { broker } = open(all, [ann]);
    const answers = await broker.ask(about(['ann@example.com']), never);
    expect(answers.map(brief)).toEqual(['ann@example.com 5.1']);
  });

  test('is not asked about elsewhere when the first one refuses or gives no answer', async () => {
    const { old, all } = sources(
      knows({ 'ann@example.com': REFUSED, 'cat@example.com': UNAVAILABLE }),
      alike(periods()),
    );
    const { broker } = open(all, [ann, cat]);
    const answers = await broker.ask(about(['ann@example.com', 'cat@example.com']), never);
    expect(answers.map(brief)).toEqual(['ann@example.com 3.8', 'cat@example.com 5.1']);
    expect(old.asked).toEqual([]);
  });

  test('being moved, was asked about at the old server first', async () => {
    const moving = user('ann@example.com', { marker: 'v7', moving: true });
    const { north, old, all } = sources(alike(periods(busy(9, 10))), alike(UNKNOWN));
    const { broker } = open(all, [moving]);
    const answers = await broker.ask(about(['ann@example.com']), never);
    expect(answers.map(brief)).toEqual(['ann@example.com 2.0 BUSY 9-10']);
    expect(old.asked).toEqual([['ann@example.com']]);
    expect(north.asked).toEqual([['ann@example.com']]);
  });
});

describe('a question in circles', () => {
  test('is answered 5.1 with nothing asked', async () => {
    const directory = directoryOf([ann]);
    const { broker, lines } = open({}, [], { directory });
    const answers = await broker.ask(
      about(['ann@example.com', 'bob@example.com'], { hops: ['imipd-0123456789abcdef'] }),
      never,
    );
    expect(answers.map(({ status, rule }) => [status.code, rule])).toEqual([
      ['5.1', 'loop'],
      ['5.1', 'loop'],
    ]);
    expect(directory.asked).toEqual([]);
    expect(lines.filter(({ alarm }) => alarm === true).map(({ level }) => level)).toEqual(['warn']);
  });

  test('that passed more gateways than there can be is one too', async () => {
    const { broker } = open({}, []);
    const hops = ['a', 'b', 'c', 'd', 'e'].map((one) => `imipd-${one.repeat(16)}`);
    const [answer] = await broker.ask(about(['ann@example.com'], { hops }), never);
    expect(answer?.rule).toBe('loop');
  });

  test('that passed as many as there may be is asked, and names us last', async () => {
    const { north, all } = sources(alike(periods()));
    const { broker } = open(all, [ann]);
    const hops = ['a', 'b', 'c', 'd'].map((one) => `imipd-${one.repeat(16)}`);
    const [answer] = await broker.ask(about(['ann@example.com'], { hops }), never);
    expect(answer?.status.code).toBe('2.0');
    expect(north.batches[0]?.hops).toEqual([...hops, 'imipd-0123456789abcdef']);
  });

  test('that lost the trace of its way ends with the deadline of what it waits for', async () => {
    const { old, all } = sources(alike(UNKNOWN));
    const { broker } = open(all, [bob], { deadlineMs: 200 });
    // The server asks back whatever it is asked, under its own name, and answers what it is answered.
    const back: string[] = [];
    old.script = async ({ attendees }) => {
      const asker = { name: 'cs6', access: OPEN };
      const answers = await broker.ask(about(attendees, { asker, originator: 'calendar@example.com' }), never);
      back.push(...answers.map(brief));
      return answers.map(({ status }) => ({ kind: 'unavailable', reason: status.code }));
    };
    const answers = await broker.ask(about(['bob@example.com']), never);
    expect(answers.map(brief)).toEqual(['bob@example.com 5.1']);
    // Once for the question, once for what came back of it; what came back of that joined it.
    expect(old.asked).toEqual([['bob@example.com'], ['bob@example.com']]);
    expect(back.every((one) => one === 'bob@example.com 5.1')).toBe(true);
  });
});

describe('the front end', () => {
  const frontEnd = 'https://cal7.example.com/davserver/wcap/';
  const frontEndOf = ({ url }: { readonly url: string }) => (url === V7.url ? frontEnd : undefined);

  test('is that of the one server all of them are at', async () => {
    const { broker } = open({}, [ann, cat], { frontEndOf });
    expect(await broker.frontEnd(about(['ann@example.com', 'cat@example.com']), never)).toBe(frontEnd);
  });

  test.each([
    ['one is at a server without a front end', ['ann@example.com', 'bob@example.com']],
    ['one is unknown', ['ann@example.com', 'nobody@example.com']],
    ['one is of another domain', ['ann@example.com', 'zoe@example.org']],
    ['nobody is asked about', []],
  ])('is none where %s', async (_, attendees) => {
    const { broker } = open({}, [ann, bob], { frontEndOf });
    expect(await broker.frontEnd(about(attendees), never)).toBeUndefined();
  });

  test('is none for an asker who may not ask, a window that is refused, and a question in circles', async () => {
    const { broker } = open({}, [ann], { frontEndOf });
    const asker = { name: 'web', access: { ...OPEN, notAbout: ['ann@example.com'] } };
    const window = { startMs: MONDAY, endMs: MONDAY };
    const hops = ['imipd-0123456789abcdef'];
    expect(await broker.frontEnd(about(['ann@example.com'], { asker }), never)).toBeUndefined();
    expect(await broker.frontEnd(about(['ann@example.com'], { window }), never)).toBeUndefined();
    expect(await broker.frontEnd(about(['ann@example.com'], { hops }), never)).toBeUndefined();
  });
});

describe('a name that is no address', () => {
  test('is looked up in the default domain', async () => {
    const directory = directoryOf([]);
    const { broker } = open({}, [], {
      directory: { ...directory, lookupName: async () => ({ kind: 'found', entries: [ann], server: 'fake' }) },
    });
    expect(await broker.find('aadams', never)).toEqual({ kind: 'mailbox', mailbox: 'ann@example.com' });
  });

  test('is nobody’s, or of several, or not known in time', async () => {
    const directory = directoryOf([]);
    expect(await open({}, [], { directory }).broker.find('aadams', never)).toEqual({ kind: 'unknown' });
    expect(directory.asked).toEqual(['name aadams of example.com']);
    const several = open({}, [], {
      directory: { ...directory, lookupName: async () => ({ kind: 'found', entries: [ann, bob], server: 'fake' }) },
    });
    expect(await several.broker.find('aadams', never)).toEqual({ kind: 'no-answer', reason: 'ambiguous' });
    const silent = open({}, [], {
      deadlineMs: 20,
      directory: { ...directory, lookupName: () => new Promise(() => {}) },
    });
    expect(await silent.broker.find('aadams', never)).toEqual({ kind: 'no-answer', reason: 'no answer in time' });
  });
});

describe('what the policy says of outsiders', () => {
  test('is found by discovery, once for each domain', async () => {
    const url = 'https://cal.example.org/ischedule';
    const out = new ScriptedSource('https://cal.example.org', alike(periods(busy(9, 10))));
    const looked: string[] = [];
    const { broker } = open({ [url]: out }, [], {
      policy: { ...SITE, discover: ['example.org', 'example.test'] },
      discovery: {
        find: async (domain) => {
          looked.push(domain);
          if (domain === 'example.test') return { kind: 'no-answer', reason: 'SERVFAIL' };
          return { kind: 'service', urls: [url], because: 'SRV' };
        },
      },
    });
    const answers = await broker.ask(about(['zoe@example.org', 'yan@example.org', 'xi@example.test']), never);
    expect(answers.map(brief)).toEqual([
      'zoe@example.org 2.0 BUSY 9-10',
      'yan@example.org 2.0 BUSY 9-10',
      'xi@example.test 5.1',
    ]);
    expect(looked).toEqual(['example.org', 'example.test']);
    expect(out.asked).toEqual([['zoe@example.org', 'yan@example.org']]);
  });
});

describe('a broker that is closed', () => {
  test('answers 5.1 to those who still wait', async () => {
    const { north, all } = sources(hangs());
    const { broker } = open(all, [ann]);
    const answers = broker.ask(about(['ann@example.com']), never);
    await north.whenAsked(1);
    await broker[Symbol.asyncDispose]();
    expect((await answers).map(brief)).toEqual(['ann@example.com 5.1']);
  });
});
