import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AUTHORS_NOTE } from '../../src/commands/check.ts';
import { TRIAL_LDIF } from '../../src/trial/people.ts';
import { freePort, freePorts } from '../servers/ports.ts';
import { folderWith, imipd, trialCalendar } from './cli.ts';
import { startGateway } from './harness.ts';
import { MailSink } from './mail-sink.ts';
import { submit } from './smtp-client.ts';

const lines = (...all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

/** A server that says one line to everybody. */
async function greeter(greeting: string): Promise<{ readonly port: number; [Symbol.asyncDispose](): Promise<void> }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(greeting);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

describe('imipd check', () => {
  test('of a site where everything answers says so, and that authors are not verified', async () => {
    await using folder = await folderWith({ 'people.ldif': TRIAL_LDIF });
    await using calendar = trialCalendar(join(folder.path, 'calendars'));
    const { origin } = await calendar.listen();
    await using nextHop = await MailSink.listen('smtp');
    await using smartHost = await MailSink.listen('smtp');
    await using site = await folderWith({
      'imipd.yaml': lines(
        'domains: [example.com]',
        "listeners: [{name: in, address: '127.0.0.1:0'}, {name: inner, address: '127.0.0.1:0', origin: inside}]",
        `directory: {kind: ldif, file: '${folder.path}/people.ldif'}`,
        `calendar: {default: {url: '${origin}/ischedule'}}`,
        `next-hop: {address: '127.0.0.1:${nextHop.port}'}`,
        `smart-host: {address: '127.0.0.1:${smartHost.port}'}`,
      ),
    });
    expect(await imipd(site.path, 'check')).toEqual({
      code: 0,
      err: '',
      out: lines(
        'ok      configuration: 2 listeners, 1 domain',
        `warning authors: ${AUTHORS_NOTE}`,
        `ok      state: ${site.path}/var can be written`,
        'ok      directory: answers',
        `ok      calendar server ${origin}/ischedule: answers`,
        `ok      next hop 127.0.0.1:${nextHop.port}: 220 sink.test SMTP`,
        `ok      smart host 127.0.0.1:${smartHost.port}: 220 sink.test SMTP`,
      ),
    });
  });

  test('of a site where nothing answers names each thing, and ends with exit code 69', async () => {
    const [first, second, hop] = await freePorts(3);
    await using busy = await greeter('554 5.3.2 no service\r\n');
    await using site = await folderWith({
      'people.ldif': 'dn: uid=bob\nmail bob\n',
      'calendars.properties': `example.net=http://127.0.0.1:${second}/\nexample.org=http://127.0.0.1:${first}/ischedule\n`,
      'imipd.yaml': lines(
        'domains: [example.com]',
        'state: imipd.yaml/queue',
        "listeners: [{name: inner, address: '127.0.0.1:0', origin: inside}]",
        'directory: {kind: ldif, file: people.ldif}',
        `calendar: {back-ends: {north: {url: 'http://127.0.0.1:${first}/ischedule'}}, domain-map: calendars.properties}`,
        `next-hop: {address: '127.0.0.1:${hop}'}`,
        `smart-host: {address: '127.0.0.1:${busy.port}'}`,
      ),
    });
    const refused = 'cannot be reached: nobody listens there (ECONNREFUSED)';
    expect(await imipd(site.path, 'check')).toEqual({
      code: 69,
      err: '',
      out: lines(
        'ok      configuration: 1 listener, 1 domain',
        `error   state: ${site.path}/imipd.yaml is a file, need a folder`,
        `error   directory: ${site.path}/people.ldif:2: found "mail bob", want "attribute: value"`,
        `error   calendar server http://127.0.0.1:${first}/ischedule: ${refused}`,
        `error   calendar server http://127.0.0.1:${second}/: ${refused}`,
        `error   next hop 127.0.0.1:${hop}: ${refused}`,
        `error   smart host 127.0.0.1:${busy.port}: greets with "554 5.3.2 no service", want 220`,
      ),
    });
  });

  test('of a next hop that hangs up at once says so', async () => {
    await using mute = await greeter('');
    await using site = await folderWith({
      'imipd.yaml': lines(
        'domains: [example.com]',
        "listeners: [{name: in, address: '127.0.0.1:0'}]",
        `next-hop: {address: '127.0.0.1:${mute.port}'}`,
      ),
    });
    const { code, out } = await imipd(site.path, 'check');
    expect(code).toBe(69);
    expect(out).toContain(
      `error   next hop 127.0.0.1:${mute.port}: cannot be reached: it closed the connection without a word\n`,
    );
  });

  test('of a calendar server that knows no such path warns', async () => {
    await using folder = await folderWith({});
    await using calendar = trialCalendar(folder.path);
    const { origin } = await calendar.listen();
    await using nextHop = await MailSink.listen('smtp');
    await using site = await folderWith({
      'imipd.yaml': lines(
        'domains: [example.com]',
        "listeners: [{name: in, address: '127.0.0.1:0'}]",
        `calendar: {default: {url: '${origin}/calendars'}}`,
        `next-hop: {address: '127.0.0.1:${nextHop.port}'}`,
      ),
    });
    const { code, out } = await imipd(site.path, 'check');
    expect(code).toBe(0);
    expect(out).toContain(
      `warning calendar server ${origin}/calendars: says 404 to a question for its capabilities; is /calendars the path of its iSchedule service?\n`,
    );
  });

  test('of a site without directory and calendar server warns, in JSON too', async () => {
    await using nextHop = await MailSink.listen('smtp');
    await using site = await folderWith({
      'imipd.yaml': lines(
        'domains: [example.com]',
        "listeners: [{name: inner, address: '127.0.0.1:0', origin: inside}]",
        `next-hop: {address: '127.0.0.1:${nextHop.port}'}`,
      ),
    });
    const { code, out, err } = await imipd(site.path, 'check', '--json');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out)).toEqual([
      { what: 'configuration', verdict: 'ok', detail: '1 listener, 1 domain' },
      {
        what: 'configuration',
        verdict: 'warning',
        detail:
          'imipd.yaml:1: calendar: names no calendar server, so nothing is ever posted; add back-ends, default or domain-map',
      },
      {
        what: 'configuration',
        verdict: 'warning',
        detail: 'imipd.yaml:1: directory: is not configured, so no recipient is known and nothing is ever posted',
      },
      { what: 'state', verdict: 'ok', detail: `${site.path}/var can be written` },
      {
        what: 'directory',
        verdict: 'warning',
        detail: 'none is configured: every recipient is unknown, all mail is passed on',
      },
      { what: `next hop 127.0.0.1:${nextHop.port}`, verdict: 'ok', detail: '220 sink.test SMTP' },
    ]);
  });
});

