import { describe, expect, test } from 'vitest';
import { changes } from '../../../src/config/diff.ts';
import { isVerp, policyOf } from '../../../src/config/policy.ts';
import { en } from '../../../src/imip/words/en.ts';
import { ConfigFolder, errorsOf, withMinimum } from './folder.ts';

const SMART = 'smart-host: {address: "192.0.2.25:25"}';

/** What a right configuration is warned of. */
function warningsOf(more: string): readonly string[] {
  using folder = new ConfigFolder();
  const loaded = folder.load(withMinimum(more));
  if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
  return loaded.warnings;
}

describe('outbound', () => {
  test('one option is enough, and the others have their defaults', () => {
    using folder = new ConfigFolder();
    const loaded = folder.load(withMinimum(`outbound: {address: Calendar@EXAMPLE.com}\n${SMART}`));
    expect(loaded).toMatchObject({
      ok: true,
      warnings: [],
      config: {
        outbound: {
          address: 'Calendar@example.com',
          name: 'Calendar',
          language: 'en',
          languages: new Map(),
          journalMs: 90 * 86_400_000,
          unknownUid: 'post',
        },
      },
    });
  });

  const refused: readonly [option: string, text: string][] = [
    ['{}', 'outbound.address: missing, need a mail address, such as calendar@example.com'],
    ['{address: calendar}', 'outbound.address: got "calendar", need a mail address, such as calendar@example.com'],
    [
      `{address: ${'c'.repeat(27)}@example.com}`,
      'outbound.address: the part before the @ has 27 characters; need 26 at most, since + and a token of 37 are put behind it (RFC 5321 §4.5.3.1.1)',
    ],
    [
      '{address: calendar@example.com, journal: 90}',
      'outbound.journal: got "90", need a time with a unit from 1d to 4000d, such as 90d',
    ],
    ['{address: calendar@example.com, unknown-uid: drop}', 'outbound.unknown-uid: got "drop", need post or mail'],
    ['{address: calendar@example.com, language: it}', 'outbound.language: got "it", need en, de, fr, es or ja'],
    [
      '{address: calendar@example.com, languages: {example.it: it}}',
      'outbound.languages.example.it: there are no words in "it", need en, de, fr, es or ja, or a template of your own (outbound.templates)',
    ],
  ];
  test.each(refused)('%s is refused', (option, text) => {
    expect(errorsOf(withMinimum(`outbound: ${option}`))).toEqual([`imipd.yaml:6: ${text}`]);
  });

  test('mail that we compose needs a way out', () => {
    const yaml = `domains: [example.com]
listeners: [{name: in, mode: final}]
directory: {kind: ldif, file: people.ldif}
calendar: {default: {url: "http://127.0.0.1:8080/"}}
outbound: {address: calendar@example.com}`;
    expect(errorsOf(yaml)).toEqual([
      'imipd.yaml:5: outbound: has no way out, need smart-host.address: the mail server for all other domains',
    ]);
  });

  const warned: readonly [what: string, yaml: string, warnings: readonly string[]][] = [
    [
      'an address in a domain of others',
      `outbound: {address: calendar@example.net}\n${SMART}`,
      [
        'imipd.yaml:6: outbound.address: example.net is none of our domains (example.com), so its mail server has to send what comes for calendar+…@example.net to a listener of ours, or bounces find nobody',
      ],
    ],
    [
      'From for domains of others',
      `outbound: {address: calendar@example.com, from-domains: [example.com, example.net]}\n${SMART}`,
      [
        'imipd.yaml:6: outbound.from-domains: example.net is none of our domains; mail From its users passes DMARC only where its SPF or DKIM names our smart host',
      ],
    ],
  ];
  test.each(warned)('%s makes a warning', (_, yaml, warnings) => {
    expect(warningsOf(yaml)).toEqual(warnings);
  });

  test('listeners that take nothing from outside make a warning: bounces find nobody', () => {
    using folder = new ConfigFolder();
    const loaded = folder.load(`domains: [example.com]
listeners: [{name: in, origin: inside}]
directory: {kind: ldif, file: people.ldif}
calendar: {default: {url: "http://127.0.0.1:8080/"}}
next-hop: {address: "127.0.0.1:10026"}
outbound: {address: calendar@example.com}`);
    expect(loaded.warnings).toEqual([
      'imipd.yaml:6: outbound.address: no listener takes mail from outside, so bounces and answers to calendar+…@example.com find nobody; add one with origin: outside',
    ]);
  });

  test('what becomes of answers to unknown meetings is a policy only with outbound', () => {
    using folder = new ConfigFolder();
    const policies = [`outbound: {address: c@example.com, unknown-uid: mail}\n${SMART}`, ''].map((more) => {
      const loaded = folder.load(withMinimum(more));
      return loaded.ok ? policyOf(loaded.config).unknownUid : loaded.errors;
    });
    expect(policies).toEqual(['mail', undefined]);
  });

  test('envelope senders are ours for mail from inside, unless a listener says otherwise', () => {
    expect([
      isVerp({ origin: 'inside' }),
      isVerp({ origin: 'outside' }),
      isVerp({ origin: 'inside', verp: false }),
      isVerp({ origin: 'outside', verp: true }),
    ]).toEqual([true, false, false, true]);
  });
});

