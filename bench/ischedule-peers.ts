import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';

// The other end, forked by `ischedule.bench.ts`: a calendar server that says 2.0 to everybody and an SMTP server that
// takes everything, with what they have counted.

/** Asked by message. @param mails answer when so many have come since the start @param take with their content */
export type PeersQuestion = { readonly mails: number; readonly take: boolean };
/** A mail as it stood between DATA and the dot, dots stuffed. */
export type Taken = { readonly to: string; readonly content: string };
export type PeersAnswer = { readonly posts: number; readonly octets: number; readonly taken: readonly Taken[] };
export type PeersReady = { readonly calendarPort: number; readonly mailPort: number };

const MOST_KEPT = 2000;
const kept: Taken[] = [];
let posts = 0;
let mails = 0;
let octets = 0;
let asked: PeersQuestion | undefined;

const calendar = createHttpServer((request, response) => {
  const recipients = request.rawHeaders.filter((_, index, all) => all[index - 1] === 'Recipient');
  if (request.method === 'POST') posts += 1;
  request.resume().on('end', () => {
    const answers = recipients.map(
      (one) => `<response><recipient>${one}</recipient><request-status>2.0;Success</request-status></response>`,
    );
    response.setHeader('Content-Type', 'application/xml');
    response.end(`<schedule-response xmlns="urn:ietf:params:xml:ns:ischedule">${answers.join('')}</schedule-response>`);
  });
}).listen(0, '127.0.0.1');
const mail = createTcpServer(takeMail).listen(0, '127.0.0.1');
await Promise.all([once(calendar, 'listening'), once(mail, 'listening')]);
const [calendarPort = 0, mailPort = 0] = [calendar, mail].map((server) => (server.address() as AddressInfo).port);
process.on('message', (question: PeersQuestion) => {
  asked = question;
  answerWhenThere();
});
process.send?.({ calendarPort, mailPort } satisfies PeersReady);

function answerWhenThere(): void {
  if (asked === undefined || mails < asked.mails) return;
  const answer: PeersAnswer = { posts, octets, taken: asked.take ? kept.splice(0) : [] };
  if (!asked.take) kept.length = 0;
  asked = undefined;
  process.send?.(answer);
}

/** The cheapest mail server there can be: says yes to everything and looks for nothing but recipient and end of data. */
function takeMail(socket: Socket): void {
  let inData = false;
  let to = '';
  let rest = '';
  const answer = (line: string): string => {
    if (/^EHLO/i.test(line)) return '250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 DSN\r\n';
    if (/^RCPT/i.test(line)) to = /<(.*?)>/.exec(line)?.[1] ?? '';
    inData = /^DATA/i.test(line);
    return inData ? '354 go\r\n' : '250 2.0.0 ok\r\n';
  };
  socket.setNoDelay(true).on('error', () => socket.destroy());
  socket.write('220 sink.example ESMTP\r\n');
  socket.on('data', (chunk: Buffer) => {
    rest += chunk.toString('latin1');
    let replies = '';
    for (;;) {
      const end = rest.indexOf(inData ? '\r\n.\r\n' : '\r\n');
      if (end < 0) break;
      const piece = rest.slice(0, end);
      rest = rest.slice(end + (inData ? 5 : 2));
      if (inData) {
        inData = false;
        mails += 1;
        octets += end + 2;
        if (kept.length < MOST_KEPT) kept.push({ to, content: `${piece}\r\n` });
        replies += '250 2.0.0 ok\r\n';
      } else replies += answer(piece);
    }
    if (replies !== '') socket.write(replies);
    answerWhenThere();
  });
}
