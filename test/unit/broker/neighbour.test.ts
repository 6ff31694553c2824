import { afterEach, describe, expect, test } from 'vitest';
import type { BusyBatch } from '../../../channel/channel.ts';
import { LATE } from '../../../src/broker/deadline.ts';
import { ABANDONED, Neighbour, type NeighbourOptions } from '../../../src/broker/neighbour.ts';
import { Neighbours } from '../../../src/broker/neighbours.ts';
import type { BusyReading } from '../../../src/freebusy/busy.ts';
import { silentLog } from '../../../src/observe/log.ts';
import { type Line, recordingLog } from './scene.ts';
import {
  alike,
  HOUR,
  hangs,
  MONDAY,
  periods,
  REFUSED,
  ScriptedSource,
  UNAVAILABLE,
  UNKNOWN,
  UNUSABLE,
} from './scripted-source.ts';

const never = new AbortController().signal;
const opened: Neighbour[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.stop();
});

function open(options: Partial<NeighbourOptions> = {}) {
  const lines: Line[] = [];
  const time = { now: 0 };
  const neighbour = new Neighbour('http://cs6.example.com', {
    questions: 2,
    breaker: { failures: 3, pauseMs: 30_000 },
    patienceMs: 2000,
    ticks: () => time.now,
    log: recordingLog(lines),
    ...options,
  });
  opened.push(neighbour);
  const source = new ScriptedSource('http://cs6.example.com', alike(periods()), 'wcap');
  /** Reads of one attendee what the source says. */
  const ask = async (signal: AbortSignal = never, mailbox = 'bob@example.com'): Promise<BusyReading | undefined> =>
    (await neighbour.ask(source, batchOf(mailbox), signal))[0];
  return { neighbour, source, ask, time, lines };
}

function batchOf(...attendees: readonly string[]): BusyBatch {
  return {
    server: new URL('http://cs6.example.com/'),
    profile: 'oracle-v6',
    uid: 'uid-1',
    originator: 'olga@example.com',
    attendees,
    window: { startMs: MONDAY, endMs: MONDAY + HOUR },
    hops: [],
  };
}

/** A source whose answers come when the test says so, in the order of the questions. */
function onCommand(source: ScriptedSource): readonly PromiseWithResolvers<BusyReading>[] {
  const answers: PromiseWithResolvers<BusyReading>[] = [];
  source.script = async () => {
    const answer = Promise.withResolvers<BusyReading>();
    answers.push(answer);
    return [await answer.promise];
  };
  return answers;
}

const LEFT_ALONE: BusyReading = { kind: 'unavailable', reason: 'left alone after 3 failures, tried again in 30 s' };
const TRYING: BusyReading = { kind: 'unavailable', reason: 'left alone after 3 failures, just being tried again' };

