import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import type { Config } from '../../../src/config/options.ts';
import { installed } from '../../servers/installed.ts';
import { ConfigFolder, errorsOf, withMinimum } from './folder.ts';

/** The configuration with one line more, or what is wrong with that line. */
function read(line: string): Config | string {
  using folder = new ConfigFolder();
  const loaded = folder.load(withMinimum(line));
  return loaded.ok ? loaded.config : loaded.errors.join('\n');
}

function part<T>(line: string, pick: (config: Config) => T): T | string {
  const config = read(line);
  return typeof config === 'string' ? config : pick(config);
}

describe('a time', () => {
  test.each([
    ['500ms', 500],
    ['1s', 1000],
    ['1.5s', 1500],
    ['2 m', 120_000],
    ['5m', 300_000],
    ['0s', 0],
    ['0', 0],
  ])('%s is %i ms', (text, ms) => {
    expect(part(`queue: {annotate-wait: ${text}}`, (config) => config.queue.annotateWaitMs)).toBe(ms);
  });

  test.each([
    '5',
    '5x',
    '5M',
    '-1s',
    '1s5',
    '6m',
    '1h',
    's',
    '""',
    '1e3s',
    'five minutes',
    'null',
    '[5s]',
    '1 0s',
    '"5s "x',
  ])('%s is refused', (text) => {
    expect(part(`queue: {annotate-wait: ${text}}`, (config) => config.queue.annotateWaitMs)).toMatch(
      /^imipd\.yaml:6: /,
    );
  });

  test('zero is refused where it has no meaning', () => {
    expect(read('ischedule: {timeout: 0}')).toBe(
      'imipd.yaml:6: ischedule.timeout: got "0", need a time with a unit from 1s to 10m, such as 30s',
    );
  });
});

describe('a size', () => {
  test.each([
    ['1KB', 1000],
    ['1KiB', 1024],
    ['1.5MB', 1_500_000],
    ['2 MiB', 2_097_152],
    ['5000B', 5000],
  ])('%s is %i octets', (text, octets) => {
    expect(part(`ischedule: {max-response: ${text}}`, (config) => config.ischedule.maxResponseBytes)).toBe(octets);
  });

  test.each(['1000', '1kb', '1K', '1Mb', '999B', '1TB'])('%s is refused', (text) => {
    expect(read(`ischedule: {max-response: ${text}}`)).toBe(
      `imipd.yaml:6: ischedule.max-response: got "${text}", need a size with a unit from 1KB to 100MB, such as 1MB`,
    );
  });
});

describe('an address to connect to', () => {
  test.each([
    ['mail.example.com:25', { host: 'mail.example.com', port: 25 }],
    ['192.0.2.7:65535', { host: '192.0.2.7', port: 65_535 }],
    ['[2001:db8::25]:2525', { host: '2001:db8::25', port: 2525 }],
  ])('%s', (text, address) => {
    expect(part(`smart-host: {address: "${text}"}`, (config) => config.smartHost?.address)).toEqual(address);
  });

  test.each([
    'mail.example.com',
    ':25',
    'mail.example.com:',
    'x:0',
    'x:65536',
    '::1:25',
    '[::1]',
    '[127.0.0.1]:25',
    '[x]:25',
    'a b:25',
    'smtp://x:25',
    '25',
  ])('%s is refused', (text) => {
    expect(read(`smart-host: {address: "${text}"}`)).toBe(
      `imipd.yaml:6: smart-host.address: got "${text}", need host:port, such as 127.0.0.1:25`,
    );
  });

  test('the word mailhost is pointed to the option that takes it', () => {
    expect(errorsOf('next-hop: {address: mailhost}')).toContain(
      'imipd.yaml:1: next-hop.address: got "mailhost", need host:port, such as 127.0.0.1:25 (to address recipients at their mailHost set next-hop.addressing: mailhost)',
    );
  });
});

describe('a network', () => {
  const clients = (text: string) => errorsOf(withMinimum('').replace('{name: in}', `{name: in, clients: ["${text}"]}`));

  test.each(['192.0.2.7', '192.0.2.0/24', '10.0.0.0/8', '::1', '2001:db8::/32', '::ffff:192.0.2.1'])('%s', (text) => {
    expect(clients(text)).toEqual([]);
  });

  test.each([
    '192.0.2.0/33',
    '2001:db8::/129',
    '192.0.2',
    'localhost',
    '192.0.2.0/',
    '192.0.2.0/24/8',
    '192.0.2.0/-1',
    '',
  ])('%s is refused', (text) => {
    expect(clients(text)).toEqual([
      `imipd.yaml:2: listeners[0].clients[0]: got "${text}", need an IP address or a network, such as 192.0.2.7 or 192.0.2.0/24`,
    ]);
  });
});

