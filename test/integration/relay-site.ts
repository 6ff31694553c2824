import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteStore } from '../../src/queue/sqlite.ts';
import type { Delivery, Store } from '../../src/queue/store.ts';
import { type Gateway, startGateway } from './harness.ts';
import { MailSink } from './mail-sink.ts';

/** A gateway that takes posts and makes them. Its calendar servers are the test's. */
export type RelaySite = {
  readonly gateway: Gateway;
  /** The queue, opened beside the gateway. */
  readonly store: Store;
  /** The next hop of both listeners of mail: `in`, whose mail comes from outside, and `own`, whose senders are ours. */
  readonly mailboxes: MailSink;
  /** The smart host: mail for other domains, and reports. */
  readonly world: MailSink;
  [Symbol.asyncDispose](): Promise<void>;
};

export type RelaySiteOptions = {
  /** Our domains; `host.` before the first is the gateway's own name. */
  readonly domains: readonly string[];
  /** Whose calendar is where: address → back end. */
  readonly users: Readonly<Record<string, string>>;
  /** Entries of `calendar.back-ends`, each what stands between the braces. */
  readonly backEnds: Readonly<Record<string, string>>;
  /** Port of the listener `own`; any free one when absent. */
  readonly ownPort?: number;
  /** Ports of further smart hosts. */
  readonly fallbacks?: readonly number[];
  /** Lines of the domain map. */
  readonly domainMap?: readonly string[];
  /** Whole further sections. */
  readonly more: string;
};

export async function startRelaySite(options: RelaySiteOptions): Promise<RelaySite> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'imipd-relay-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const [ldif, map] = [join(folder, 'people.ldif'), join(folder, 'map.properties')];
  await writeFile(ldif, people(options.users));
  await writeFile(map, `${(options.domainMap ?? []).join('\n')}\n`);
  const mailboxes = stack.use(await MailSink.listen('smtp'));
  const world = stack.use(await MailSink.listen('smtp'));
  const backEnds = Object.entries(options.backEnds).map(([name, fields]) => `    ${name}: {${fields}}`);
  const fallbacks = (options.fallbacks ?? []).map((port) => `'127.0.0.1:${port}'`);
  const gateway = stack.use(
    await startGateway(`
hostname: host.${options.domains[0]}
domains: [${options.domains.join(', ')}]
listeners:
  - {name: in, address: '127.0.0.1:0'}
  - {name: own, address: '127.0.0.1:${options.ownPort ?? 0}', origin: inside}
directory: {kind: ldif, file: '${ldif}'}
calendar:
${backEnds.length === 0 ? '' : `  back-ends:\n${backEnds.join('\n')}\n`}  domain-map: '${map}'
next-hop: {address: '127.0.0.1:${mailboxes.port}'}
smart-host: {address: '127.0.0.1:${world.port}', fallbacks: [${fallbacks.join(', ')}]}
queue:
  post-retry: [300ms]
  mail-retry: [300ms]
${options.more}
`),
  );
  const store = stack.use(await openSqliteStore({ folder: join(gateway.folder, 'var'), exclusive: false }));
  const owned = stack.move();
  return { gateway, store, mailboxes, world, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Deliveries of all messages with this UID, oldest message first, as `post to a@b: state`. */
export function statesOfUid({ store }: Pick<RelaySite, 'store'>, uid: string): readonly string[] {
  return deliveriesOfUid({ store }, uid).map(({ kind, recipient, state }) => `${kind} to ${recipient}: ${state}`);
}

export function deliveriesOfUid({ store }: Pick<RelaySite, 'store'>, uid: string): readonly Delivery[] {
  return store.list({}).filter(({ message }) => message.uid === uid);
}

/** The directory, as LDIF. */
export function people(users: Readonly<Record<string, string>>): string {
  const entries = Object.entries(users).map(([address, backEnd]) =>
    [
      `dn: mail=${address},o=isp`,
      ...['inetOrgPerson', 'inetMailUser', 'icsCalendarUser', 'davEntity'].map((name) => `objectClass: ${name}`),
      `uid: ${address.replace('@', '.')}`,
      `cn: ${address}`,
      `mail: ${address}`,
      `davStore: ${backEnd}`,
    ].join('\n'),
  );
  return ['dn: o=isp\nobjectClass: organization\no: isp', ...entries, ''].join('\n\n');
}
