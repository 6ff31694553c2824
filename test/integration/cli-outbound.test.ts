import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mintToken, verpAddress } from '../../src/mail/verp.ts';
import { TRIAL_LDIF } from '../../src/trial/people.ts';
import { type Folder, folderWith, imipd } from './cli.ts';
import { startGateway } from './harness.ts';
import { MailSink } from './mail-sink.ts';

const KEY = Buffer.alloc(32, 7);
const ADDRESS = 'calendar@example.com';

/** A site with `outbound`, its secret made already. */
async function siteWith(more: string, mode = 0o600): Promise<Folder> {
  const site = await folderWith({
    'people.ldif': TRIAL_LDIF,
    'imipd.yaml': `domains: [example.com]
listeners: [{name: in, address: '127.0.0.1:0'}, {name: own, address: '127.0.0.1:0', origin: inside}]
directory: {kind: ldif, file: people.ldif}
calendar: {default: {url: 'http://127.0.0.1:9/ischedule'}}
next-hop: {address: '127.0.0.1:9'}
outbound: {address: ${ADDRESS}, name: Example calendar, languages: {example.jp: ja}}
${more}`,
  });
  await mkdir(join(site.path, 'var'));
  await writeFile(join(site.path, 'var/outbound.key'), KEY, { mode });
  return site;
}

describe('outbound', () => {
  test('is shown by imipd check, which reaches each smart host', async () => {
    await using first = await MailSink.listen('smtp');
    await using second = await MailSink.listen('smtp');
    await using site = await siteWith(
      `smart-host: {address: '127.0.0.1:${first.port}', fallbacks: ['127.0.0.1:${second.port}']}`,
    );
    const { out } = await imipd(site.path, 'check');
    expect(out.split('\n').filter((line) => /outbound|smart host/.test(line))).toEqual([
      'ok      outbound: Example calendar <calendar@example.com>, by the smart host; envelope senders calendar+TOKEN@example.com (also of ready-made mail on own); From the user for example.com; language en, example.jp ja',
      `ok      smart host 127.0.0.1:${first.port}: 220 sink.test SMTP`,
      `ok      smart host 127.0.0.1:${second.port}: 220 sink.test SMTP`,
    ]);
  });

  test('with a secret that others may read is an error of imipd check, and imipd serve does not start', async () => {
    await using site = await siteWith('', 0o644);
    const text = `${site.path}/var/outbound.key is open to others (mode 644), who could forge bounces with it; chmod 600 it, or remove it for a new one`;
    const checked = await imipd(site.path, 'check');
    expect([checked.code, checked.out.split('\n')]).toEqual([
      69,
      expect.arrayContaining([`error   outbound: ${text}`]),
    ]);
    const served = await imipd(site.path, 'serve');
    expect([served.code, served.err]).toEqual([78, `${text}\n`]);
  });

  test('envelope senders are explained: one of ours by its message, a forged one by its refusal', async () => {
    await using site = await siteWith('');
    const own = verpAddress(ADDRESS, mintToken(KEY, '0MWQA4FL1008CW', 0));
    const forged = verpAddress(ADDRESS, mintToken(Buffer.alloc(32), '0MWQA4FL1008CW', 0));
    expect((await imipd(site.path, 'explain', own)).out).toBe(
      `${own}\n  → return: envelope sender of 0MWQA4FL1008CW; a failure report is told to the organizer, anything else goes on to whom 0MWQA4FL1008CW came from\n`,
    );
    expect((await imipd(site.path, 'explain', forged)).out).toBe(
      `${forged}\n  → refused at RCPT with 5.1.1: its token is none of this gateway\n`,
    );
  });
});

test('imipd journal show of a UID that the journal does not hold says so, with exit code 65', async () => {
  await using gateway = await startGateway(`domains: [example.com]
listeners: [{name: in, address: '127.0.0.1:0'}]
next-hop: {address: '127.0.0.1:9'}`);
  const { code, err } = await gateway.command('journal', 'show', 'nothing@example.com');
  expect([code, err]).toEqual([
    65,
    'got UID nothing@example.com, of which the journal remembers nothing: no invitation of it has left through this gateway, or it is over for longer than outbound.journal\n',
  ]);
});
