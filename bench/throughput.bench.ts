import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { invitation, USERS } from './invitation.ts';

// Messages per second of the whole path, beside two floors in the same run. The load, the calendar sink and the mail
// sink are in this process; each subject has a process of its own. Rounds of the subjects take turns, so that what the
// machine does meanwhile meets them all.

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    messages: { type: 'string', default: '2000' },
    connections: { type: 'string', default: '32' },
  },
});
const rounds = Number(values.rounds);
const messages = Number(values.messages);
const connections = Number(values.connections);

const SUBJECTS = [
  ['discard', 'smtp-server that discards'],
  ['post', 'smtp-server + one undici POST, no parsing, no queue'],
  ['final', 'imipd, final: posted, durable'],
  ['filter', 'imipd, filter: posted, passed on, durable'],
] as const;

const calendar = createHttpServer((request, response) => {
  const recipients = request.rawHeaders.filter((_, index, all) => all[index - 1] === 'Recipient');
  request.resume().on('end', () => {
    const answers = recipients.map(
      (one) => `<response><recipient>${one}</recipient><request-status>2.0;Success</request-status></response>`,
    );
    response.setHeader('Content-Type', 'application/xml');
    response.end(`<schedule-response xmlns="urn:ietf:params:xml:ns:ischedule">${answers.join('')}</schedule-response>`);
  });
}).listen(0, '127.0.0.1');
const mail = createTcpServer(discardMail).listen(0, '127.0.0.1');
await Promise.all([once(calendar, 'listening'), once(mail, 'listening')]);
const ports = [calendar, mail].map((server) => String((server.address() as AddressInfo).port));

const running: ChildProcess[] = [];
const subjects = await Promise.all(
  SUBJECTS.map(async ([kind, title]) => {
    const child = spawn(process.execPath, [fileURLToPath(new URL('subject.ts', import.meta.url)), kind, ...ports], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    running.push(child);
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    return { title, port: Number(line), rates: [] as number[], memoryMb: 0, pid: child.pid };
  }),
);

const example = invitation(0);
for (let round = 0; round <= rounds; round++) {
  for (const subject of subjects) {
    const batch = Array.from({ length: messages }, (_, index) => invitation(index % USERS));
    const begun = performance.now();
    await sendAll(subject.port, batch);
    // The first round warms the compiler up and is not counted.
    if (round > 0) subject.rates.push((messages / (performance.now() - begun)) * 1000);
  }
}
for (const child of running) child.kill('SIGKILL');
calendar.closeAllConnections();
calendar.close();
mail.close();

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
console.log(
  `throughput, commit ${commit}, Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim()}, state below ${tmpdir()}`,
);
console.log(
  `${rounds} rounds of ${messages} messages of ${example.length} octets over ${connections} reused connections; messages per second`,
);
console.log('subject'.padEnd(56) + ['median', 'lowest', 'highest'].map((title) => title.padStart(9)).join(''));
for (const { title, rates } of subjects) {
  const sorted = rates.toSorted((a, b) => a - b);
  const shown = [sorted[Math.floor(sorted.length / 2)], sorted[0], sorted.at(-1)];
  console.log(title.padEnd(56) + shown.map((rate) => String(Math.round(rate ?? 0)).padStart(9)).join(''));
}
process.exit(0);

/** Sends each message once, over connections that all draw from one list; ends when all are answered 250. */
async function sendAll(port: number, batch: Buffer[]): Promise<void> {
  await Promise.all(Array.from({ length: connections }, () => sendFrom(port, batch)));
}

async function sendFrom(port: number, batch: Buffer[]): Promise<void> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true);
  const replies = createInterface(socket)[Symbol.asyncIterator]();
  const expect = async (code: string): Promise<void> => {
    for (;;) {
      const { value: line = '' } = await replies.next();
      if (!line.startsWith(code)) throw new Error(`got ${line}, want ${code}`);
      if (line[3] !== '-') return;
    }
  };
  await expect('220');
  socket.write('EHLO bench.example\r\n');
  await expect('250');
  for (let message = batch.pop(); message !== undefined; message = batch.pop()) {
    const to = /^To: (.*)\r$/m.exec(message.toString('latin1', 0, 200))?.[1] ?? '';
    socket.write(`MAIL FROM:<calendar-notification@google.example>\r\nRCPT TO:<${to}>\r\nDATA\r\n`);
    await expect('250');
    await expect('250');
    await expect('354');
    socket.write(Buffer.concat([message, Buffer.from('.\r\n')]));
    await expect('250');
  }
  socket.end('QUIT\r\n');
}

/** The cheapest mail server there can be: says yes to everything and looks only for the end of data. */
function discardMail(socket: import('node:net').Socket): void {
  let inData = false;
  let rest = '';
  socket.setNoDelay(true).on('error', () => socket.destroy());
  socket.write('220 sink.example ESMTP\r\n');
  socket.on('data', (chunk: Buffer) => {
    rest += chunk.toString('latin1');
    for (;;) {
      const end = inData ? rest.indexOf('\r\n.\r\n') : rest.indexOf('\r\n');
      if (end < 0) {
        if (inData) rest = rest.slice(-4);
        return;
      }
      const line = inData ? '.' : rest.slice(0, end);
      rest = rest.slice(end + (inData ? 5 : 2));
      inData = !inData && /^DATA/i.test(line);
      socket.write(
        inData
          ? '354 go\r\n'
          : /^EHLO/i.test(line)
            ? '250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 DSN\r\n'
            : '250 2.0.0 ok\r\n',
      );
    }
  });
}
