import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CalendarServer6, type Cs6Options } from '../peers/calendar-server-6.ts';
import type { Cs6User } from '../peers/calendar-server-6-calendars.ts';
import { suite } from '../servers/installed.ts';
import { freePorts } from '../servers/ports.ts';
import { PASSWORD, type Slapd, startSlapd } from '../servers/servers.ts';
import { Day, type Row, rowsOfCalendars, wcapPath } from './busy-site.ts';
import { folderWith } from './cli.ts';
import { changeEntry } from './directory-admin.ts';
import { type Gateway, type LogLine, startGateway } from './harness.ts';
import { ask, type PeerAnswer } from './ischedule-peer.ts';
import { directoryYaml } from './site.ts';

const [ALICE, BOB] = ['alice@example.test', 'bob@example.test'];
const DAVE = 'dave@example.test';
const ERIN = 'erin@example.test';
/** Of v6 by the directory; its database has no calendar of his. */
const IVAN = 'ivan@sales.test';
const NOBODY = 'nobody@example.test';
const DN = (uid: string): string => `uid=${uid},ou=People,o=example.test,o=isp`;

/** Where v6, those whom it sends on and a web page that is sent on by us connect from. */
const CS6 = '127.0.0.1';
const BROWSER = '127.0.0.5';
const PAGE = '127.0.0.6';

const day = Day.ahead(7);
const WHOLE = '00:00-24:00';

/** One who is busy for the hour that begins so many hours after midnight. */
function busyAt(hour: number, mail: string): Cs6User {
  const uid = mail.slice(0, mail.indexOf('@'));
  return { uid, mail: [mail], calendars: [{ calid: uid, busy: [{ start: day.at(hour), end: day.at(hour + 1) }] }] };
}
/** The answer about him. */
function told(attendee: string, hour: number): Row {
  const clock = (hours: number) => `${String(hours).padStart(2, '0')}:00`;
  return { attendee, said: '0', window: WHOLE, times: [`${clock(hour)}-${clock(hour + 1)} BUSY`] };
}

/** Those of v6, in the morning. Bob's marker is set, and his data are here still. */
const ON_V6 = [busyAt(7, DAVE), busyAt(8, BOB), busyAt(9, ERIN)];
/** Those of v7, in the afternoon. Erin's data have been copied. */
const ON_V7 = [busyAt(13, ALICE), busyAt(14, ERIN)];

