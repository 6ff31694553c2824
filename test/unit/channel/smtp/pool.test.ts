import { expect, test } from 'vitest';
import { batch, deliverer } from './deliver-samples.ts';
import { ALL_EXTENSIONS, accepting, Peer } from './peer.ts';

test('a next hop that does not answer RSET keeps no connection open once the deliverer is disposed of', async () => {
  const reset = Promise.withResolvers<void>();
  const script = accepting(ALL_EXTENSIONS, (line) => (line.startsWith('RCPT') ? '550 5.1.1 nobody' : undefined));
  await using peer = await Peer.listen((line, session) => {
    if (line !== 'RSET') return script(line, session);
    reset.resolve();
    return undefined;
  });
  const hop = deliverer(peer.port, { commandTimeoutMs: 300_000 });
  expect(await hop.deliver(batch(), new AbortController().signal)).toMatchObject([{ kind: 'failed', status: '5.1.1' }]);
  await reset.promise;
  await hop[Symbol.asyncDispose]();
  await expect.poll(() => peer.sockets.size).toBe(0);
});
