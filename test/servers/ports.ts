import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

// Below Linux' ephemeral range, so that no outgoing connection takes a port between our look and the server's bind;
// above 10025, the port of a trial site. Test files that run at the same time draw from slices of their own: a port
// that one has drawn and its server has not bound yet looks free to the other.
const FIRST_PORT = 10_100;
const SLICES = 8;
const SLICE_PORTS = 2_000;

/** What this test file has drawn before: its servers may not have bound them yet. */
const drawn = new Set<number>();

/** Ports of 127.0.0.1 that nobody listens on at the moment, and no test file that runs at the same time will draw. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const slice = Number(process.env.VITEST_POOL_ID ?? 0) % SLICES;
  const first = FIRST_PORT + slice * SLICE_PORTS;
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(first, first + SLICE_PORTS);
    if (!drawn.has(port) && (await isFree(port))) ports.add(port);
  }
  for (const port of ports) drawn.add(port);
  return [...ports];
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port!;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
