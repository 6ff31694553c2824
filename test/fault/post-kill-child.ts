/**
 * Takes one post into the queue of a folder and stops half way: `queued`, before a calendar server has it, or
 * `half-done`, when one recipient's calendar has it and another's mail is on its way. Prints so, and waits to be killed.
 */
import { writeSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { BOB, EVE, incomingPost, openPostScene } from '../unit/flow/post-scene.ts';

const [folder = '', stage = ''] = process.argv.slice(2);
const scene = await openPostScene({ folder });
const never = new Promise<void>(() => undefined);
scene.world.mailGate = never;
if (stage === 'queued') scene.world.gate = never;
const answer = scene.acceptor.post(incomingPost([BOB, EVE]));
void answer.then(() => writeSync(1, 'answered\n'));
const isThere = (): boolean =>
  stage === 'queued'
    ? scene.posts.length === 1
    : scene.mails.length === 1 && scene.queue().includes(`1: ${BOB} post delivered`);
while (!isThere()) await wait(5);
writeSync(1, `${stage}\n`);
await wait(600_000);
