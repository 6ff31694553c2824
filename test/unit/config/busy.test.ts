import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  busyAddressOf,
  busyClientsOf,
  busyPolicyOf,
  busyServerFor,
  defaultDomainOf,
} from '../../../src/config/busy.ts';
import { parseConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/options.ts';
import { peersOf } from '../../../src/config/peers.ts';
import { mappingOf } from '../../../src/config/policy.ts';
import { ConfigFolder } from './folder.ts';

const DAY_MS = 86_400_000;
const CS6 = 'http://cs6.example.com:8080/';

let folder: ConfigFolder;

beforeAll(() => {
  folder = new ConfigFolder();
  const out = ['-keyout', `${folder.path}/a.key`, '-out', `${folder.path}/a.pem`];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
  execFileSync('openssl', ['req', '-x509', ...kind, ...out, '-subj', '/CN=a.test'], { stdio: 'ignore' });
  folder.write('map.properties', `example.com=${CS6}ischedule/\n`);
});
afterAll(() => folder[Symbol.dispose]());

function read(changes: Readonly<Record<string, unknown>>) {
  const input = {
    hostname: 'imipd.example.com',
    domains: ['example.com', 'example.net'],
    listeners: [{ name: 'in' }],
    directory: { kind: 'ldif', file: 'people.ldif' },
    calendar: { default: { url: 'https://cal7.example.com/ischedule/' }, 'domain-map': 'map.properties' },
    'next-hop': { address: '127.0.0.1:10026' },
    http: { service: {} },
    ...changes,
  };
  return parseConfig(input, 'x', { TOKEN: 'wort' }, folder.path);
}

function load(changes: Readonly<Record<string, unknown>>): Config {
  const loaded = read(changes);
  if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
  return loaded.config;
}

/** Everything said of a configuration that is right but for what is put in; warnings in brackets. */
function said(freeBusy: unknown, more: Readonly<Record<string, unknown>> = {}): readonly string[] {
  const loaded = read({ 'free-busy': freeBusy, ...more });
  const plain = (text: string): string => text.slice('x: '.length).replaceAll(`${folder.path}/`, '');
  return [...(loaded.ok ? [] : loaded.errors.map(plain)), ...loaded.warnings.map((text) => `(${plain(text)})`)];
}

const cs6Client = { name: 'cs6', networks: ['10.0.0.6'] };
const clients = [cs6Client];
const withServer = (server: object) => ({ clients, servers: [{ url: CS6, ...server }] });
const wcap = { by: 'wcap', at: 'https://cs6.example.com/' };

describe('the section free-busy', () => {
  test('is absent where it is not named, and has every default where it is', () => {
    expect(load({}).freeBusy).toBeUndefined();
    expect(load({ 'free-busy': {} }).freeBusy).toEqual({
      deadlineMs: 4000,
      maxAttendees: 100,
      groupLimit: 50,
      cacheMs: 0,
      url: false,
      breaker: { failures: 5, pauseMs: 30_000 },
      publishedHosts: [],
      servers: [],
      clients: [],
    });
  });

  test('speaks for its address, else that of outbound, else calendar@ our first domain', () => {
    const outbound = { address: 'invite@example.com' };
    expect([
      busyAddressOf(load({ 'free-busy': { address: 'fb@Example.COM' }, outbound })),
      busyAddressOf(load({ 'free-busy': {}, outbound })),
      busyAddressOf(load({ 'free-busy': {} })),
    ]).toEqual(['fb@example.com', 'invite@example.com', 'calendar@example.com']);
  });

  test('completes calendar ids by its default domain, else our first', () => {
    expect([
      defaultDomainOf(load({ 'free-busy': { 'default-domain': 'Example.NET' } })),
      defaultDomainOf(load({ 'free-busy': {} })),
    ]).toEqual(['example.net', 'example.com']);
  });

  test('lets the hosts that it names be asked for published busy times', () => {
    const hosts = ['WWW.example.com', 'cal.example.org:8443', '[2001:db8::1]:80'];
    expect(busyPolicyOf(load({ 'free-busy': { 'published-hosts': hosts } })).publishedHosts).toEqual([
      'www.example.com',
      'cal.example.org:8443',
      '[2001:db8::1]:80',
    ]);
    expect(said({ clients, 'published-hosts': ['https://www.example.com/', 'user@host', ''] })).toHaveLength(3);
  });

  test('keeps its times within their limits', () => {
    const wrong = { deadline: '400ms', cache: '61s', breaker: { pause: '2h' } };
    expect(said({ clients, ...wrong })).toEqual([
      'free-busy.deadline: got "400ms", need a time with a unit from 500ms to 30s, such as 4s',
      'free-busy.cache: got "61s", need a time with a unit from 0s to 60s, such as 0s',
      'free-busy.breaker.pause: got "2h", need a time with a unit from 1s to 1h, such as 30s',
    ]);
  });
});

describe('what somebody may ask', () => {
  const access = { notAbout: [], pastMs: 62 * DAY_MS, aheadMs: 366 * DAY_MS, longestMs: 430 * DAY_MS };

  test('is everything for a peer inside, and of our users without a word about strangers for one outside', () => {
    const peers = [
      { name: 'cal7', origin: 'inside', domains: ['example.com'], networks: ['192.0.2.7'] },
      { name: 'partner', domains: ['example.org'], networks: ['192.0.2.8'] },
    ];
    expect(peersOf(load({ ischedule: { peers } })).map(({ busy }) => busy)).toEqual([
      { ...access, about: ['*'], unknown: 'told' },
      { ...access, about: ['example.com', 'example.net'], unknown: 'hidden' },
    ]);
  });

  test('is what stands with the peer', () => {
    const own = {
      about: ['*.Example.COM', 'Boss@EXAMPLE.net'],
      'not-about': ['vip@example.com'],
      past: 0,
      ahead: '7d',
    };
    const peer = { name: 'p', domains: ['example.org'], networks: ['192.0.2.8'] };
    const peers = [{ ...peer, 'free-busy': { ...own, longest: '1d', unknown: 'told' } }];
    expect(peersOf(load({ ischedule: { peers } }))[0]?.busy).toEqual({
      about: ['*.example.com', 'Boss@example.net'],
      notAbout: ['vip@example.com'],
      pastMs: 0,
      aheadMs: 7 * DAY_MS,
      longestMs: DAY_MS,
      unknown: 'told',
    });
  });

  test('is of our users for a client, whose secrets are digests', () => {
    const tls = { cert: 'a.pem', key: 'a.key' };
    const config = load({
      http: { service: { tls } },
      'free-busy': { clients: [{ name: 'web', bearer: ['env:TOKEN'], protocols: ['url'] }], url: true },
    });
    expect(busyClientsOf(config)).toEqual([
      {
        name: 'web',
        protocols: ['url'],
        wcap: 'relay',
        bearer: [createHash('sha256').update('wort').digest()],
        access: { ...access, about: ['example.com', 'example.net'], unknown: 'hidden' },
      },
    ]);
    expect(JSON.stringify(config)).not.toContain('wort');
  });

  test('is a domain, the domains below one, everybody or an address', () => {
    const wrong = [
      '',
      'example',
      'a@b@',
      '@example.com',
      'a b@example.com',
      '**',
      'x@*.example.com',
      'mailto:a@example.com',
    ];
    const errors = said({ clients: [{ ...cs6Client, about: wrong }] });
    expect(errors.filter((text) => text.includes('need a mail domain, *. before one'))).toHaveLength(wrong.length - 1);
  });

  test('of a domain that nothing leads to is most likely a mistake', () => {
    expect(said({ clients: [{ ...cs6Client, about: ['example.com', 'a@example.net', 'exmaple.com', '*'] }] })).toEqual([
      '(free-busy.clients[0].about: exmaple.com: exmaple.com is none of domains, of the domain map or of ischedule.discovery, so all of it is unknown anyway)',
    ]);
    const ischedule = { discovery: { domains: ['*.example.org'] } };
    expect(said({ clients: [{ ...cs6Client, about: ['cal.example.org', '*.example.org'] }] }, { ischedule })).toEqual(
      [],
    );
  });
});

describe('a client', () => {
  test('has to prove who it is', () => {
    expect(said({ clients: [{ name: 'cs6' }] })).toEqual([
      'free-busy.clients[0]: has no way to prove who it is, need one of networks, certificates, basic, bearer',
    ]);
    expect(said({ clients: [{ name: 'cs6', networks: ['0.0.0.0/0'] }] })).toEqual([
      'free-busy.clients[0].networks: 0.0.0.0/0 is everybody, which proves nothing; name the peer’s addresses',
    ]);
  });

  test('with a password, token or certificate needs TLS for it', () => {
    const client = {
      name: 'web',
      basic: [{ user: 'a', password: 'b' }],
      bearer: ['c'],
      certificates: ['web.example.com'],
    };
    expect(said({ clients: [client] })).toEqual([
      'free-busy.clients[0].basic: would come in clear, need http.service.tls',
      'free-busy.clients[0].bearer: would come in clear, need http.service.tls',
      'free-busy.clients[0].certificates: no client is asked for one, need http.service.tls.client-ca',
    ]);
  });

  test('needs a listener', () => {
    expect(said({ clients }, { http: {} })).toEqual(['free-busy.clients: nobody listens for them, need http.service']);
  });

  test('has a name of its own, among the peers, too', () => {
    const peers = [{ name: 'cs6', domains: ['example.org'], networks: ['192.0.2.8'] }];
    expect(said({ clients: [cs6Client, cs6Client] }, { ischedule: { peers } })).toEqual([
      'free-busy.clients[0].name: a peer of ischedule is called cs6, too, need a name of its own',
      'free-busy.clients[1].name: two clients are called cs6, need a name of its own',
      'free-busy.clients[1].name: a peer of ischedule is called cs6, too, need a name of its own',
    ]);
  });

  test('asks at /freebusy/ only where that is served, which is of no use without one who may', () => {
    expect(said({ clients: [{ ...cs6Client, protocols: ['url'] }] })).toEqual([
      '(free-busy.clients[0].protocols: nothing is served at /freebusy/; set free-busy.url: true)',
    ]);
    expect(said({ clients, url: true })).toEqual([
      '(free-busy.url: no client has url among its protocols, so every question is refused; name it in one of clients)',
    ]);
  });

  test('is what a service is for', () => {
    expect(said({})).toEqual([
      '(http.service: nobody may post to it; name who may in ischedule.peers)',
      '(free-busy: nobody may ask; name who may in ischedule.peers or free-busy.clients)',
    ]);
    expect(said({ clients })).toEqual([]);
  });
});

describe('a server', () => {
  test('is the entry whose URL is the longest beginning of the one that is asked', () => {
    const servers = [
      { url: CS6, ...wcap },
      { url: `${CS6}ischedule/`, by: 'url', at: 'https://cs6.example.com/{address}.ifb' },
    ];
    const config = load({ 'free-busy': { clients, servers } });
    const asked = [`${CS6}ischedule/`, `${CS6}other`, 'http://cs6.example.com:81/', 'https://cal7.example.com/'];
    expect(asked.map((url) => busyServerFor(url, config)?.by)).toEqual(['url', 'wcap', undefined, undefined]);
  });

  test('says where it is asked, unless that is by iSchedule', () => {
    expect(said(withServer(wcap))).toEqual([]);
    expect(said(withServer({ by: 'wcap' }))).toEqual([
      'free-busy.servers[0].at: missing, need the URL that WCAP commands are below, such as http://cs6.example.com/',
    ]);
    expect(said(withServer({ by: 'url' }))).toEqual([
      'free-busy.servers[0].at: missing, need the URL of the document, such as https://calendar.example.com/{address}.ifb',
    ]);
    expect(said(withServer({ at: 'http://cs6.example.com/', user: 'a', password: 'b', as: 'a@example.com' }))).toEqual([
      'free-busy.servers[0].user: does not go with by: ischedule, need it in ischedule.servers',
      'free-busy.servers[0].password: does not go with by: ischedule, need it in ischedule.servers',
      'free-busy.servers[0].at: got http://cs6.example.com/ with by: ischedule, which asks at the URL of the server itself; need by: wcap, caldav or url, or no at',
      'free-busy.servers[0].as: does not go with by: ischedule, need by: caldav or no as',
    ]);
  });

  test('of documents has a URL for each user, on one host', () => {
    const at = (url: string) => said(withServer({ by: 'url', at: url }));
    expect(at('https://cal.example.com/fb/{local}.ifb?s={start}&e={end}')).toEqual([]);
    expect(at('https://cal.example.com/fb')).toEqual([
      'free-busy.servers[0].at: got https://cal.example.com/fb, which is the same for all users, need {address} or {local} in it',
    ]);
    expect(at('https://{domain}/{local}')).toEqual([
      'free-busy.servers[0].at: got https://{domain}/{local}, where the host depends on the user, need one host for all',
    ]);
  });

  test('by caldav is asked as somebody', () => {
    const at = 'https://dav.example.com/cal/svc/outbox/';
    expect(said(withServer({ by: 'caldav', at, user: 'svc', password: 'x', as: 'svc@example.com' }))).toEqual([]);
    expect(said(withServer({ by: 'caldav', at, token: 'x', as: 'svc@example.com' }))).toEqual([]);
    expect(said(withServer({ by: 'caldav', at }))).toEqual([
      'free-busy.servers[0].by: by: caldav asks as a service account, need user and password, or token',
      'free-busy.servers[0].by: by: caldav needs as: the own mail address of the service account, with which ORGANIZER is compared',
    ]);
  });

  test('is logged in to by user and password together', () => {
    expect(said(withServer({ ...wcap, user: 'calmaster' }))).toEqual([
      'free-busy.servers[0].user: has no password, need password beside it',
    ]);
    expect(said(withServer({ ...wcap, password: 'x' }))).toEqual([
      'free-busy.servers[0].password: there is nobody to log in as, need user beside it',
    ]);
    expect(said(withServer({ ...wcap, token: 'x' }))).toEqual([
      'free-busy.servers[0].token: does not go with by: wcap, need user and password',
    ]);
  });

  test('gets no password in clear without a word about it, save on this machine', () => {
    const login = { by: 'wcap', user: 'calmaster', password: 'x' };
    expect(said(withServer({ ...login, at: 'http://cs6.example.com/' }))).toEqual([
      '(free-busy.servers[0].password: goes to cs6.example.com in clear; use https://)',
    ]);
    expect(said(withServer({ ...login, at: 'http://127.0.0.1:8080/' }))).toEqual([]);
  });

  test('is never ourselves', () => {
    const http = { service: { address: '127.0.0.1:8009' } };
    const own = 'http://localhost:8009/';
    expect(said(withServer({ by: 'wcap', at: own }), { http })).toEqual([
      'free-busy.servers[0].at: http://localhost:8009/ is our own listener, so what is sent there runs in a circle; name the calendar server',
    ]);
    const calendar = { default: { url: 'http://127.0.0.1:8009/ischedule/' } };
    expect(said({ clients }, { http, calendar })).toEqual([
      'calendar.default.url: http://127.0.0.1:8009/ischedule/ is our own listener, so what is sent there runs in a circle; name the calendar server',
    ]);
  });

  test('with a front end needs a client that is sent there', () => {
    const server = { ...wcap, 'front-end': 'https://cal7.example.com/davserver/wcap/' };
    expect(said(withServer(server))).toEqual([
      '(free-busy.servers[0].front-end: nobody is ever sent there; set wcap: redirect for one of clients)',
    ]);
    expect(said({ ...withServer(server), clients: [{ ...cs6Client, wcap: 'redirect' }] })).toEqual([]);
  });

  test('with a client that is sent on needs a front end', () => {
    const redirected = [{ ...cs6Client, wcap: 'redirect' }];
    const text = 'redirect sends nobody anywhere; set front-end for one of servers';
    expect(said({ ...withServer(wcap), clients: redirected })).toEqual([`(free-busy.clients[0].wcap: ${text})`]);
    expect(said({ clients })).toEqual([]);
  });

  test('has its commands below its URL, which is none of them', () => {
    const at = 'https://cs6.example.com/get_freebusy.wcap';
    expect(said(withServer({ by: 'wcap', at }))).toEqual([
      `free-busy.servers[0].at: got ${at}, which is a command, need the URL that commands are below: https://cs6.example.com/`,
    ]);
    const below = 'https://cs6.example.com/old/login.wcap?x=y';
    expect(said(withServer({ by: 'wcap', at: below })).join()).toContain('are below: https://cs6.example.com/old/');
  });

  test('stands once, and for a calendar server that there is', () => {
    const servers = [
      { url: 'http://cs5.example.com/', ...wcap },
      { url: 'http://cs5.example.com/', ...wcap },
    ];
    const unused =
      'http://cs5.example.com/ is the beginning of no URL of a back end or of the domain map, so the entry is never used; ' +
      `those are https://cal7.example.com/ischedule/, ${CS6}ischedule/`;
    expect(said({ clients, servers })).toEqual([
      'free-busy.servers[1].url: http://cs5.example.com/ stands in servers[0] already, need one entry for it',
      `(free-busy.servers[0].url: ${unused})`,
    ]);
  });
});

describe('the directory', () => {
  test('has the names of calendars and published busy times where the mapping says', () => {
    const mapping = (given: object) => {
      const { directory } = load({ directory: { kind: 'ldif', file: 'people.ldif', mapping: given } });
      return directory === undefined ? undefined : mappingOf(directory);
    };
    expect(mapping({})).toMatchObject({
      calendarIdAttributes: ['icsCalendar', 'uid'],
      freeBusyUrlAttribute: 'calFBURL',
    });
    const changed = mapping({ 'calendar-ids': ['cn'], 'free-busy-url': 'none' });
    expect([changed?.calendarIdAttributes, changed?.freeBusyUrlAttribute]).toEqual([['cn'], undefined]);
  });

  test('without a place for the URL makes published-hosts useless', () => {
    const directory = { kind: 'ldif', file: 'people.ldif', mapping: { 'free-busy-url': 'none' } };
    expect(said({ clients, 'published-hosts': ['www.example.com'] }, { directory })).toEqual([
      '(free-busy.published-hosts: the directory names no such URL; set directory.mapping.free-busy-url)',
    ]);
  });
});
