import { describe, expect, test } from 'vitest';
import type { FlowContext } from '../../../src/flow/context.ts';
import { Generations } from '../../../src/flow/generation.ts';
import { silentLog } from '../../../src/observe/log.ts';

const context = (hostname: string): FlowContext => ({ hostname, log: silentLog }) as unknown as FlowContext;

/** Generations of which the first is `one`, and what was closed so far. */
function scene() {
  const closed: string[] = [];
  const generations = new Generations(context('one'));
  return {
    closed,
    generations,
    replace: (hostname: string, closes: string) =>
      generations.replace(context(hostname), async () => void closed.push(closes)),
  };
}

describe('a use', () => {
  test('keeps what it began with, and the next one gets what has replaced it', async () => {
    const { generations, replace, closed } = scene();
    const gate = Promise.withResolvers<void>();
    const first = generations.use(async (before) => {
      await gate.promise;
      return before.hostname;
    });
    replace('two', 'parts of one');
    expect(await generations.use(async (now) => now.hostname)).toBe('two');
    expect(closed).toEqual([]);
    gate.resolve();
    expect(await first).toBe('one');
    expect(closed).toEqual(['parts of one']);
  });

  test('lasts as long as what it leaves going on', async () => {
    const { generations, replace, closed } = scene();
    const attempt = Promise.withResolvers<void>();
    expect(
      await generations.use(async (_, until) => {
        until(attempt.promise);
        return 'reply';
      }),
    ).toBe('reply');
    replace('two', 'parts of one');
    expect(closed).toEqual([]);
    attempt.reject(new Error('the attempt broke'));
    await expect.poll(() => closed).toEqual(['parts of one']);
  });

  test('that throws has ended all the same', async () => {
    const { generations, replace, closed } = scene();
    const broken = generations.use(async () => {
      throw new Error('broken');
    });
    await expect(broken).rejects.toThrow('broken');
    replace('two', 'parts of one');
    expect(closed).toEqual(['parts of one']);
  });
});

describe('what was replaced', () => {
  test('is closed after what was replaced before it, whose uses may have it, too', async () => {
    const { generations, replace, closed } = scene();
    const gate = Promise.withResolvers<void>();
    const first = generations.use(() => gate.promise);
    replace('two', 'what only one had');
    replace('three', 'what one and two had');
    expect(closed).toEqual([]);
    gate.resolve();
    await first;
    expect(closed).toEqual(['what only one had', 'what one and two had']);
  });

  test('is closed at the end although an attempt has not ended', async () => {
    const { generations, replace, closed } = scene();
    void generations.use(() => new Promise<never>(() => undefined));
    replace('two', 'parts of one');
    await generations[Symbol.asyncDispose]();
    expect(closed).toEqual(['parts of one']);
  });

  test('and cannot be closed stops nothing', async () => {
    const { generations, replace, closed } = scene();
    generations.replace(context('two'), async () => {
      throw new Error('stuck');
    });
    replace('three', 'parts of two');
    await generations[Symbol.asyncDispose]();
    expect(closed).toEqual(['parts of two']);
    expect(await generations.use(async (now) => now.hostname)).toBe('three');
  });
});
