import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BOB, EVE, incomingPost, openPostScene } from '../unit/flow/post-scene.ts';

const CHILD = fileURLToPath(new URL('./post-kill-child.ts', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imipd-post-kill-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Lets a child take the post as far as `stage` and kills it. */
async function killedAt(stage: string): Promise<void> {
  const child = spawn(process.execPath, [CHILD, folder, stage], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const [first] = (await once(child.stdout, 'data')) as [Buffer];
  const rest = text(child.stdout);
  child.kill('SIGKILL');
  expect(await ended).toEqual([null, 'SIGKILL']);
  expect(first.toString() + (await rest)).toBe(`${stage}\n`); // and was not answered
}

test.each([
  { stage: 'queued', posts: [[BOB]] },
  { stage: 'half-done', posts: [] },
])(
  'a post whose gateway is killed before the answer ($stage) is answered when it comes again, and made once',
  {
    timeout: 60_000,
  },
  async ({ stage, posts }) => {
    await killedAt(stage);
    await using after = await openPostScene({ folder });
    const answers = await after.acceptor.post(incomingPost([BOB, EVE]));
    expect(answers.map(({ code }) => code)).toEqual(['2.0', '1.1']);
    expect(after.posts.map(({ recipients }) => recipients)).toEqual(posts);
    expect(after.mails.map(({ to }) => to)).toEqual([[EVE]]);
    expect(await after.acceptor.post(incomingPost([BOB, EVE]))).toEqual(answers);
    expect(after.queue()).toEqual([`1: ${BOB} post delivered`, `1: ${EVE} post skipped`, `1: ${EVE} mail delivered`]);
  },
);
