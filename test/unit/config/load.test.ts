import { hostname } from 'node:os';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { loadConfig, parseConfig } from '../../../src/config/load.ts';
import { ConfigFolder, errorsOf, withMinimum } from './folder.ts';

describe('a configuration that is right', () => {
  test('has every default, in ms and octets, with paths from the folder of the file', () => {
    using folder = new ConfigFolder();
    const loaded = folder.load(withMinimum(''));
    expect(loaded).toEqual({
      ok: true,
      warnings: [],
      files: [`${folder.path}/people.ldif`],
      config: {
        hostname: hostname(),
        state: `${folder.path}/var`,
        domains: ['example.com'],
        listeners: [
          {
            name: 'in',
            address: { host: '127.0.0.1', port: 10025 },
            protocol: 'smtp',
            mode: 'filter',
            origin: 'outside',
            clients: ['127.0.0.0/8', '::1'],
            xforward: [],
            xclient: [],
            copyDomains: new Map(),
            bareNewline: 'normalize',
            maxSizeBytes: 200_000_000,
            maxExamineBytes: 25_000_000,
            maxConnections: 1000,
            maxConnectionsPerClient: 200,
            maxRecipients: 1000,
            idleTimeoutMs: 300_000,
            dataTimeoutMs: 1_800_000,
            sessionTimeoutMs: 7_200_000,
            replyWaitMs: 3000,
          },
        ],
        directory: {
          kind: 'ldif',
          file: `${folder.path}/people.ldif`,
          preset: 'sun',
          subAddress: '+',
          groupLimit: 1000,
          catchAll: 'mail',
          mapping: {},
        },
        calendar: { backEnds: new Map(), default: { url: 'http://127.0.0.1:8080/', profile: 'generic' } },
        ischedule: {
          timeoutMs: 30_000,
          connectTimeoutMs: 5000,
          headersTimeoutMs: 30_000,
          bodyTimeoutMs: 15_000,
          connections: 8,
          lanes: 8,
          maxRedirects: 3,
          redirectHosts: [],
          userAgent: 'imipd',
          maxResponseBytes: 1_000_000,
          servers: [],
          keys: [],
          peers: [],
          accept: { maxContentLengthBytes: 1_000_000, maxRecipients: 100, attachments: ['external'] },
          exchangedKeys: [],
          discovery: { domains: [], plain: false, allowNetworks: [] },
        },
        http: {},
        dns: {
          servers: [],
          timeoutMs: 3000,
          minTtlMs: 5000,
          maxTtlMs: 86_400_000,
          maxNegativeTtlMs: 3_600_000,
        },
        nextHop: {
          address: { host: '127.0.0.1', port: 10026 },
          addressing: 'as-received',
          protocol: 'smtp',
          tls: 'none',
          connections: 8,
          lanes: 8,
          connectTimeoutMs: 10_000,
          commandTimeoutMs: 300_000,
          dataTimeoutMs: 600_000,
          maxMessagesPerConnection: 1000,
        },
        queue: {
          postLifetimeMs: 43_200_000,
          mailLifetimeMs: 432_000_000,
          postRetryMs: [30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000],
          mailRetryMs: [60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000],
          annotateWaitMs: 5000,
          historyMs: 604_800_000,
          plainHistoryMs: 86_400_000,
          ledgerMs: 34_560_000_000,
          movePollMs: 60_000,
          holdLimitMs: 86_400_000,
          concurrency: 200,
        },
        annotate: { statusHeader: 'iMIP-Gateway-Status', meetingHeaders: true },
        receivedLimit: 50,
        ownReceivedLimit: 5,
        log: { level: 'info' },
      },
    });
  });

  test('is frozen to its leaves', () => {
    using folder = new ConfigFolder();
    const loaded = folder.load(withMinimum(''));
    if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
    const { config } = loaded;
    const parts = [
      config,
      config.listeners,
      config.listeners[0],
      config.listeners[0]?.address,
      config.calendar.default,
    ];
    expect(parts.map((part) => Object.isFrozen(part))).toEqual([true, true, true, true, true]);
  });

  test('may be written in code, with the same checks', () => {
    const right = parseConfig({ domains: ['Example.COM'], listeners: [{ name: 'in', mode: 'final' }] }, 'trial');
    expect(right).toEqual({
      ok: false,
      errors: ['trial: listeners[0].mode: final needs a directory to know its users; add the section directory'],
      warnings: [
        'trial: calendar: names no calendar server, so nothing is ever posted; add back-ends, default or domain-map',
        'trial: directory: is not configured, so no recipient is known and nothing is ever posted',
        'trial: listeners[0].mode: delivery reports of this listener have no way out; add smart-host',
      ],
    });
  });

  test.each([
    ['an absent optional section written without content', 'annotate:\n', []],
    ['an anchor and its alias', 'smart-host: &hop {address: "127.0.0.1:26"}\nlog: {level: info}\n', []],
    ['reply-wait turned off by a bare zero', 'queue: {annotate-wait: 0}\n', []],
  ])('%s is taken', (_, more, errors) => {
    expect(errorsOf(withMinimum(more))).toEqual(errors);
  });
});

