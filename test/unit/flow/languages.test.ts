import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Directory } from '../../../src/directory/directory.ts';
import { openLdifDirectory } from '../../../src/directory/ldif.ts';
import { PRESETS } from '../../../src/directory/presets.ts';
import { tellFailure } from '../../../src/flow/tell-organizer.ts';
import type { Outbound } from '../../../src/imip/mail.ts';
import { openMail } from '../../integration/open-mail.ts';
import { DAY } from '../queue/samples.ts';
import { ALICE, EVE, incomingPost, openPostScene, type PostScene } from './post-scene.ts';
import { SITE } from './scene.ts';

const OUTBOUND: Outbound = {
  address: 'calendar@example.com',
  name: 'Example calendar',
  fromDomains: new Set(['example.com']),
  secret: Buffer.alloc(32, 7),
  language: 'en',
  languages: new Map([
    ['fr.example.com', 'fr'],
    ['example.jp', 'ja'],
  ]),
  journalMs: 90 * DAY,
  unknownUid: 'post',
};
const policy = { ...SITE, domains: new Set(['example.com', 'fr.example.com']) };

/** Users by the language that the directory has for them; none of them has a calendar. */
const PEOPLE = {
  'vera@example.com': 'de_AT, en;q=0.5',
  'vito@example.com': 'pl;q=0.9, it',
  'victor@example.com': undefined,
  'vanessa@fr.example.com': 'es',
  'valerie@fr.example.com': undefined,
  'vivian@fr.example.com': 'it',
} as const;

let folder: string;
let ldif: Directory;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imipd-languages-'));
  const file = join(folder, 'people.ldif');
  const records = Object.entries({ ...PEOPLE, [ALICE]: 'ja' }).map(([mail, language]) =>
    [
      `dn: mail=${mail},o=isp`,
      'objectClass: inetOrgPerson',
      'objectClass: inetMailUser',
      ...(mail === ALICE ? ['objectClass: icsCalendarUser'] : []),
      `mail: ${mail}`,
      'mailHost: store.example.com',
      ...(language === undefined ? [] : [`preferredLanguage: ${language}`]),
      '',
    ].join('\n'),
  );
  await writeFile(file, records.join('\n'));
  ldif = await openLdifDirectory({ file, mapping: PRESETS.sun, subAddressSeparators: '+' });
});
afterAll(async () => {
  await ldif[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** @param asked what the directory is asked, in order */
async function open(asked: string[] = [], more: Parameters<typeof openPostScene>[0] = {}): Promise<PostScene> {
  const scene = await openPostScene({ policy, outbound: OUTBOUND, ...more });
  Object.assign(scene.context.directory, {
    lookup: (address: string, signal: AbortSignal) => {
      asked.push(address);
      return ldif.lookup(address, signal);
    },
  });
  return scene;
}

async function post(scene: PostScene, recipients: readonly string[]): Promise<void> {
  await scene.acceptor.post(incomingPost(recipients, { originator: ALICE, event: { organizer: ALICE } }));
}

async function languageOf({ mails }: PostScene, recipient: string): Promise<string | undefined> {
  const mail = mails.find(({ to }) => to[0] === recipient);
  return mail === undefined ? undefined : (await openMail(Buffer.from(mail.content))).field('content-language');
}

describe('an invitation that is mailed', () => {
  test.each([
    ['vera@example.com', 'de-AT', 'his own language'],
    ['vito@example.com', 'en', 'the usual one, for there are no words in his own'],
    ['victor@example.com', 'en', 'the usual one, for nothing is known'],
    ['vanessa@fr.example.com', 'es', 'his own before that of his domain'],
    ['valerie@fr.example.com', 'fr', 'that of his domain'],
    ['vivian@fr.example.com', 'fr', 'that of his domain, for there are no words in his own'],
    ['jun@example.jp', 'ja', 'that of his domain, which is none of ours'],
    [EVE, 'en', 'the usual one'],
  ])('to %s is in %s: %s', async (recipient, language) => {
    await using scene = await open();
    await post(scene, [recipient]);
    expect(await languageOf(scene, recipient)).toBe(language);
  });

  test('is in the language of a domain while the directory does not answer', async () => {
    await using scene = await open();
    const { lookup } = scene.context.directory;
    const answers = new Set<string>();
    Object.assign(scene.context.directory, {
      lookup: async (address: string, signal: AbortSignal) => {
        if (answers.has(address)) return { kind: 'no-answer', reason: 'nobody is there' };
        answers.add(address);
        return lookup(address, signal);
      },
    });
    await post(scene, ['vanessa@fr.example.com']);
    expect(await languageOf(scene, 'vanessa@fr.example.com')).toBe('fr');
  });

  test('asks the directory once for address and language', async () => {
    const asked: string[] = [];
    await using scene = await open(asked);
    const { hop } = scene.context;
    Object.assign(scene.context, { hop: (route: 'next-hop') => ({ ...hop(route), addressing: 'mailhost' }) });
    await post(scene, ['vera@example.com']);
    expect(await languageOf(scene, 'vera@store.example.com')).toBe('de-AT');
    // By the post, which finds that she takes mail, and by the mail.
    expect(asked).toEqual(['vera@example.com', 'vera@example.com']);
    await post(scene, [EVE]);
    expect(asked).toHaveLength(2);
  });
});

test('of a failure its organizer is told in his own language', async () => {
  await using scene = await open();
  await post(scene, [EVE]);
  const [sending] = scene.store.sendings('review@example.org');
  if (sending === undefined) throw new Error('nothing was sent');
  const failure = { status: '5.1.1', reason: 'no such user' };
  const { report } = await tellFailure(scene.context, OUTBOUND, sending, failure, AbortSignal.timeout(5_000));
  if (report.body.kind !== 'inline') throw new Error('a large report');
  expect((await openMail(report.body.bytes)).field('content-language')).toBe('ja');
});