describe('a neighbour', () => {
  test('is asked so many questions at a time, the others in order', async () => {
    const { source, ask } = open();
    const answers = onCommand(source);
    const asked = ['a', 'b', 'c', 'd'].map((name) => ask(never, `${name}@example.com`));
    expect(source.asked).toEqual([['a@example.com'], ['b@example.com']]);
    answers[1]?.resolve(UNKNOWN);
    await source.whenAsked(3);
    expect(source.asked.at(-1)).toEqual(['c@example.com']);
    answers[0]?.resolve(UNKNOWN);
    await source.whenAsked(4);
    answers[2]?.resolve(REFUSED);
    answers[3]?.resolve(periods());
    expect(await Promise.all(asked)).toEqual([UNKNOWN, UNKNOWN, REFUSED, periods()]);
  });

  test('is asked by turns: one who asks much does not keep the others waiting', async () => {
    const { neighbour, source } = open({ questions: 1 });
    const answers = onCommand(source);
    const ask = (asker: string, mailbox: string) => neighbour.ask(source, batchOf(mailbox), never, asker);
    const asked = [
      ...['a1', 'a2', 'a3'].map((name) => ask('web', `${name}@example.com`)),
      ...['b1', 'b2'].map((name) => ask('cal7', `${name}@example.com`)),
    ];
    for (let at = 0; at < 5; at++) {
      await source.whenAsked(at + 1);
      answers[at]?.resolve(periods());
    }
    await Promise.all(asked);
    expect(source.asked.flat().map((mailbox) => mailbox.slice(0, 2))).toEqual(['a1', 'a2', 'b1', 'a3', 'b2']);
  });

  test('is asked at once when nothing else is under way', () => {
    const { source, ask } = open();
    void ask();
    expect(source.asked).toHaveLength(1);
  });

  test('is not asked what was late before its turn', async () => {
    const { source, ask } = open({ questions: 1 });
    const answers = onCommand(source);
    const first = ask();
    const late = new AbortController();
    const second = ask(late.signal, 'late@example.com');
    const third = ask(never, 'cat@example.com');
    late.abort(LATE);
    expect(await second).toEqual({
      kind: 'unavailable',
      reason: 'not asked: its time was over while other questions were before it',
    });
    answers[0]?.resolve(periods());
    await source.whenAsked(2);
    answers[1]?.resolve(periods());
    await Promise.all([first, third]);
    expect(source.asked).toEqual([['bob@example.com'], ['cat@example.com']]);
  });

  test('with a thousand questions waiting refuses the next one at once', async () => {
    const { neighbour, source, ask } = open({ questions: 1 });
    const answers = onCommand(source);
    const first = ask();
    const waiting = Array.from({ length: 1000 }, () => ask());
    expect(await ask()).toEqual({ kind: 'unavailable', reason: 'too many questions are waiting for this server' });
    await neighbour.stop();
    answers[0]?.resolve(periods());
    expect(await first).toEqual(periods());
    const stopped = { kind: 'unavailable', reason: 'the gateway is stopping' };
    expect(new Set((await Promise.all(waiting)).map((one) => JSON.stringify(one)))).toEqual(
      new Set([JSON.stringify(stopped)]),
    );
  });

  test('with a rate is asked no more than that in a second', async () => {
    const { source, ask } = open({ questions: 8, ratePerSecond: 2 });
    const late = new AbortController();
    const asked = ['a', 'b', 'c'].map((name) => ask(late.signal, `${name}@example.com`));
    expect(await asked[0]).toEqual(periods());
    expect(await asked[1]).toEqual(periods());
    late.abort(LATE);
    expect(await asked[2]).toEqual({
      kind: 'unavailable',
      reason: 'not asked: its time was over before the rate let it pass',
    });
    expect(source.asked).toEqual([['a@example.com'], ['b@example.com']]);
  });

  test('whose source does not notice that it was stopped has its turn back all the same', async () => {
    const { source, ask } = open({ questions: 1 });
    source.script = () => new Promise(() => {});
    expect(await ask(AbortSignal.timeout(5))).toEqual({ kind: 'unavailable', reason: 'no answer in time' });
    source.script = alike(periods());
    expect(await ask()).toEqual(periods());
  });
});