describe('errors', () => {
  test('are all told at once, in the order of the file, each with its line', () => {
    const yaml = `hostname: "no good"
domains: []
listeners:
  - name: in
    addres: 127.0.0.1:10025
    max-size: 200
    mode: filtr
    clients: [localhost]
  - name: in
    mode: final
    reply-wait: 10m
directory:
  servers: ["http://ldap.example.com"]
  base: o=isp
  file: people.ldif
ischedule:
  timeout: 30
  connect_timeout: 5s
received-limit: 1.5
annotate: {meeting-headers: yes please}
queue:
  post-retry: []
log: loud
`;
    expect(errorsOf(yaml)).toEqual([
      'imipd.yaml:1: hostname: got "no good", need a host name, such as gateway.example.com',
      'imipd.yaml:2: domains: got an empty list, need a list of at least one, each a mail domain, such as example.com',
      'imipd.yaml:5: listeners[0].addres: unknown option; did you mean listeners[0].address?',
      'imipd.yaml:6: listeners[0].max-size: got "200", need a size with a unit from 64KB to 4GB, such as 200MB',
      'imipd.yaml:7: listeners[0].mode: got "filtr", need filter, final or copy',
      'imipd.yaml:8: listeners[0].clients[0]: got "localhost", need an IP address or a network, such as 192.0.2.7 or 192.0.2.0/24',
      'imipd.yaml:11: listeners[1].reply-wait: got "10m", need a time with a unit from 0s to 5m, such as 3s',
      'imipd.yaml:13: directory.servers[0]: got "http://ldap.example.com", need a URL with ldap:// or ldaps://, such as ldaps://ldap.example.com',
      'imipd.yaml:15: directory.file: goes with kind: ldif, not with kind: ldap',
      'imipd.yaml:17: ischedule.timeout: got "30", need a time with a unit from 1s to 10m, such as 30s',
      'imipd.yaml:18: ischedule.connect_timeout: unknown option; did you mean ischedule.connect-timeout?',
      'imipd.yaml:19: received-limit: got "1.5", need a whole number from 5 to 1000',
      'imipd.yaml:20: annotate.meeting-headers: got "yes please", need true or false',
      'imipd.yaml:22: queue.post-retry: got an empty list, need a list of at least one, each a time with a unit from 100ms to 1d, such as 30s',
      'imipd.yaml:23: log: got "loud", need a section with level, file',
    ]);
  });

  test('between options are told beside errors of single options', () => {
    const yaml = withMinimum('log: {level: loud}\nsmart-host: {address: "localhost:10025"}\n');
    expect(errorsOf(yaml)).toEqual([
      'imipd.yaml:6: log.level: got "loud", need debug, info, warn, error or silent',
      'imipd.yaml:7: smart-host.address: localhost:10025 is our own listener in: mail would run in a circle; name the mail server behind us',
    ]);
  });

  test('do not follow from an option that is wrong itself', () => {
    const yaml = `domains: [example.com]
listeners:
  - {name: one, addres: "127.0.0.1:2500"}
  - {name: two}
next-hop: {adress: "127.0.0.1:26"}
directory: {kind: ldif, file: people.ldif}
`;
    expect(errorsOf(yaml)).toEqual([
      'imipd.yaml:3: listeners[0].addres: unknown option; did you mean listeners[0].address?',
      'imipd.yaml:5: next-hop.address: missing, need host:port, such as 127.0.0.1:25 (to address recipients at their mailHost set next-hop.addressing: mailhost)',
      'imipd.yaml:5: next-hop.adress: unknown option; did you mean next-hop.address?',
    ]);
  });

  test('name what is missing at the section that lacks it', () => {
    expect(errorsOf('hostname: gw.example.com\nlisteners:\n  - address: 127.0.0.1:25\n')).toEqual([
      'imipd.yaml:1: domains: missing, need a list of at least one, each a mail domain, such as example.com',
      'imipd.yaml:3: listeners[0].name: missing, need a short name of letters, digits, - and _',
    ]);
  });

  test.each([
    ['max-size: 10MB', 'max-size: unknown option; known here are'],
    ['timeout: 5s', 'timeout: unknown option; did you mean ischedule.timeout?'],
    ['nexthop: {}', 'nexthop: unknown option; did you mean next-hop?'],
    ['receivedLimit: 9', 'receivedLimit: unknown option; did you mean received-limit?'],
    ['qeueu: {}', 'qeueu: unknown option; did you mean queue?'],
  ])('%s gets the nearest name', (line, text) => {
    expect(errorsOf(withMinimum(line))[0]).toContain(`imipd.yaml:6: ${text}`);
  });

  test.each([
    ['a name twice', 'a: 1\nb: 2\na: 3\n', 'imipd.yaml:3: this name stands twice in one section; remove one of them'],
    ['a tab', 'queue:\n\thistory: 1d\n', 'imipd.yaml:2: not YAML: tabs are not allowed as indentation'],
    [
      'two documents',
      'a: 1\n---\nb: 2\n',
      'imipd.yaml:2: a second document begins here (---), need all options in one',
    ],
    ['an alias of nothing', 'a: 1\nb: *c\n', 'imipd.yaml:2: *c stands for nothing, need &c before it'],
    [
      'a name without a space behind its colon',
      'a: 1\nstate:/var/lib/imipd\nb: 2\n',
      'imipd.yaml:2: not YAML: need "name: value", with a space after the colon, indented like the lines it belongs to',
    ],
    [
      'a line one space too far left',
      'listeners:\n  - name: in\n    mode: filter\n   protocol: lmtp\n',
      'imipd.yaml:4: not YAML: this line is indented differently from the lines around it, or a "-", bracket or quote is missing',
    ],
    [
      'a line one space too far right',
      'log:\n  level: info\n   file: x\n',
      'imipd.yaml:2: not YAML: this line is indented differently from the lines around it, or holds a second colon',
    ],
    [
      'a list that is not closed',
      'domains: [example.com\nstate: x\n',
      'imipd.yaml:2: not YAML: a bracket or brace was opened above and not closed',
    ],
    ['a tag', 'a: !env X\n', 'imipd.yaml:1: not YAML: unresolved tag: !env'],
  ])('%s is a syntax error with its line', (_, yaml, text) => {
    expect(errorsOf(yaml)).toContain(text);
  });

  test('a list in place of the whole is refused', () => {
    expect(errorsOf('- domains\n')[0]).toMatch(
      /^imipd\.yaml:1: got a list, need a section with hostname, state, domains/,
    );
  });

  test('a file that is not there, is a folder, or is not UTF-8 is named', () => {
    using folder = new ConfigFolder();
    const latin1 = folder.write('latin1.yaml', Buffer.from('hostname: b\xfccher\n', 'latin1'));
    expect([`${folder.path}/none.yaml`, folder.path, latin1].map((file) => loadConfig(file, {}))).toEqual([
      {
        ok: false,
        errors: [`${folder.path}/none.yaml: cannot be read (no such file); name the configuration with --config`],
        warnings: [],
      },
      {
        ok: false,
        errors: [`${folder.path}: cannot be read (it is a folder); name the configuration with --config`],
        warnings: [],
      },
      { ok: false, errors: [`${latin1}: not UTF-8; save it as UTF-8`], warnings: [] },
    ]);
  });

  test('the environment may name the file, the command line goes before it', () => {
    const env = { IMIPD_CONFIG: '/nowhere/env.yaml' };
    expect(
      [loadConfig(undefined, env), loadConfig('/nowhere/cli.yaml', env)].flatMap((loaded) =>
        loaded.ok ? [] : loaded.errors,
      ),
    ).toEqual([
      '/nowhere/env.yaml: cannot be read (no such file); name the configuration with --config',
      '/nowhere/cli.yaml: cannot be read (no such file); name the configuration with --config',
    ]);
  });

  test('values are shown on one line and cut short', () => {
    const [text] = errorsOf(withMinimum(`hostname: "a\\nb${'x'.repeat(200)}"`));
    expect(text).toBe(
      `imipd.yaml:6: hostname: got "a\\nb${'x'.repeat(74)}...", need a host name, such as gateway.example.com`,
    );
  });
});

