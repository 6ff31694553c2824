import { describe, expect, test } from 'vitest';
import { Memory, type Wanted } from '../../../src/broker/memory.ts';
import { Neighbours } from '../../../src/broker/neighbours.ts';
import type { BusyReading } from '../../../src/freebusy/busy.ts';
import { silentLog } from '../../../src/observe/log.ts';
import {
  alike,
  busy,
  HOUR,
  knows,
  MONDAY,
  periods,
  REFUSED,
  ScriptedSource,
  UNAVAILABLE,
  UNKNOWN,
} from './scripted-source.ts';

function open(cacheMs: number) {
  const time = { now: 1 };
  const ticks = () => time.now;
  const neighbours = new Neighbours(() => ({ questions: 8 }), {
    breaker: { failures: 99, pauseMs: 1000 },
    patienceMs: 2000,
    ticks,
    log: silentLog,
  });
  const memory = new Memory(neighbours, { cacheMs, ticks, log: silentLog });
  const source = new ScriptedSource('https://cal7.example.com', alike(periods(busy(9, 10))));
  /** Asks, and says what came and where it came from. */
  const ask = async (more: Partial<Wanted> = {}): Promise<readonly (readonly [string, string, BusyReading])[]> => {
    const parts = memory.ask({ ...wanted(source), ...more });
    const read = await Promise.all(parts.map(async (part) => ({ ...part, readings: await part.readings })));
    for (const part of parts) part.release();
    return read.flatMap(({ attendees, from, readings }) =>
      attendees.map((attendee, at) => [attendee, from, readings[at] as BusyReading] as const),
    );
  };
  return { memory, source, ask, time };
}

function wanted(source: ScriptedSource): Wanted {
  return {
    source,
    server: new URL('https://cal7.example.com/ischedule/'),
    profile: 'oracle-v7',
    asker: 'cs6',
    originator: 'olga@example.com',
    attendees: ['ann@example.com'],
    window: { startMs: MONDAY, endMs: MONDAY + 24 * HOUR },
    hops: [],
    fresh: false,
    leftMs: 4000,
  };
}

describe('what is kept', () => {
  test('is nothing where no time is configured for it', async () => {
    const { source, ask } = open(0);
    await ask();
    await ask();
    expect(source.batches).toHaveLength(2);
  });

  test('answers the same asker for anybody of the same domain, until its time is over', async () => {
    const { source, ask, time } = open(30_000);
    const answer = periods(busy(9, 10));
    expect(await ask()).toEqual([['ann@example.com', 'server', answer]]);
    expect(await ask({ originator: 'Otto@EXAMPLE.com', attendees: ['Ann@example.com'] })).toEqual([
      ['Ann@example.com', 'cache', answer],
    ]);
    time.now += 30_000;
    expect(await ask()).toEqual([['ann@example.com', 'server', answer]]);
    expect(source.batches).toHaveLength(2);
  });

  test.each<[string, Partial<Wanted>]>([
    ['another domain', { originator: 'zoe@example.org' }],
    ['another asker', { asker: 'web' }],
    ['another window', { window: { startMs: MONDAY, endMs: MONDAY + HOUR } }],
    ['another server', { server: new URL('https://cal7.example.com/other/') }],
    ['another user', { attendees: ['cat@example.com'] }],
  ])('is not for %s', async (_, more) => {
    const { source, ask } = open(30_000);
    await ask();
    expect((await ask(more)).map(([, from]) => from)).toEqual(['server']);
    expect(source.batches).toHaveLength(2);
  });

  test('leaves only those to be asked about who are not known', async () => {
    const { source, ask } = open(30_000);
    await ask();
    const both = await ask({ attendees: ['ann@example.com', 'cat@example.com'] });
    expect(both.map(([attendee, from]) => [attendee, from])).toEqual([
      ['ann@example.com', 'cache'],
      ['cat@example.com', 'server'],
    ]);
    expect(source.asked).toEqual([['ann@example.com'], ['cat@example.com']]);
  });

  test('is passed by a fresh question, which replaces it', async () => {
    const { source, ask } = open(30_000);
    await ask();
    source.script = alike(periods(busy(11, 12)));
    const news = periods(busy(11, 12));
    expect(await ask({ fresh: true })).toEqual([['ann@example.com', 'server', news]]);
    expect(await ask()).toEqual([['ann@example.com', 'cache', news]]);
  });

  test.each([
    ['a refusal', REFUSED],
    ['no answer', UNAVAILABLE],
  ])('is never %s, which takes the place of what was kept', async (_, reading) => {
    const { source, ask } = open(30_000);
    await ask();
    source.script = alike(reading);
    await ask({ fresh: true });
    expect((await ask()).map(([, from]) => from)).toEqual(['server']);
  });

  test('of somebody unknown is kept for ten seconds at most', async () => {
    const { source, ask, time } = open(30_000);
    source.script = alike(UNKNOWN);
    await ask();
    time.now += 9_999;
    expect((await ask()).map(([, from]) => from)).toEqual(['cache']);
    time.now += 1;
    expect((await ask()).map(([, from]) => from)).toEqual(['server']);
  });

  test('is not an answer of more than a thousand periods', async () => {
    const { source, ask } = open(30_000);
    const many = Array.from({ length: 1001 }, (_, at) => ({
      type: 'BUSY' as const,
      startMs: MONDAY + at * 60_000,
      endMs: MONDAY + at * 60_000 + 30_000,
    }));
    source.script = alike(periods(...many));
    await ask();
    await ask();
    expect(source.batches).toHaveLength(2);
  });
});

