import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { Lookup } from '../../../src/directory/directory.ts';
import { fakeDirectory, found, user } from '../directory/fake-directory.ts';
import { about, brief, open, V6, V7 } from './scene.ts';
import { alike, busy, hangs, knows, periods, ScriptedSource, UNKNOWN } from './scripted-source.ts';

const never = new AbortController().signal;
const ann = user('ann@example.com', { marker: 'v7' });
const cat = user('cat@example.com', { marker: 'v7' });
const bob = user('bob@example.com');

function sources(v7: ScriptedSource['script'], v6: ScriptedSource['script'] = alike(UNKNOWN)) {
  const north = new ScriptedSource('https://cal7.example.com', v7);
  const old = new ScriptedSource('http://cs6.example.com', v6, 'wcap');
  return { north, old, all: { [V7.url]: north, [V6.url]: old } };
}

/** A source that never settles, whatever it is told. */
const deaf: ScriptedSource['script'] = () => new Promise(() => {});

describe('the deadline', () => {
  test('leaves those without an answer 5.1, says who was late, and keeps the answers that are there', async () => {
    const { all } = sources(hangs(), alike(periods(busy(9, 10))));
    const { broker } = open(all, [ann, bob], { deadlineMs: 60 });
    const answers = await broker.ask(about(['ann@example.com', 'bob@example.com', 'nobody@example.com']), never);
    expect(answers.map(brief)).toEqual([
      'ann@example.com 5.1',
      'bob@example.com 2.0 BUSY 9-10',
      'nobody@example.com 3.7',
    ]);
    expect(answers[0]?.status).toEqual({
      code: '5.1',
      description: 'Service unavailable',
      detail: 'no answer in time',
    });
    expect(answers[0]?.rule).toBe('deadline');
    expect(answers[0]?.inquiries).toEqual([
      {
        mailbox: 'ann@example.com',
        server: 'https://cal7.example.com',
        protocol: 'ischedule',
        result: 'unavailable',
        reason: 'no answer in time',
        tookMs: expect.any(Number),
        from: 'server',
      },
    ]);
  });

  test('keeps what a server has said of some when it is stopped over the others', async () => {
    const { all } = sources(hangs({ 'cat@example.com': periods(busy(9, 10)) }));
    const { broker } = open(all, [ann, cat], { deadlineMs: 60 });
    const answers = await broker.ask(about(['ann@example.com', 'cat@example.com']), never);
    expect(answers.map(brief)).toEqual(['ann@example.com 5.1', 'cat@example.com 2.0 BUSY 9-10']);
  });

  test('ends a question even where a source does not notice', async () => {
    const { all } = sources(deaf, alike(periods()));
    const { broker } = open(all, [ann, bob], { deadlineMs: 60 });
    const answers = await broker.ask(about(['ann@example.com', 'bob@example.com']), never);
    expect(answers.map(brief)).toEqual(['ann@example.com 5.1', 'bob@example.com 2.0']);
    expect(answers[0]?.inquiries).toMatchObject([{ server: 'https://cal7.example.com', result: 'unavailable' }]);
  });

  test('counts the second server, too, and what the first one said stays in the inquiries', async () => {
    const { all } = sources(alike(UNKNOWN), deaf);
    const { broker } = open(all, [ann], { deadlineMs: 60 });
    const [answer] = await broker.ask(about(['ann@example.com']), never);
    expect(answer?.rule).toBe('deadline');
    expect(answer?.inquiries.map(({ server, result }) => [server, result])).toEqual([
      ['https://cal7.example.com', 'unknown'],
      ['http://cs6.example.com', 'unavailable'],
    ]);
  });

  test('counts look-ups, and who is found does not wait for them with his question', async () => {
    const { north, all } = sources(knows({ 'ann@example.com': periods(busy(9, 10)) }));
    const directory = fakeDirectory({
      lookup: (address) => (address === 'ann@example.com' ? found(ann) : new Promise<Lookup>(() => {})),
    });
    const { broker } = open(all, [], { directory, deadlineMs: 80 });
    const answers = await broker.ask(about(['slow@example.com', 'ann@example.com']), never);
    expect(answers.map(brief)).toEqual(['slow@example.com 5.1', 'ann@example.com 2.0 BUSY 9-10']);
    expect(answers[0]?.rule).toBe('deadline');
    expect(north.asked).toEqual([['ann@example.com']]);
  });

  test('makes a look-up that it cut short no answer in time, not a silent directory', async () => {
    const directory = fakeDirectory({
      lookup: (_, signal) =>
        new Promise((resolve) =>
          signal.addEventListener('abort', () => resolve({ kind: 'no-answer', reason: 'the look-up was stopped' })),
        ),
    });
    const { broker } = open({}, [], { directory, deadlineMs: 40 });
    const [answer] = await broker.ask(about(['ann@example.com']), never);
    expect(answer).toMatchObject({ rule: 'deadline', status: { code: '5.1', detail: 'no answer in time' } });
  });

  test('counts the wait for a turn: what is late by then is not sent', async () => {
    const { north, all } = sources(hangs());
    const { broker } = open(all, [ann, cat], { deadlineMs: 60, limitsOf: () => ({ questions: 1 }) });
    const first = broker.ask(about(['ann@example.com']), never);
    await north.whenAsked(1);
    const second = broker.ask(about(['cat@example.com']), never);
    expect((await Promise.all([first, second])).flat().map(brief)).toEqual([
      'ann@example.com 5.1',
      'cat@example.com 5.1',
    ]);
    // The first was stopped before the second, whose turn came while it had time, or not at all.
    expect(north.asked.filter(([who]) => who === 'ann@example.com')).toHaveLength(1);
  });
});

