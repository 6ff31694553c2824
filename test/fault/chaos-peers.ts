import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { composeReply } from '../../channel/ischedule/wire.ts';

/** Peers that misbehave at random, and keep the books of what they took. */

/** Numbers from 0 up to 1 that a seed determines (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Picks by weight: `pick(random, {good: 9, bad: 1})`. */
export function pick<K extends string>(random: () => number, weights: Readonly<Record<K, number>>): K {
  const entries = Object.entries(weights) as [K, number][];
  let rest = random() * entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [name, weight] of entries) {
    rest -= weight;
    if (rest < 0) return name;
  }
  return entries[0]![0];
}

/** What a peer did with one message for one recipient. */
export class Book {
  /** Taken: delivered as far as the peer is concerned. */
  readonly taken = new Map<string, number>();
  /** Taken, but the gateway was not told. */
  readonly untold = new Map<string, number>();

  take(key: string, told: boolean): void {
    add(this.taken, key);
    if (!told) add(this.untold, key);
  }
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** `message recipient` */
export function keyOf(message: number, recipient: string): string {
  return `${message} ${recipient}`;
}

/** Whether every attempt for this recipient of this message is refused for good: a peer does not change its mind. */
export type Doom = (message: number, recipient: string) => boolean;

export type Peer = {
  readonly book: Book;
  readonly port: number;
  /** From now on it behaves. */
  calm(): void;
  /** Closes every connection. */
  hangUp(): void;
  [Symbol.asyncDispose](): Promise<void>;
};

/** One post as it arrived, in order. */
export type Arrival = { readonly message: number; readonly uid: string; readonly recipient: string };

export async function chaosCalendar(
  random: () => number,
  isDoomed: Doom,
): Promise<Peer & { readonly arrivals: readonly Arrival[] }> {
  const book = new Book();
  const arrivals: Arrival[] = [];
  let calm = false;
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    response.on('error', () => undefined);
    if (request.method === 'GET') {
      response.writeHead(404).end(); // it has no capabilities document
      return;
    }
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return; // the gateway was killed while it posted
    }
    const body = Buffer.concat(chunks).toString();
    const message = Number(/^SUMMARY:chaos-(\d+)\r$/m.exec(body)?.[1]);
    const uid = /^UID:(.*)\r$/m.exec(body)?.[1] ?? '';
    const recipients = request.rawHeaders
      .filter((_, at) => at % 2 === 1 && request.rawHeaders[at - 1]?.toLowerCase() === 'recipient')
      .map((value) => value.replace('mailto:', ''));
    for (const recipient of recipients) arrivals.push({ message, uid, recipient });
    const way = calm
      ? 'answer'
      : pick(random, { answer: 66, error: 8, busy: 6, hang: 4, dropUntaken: 6, dropTaken: 5, cutShort: 5 });
    const told = way === 'answer';
    const statusOf = (recipient: string): string => {
      if (isDoomed(message, recipient)) return '3.7;Invalid calendar user';
      if (!calm && random() < 0.15) return '5.1;Service unavailable';
      if (way === 'answer' || way === 'dropTaken' || way === 'cutShort') book.take(keyOf(message, recipient), told);
      return '2.0;Success';
    };
    const answer = composeReply(
      recipients.map((recipient) => ({ recipient: `mailto:${recipient}`, requestStatus: statusOf(recipient) })),
    );
    if (way === 'hang') return;
    if (way === 'error') response.writeHead(500).end('no');
    else if (way === 'busy') response.writeHead(429, { 'Retry-After': '1' }).end();
    else if (way === 'answer') response.writeHead(200, { 'Content-Type': 'application/xml' }).end(answer);
    else if (way === 'cutShort') {
      response.writeHead(200, { 'Content-Type': 'application/xml', 'Content-Length': answer.length });
      response.write(answer.slice(0, answer.length / 2), () => response.destroy());
    } else response.destroy();
  };
  const server = createHttpServer((request, response) => void serve(request, response));
  const port = await listen(server);
  return {
    book,
    arrivals,
    port,
    calm: () => {
      calm = true;
      server.closeAllConnections(); // those that hang
    },
    hangUp: () => server.closeAllConnections(),
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A message that a hop took from the null reverse-path: a report, and to whom. */
export type Report = { readonly to: string; readonly content: string };

/** A next hop. Message numbers stand in the header field X-Chaos. */
export async function chaosHop(
  protocol: 'smtp' | 'lmtp',
  random: () => number,
  isDoomed: Doom,
): Promise<Peer & { readonly reports: readonly Report[] }> {
  const book = new Book();
  const reports: Report[] = [];
  const sockets = new Set<Socket>();
  const state = { calm: false };
  const hangUp = () => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    hopSession(socket, { protocol, random, isDoomed, book, reports, state });
  });
  const port = await listen(server);
  return {
    book,
    reports,
    port,
    calm: () => {
      state.calm = true;
      hangUp();
    },
    hangUp,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      hangUp();
      await closed;
    },
  };
}

