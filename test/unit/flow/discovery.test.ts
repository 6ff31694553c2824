import { expect, test } from 'vitest';
import type { Discovered } from '../../../rules/coexistence.ts';
import { ALICE, BOB, EVE, incomingPost, openPostScene, type PostScene } from './post-scene.ts';
import { NORTH, SITE } from './scene.ts';

const GUEST = 'guest@example.net';
const OTTO = 'otto@example.org';
const URLS = ['https://one.example.net/ischedule', 'https://two.example.net/ischedule'] as const;

/** A site that may look for the service of example.net; `asked` has every question that its DNS was asked. */
async function open(discovered: Discovered): Promise<{ readonly scene: PostScene; readonly asked: readonly string[] }> {
  const asked: string[] = [];
  const find = async (domain: string): Promise<Discovered> => {
    asked.push(domain);
    return discovered;
  };
  return { scene: await openPostScene({ policy: { ...SITE, discover: ['example.net'] }, discovery: { find } }), asked };
}

test('outsiders whose domain names its service are posted to there, and their DNS is asked once', async () => {
  const { scene, asked } = await open({ kind: 'service', urls: URLS, because: 'SRV _ischedules._tcp.example.net' });
  await using _ = scene;
  const answers = await scene.acceptor.post(incomingPost([BOB, EVE, GUEST, OTTO]));
  expect(answers.map(({ code }) => code)).toEqual(['2.0', '2.0', '2.0', '1.1']);
  expect(asked).toEqual(['example.net']);
  const posted = scene.posts.map(({ recipients }, index) => ({ recipients, server: scene.servers[index] }));
  expect(posted).toEqual([
    { recipients: [BOB], server: NORTH },
    {
      recipients: [EVE, GUEST],
      server: { url: URLS[0], profile: 'generic', fallbacks: [URLS[1]], discovered: true },
    },
  ]);
  expect(scene.posts.map(({ fallbacks }) => fallbacks)).toEqual([undefined, [new URL(URLS[1])]]);
});

test('nothing is asked of the DNS for one of ours, nor where no rule allows it', async () => {
  const { scene, asked } = await open({ kind: 'none', reason: 'no such service' });
  await using _ = scene;
  await scene.acceptor.post(incomingPost([ALICE, OTTO]));
  expect(asked).toEqual([]);
});

test('an outsider whose domain has no service gets mail', async () => {
  const { scene } = await open({ kind: 'none', reason: 'no such service' });
  await using _ = scene;
  const [answer] = await scene.acceptor.post(incomingPost([EVE]));
  expect(answer?.code).toBe('1.1');
});

test('an outsider whose DNS is silent is asked about again later', async () => {
  const { scene, asked } = await open({ kind: 'no-answer', reason: 'nobody is there' });
  await using _ = scene;
  const incoming = incomingPost([EVE]);
  expect((await scene.acceptor.post(incoming)).map(({ code }) => code)).toEqual(['1.0']);
  expect((await scene.acceptor.post(incoming)).map(({ code }) => code)).toEqual(['1.0']);
  expect(asked).toEqual(['example.net', 'example.net']);
  expect(scene.queue()).toEqual([`1: ${EVE} post queued`]);
});