describe('the caller', () => {
  test('who leaves gets his reason, and the server is not asked any further', async () => {
    const { north, all } = sources(hangs());
    const { broker } = open(all, [ann]);
    const caller = new AbortController();
    const asking = broker.ask(about(['ann@example.com']), caller.signal);
    await north.whenAsked(1);
    const reason = new Error('the client went away');
    caller.abort(reason);
    await expect(asking).rejects.toBe(reason);
    expect(north.signals[0]?.aborted).toBe(true);
  });

  test('who has left before asks nobody', async () => {
    const { north, all } = sources(alike(periods()));
    const { broker } = open(all, [ann]);
    const reason = new Error('the client went away');
    await expect(broker.ask(about(['ann@example.com']), AbortSignal.abort(reason))).rejects.toBe(reason);
    await expect(broker.frontEnd(about(['ann@example.com']), AbortSignal.abort(reason))).rejects.toBe(reason);
    await expect(broker.find('ann', AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(north.asked).toEqual([]);
  });

  test('who leaves does not stop what another one waits for', async () => {
    const answer = Promise.withResolvers<void>();
    const { north, all } = sources(async () => {
      await answer.promise;
      return [periods(busy(9, 10))];
    });
    const { broker } = open(all, [ann]);
    const caller = new AbortController();
    const leaving = broker.ask(about(['ann@example.com']), caller.signal);
    await north.whenAsked(1);
    const staying = broker.ask(about(['ann@example.com']), never);
    await new Promise((resolve) => setImmediate(resolve));
    caller.abort(new Error('gone'));
    await expect(leaving).rejects.toThrow('gone');
    expect(north.signals[0]?.aborted).toBe(false);
    answer.resolve();
    const [shared] = await staying;
    expect(shared?.inquiries[0]?.from).toBe('shared');
    expect(brief(shared!)).toBe('ann@example.com 2.0 BUSY 9-10');
    expect(north.asked).toHaveLength(1);
  });

  test('finds no listener left on his signal by a question that was answered', async () => {
    const { all } = sources(alike(periods()));
    const { broker } = open(all, [ann]);
    const { signal } = new AbortController();
    await broker.ask(about(['ann@example.com']), signal);
    await broker.frontEnd(about(['ann@example.com']), signal);
    await broker.find('ann', signal);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