describe('a neighbour that does not answer', () => {
  test('is left alone after so many failures in a row, for a while', async () => {
    const { source, ask, time, lines } = open();
    source.script = alike(UNAVAILABLE);
    for (let times = 0; times < 3; times++) expect(await ask()).toEqual(UNAVAILABLE);
    expect(await ask()).toEqual(LEFT_ALONE);
    time.now = 29_001;
    expect(await ask()).toEqual({
      kind: 'unavailable',
      reason: 'left alone after 3 failures, tried again in 1 s',
    });
    expect(source.batches).toHaveLength(3);
    expect(lines).toEqual([
      {
        level: 'warn',
        message: 'calendar server is left alone for busy times',
        relay: 'http://cs6.example.com',
        failures: 3,
        pauseMs: 30_000,
        reason: 'connection refused',
      },
    ]);
  });

  test.each([
    ['an unknown user', UNKNOWN],
    ['a refusal', REFUSED],
    ['what cannot be used', UNUSABLE],
    ['busy times', periods()],
  ])('and then says %s, is counted anew', async (_, answer) => {
    const { source, ask } = open();
    source.script = alike(UNAVAILABLE);
    await ask();
    await ask();
    source.script = alike(answer);
    await ask();
    source.script = alike(UNAVAILABLE);
    await ask();
    expect(await ask()).toEqual(UNAVAILABLE);
    expect(source.batches).toHaveLength(5);
  });

  test('is another than one whose answers cannot be used: any number of them leave it as it is', async () => {
    const { neighbour, source, ask, lines } = open();
    source.script = alike(UNUSABLE);
    for (let times = 0; times < 5; times++) expect(await ask()).toEqual(UNUSABLE);
    expect(neighbour.isInTrouble).toBe(false);
    source.script = alike(periods());
    expect(await ask(never, 'ann@example.com')).toEqual(periods());
    expect([source.batches.length, lines]).toEqual([6, []]);
  });

  test('answers again when it is tried, though what it says cannot be used', async () => {
    const { source, ask, time, lines } = open();
    source.script = alike(UNAVAILABLE);
    for (let times = 0; times < 3; times++) await ask();
    time.now = 30_000;
    source.script = alike(UNUSABLE);
    expect(await ask()).toEqual(UNUSABLE);
    source.script = alike(periods());
    expect(await Promise.all([ask(), ask()])).toEqual([periods(), periods()]);
    expect(lines.at(-1)?.message).toBe('calendar server answers busy times again');
  });

  test('about one of a batch has answered', async () => {
    const { neighbour, source } = open({ breaker: { failures: 1, pauseMs: 30_000 } });
    source.script = () => [UNAVAILABLE, UNKNOWN];
    const batch = batchOf('ann@example.com', 'bob@example.com');
    expect(await neighbour.ask(source, batch, never)).toEqual([UNAVAILABLE, UNKNOWN]);
    expect(await neighbour.ask(source, batch, never)).toEqual([UNAVAILABLE, UNKNOWN]);
  });

  test('about all of a batch failed once, not once for each', async () => {
    const { neighbour, source } = open();
    source.script = alike(UNAVAILABLE);
    const batch = batchOf('ann@example.com', 'bob@example.com', 'cat@example.com');
    await neighbour.ask(source, batch, never);
    await neighbour.ask(source, batch, never);
    expect(await neighbour.ask(source, batch, never)).toEqual([UNAVAILABLE, UNAVAILABLE, UNAVAILABLE]);
  });

  test('is tried again by one question, the others are still refused, and its success lets all pass', async () => {
    const { source, ask, time, lines } = open();
    source.script = alike(UNAVAILABLE);
    for (let times = 0; times < 3; times++) await ask();
    time.now = 30_000;
    const answers = onCommand(source);
    const probe = ask();
    expect(await ask()).toEqual(TRYING);
    answers[0]?.resolve(periods());
    expect(await probe).toEqual(periods());
    source.script = alike(periods());
    expect(await Promise.all([ask(), ask()])).toEqual([periods(), periods()]);
    expect(lines.at(-1)).toEqual({
      level: 'warn',
      message: 'calendar server answers busy times again',
      relay: 'http://cs6.example.com',
      pausedMs: 30_000,
    });
  });

  test('and fails when it is tried again, is left alone as long again', async () => {
    const { source, ask, time, lines } = open();
    source.script = alike(UNAVAILABLE);
    for (let times = 0; times < 3; times++) await ask();
    time.now = 30_000;
    expect(await ask()).toEqual(UNAVAILABLE);
    expect(await ask()).toEqual({
      kind: 'unavailable',
      reason: 'left alone after 4 failures, tried again in 30 s',
    });
    expect(source.batches).toHaveLength(4);
    expect(lines).toHaveLength(1);
  });

  test('has not failed when nobody waited for the answer any more', async () => {
    const { source, ask } = open({ breaker: { failures: 1, pauseMs: 30_000 } });
    source.script = hangs();
    const caller = new AbortController();
    const left = ask(caller.signal);
    caller.abort(ABANDONED);
    await left;
    source.script = alike(periods());
    expect(await ask()).toEqual(periods());
  });

  test.each([
    ['has failed when the deadline came first', 2000, 'left alone after 1 failures, tried again in 30 s'],
    ['has not failed when the deadline came shortly after the question', 1999, 'no answer in time'],
  ])('%s', async (_, afterMs, reason) => {
    const { source, ask, time } = open({ breaker: { failures: 1, pauseMs: 30_000 } });
    source.script = hangs();
    const deadline = new AbortController();
    const late = ask(deadline.signal);
    time.now = afterMs;
    deadline.abort(LATE);
    await late;
    expect(await ask(AbortSignal.timeout(5))).toEqual({ kind: 'unavailable', reason });
  });

  test('is tried by the next question when the one that tried it was given up', async () => {
    const { source, ask, time } = open();
    source.script = alike(UNAVAILABLE);
    for (let times = 0; times < 3; times++) await ask();
    time.now = 30_000;
    source.script = hangs();
    const caller = new AbortController();
    const probe = ask(caller.signal);
    caller.abort(ABANDONED);
    await probe;
    source.script = alike(periods());
    expect(await ask()).toEqual(periods());
  });

  test('is not tried by those who wait for their turn when it is given up', async () => {
    const { source, ask } = open({ questions: 1, breaker: { failures: 1, pauseMs: 30_000 } });
    const answers = onCommand(source);
    const first = ask();
    const second = ask();
    answers[0]?.resolve(UNAVAILABLE);
    expect(await first).toEqual(UNAVAILABLE);
    expect(await second).toMatchObject({ reason: 'left alone after 1 failures, tried again in 30 s' });
    expect(source.batches).toHaveLength(1);
  });

  test('is not left alone for a fault of ours', async () => {
    const { source, ask, lines } = open({ breaker: { failures: 1, pauseMs: 30_000 } });
    source.script = () => {
      throw new TypeError('a bug');
    };
    expect(await ask()).toEqual({ kind: 'unavailable', reason: 'asking failed by a fault of this gateway' });
    source.script = alike(periods());
    expect(await ask()).toEqual(periods());
    expect(lines.map(({ level }) => level)).toEqual(['error']);
  });
});

