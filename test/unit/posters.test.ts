import { expect, test } from 'vitest';
import type { Deliverer, PostBatch } from '../../channel/channel.ts';
import type { Outcome } from '../../src/mail/outcome.ts';
import { Posters } from '../../src/posters.ts';

const OUTCOMES: readonly Outcome[] = [{ kind: 'delivered', status: '2.0.0' }] as never;
const batch = {} as PostBatch;
const { signal } = new AbortController();

class Fake implements Deliverer<PostBatch> {
  readonly channel = 'ischedule';
  readonly destination: string;
  readonly deliver: () => Promise<readonly Outcome[]>;
  closed = false;

  constructor(destination: string, deliver: () => Promise<readonly Outcome[]> = async () => OUTCOMES) {
    this.destination = destination;
    this.deliver = deliver;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closed = true;
  }
}

/** Posts to each of the servers in turn. @returns every deliverer that was opened, oldest first */
async function postTo(posters: Posters, names: readonly string[], made: Fake[] = []): Promise<Fake[]> {
  for (const name of names) {
    const poster = posters.of(name, name, () => {
      const one = new Fake(name);
      made.push(one);
      return one;
    });
    expect(await poster.deliver(batch, signal)).toBe(OUTCOMES);
  }
  return made;
}

const states = (made: readonly Fake[]) =>
  made.map(({ destination, closed }) => `${destination}${closed ? ' closed' : ''}`);

test('a deliverer is opened by its first post and kept for the next', async () => {
  const posters = new Posters(2);
  posters.of('a', 'a', () => expect.unreachable());
  expect(states(await postTo(posters, ['a', 'b', 'a', 'b']))).toEqual(['a', 'b']);
});

test('the one that was not used the longest is closed first, and opened anew when it is needed', async () => {
  const posters = new Posters(2);
  const made = await postTo(posters, ['a', 'b', 'a', 'c']);
  expect(states(made)).toEqual(['a', 'b closed', 'c']);
  expect(states(await postTo(posters, ['b'], made))).toEqual(['a closed', 'b closed', 'c', 'b']);
});

test('thousands of servers leave no more open than the limit', async () => {
  const posters = new Posters(10);
  const made = await postTo(
    posters,
    Array.from({ length: 3000 }, (_, index) => `s${index}`),
  );
  expect([posters.size, made.filter(({ closed }) => !closed).length]).toEqual([10, 10]);
});

test('one with a post under way stays until that has ended, and takes others meanwhile', async () => {
  const posters = new Posters(1);
  const answer = Promise.withResolvers<readonly Outcome[]>();
  const slow = new Fake('slow', () => answer.promise);
  const posting = posters.of('slow', 'slow', () => slow).deliver(batch, signal);
  const made = await postTo(posters, ['a', 'b']);
  expect(states([slow, ...made])).toEqual(['slow', 'a closed', 'b closed']);
  answer.resolve(OUTCOMES);
  expect(await posting).toBe(OUTCOMES);
  await postTo(posters, ['c'], made);
  expect(states([slow, ...made])).toEqual(['slow closed', 'a closed', 'b closed', 'c']);
});

test('all are closed in the end', async () => {
  const posters = new Posters(5);
  const made = await postTo(posters, ['a', 'b']);
  await posters[Symbol.asyncDispose]();
  expect([states(made), posters.size]).toEqual([['a closed', 'b closed'], 0]);
});

test('a post that throws is one that has ended', async () => {
  const posters = new Posters(0);
  const broken = new Fake('a', () => Promise.reject(new TypeError('bug')));
  await expect(posters.of('a', 'a', () => broken).deliver(batch, signal)).rejects.toThrow('bug');
  expect(broken.closed).toBe(true);
});