suite(['slapd'], 'while users move from v6 to v7', () => {
  const open = new AsyncDisposableStack();
  let slapd: Slapd;
  beforeAll(async () => {
    slapd = open.use(await startSlapd());
  });
  afterAll(() => open.disposeAsync());

  type Site = { readonly v6: CalendarServer6; readonly v7: CalendarServer6; readonly gateway: Gateway };

  const sites = new Map<string, Promise<Site>>();
  /** One for each way in which v6 sends on whom it does not know. Its servers have not been asked anything yet. */
  async function siteBy(by: '302' | 'relay'): Promise<Site> {
    const starting = sites.get(by) ?? startSite(by);
    sites.set(by, starting);
    const site = await starting;
    site.v6.requests.length = 0;
    site.v7.requests.length = 0;
    return site;
  }

  /** Both servers, played by stand-ins, with the gateway between them. */
  async function startSite(by: '302' | 'relay', options: Partial<Omit<Cs6Options, 'redirect'>> = {}): Promise<Site> {
    const logins = [{ user: 'calmaster', password: PASSWORD, overridesAcl: true }];
    const v6 = open.use(await CalendarServer6.listen({ users: ON_V6, logins, ...options }));
    const v7 = open.use(await CalendarServer6.listen({ users: ON_V7 }));
    const map = ['example.test', 'sales.test'].map((domain) => `${domain}=${v6.url}ischedule/`).join('\n');
    const folder = open.use(await folderWith({ 'map.properties': `${map}\n` }));
    const gateway = open.use(
      await startGateway(`
hostname: imipd.example.test
domains: [example.test, sales.test]
listeners: [{name: in, address: '127.0.0.1:0'}]
next-hop: {address: '127.0.0.1:9'}
${directoryYaml(slapd)}
  cache: {ttl: 0s, miss-ttl: 0s}
calendar:
  back-ends:
    defaultbackend: {url: '${v7.url}ischedule/', profile: oracle-v7}
  domain-map: '${folder.path}/map.properties'
http: {service: {address: '127.0.0.1:0'}}
free-busy:
  servers:
    - {url: '${v6.url}', by: wcap, at: '${v6.url}', user: calmaster, password: ${PASSWORD}, front-end: '${v6.url}'}
    - {url: '${v7.url}', front-end: '${v7.url}'}
  clients:
    - {name: cs6, networks: [${CS6}], unknown: told}
    - {name: browsers, networks: [${BROWSER}], unknown: told}
    - {name: page, networks: [${PAGE}], wcap: redirect, unknown: told}
`),
    );
    v6.redirect = { url: `http://127.0.0.1:${gateway.port('service')}`, by };
    return { v6, v7, gateway };
  }

  /** Asks as a calendar program does that follows where it is sent. */
  async function askV6({ v6 }: Site, parameters: Readonly<Record<string, string>>): Promise<PeerAnswer> {
    const answer = await ask(Number(v6.url.port), { path: wcapPath(day, parameters), from: BROWSER });
    return answer.status === 302 ? await follow(answer) : answer;
  }

  async function follow({ headers: { location = '' } }: PeerAnswer, from = BROWSER): Promise<PeerAnswer> {
    const { port, pathname, search } = new URL(location);
    return await ask(Number(port), { path: `${pathname}${search}`, from });
  }

  function askGateway(
    { gateway }: Site,
    parameters: Readonly<Record<string, string>>,
    from = CS6,
  ): Promise<PeerAnswer> {
    return ask(gateway.port('service'), { path: wcapPath(day, parameters), from });
  }

  /** How often each server was asked for busy times. */
  function asked({ v6, v7 }: Site): Readonly<Record<'v6' | 'v7', number>> {
    return { v6: v6.asked('get_freebusy.wcap').length, v7: v7.asked('ischedule').filter(isPost).length };
  }

  const isPost = ({ method }: { readonly method: string }): boolean => method === 'POST';

  test.each(['relay', '302'] as const)('a user of v6 sees the times of one of v7, by %s', async (by) => {
    const site = await siteBy(by);
    expect(rowsOfCalendars(day, (await askV6(site, { mail: ALICE })).body)).toEqual([told(ALICE, 13)]);
    expect(rowsOfCalendars(day, (await askV6(site, { calid: 'alice' })).body)).toEqual([told('alice', 13)]);
    expect(asked(site)).toEqual({ v6: 2, v7: 2 });
  });

  test.each(['relay', '302'] as const)('whom nobody knows is unknown to one who asks v6, by %s', async (by) => {
    const site = await siteBy(by);
    expect(await askV6(site, { mail: NOBODY })).toMatchObject({ status: 200, body: '' });
    expect(asked(site)).toEqual({ v6: 1, v7: 0 });
  });

  test.each(['relay', '302'] as const)(
    'whom the directory has on v6, and v6 does not know, is looked for there once more and on v7, by %s',
    async (by) => {
      const site = await siteBy(by);
      expect(await askV6(site, { mail: IVAN })).toMatchObject({ status: 200, body: '' });
      expect(asked(site)).toEqual({ v6: 2, v7: 1 });
      const [, again] = site.v6.asked('get_freebusy.wcap');
      expect(again?.parameters.get('noredirect')).toBe('1');
    },
  );

  test('a v6 that sends on although it is asked not to ends in 39, with one line of alarm', async () => {
    const site = await startSite('relay', { ignoresNoRedirect: true });
    const { body } = await askV6(site, { mail: IVAN });
    expect(rowsOfCalendars(day, body)).toEqual([{ attendee: IVAN, said: '39', times: [] }]);
    expect(asked(site)).toEqual({ v6: 2, v7: 0 });
    await askers(site.gateway, 2);
    expect(alarms(site.gateway)).toMatchObject([{ level: 'warn', rule: 'loop', asker: 'cs6' }]);
  });

  test('one who is being moved is asked about on v6, his marker set or not, and on v7 when he is there', async () => {
    const site = await siteBy('relay');
    const erins = async () => rowsOfCalendars(day, (await askGateway(site, { mail: ERIN })).body);
    expect(await erins()).toEqual([told(ERIN, 9)]);
    const mark = ['add: objectClass', 'objectClass: davEntity', '-', 'add: davStore', 'davStore: defaultbackend'];
    await changeEntry(slapd, DN('erin'), ...mark);
    expect([await erins(), asked(site)]).toEqual([[told(ERIN, 9)], { v6: 2, v7: 0 }]);
    await changeEntry(slapd, DN('erin'), 'replace: mailUserStatus', 'mailUserStatus: active');
    expect([await erins(), asked(site)]).toEqual([[told(ERIN, 14)], { v6: 2, v7: 1 }]);
  });

  test('one whose marker is set and whom v7 does not know yet is found on v6', async () => {
    const site = await siteBy('relay');
    expect(rowsOfCalendars(day, (await askGateway(site, { mail: BOB })).body)).toEqual([told(BOB, 8)]);
    expect(asked(site)).toEqual({ v6: 1, v7: 1 });
  });

  test('a list of users of both is busy when one of them is, and each server is asked for all of its own at once', async () => {
    const site = await siteBy('relay');
    const [row, ...more] = rowsOfCalendars(day, (await askV6(site, { mail: 'team@example.test' })).body);
    expect([row?.said, row?.times, more]).toEqual(['0', ['07:00-09:00 BUSY', '13:00-14:00 BUSY'], []]);
    // v6 itself, and by us for dave, and for bob once v7 did not know him.
    expect(asked(site)).toEqual({ v6: 3, v7: 1 });
  });

  test('a calid is found by icsCalendar and by uid, and answered as it was asked', async () => {
    const site = await siteBy('relay');
    await changeEntry(slapd, DN('dave'), 'replace: icsCalendar', 'icsCalendar: davis');
    const { body } = await askGateway(site, { calid: 'davis;alice;nobody' });
    expect(rowsOfCalendars(day, body)).toEqual([
      told('davis', 7),
      told('alice', 13),
      { attendee: 'nobody', said: '29', times: [] },
    ]);
  });

  test.each([
    [ALICE, 'v7', 13],
    [DAVE, 'v6', 7],
  ] as const)('a client that may be sent on is sent to the front end of %s, %s', async (mail, home, hour) => {
    const site = await siteBy('relay');
    const answer = await askGateway(site, { mail, id: 'a-session-of-another' }, PAGE);
    expect(answer.status).toBe(302);
    const location = new URL(answer.headers.location ?? '');
    expect([location.origin, location.pathname]).toEqual([site[home].url.origin, '/get_freebusy.wcap']);
    const { noredirect, id } = Object.fromEntries(location.searchParams);
    expect({ noredirect, id }).toEqual({ noredirect: '1', id: undefined });
    expect(rowsOfCalendars(day, (await follow(answer, PAGE)).body)).toMatchObject([
      { ...told(mail, hour), attendee: mail.slice(0, mail.indexOf('@')) },
    ]);
  });

  test.each([
    ['asks with noredirect=1', { mail: ALICE, noredirect: '1' }, [told(ALICE, 13)]],
    ['asks about users of two servers', { mail: `${ALICE};${DAVE}` }, [told(ALICE, 13), told(DAVE, 7)]],
  ] as const)('a client that may be sent on is answered when it %s', async (_, parameters, rows) => {
    const site = await siteBy('relay');
    const answer = await askGateway(site, parameters, PAGE);
    expect([answer.status, rowsOfCalendars(day, answer.body)]).toEqual([200, rows]);
  });

  test('a session that v6 has ended between two questions is opened anew, and both are answered', async () => {
    const site = await siteBy('relay');
    const daves = async () => rowsOfCalendars(day, (await askGateway(site, { mail: DAVE })).body);
    expect(await daves()).toEqual([told(DAVE, 7)]);
    site.v6.expireSessions();
    site.v6.requests.length = 0;
    expect([await daves(), await daves()]).toEqual([[told(DAVE, 7)], [told(DAVE, 7)]]);
    const commands = site.v6.requests.map(({ command }) => command);
    expect(commands).toEqual(['get_freebusy.wcap', 'login.wcap', 'get_freebusy.wcap', 'get_freebusy.wcap']);
  });

  test('imipd check says that v6 answers, and of a wrong password that it is wrong', async () => {
    const { gateway, v6 } = await siteBy('relay');
    const line = (out: string) => out.split('\n').find((one) => one.includes(`free/busy server ${v6.url}`));
    const right = await gateway.command('check');
    expect(line(right.out)).toMatch(/answers \(asked about calendar@example\.test, which it does not know\)/);
    const yaml = readFileSync(gateway.config, 'utf8');
    gateway.write(yaml.replace('user: calmaster, password: secret', 'user: calmaster, password: wrong'));
    const wrong = await gateway.command('check');
    gateway.write(yaml);
    expect([wrong.code, line(wrong.out)]).toEqual([69, expect.stringMatching(/does not answer: .*\bpassword\b/)]);
  });

  test('two gateways that take each other for the home of a user say 39, and each question one line of alarm', async () => {
    const ports = (await freePorts(2)) as [number, number];
    const start = async (name: string, port: number, other: number) => {
      const folder = open.use(
        await folderWith({ 'map.properties': `example.test=http://127.0.0.1:${other}/ischedule/\n` }),
      );
      return open.use(
        await startGateway(`
hostname: ${name}.example.test
domains: [example.test]
listeners: [{name: in, address: '127.0.0.1:0'}]
next-hop: {address: '127.0.0.1:9'}
${directoryYaml(slapd)}
calendar: {domain-map: '${folder.path}/map.properties'}
http: {service: {address: '127.0.0.1:${port}'}}
ischedule:
  peers: [{name: other, origin: inside, domains: [example.test], networks: [127.0.0.1]}]
free-busy:
  clients: [{name: page, networks: [${PAGE}], unknown: told}]
`),
      );
    };
    const first = await start('first', ports[0], ports[1]);
    const second = await start('second', ports[1], ports[0]);
    const daves = async (port: number) => {
      const { body } = await ask(port, { path: wcapPath(day, { mail: DAVE }), from: PAGE });
      return rowsOfCalendars(day, body);
    };
    const nothing: Row = { attendee: DAVE, said: '39', times: [] };

    expect(await daves(ports[0])).toEqual([nothing]);
    expect([await askers(first, 2), await askers(second, 1)]).toEqual([['other', 'page'], ['other']]);
    expect(alarms(first)).toMatchObject([{ level: 'warn', rule: 'loop', asker: 'other' }]);
    expect(alarms(second)).toEqual([]);

    expect(await daves(ports[1])).toEqual([nothing]);
    expect([await askers(first, 3), await askers(second, 3)]).toEqual([
      ['other', 'page', 'other'],
      ['other', 'other', 'page'],
    ]);
    expect(alarms(first)).toHaveLength(1);
    expect(alarms(second)).toMatchObject([{ level: 'warn', rule: 'loop', asker: 'other' }]);
  });
});

/** Who asked it for busy times, once so many questions are over. */
async function askers(gateway: Gateway, count: number): Promise<readonly unknown[]> {
  const isQuestion = ({ msg }: LogLine): boolean => msg === 'busy times asked';
  await gateway.waitForLines(isQuestion, count);
  return gateway.log.filter(isQuestion).map(({ asker }) => asker);
}

/** Lines that an operator should look at: of a question, before the one that says that it is over. */
function alarms({ log }: Gateway): readonly LogLine[] {
  return log.filter(({ alarm }) => alarm === true);
}