describe('secrets', () => {
  const directory = (password: string) => `domains: [example.com]
listeners: [{name: in}]
next-hop: {address: "127.0.0.1:26"}
directory: {servers: ["ldaps://ldap.example.com"], base: o=isp, bind-dn: cn=imipd, password: ${password}}
`;
  const reveal = (folder: ConfigFolder, password: string, env = {}): string | undefined => {
    const loaded = folder.load(directory(password), env);
    if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
    return loaded.config.directory?.kind === 'ldap' ? loaded.config.directory.password?.reveal() : undefined;
  };

  test('come from the text, from a file without its line end, or from the environment', () => {
    using folder = new ConfigFolder();
    folder.write('password', ' geheim \r\n');
    expect(reveal(folder, 'geheim')).toBe('geheim');
    expect(reveal(folder, '"file:password"')).toBe(' geheim ');
    expect(reveal(folder, `"file:${folder.path}/password"`)).toBe(' geheim ');
    expect(reveal(folder, '"env:SECRET"', { SECRET: 'from outside' })).toBe('from outside');
  });

  test('made of digits keep all of them', () => {
    using folder = new ConfigFolder();
    expect(['0123', '1.0', '1234', '1e3', '0x1F'].map((digits) => reveal(folder, digits))).toEqual([
      '0123',
      '1.0',
      '1234',
      '1e3',
      '0x1F',
    ]);
  });

  test('that cannot be had are an error that shows none of them', () => {
    using folder = new ConfigFolder();
    folder.write('empty', '\n');
    const errors = ['"env:NOPE"', '"file:none"', '"file:empty"', '"file:/dev/zero"', '"gehe\\nim"', '[geheim]'].flatMap(
      (password) => {
        const loaded = folder.load(directory(password));
        return loaded.ok ? ['taken'] : loaded.errors;
      },
    );
    expect(errors).toEqual([
      'imipd.yaml:4: directory.password: the environment variable NOPE is not set; set it, or name a file with file:/path',
      'imipd.yaml:4: directory.password: cannot read none (no such file); name a file that this user may read',
      'imipd.yaml:4: directory.password: empty is empty; put the secret in it',
      'imipd.yaml:4: directory.password: cannot read /dev/zero (it is a device); name a file that this user may read',
      'imipd.yaml:4: directory.password: got a secret that is not shown here, need a secret: its text, file:/path or env:NAME',
      'imipd.yaml:4: directory.password: got a list, need a secret: its text, file:/path or env:NAME',
    ]);
  });

  test('do not show when the configuration is printed, serialised or put in a text', () => {
    using folder = new ConfigFolder();
    const loaded = folder.load(directory('geheim'));
    if (!loaded.ok || loaded.config.directory?.kind !== 'ldap') throw new Error('not loaded');
    const { config } = loaded;
    const shown = [
      inspect(config, { depth: 9, showHidden: true }),
      JSON.stringify(config),
      `${loaded.config.directory.password}`,
    ].join();
    expect(shown).not.toContain('geheim');
    expect(JSON.stringify(loaded.config.directory.password)).toBe('"[secret]"');
  });
});