describe('a domain', () => {
  test.each([
    ['Example.COM', 'example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['example.com.', 'example.com'],
  ])('%s is kept as %s', (text, domain) => {
    using folder = new ConfigFolder();
    const loaded = folder.load(withMinimum('').replace('[example.com]', `["${text}"]`));
    expect(loaded.ok && loaded.config.domains).toEqual([domain]);
  });

  test.each(['example com', '*.example.com', 'a..b', '.', 'a/b', 'true\\n'])('%s is refused', (text) => {
    expect(errorsOf(withMinimum('').replace('[example.com]', `["${text}"]`))).toEqual([
      `imipd.yaml:1: domains[0]: got "${text}", need a mail domain, such as example.com`,
    ]);
  });
});

describe('a URL of a calendar server', () => {
  const url = (text: string) => errorsOf(withMinimum('').replace('http://127.0.0.1:8080/', text));

  test.each(['https://calendar.example.com/ischedule/', 'http://[::1]:8080', 'HTTPS://X.test/a?b=c'])('%s', (text) => {
    expect(url(text)).toEqual([]);
  });

  test.each(['ftp://x.test/', 'calendar.example.com', '//x.test/', 'http://', 'https://x.test/#frag', 'ldap://x.test'])(
    '%s is refused',
    (text) => {
      expect(url(text)).toEqual([
        `imipd.yaml:4: calendar.default.url: got "${text}", need a URL with http:// or https://, such as https://calendar.example.com/ischedule/`,
      ]);
    },
  );

  test('with a password in it is refused without showing the password', () => {
    expect(url('https://bob:geheim@x.test/')).toEqual([
      'imipd.yaml:4: calendar.default.url: got a URL with a user name or password in it, need one without: URLs are logged',
    ]);
  });
});

describe.skipIf(!installed('openssl'))('certificates and keys (openssl)', () => {
  const make = (folder: ConfigFolder, name: string): void => {
    const files = ['-keyout', `${folder.path}/${name}.key`, '-out', `${folder.path}/${name}.pem`];
    const kind = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name}.test`,
    ];
    execFileSync('openssl', ['req', '-x509', ...kind, ...files], { stdio: 'ignore' });
  };
  const listener = (cert: string, key: string) =>
    withMinimum('').replace('{name: in}', `{name: in, tls: {cert: ${cert}, key: ${key}}}`);

  test('are read from files beside the configuration, and the key does not show', () => {
    using folder = new ConfigFolder();
    make(folder, 'a');
    const loaded = folder.load(listener('a.pem', 'a.key'));
    if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
    const [tls] = loaded.config.listeners.map((one) => one.tls);
    expect(tls?.cert).toMatch(/^-----BEGIN CERTIFICATE-----/);
    expect(tls?.key.reveal()).toMatch(/^-----BEGIN PRIVATE KEY-----/);
    expect(JSON.stringify(tls)).not.toContain('PRIVATE');
  });

  test('that are missing, are something else or belong to another certificate are refused', () => {
    using folder = new ConfigFolder();
    make(folder, 'a');
    make(folder, 'b');
    folder.write('broken.key', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n');
    const said = [
      ['none.pem', 'none.key'],
      ['a.key', 'a.pem'],
      ['a.pem', 'b.key'],
      ['a.pem', 'broken.key'],
    ].flatMap(([cert = '', key = '']) => {
      const loaded = folder.load(listener(cert, key));
      return loaded.ok ? ['taken'] : loaded.errors;
    });
    expect(said).toEqual([
      'imipd.yaml:2: listeners[0].tls.cert: cannot read none.pem (no such file), need the path of a PEM file with certificates',
      'imipd.yaml:2: listeners[0].tls.key: cannot read none.key (no such file), need the path of a PEM file with a private key',
      'imipd.yaml:2: listeners[0].tls.cert: a.key holds no certificate, need the path of a PEM file with certificates',
      'imipd.yaml:2: listeners[0].tls.key: a.pem holds no private key, need the path of a PEM file with a private key',
      'imipd.yaml:2: listeners[0].tls.key: is not the key of the first certificate in tls.cert; that file begins with the server’s own certificate',
      'imipd.yaml:2: listeners[0].tls.key: cannot be used, need a PEM private key without passphrase',
    ]);
  });
});
