import { rmSync } from 'node:fs';
import { freePorts } from '../servers/ports.ts';
import {
  type Cyrus,
  type Davical,
  PASSWORD,
  type Postfix,
  type Slapd,
  startCyrus,
  startDavical,
  startPostfix,
  startSlapd,
} from '../servers/servers.ts';
import { CyrusCalendar } from './caldav.ts';
import { type Gateway, startGateway } from './harness.ts';
import { HttpRecorder } from './http-recorder.ts';
import { MailSink } from './mail-sink.ts';
import { type PageFile, type PagePorts, readPage, type Way, writeSnippet } from './postfix-page.ts';

/** A whole site: directory, calendar servers, Postfix set up as its page says, and the gateway between them. */
export type Site = {
  readonly slapd: Slapd;
  /** Back end `defaultbackend`: alice and bob, behind `posts`. */
  readonly first: Cyrus;
  /** Back end `second`: lena. */
  readonly second: Cyrus;
  /** Back end `signed`: kate. Refuses what is not signed. */
  readonly davical: Davical;
  /** What was posted to `first`. */
  readonly posts: HttpRecorder;
  readonly postfix: Postfix;
  readonly gateway: Gateway;
  /** Where mailboxes would be. */
  readonly store: MailSink;
  /** Where mail for everybody else goes. */
  readonly world: MailSink;
  readonly calendars: Readonly<Record<'alice' | 'bob' | 'lena', CyrusCalendar>>;
  [Symbol.asyncDispose](): Promise<void>;
};

export type SiteOptions = {
  /** Virtual aliases, address → target. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Last change to a file that the page says to write, for a site that differs from the page. */
  readonly change?: (file: PageFile, ports: PagePorts) => string;
};

export async function startSite(way: Way, options: SiteOptions = {}): Promise<Site> {
  const { aliases = {}, change = (file: PageFile) => file.text } = options;
  await using stack = new AsyncDisposableStack();
  const [gatewayPort, reinject, entry] = (await freePorts(3)) as [number, number, number];
  const store = stack.use(await MailSink.listen('lmtp'));
  const world = stack.use(await MailSink.listen('smtp'));
  const ports = { gateway: gatewayPort, reinject, entry, store: store.port };
  const files = readPage(way, ports).map((file) => ({ name: file.name, text: change(file, ports) }));
  const snippet = stack.adopt(await writeSnippet(files), (folder) => rmSync(folder, { recursive: true, force: true }));

  const starting = [
    startSlapd(),
    startCyrus({ users: ['alice@example.test', 'bob@example.test'], smtpOut: world.port }),
    startCyrus({ users: ['lena@example.test'], smtpOut: world.port }),
    startDavical({ users: ['kate'] }),
    startPostfix({
      entry,
      store: `lmtp:[127.0.0.1]:${store.port}`,
      world: `smtp:[127.0.0.1]:${world.port}`,
      aliases,
      snippet,
    }),
  ] as const;
  for (const result of await Promise.allSettled(starting)) {
    if (result.status === 'fulfilled') stack.use(result.value);
  }
  const [slapd, first, second, davical, postfix] = await Promise.all(starting);

  const posts = stack.use(await HttpRecorder.listen(first.ischedule));
  const page = files.find((file) => file.name === 'imipd.yaml')?.text ?? '';
  const gateway = stack.use(
    await startGateway(page + directoryYaml(slapd) + calendarYaml(posts.url, second.ischedule, davical.ischedule)),
  );
  const calendars = {
    alice: new CyrusCalendar(first.url, 'alice@example.test'),
    bob: new CyrusCalendar(first.url, 'bob@example.test'),
    lena: new CyrusCalendar(second.url, 'lena@example.test'),
  };
  const owned = stack.move();
  return {
    slapd,
    first,
    second,
    davical,
    posts,
    postfix,
    gateway,
    store,
    world,
    calendars,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export function directoryYaml(slapd: Slapd): string {
  return `
directory:
  kind: ldap
  preset: sun
  servers: ['${slapd.url}']
  bind-dn: ${slapd.bindDn}
  password: ${PASSWORD}
  base: ${slapd.base}
`;
}

/** Three back ends by the marker's value, and a retry soon. */
export function calendarYaml(first: string, second: string, signed: string): string {
  return `
calendar:
  back-ends:
    defaultbackend: {url: '${first}', profile: cyrus}
    second: {url: '${second}', profile: cyrus}
    signed: {url: '${signed}', profile: davical}
queue:
  post-retry: [1s]
`;
}