describe('the domain map', () => {
  const yaml = withMinimum('').replace('calendar: {', 'calendar: {domain-map: maps/domains.properties, ');

  test('is read from the folder of the configuration', () => {
    using folder = new ConfigFolder();
    folder.write('maps/domains.properties', 'a.test=http://a.test/\na.test=https://b.test/ profile=cyrus\n');
    const loaded = folder.load(yaml);
    expect(loaded.warnings).toEqual([
      'imipd.yaml:4: calendar.domain-map: maps/domains.properties:2: a.test stands in line 1 too; this later line is used',
    ]);
    expect(loaded.ok && loaded.config.calendar.domainMap?.entries).toEqual([
      { domain: 'a.test', url: 'https://b.test/', profile: 'cyrus', line: 2 },
    ]);
  });

  test('is read as Latin-1 where it is not UTF-8', () => {
    using folder = new ConfigFolder();
    folder.write('maps/domains.properties', Buffer.from('b\xfccher.example=http://a.test/\n', 'latin1'));
    const loaded = folder.load(yaml);
    expect(loaded.ok && loaded.config.calendar.domainMap?.entries.map(({ domain }) => domain)).toEqual([
      'xn--bcher-kva.example',
    ]);
  });

  test('with errors is refused, each of them with its own line', () => {
    expect(errorsOf(yaml, { 'maps/domains.properties': 'a.test=ftp://a.test/\n# fine\nb.test\n' })).toEqual([
      'imipd.yaml:4: calendar.domain-map: maps/domains.properties:1: got the URL "ftp://a.test/", need one with http:// or https://',
      'imipd.yaml:4: calendar.domain-map: maps/domains.properties:3: b.test has no URL, need b.test=https://calendar.example.com/ischedule/',
    ]);
  });

  test('that is not there is an error', () => {
    expect(errorsOf(yaml)).toEqual([
      'imipd.yaml:4: calendar.domain-map: cannot read maps/domains.properties (no such file), need the path of a domain map',
    ]);
  });
});