type HopWorld = {
  readonly protocol: 'smtp' | 'lmtp';
  readonly random: () => number;
  readonly isDoomed: Doom;
  readonly book: Book;
  readonly reports: Report[];
  readonly state: { calm: boolean };
};

function hopSession(socket: Socket, { protocol, random, isDoomed, book, reports, state }: HopWorld): void {
  socket.on('error', () => undefined);
  socket.setNoDelay(true);
  const say = (line: string) => void socket.write(`${line}\r\n`);
  const is = (chance: number) => !state.calm && random() < chance;
  let pending = '';
  let from = '';
  let message = 0;
  let recipients: string[] = [];
  let content: string[] | undefined;

  const end = (lines: readonly string[]): void => {
    const whole = lines.join('\r\n');
    const number = Number(/^X-Chaos: (\d+)$/m.exec(whole.replaceAll('\r', ''))?.[1]);
    if (from !== '' && number !== message) throw new Error(`sender ${from} with message ${number}`);
    const take = (recipient: string, told: boolean) => {
      if (from === '') reports.push({ to: recipient, content: whole });
      else book.take(keyOf(message, recipient), told);
    };
    const doomed = (recipient: string) => from !== '' && isDoomed(message, recipient);
    const way = state.calm
      ? 'answer'
      : pick(random, { answer: 80, hang: 4, putOff: 6, dropUntaken: 5, dropTaken: from === '' ? 0 : 5 });
    if (way === 'hang') return;
    if (way === 'dropUntaken') return void socket.destroy();
    if (way === 'dropTaken') {
      const willing = protocol === 'lmtp' ? recipients.filter((one) => !doomed(one)) : recipients;
      if (protocol === 'lmtp' || !recipients.some(doomed)) for (const recipient of willing) take(recipient, false);
      return void socket.destroy();
    }
    if (protocol === 'smtp') {
      if (way === 'putOff') return void say('451 4.3.0 not now');
      if (recipients.some(doomed)) return void say('554 5.6.0 not this one'); // a message that is doomed for all
      for (const recipient of recipients) take(recipient, true);
      return void say('250 2.0.0 taken');
    }
    for (const recipient of recipients) {
      if (is(0.04)) return void socket.destroy(); // within the replies
      if (doomed(recipient)) say('550 5.2.1 not for this one');
      else if (way === 'putOff') say('452 4.2.2 not now');
      else {
        take(recipient, true);
        say('250 2.0.0 taken');
      }
    }
  };
  const command = (line: string): void => {
    const verb = line.slice(0, 4).toUpperCase();
    const address = /<([^>]*)>/.exec(line)?.[1] ?? '';
    if (verb === 'EHLO' || verb === 'LHLO') {
      say(
        random() < 0.5 ? '250-hop.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 DSN' : '250-hop.test\r\n250 8BITMIME',
      );
    } else if (verb === 'MAIL') {
      from = address;
      message = Number(/^s(\d+)@/.exec(address)?.[1]);
      recipients = [];
      say(is(0.03) ? '451 4.3.2 later' : '250 2.1.0 ok');
    } else if (verb === 'RCPT') {
      // Half of the doomed learn it here, the others at the end of the content.
      const early = from !== '' && message % 2 === 0 && isDoomed(message, address);
      if (early || (from !== '' && protocol === 'smtp' && isDoomed(message, address) && !isWhollyDoomed(message))) {
        say('550 5.1.1 nobody of that name');
      } else if (is(0.06)) say('450 4.2.0 not now');
      else {
        recipients.push(address);
        say('250 2.1.5 ok');
      }
    } else if (verb === 'DATA') {
      if (recipients.length === 0) return void say('503 5.5.1 no recipients');
      if (is(0.03)) return void socket.destroy();
      content = [];
      say('354 go on');
    } else if (verb === 'RSET') {
      recipients = [];
      if (!is(0.02)) say('250 2.0.0 ok'); // else it hangs
    } else if (verb === 'QUIT') socket.end('221 2.0.0 bye\r\n');
    else say('500 5.5.2 what');
  };

  socket.setEncoding('latin1').on('data', (text: string) => {
    const lines = (pending + text).split('\r\n');
    pending = lines.pop() ?? '';
    for (const line of lines) {
      if (content === undefined) command(line);
      else if (line === '.') {
        const whole = content;
        content = undefined;
        end(whole);
      } else {
        content.push(line);
        if (is(0.001)) socket.destroy(); // within the content
      }
      if (socket.destroyed) return;
    }
  });
  if (is(0.03)) socket.destroy();
  else say(is(0.03) ? '421 4.3.2 busy' : '220 hop.test');
}

/** Messages that a hop refuses whole. */
export function isWhollyDoomed(message: number): boolean {
  return message % 13 === 0;
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
