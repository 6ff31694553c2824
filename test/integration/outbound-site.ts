import { rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteStore } from '../../src/queue/sqlite.ts';
import type { Store } from '../../src/queue/store.ts';
import { freePorts } from '../servers/ports.ts';
import { type Postfix, startPostfix } from '../servers/servers.ts';
import { type Gateway, startGateway } from './harness.ts';
import { MailSink, type SinkMail } from './mail-sink.ts';
import { readPage, writeSnippet } from './postfix-page.ts';
import { people } from './relay-site.ts';

/**
 * The site example.test: the gateway behind Postfix as its page says, and calendar servers of the test's. Mail from the
 * world comes by Postfix, and what leaves for it does too.
 */
export type OutboundSite = {
  readonly gateway: Gateway;
  /** The queue and the journal, opened beside the gateway. */
  readonly store: Store;
  readonly postfix: Postfix;
  /** Where mailboxes would be. */
  readonly mailboxes: MailSink;
  /** Where mail for everybody else goes. */
  readonly world: MailSink;
  [Symbol.asyncDispose](): Promise<void>;
};

export type OutboundSiteOptions = {
  /** Port of the listener `own`, which calendar servers send mail to. */
  readonly ownPort: number;
  /** Whose calendar is where: address → back end. */
  readonly users: Readonly<Record<string, string>>;
  /** Entries of `calendar.back-ends`, each what stands between the braces. */
  readonly backEnds: Readonly<Record<string, string>>;
  /** Lines of `outbound`, beside its address. */
  readonly outbound?: readonly string[];
  /** Whole further sections. */
  readonly more?: string;
};

/** The address that everything composed or with VERP comes from, without its token. */
export const GATEWAY_ADDRESS = 'calendar@example.test';

export async function startOutboundSite(options: OutboundSiteOptions): Promise<OutboundSite> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'imipd-outbound-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const ldif = join(folder, 'people.ldif');
  await writeFile(ldif, people(options.users));
  const [port, reinject, entry] = (await freePorts(3)) as [number, number, number];
  const mailboxes = stack.use(await MailSink.listen('lmtp'));
  const world = stack.use(await MailSink.listen('smtp'));
  const ports = { gateway: port, reinject, entry, store: mailboxes.port };
  const files = [...readPage('As received', ports), ...readPage('Answers and bounces', ports)].map((file) => ({
    ...file,
    // The page: "If you have a transport map already, name both tables".
    text: file.text.replace('/imipd_addresses\n', '/imipd_addresses, texthash:$config_directory/site_transport\n'),
  }));
  const snippet = stack.adopt(await writeSnippet(files), (path) => rmSync(path, { recursive: true, force: true }));
  const postfix = stack.use(
    await startPostfix({
      entry,
      store: `lmtp:[127.0.0.1]:${mailboxes.port}`,
      world: `smtp:[127.0.0.1]:${world.port}`,
      domains: ['example.test'],
      snippet,
    }),
  );
  const page = files.flatMap(({ name, text }) => (name === 'imipd.yaml' ? [text] : [])).join('');
  const backEnds = Object.entries(options.backEnds).map(([name, fields]) => `    ${name}: {${fields}}`);
  const gateway = stack.use(
    await startGateway(`
${page.replace(/^listeners:\n/m, `$&  - {name: own, address: '127.0.0.1:${options.ownPort}', origin: inside}\n`)}
${(options.outbound ?? []).map((line) => `  ${line}`).join('\n')}
directory: {kind: ldif, file: '${ldif}'}
calendar:
  back-ends:
${backEnds.join('\n')}
queue:
  post-retry: [300ms]
  mail-retry: [300ms]
${options.more ?? ''}
`),
  );
  const store = stack.use(await openSqliteStore({ folder: join(gateway.folder, 'var'), exclusive: false }));
  const owned = stack.move();
  return { gateway, store, postfix, mailboxes, world, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Whether an envelope sender is one that names a recipient: `calendar+TOKEN@domain`. */
export function isVerp(address: string, base = GATEWAY_ADDRESS): boolean {
  const [local, domain] = base.split('@') as [string, string];
  return address.startsWith(`${local}+`) && address.endsWith(`@${domain}`) && address.length > base.length + 20;
}

/** The mails of this sink for one recipient whose content has this text, once there are `count`. */
export function mailsFor(sink: MailSink, recipient: string, text: string, count = 1): Promise<readonly SinkMail[]> {
  return sink.waitFor(
    (mail) => mail.recipients.some(({ address }) => address === recipient) && holds(mail, text),
    count,
  );
}

/** Whether a mail has this text, in the clear or in a base64 part. */
export function holds({ content }: SinkMail, text: string): boolean {
  if (content.includes(text)) return true;
  return content
    .toString('latin1')
    .split(/\r\n\r\n|\r\n--/)
    .some((part) => /^[A-Za-z0-9+/=\r\n]+$/.test(part) && Buffer.from(part, 'base64').includes(text));
}