describe('imipd check of a coexistence', () => {
  test('tells what of it can be seen from here', async () => {
    const v6 = createHttpServer((request, response) => {
      response.writeHead(request.url === '/version.wcap' ? 200 : 400).end();
    });
    v6.listen(0, '127.0.0.1');
    await once(v6, 'listening');
    const origin = `http://127.0.0.1:${(v6.address() as { port: number }).port}`;
    await using nextHop = await MailSink.listen('smtp');
    await using site = await folderWith({
      'people.ldif': TRIAL_LDIF,
      'calendars.properties': `example.com=${origin}/\nexample.net=${origin}/ischedule profile=cyrus\n`,
      'imipd.yaml': lines(
        'domains: [example.com, example.net]',
        "listeners: [{name: inner, address: '127.0.0.1:0', origin: inside}]",
        'directory: {kind: ldif, file: people.ldif, mapping: {marker: davStore, moving: {attribute: none, value: x}}}',
        'calendar: {domain-map: calendars.properties}',
        `next-hop: {address: '127.0.0.1:${nextHop.port}'}`,
      ),
    });
    const { code, out } = await imipd(site.path, 'check');
    v6.close();
    expect(code).toBe(69);
    expect(out.split('\n').filter((line) => /coexistence|WCAP/.test(line))).toEqual([
      'error   coexistence: davStore is the marker of users on v7, and calendar.back-ends has no line: every post for them is deferred; add one for each value',
      `ok      coexistence: users of example.com without davStore are on v6, ${origin}/, and get invitations by mail`,
      `warning coexistence: users of example.net without davStore are posted to ${origin}/ischedule as profile cyrus; if that is v6, say profile=oracle-v6 in line 2 of the domain map`,
      'warning coexistence: nothing marks a user who is being moved, so his posts go to v7 as soon as davStore is set, before his data is there; set directory.mapping.moving, directory.moving-group or directory.moving-file',
      `ok      WCAP of ${origin}: answers`,
    ]);
  });
});