describe('the neighbours', () => {
  test('are one for each destination, and forgotten when there are too many, but for those in trouble', async () => {
    const neighbours = new Neighbours(() => ({ questions: 1 }), {
      breaker: { failures: 1, pauseMs: 1000 },
      patienceMs: 2000,
      ticks: () => 0,
      log: silentLog,
    });
    const dead = new ScriptedSource('https://dead.example.org', alike(UNAVAILABLE));
    const well = new ScriptedSource('https://well.example.org', alike(periods()));
    const kept = neighbours.of(dead);
    const forgotten = neighbours.of(well);
    expect(neighbours.of(well)).toBe(forgotten);
    await kept.ask(dead, batchOf('ann@example.org'), never);
    for (let at = 0; at < 300; at++) neighbours.of(new ScriptedSource(`https://s${at}.example.org`, alike(periods())));
    expect(neighbours.of(dead)).toBe(kept);
    expect(neighbours.of(well)).not.toBe(forgotten);
    await neighbours.stop();
  });

  test('in trouble are forgotten when there are a thousand of them, the one asked last remembered longest', async () => {
    const neighbours = new Neighbours(() => ({ questions: 1 }), {
      breaker: { failures: 2, pauseMs: 1000 },
      patienceMs: 2000,
      ticks: () => 0,
      log: silentLog,
    });
    const fail = async (destination: string) => {
      const dead = new ScriptedSource(destination, alike(UNAVAILABLE));
      const neighbour = neighbours.of(dead);
      await neighbour.ask(dead, batchOf('ann@example.org'), never);
      return neighbour;
    };
    const ours = await fail('https://ours.example.com');
    const first = await fail('https://s.example.org');
    for (let at = 0; at < 1500; at++) {
      await fail(`https://s${at}.example.org`);
      expect(neighbours.of(new ScriptedSource('https://ours.example.com', alike(UNAVAILABLE)))).toBe(ours);
    }
    expect(await fail('https://s.example.org')).not.toBe(first);
    expect(neighbours.size).toBeLessThanOrEqual(1024);
    await neighbours.stop();
  });
});
