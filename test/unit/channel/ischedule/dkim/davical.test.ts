import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { sign } from '../../../../../channel/ischedule/dkim/sign.ts';
import { answerOf, BODY, check, finderOf, KEYS, NOW, recordWith } from './worked-example.ts';

const SOURCE = '/usr/share/davical/inc/iSchedule.php';
const AWL = '/usr/share/awl/inc';
const isThere = existsSync(SOURCE) && existsSync(AWL) && existsSync('/usr/bin/php');

/** DAViCal's own class, loaded from where it is installed, with its question to the DNS answered beforehand. */
const PRELUDE = `
  error_reporting(E_ERROR);
  set_include_path('${AWL}');
  function dbg_error_log() {}
  $input = json_decode(file_get_contents('php://stdin'), true);
  $c = (object) ['scheduling_dkim_domain' => 'example.net', 'scheduling_dkim_selector' => 'cal',
                 'schedule_private_key' => $input['key']];
  require '${SOURCE}';
  $ischedule = new iSchedule();
`;
const VERIFY = `${PRELUDE}
  foreach ($input['headers'] as [$name, $value]) $_SERVER['HTTP_' . strtoupper(strtr($name, '-', '_'))] = $value;
  $request = (object) ['raw_post' => $input['body']];
  $ischedule->setTxt($input['record']);
  $result = $ischedule->parseDKIM($_SERVER['HTTP_DKIM_SIGNATURE']);
  if ($result === true) { $ischedule->parseTxt(); $result = $ischedule->validateKey(); }
  if ($result === true) $result = $ischedule->verifySignature();
  echo json_encode($result === true ? 'verified' : substr((string) $result, 0, 29));
`;
const SIGN = `${PRELUDE}
  $ischedule->domain = 'example.com';
  $_SERVER['SERVER_NAME'] = 'none';
  echo json_encode($ischedule->signDKIM($input['headers'], $input['body']));
`;

function php(code: string, input: object): unknown {
  const key = KEYS.privateKey.export({ type: 'pkcs1', format: 'pem' });
  const out = execFileSync('/usr/bin/php', ['-r', code], {
    input: JSON.stringify({ key, ...input }),
    encoding: 'utf8',
  });
  return JSON.parse(out);
}

describe.skipIf(!isThere)('DAViCal', () => {
  const headers = [
    ['Host', 'cal.example.com:8080'],
    ['iSchedule-Version', '1.0'],
    ['iSchedule-Message-ID', 'b7c1@gw.example.net'],
    ['Originator', 'mailto:ann@example.net'],
    ['Recipient', 'mailto:bob@example.com, mailto:cat@example.com'],
    ['Content-Type', 'text/calendar; component=VFREEBUSY; method=REQUEST'],
  ] as const;

  test('verifies our simple-http, and not after one octet has changed', () => {
    const value = sign(headers, BODY, {
      key: { domain: 'example.net', selector: 'cal', key: KEYS.privateKey },
      canonicalization: 'simple-http',
      now: NOW,
    });
    const post = {
      headers: [...headers, ['DKIM-Signature', value]],
      body: BODY.toString(),
      record: recordWith('v=DKIM1;'),
    };
    expect(php(VERIFY, post)).toBe('verified');
    expect(php(VERIFY, { ...post, body: post.body.replace('bob', 'bab') })).toBe('body hash mismatch');
    const other = post.headers.map(([name, text]) => [name, text?.replace('ann', 'anna')]);
    expect(php(VERIFY, { ...post, headers: other })).toBe('signature verification failed');
  });

  test('signs what we verify, and not after one octet has changed', async () => {
    const own = Object.fromEntries(headers.filter(([name]) => !/^host$|message-id/i.test(name)));
    const value = String(php(SIGN, { headers: own, body: BODY.toString() }));
    const rawHeaders = [...Object.entries(own).flat(), 'Host', 'cal.example.com', 'DKIM-Signature', value];
    const keys = finderOf(answerOf(recordWith('v=DKIM1;k=rsa;t=s;s=calendar;')));
    const now = Date.now();
    expect(await check({ rawHeaders, body: BODY }, { keys, now })).toMatchObject({
      kind: 'verified',
      domain: 'example.net',
      selector: 'cal',
      signsMessageId: false,
    });
    const changed = rawHeaders.map((text) => text.replace('bob@', 'eve@'));
    expect((await check({ rawHeaders: changed, body: BODY }, { keys, now })).kind).toBe('refused');
  });
});