describe('templates', () => {
  const option = `outbound: {address: calendar@example.com, templates: ./words, languages: {example.it: it}}`;

  test('that are wrong are refused, each fault by file', () => {
    const files = { 'words/de.json': '{"subject": "{kund}", "nothing": "x"}', 'words/header.html': '{place}' };
    const errors = errorsOf(withMinimum(option), files);
    expect(errors.map((text) => text.replace(/^imipd\.yaml:6: outbound\.templates: /, ''))).toEqual([
      'words/de.json: subject: unknown placeholder {kund}, known are {kind} {title}',
      'words/de.json: nothing: unknown key',
      'words/header.html: unknown placeholder {place}, known are {recipient}',
    ]);
  });

  test('that cannot be read are refused', () => {
    expect(errorsOf(withMinimum(option))).toEqual([
      'imipd.yaml:6: outbound.templates: words: cannot be read as a folder of templates',
    ]);
  });

  test('that are right add their languages, are watched, and show as changed when their content does', () => {
    using folder = new ConfigFolder();
    folder.write('words/it.json', JSON.stringify(en));
    const before = folder.load(withMinimum(option));
    folder.write('words/it.json', JSON.stringify({ ...en, untitled: '(senza titolo)' }));
    const after = folder.load(withMinimum(option));
    if (!before.ok || !after.ok) throw new Error([before, after].flatMap((one) => (one.ok ? [] : one.errors)).join());
    expect([after.warnings, after.files.filter((file) => file.includes('words'))]).toEqual([
      [],
      [`${folder.path}/words/it.json`],
    ]);
    expect(changes(before.config, after.config)).toEqual(['outbound.templates: changed']);
    expect(changes(after.config, after.config)).toEqual([]);
  });
});

describe('smart-host.fallbacks', () => {
  test('none may be a listener of ours, or stand there twice', () => {
    const more = `smart-host:
  address: 192.0.2.25:25
  fallbacks: ["192.0.2.26:25", "192.0.2.25:25", "127.0.0.1:10025"]`;
    expect(errorsOf(withMinimum(more))).toEqual([
      'imipd.yaml:8: smart-host.fallbacks[1]: 192.0.2.25:25 stands here a second time, need each once',
      'imipd.yaml:8: smart-host.fallbacks[2]: 127.0.0.1:10025 is our own listener in: mail would run in a circle; name the mail server behind us',
    ]);
  });

  test('a password that may go to one of them in clear makes a warning', () => {
    const more = `smart-host: {address: "127.0.0.1:2525", fallbacks: ["192.0.2.26:25"], user: u, password: p}`;
    expect(warningsOf(more)).toEqual([
      'imipd.yaml:6: smart-host.password: may go to 192.0.2.26 in clear; set tls: require or tls: implicit',
    ]);
  });
});
