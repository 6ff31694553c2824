import { describe, expect, test } from 'vitest';
import { SmtpDeliverer } from '../../../../channel/smtp/deliver.ts';
import { HopHosts } from '../../../../channel/smtp/hosts.ts';
import { silentLog } from '../../../../src/observe/log.ts';
import { MailSink } from '../../../integration/mail-sink.ts';
import { batch, deliverer, never } from './deliver-samples.ts';
import { accepting, Peer, type Script } from './peer.ts';

const HOST = '127.0.0.1';

/** A port where nobody listens. */
async function deadPort(): Promise<number> {
  const peer = await Peer.listen(accepting());
  const { port } = peer;
  await peer[Symbol.asyncDispose]();
  return port;
}

function to(sink: MailSink | Peer): { readonly host: string; readonly port: number } {
  return { host: HOST, port: sink.port };
}

const OPTIONS = {
  host: HOST,
  protocol: 'smtp',
  tls: 'none',
  connections: 2,
  connectTimeoutMs: 5000,
  commandTimeoutMs: 5000,
  dataTimeoutMs: 5000,
  maxMessagesPerConnection: 100,
  hostname: 'gateway.example.com',
} as const;

describe('a next hop of several servers', () => {
  test('is reached by the first that can be connected to, and says which one it was', async () => {
    await using second = await MailSink.listen('smtp');
    await using third = await MailSink.listen('smtp');
    await using hop = deliverer(await deadPort(), { fallbacks: [to(second), to(third)] });
    const [outcome] = await hop.deliver(batch(), never);
    expect([outcome?.kind, outcome?.relay, second.mails.length, third.mails.length]).toEqual([
      'delivered',
      `127.0.0.1:${second.port}`,
      1,
      0,
    ]);
  });

  test.each([
    ['is busy', '421 4.3.2 too busy'],
    ['puts the connection off', '450 4.7.1 come back later'],
    ['refuses the connection', '554 5.7.1 not you'],
  ])('is reached by the next one where the first %s in its greeting', async (_, greeting) => {
    await using first = await Peer.listen(accepting(), greeting);
    await using second = await MailSink.listen('smtp');
    await using hop = deliverer(first.port, { fallbacks: [to(second)] });
    const outcomes = await hop.deliver(batch(), never);
    expect([outcomes.map(({ kind }) => kind), second.mails.length]).toEqual([['delivered'], 1]);
  });

  test.each<readonly [what: string, step: RegExp, answer: string]>([
    ['closes at MAIL', /^MAIL/, 'close'],
    ['says 421 to MAIL', /^MAIL/, '421 4.3.2 shutting down'],
    ['closes at RCPT', /^RCPT/, 'close'],
    ['closes at DATA', /^DATA/, 'close'],
  ])('is reached by the next one where the first %s', async (_, step, answer) => {
    const script: Script = (line, session) => (step.test(line) ? answer : accepting()(line, session));
    await using first = await Peer.listen(script);
    await using second = await MailSink.listen('smtp');
    await using hop = deliverer(first.port, { fallbacks: [to(second)] });
    const outcomes = await hop.deliver(batch(), never);
    expect([outcomes.map(({ kind }) => kind), second.mails.length, first.contents]).toEqual([['delivered'], 1, []]);
  });

  test('gets nothing a second time where the first dies after the content began', async () => {
    await using first = await MailSink.listen('smtp', { data: () => 'drop' });
    await using second = await MailSink.listen('smtp');
    await using hop = deliverer(first.port, { fallbacks: [to(second)] });
    const outcomes = await hop.deliver(batch(), never);
    expect([outcomes.map(({ kind, status }) => [kind, status]), second.mails]).toEqual([[['deferred', '4.4.2']], []]);
  });

  test('has the word of the first about a recipient, whatever the others would say', async () => {
    await using first = await MailSink.listen('smtp', {
      rcpt: (address) => (address === 'bob@example.com' ? '550 5.1.1 no such user' : undefined),
    });
    await using second = await MailSink.listen('smtp');
    await using hop = deliverer(first.port, { fallbacks: [to(second)] });
    const outcomes = await hop.deliver(batch({ to: ['bob@example.com', 'eve@example.com'] }), never);
    expect([outcomes.map(({ kind }) => kind), second.mails]).toEqual([['failed', 'delivered'], []]);
  });

  test('of which none can be used is deferred by the word of the last', async () => {
    const last = await deadPort();
    await using first = await Peer.listen(accepting(), '554 5.7.1 not you');
    await using hop = deliverer(first.port, { fallbacks: [{ host: HOST, port: last }] });
    const outcomes = await hop.deliver(batch(), never);
    expect(outcomes.map(({ kind, status, relay }) => [kind, status, relay])).toEqual([
      ['deferred', '4.4.1', `127.0.0.1:${last}`],
    ]);
  });

  test('is not asked at the one that failed again while the other one serves', async () => {
    await using first = await Peer.listen(accepting(), '421 4.3.2 too busy');
    await using second = await MailSink.listen('smtp');
    await using hop = deliverer(first.port, { fallbacks: [to(second)] });
    for (let time = 0; time < 3; time++) await hop.deliver(batch(), never);
    expect([first.sessions, second.mails.length]).toEqual([1, 3]);
  });

  test('writes a warning for each server that it passes over', async () => {
    await using first = await Peer.listen(accepting(), '421 4.3.2 too busy');
    await using second = await MailSink.listen('smtp');
    const lines: unknown[] = [];
    const log = { ...silentLog, warn: (line: unknown) => void lines.push(line) };
    await using hop = new SmtpDeliverer({ ...OPTIONS, port: first.port, fallbacks: [to(second)] }, log);
    await hop.deliver(batch(), never);
    expect(lines).toEqual([
      {
        queueId: 'q1',
        relay: `127.0.0.1:${first.port}`,
        reason: 'the next hop put off the connection',
        next: `127.0.0.1:${second.port}`,
      },
    ]);
  });
});

describe('the order of servers', () => {
  const destinations = (hosts: HopHosts): readonly string[] => hosts.inOrder().map(({ destination }) => destination);

  test('is as configured, but for those that failed in the last minute or until they serve again', async () => {
    let now = 0;
    const fallbacks = [
      { host: 'b.example.com', port: 25 },
      { host: '::1', port: 26 },
    ];
    await using hosts = new HopHosts({ ...OPTIONS, host: 'a.example.com', port: 25, fallbacks }, () => now);
    const all = ['a.example.com:25', 'b.example.com:25', '[::1]:26'];
    expect(destinations(hosts)).toEqual(all);
    const [a, b] = hosts.inOrder();
    if (a === undefined || b === undefined) throw new Error('no servers');
    hosts.failed(a);
    expect(destinations(hosts)).toEqual(['b.example.com:25', '[::1]:26', 'a.example.com:25']);
    hosts.failed(b);
    expect(destinations(hosts)).toEqual(['[::1]:26', 'a.example.com:25', 'b.example.com:25']);
    hosts.served(b);
    expect(destinations(hosts)).toEqual(['b.example.com:25', '[::1]:26', 'a.example.com:25']);
    now = 60_000;
    expect(destinations(hosts)).toEqual(all);
  });
});