describe('equal questions under way', () => {
  /** A source that answers when the test says so. */
  function slow(source: ScriptedSource): PromiseWithResolvers<void> {
    const answer = Promise.withResolvers<void>();
    source.script = async (batch, signal) => {
      await answer.promise;
      return knows({ 'ann@example.com': periods(busy(9, 10)), 'cat@example.com': REFUSED })(batch, signal);
    };
    return answer;
  }

  test('are asked once, each attendee by himself', async () => {
    const { source, ask } = open(0);
    const answer = slow(source);
    const first = ask({ attendees: ['ann@example.com', 'bob@example.com'] });
    const second = ask({ attendees: ['cat@example.com', 'ANN@example.com'] });
    answer.resolve();
    expect(await first).toEqual([
      ['ann@example.com', 'server', periods(busy(9, 10))],
      ['bob@example.com', 'server', UNKNOWN],
    ]);
    expect(await second).toEqual([
      ['ANN@example.com', 'shared', periods(busy(9, 10))],
      ['cat@example.com', 'server', REFUSED],
    ]);
    expect(source.asked).toEqual([['ann@example.com', 'bob@example.com'], ['cat@example.com']]);
  });

  test.each<[string, Partial<Wanted>]>([
    ['for somebody else', { originator: 'otto@example.com' }],
    ['by another asker: it may be the same question on its way back', { asker: 'cal7' }],
    ['about another window', { window: { startMs: MONDAY, endMs: MONDAY + HOUR } }],
  ])('are not equal %s', async (_, more) => {
    const { source, ask } = open(0);
    const answer = slow(source);
    const asked = [ask(), ask(more)];
    answer.resolve();
    await Promise.all(asked);
    expect(source.batches).toHaveLength(2);
  });

  test('are stopped when the last one who waits has gone', async () => {
    const { memory, source } = open(0);
    slow(source);
    const [first] = memory.ask(wanted(source));
    const [second] = memory.ask(wanted(source));
    first?.release();
    expect(source.signals[0]?.aborted).toBe(false);
    second?.release();
    expect(source.signals[0]?.aborted).toBe(true);
    // Whoever comes now does not join what is over.
    const [third] = memory.ask(wanted(source));
    expect(third?.from).toBe('server');
    third?.release();
    expect(source.batches).toHaveLength(2);
  });

  test('end with the deadline of the first', async () => {
    const { memory, source } = open(0);
    source.script = (_, signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve([UNAVAILABLE]), { once: true }));
    const [first] = memory.ask({ ...wanted(source), leftMs: 10 });
    const [second] = memory.ask({ ...wanted(source), leftMs: 4000 });
    expect(await first?.readings).toEqual([UNAVAILABLE]);
    expect(await second?.readings).toEqual([UNAVAILABLE]);
    expect(second?.from).toBe('shared');
    expect(source.batches).toHaveLength(1);
  });
});