describe('imipd check --probe', () => {
  const site = (listener: number, nextHop: number): string =>
    lines(
      'domains: [example.com]',
      `listeners: [{name: in, address: '127.0.0.1:${listener}'}]`,
      `next-hop: {address: '127.0.0.1:${nextHop}'}`,
    );
  const lastLine = (out: string): string | undefined => out.split('\n').at(-2);

  test('says that what is passed on does not come back', async () => {
    await using nextHop = await MailSink.listen('smtp');
    await using gateway = await startGateway(site(await freePort(), nextHop.port));
    const { code, out } = await gateway.command('check', '--probe', '--wait', '1');
    expect({ code, last: lastLine(out) }).toEqual({
      code: 0,
      last: 'ok      mail loop: the probe to postmaster@example.com was passed on and did not come back within 1 s',
    });
    expect(nextHop.mails.map(({ from, recipients }) => [from, recipients[0]?.address])).toEqual([
      ['', 'postmaster@example.com'],
    ]);
  });

  test('says that the next hop sends it back to us', async () => {
    await using nextHop = await MailSink.listen('smtp');
    const port = await freePort();
    await using gateway = await startGateway(site(port, nextHop.port));
    const returned = nextHop
      .waitFor(() => true)
      .then(async ([mail]) => {
        const message = mail?.content ?? '';
        await submit(port, { from: '', to: ['bob@example.com'], message });
      });
    const { code, out } = await gateway.command('check', '--probe', '--to', 'bob@example.com', '--wait', '60');
    await returned;
    expect({ code, last: lastLine(out) }).toEqual({
      code: 69,
      last: 'error   mail loop: the probe to bob@example.com came back to us: the next hop sends what we pass on to this gateway again; see docs/mta/postfix.md, Loops',
    });
  });

  test('says that no gateway runs', async () => {
    await using nextHop = await MailSink.listen('smtp');
    await using folder = await folderWith({ 'imipd.yaml': site(await freePort(), nextHop.port) });
    const { code, out } = await imipd(folder.path, 'check', '--probe');
    expect({ code, last: lastLine(out) }).toEqual({
      code: 69,
      last: 'error   mail loop: the probe was not accepted on listener in: the gateway cannot be reached (ECONNREFUSED); is the gateway running?',
    });
  });

  test('sends nothing where no mail is passed on', async () => {
    await using folder = await folderWith({
      'people.ldif': TRIAL_LDIF,
      'imipd.yaml': lines(
        'domains: [example.com]',
        "listeners: [{name: rooms, address: '127.0.0.1:0', mode: final}]",
        'directory: {kind: ldif, file: people.ldif}',
      ),
    });
    const { code, out } = await imipd(folder.path, 'check', '--probe');
    expect({ code, last: lastLine(out) }).toEqual({
      code: 0,
      last: 'ok      mail loop: no filter listener, so no mail is passed on',
    });
  });

  test('wants to know in seconds how long to wait', async () => {
    await using nextHop = await MailSink.listen('smtp');
    await using folder = await folderWith({ 'imipd.yaml': site(await freePort(), nextHop.port) });
    expect(await imipd(folder.path, 'check', '--probe', '--wait', 'long')).toEqual({
      code: 64,
      out: '',
      err: 'got --wait long, want a number of seconds, such as 15\n',
    });
  });
});
