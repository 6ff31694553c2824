import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { mappingOf } from '../../../src/config/policy.ts';
import { PRESET_NAMES, PRESETS } from '../../../src/directory/presets.ts';

/** The mapping of a directory with this section `mapping`. */
function mappingFrom(preset: string, mapping: Readonly<Record<string, unknown>> = {}) {
  const loaded = parseConfig(
    {
      domains: ['example.com'],
      listeners: [{ name: 'in', address: '127.0.0.1:10025' }],
      'next-hop': { address: '192.0.2.1:25' },
      directory: { kind: 'ldif', file: '/people.ldif', preset, mapping },
    },
    'the test',
  );
  if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
  if (loaded.config.directory === undefined) throw new Error('no directory');
  return mappingOf(loaded.config.directory);
}

describe('how the directory is read', () => {
  test.for(PRESET_NAMES)('is the preset %s where nothing is changed', (preset) => {
    expect(mappingFrom(preset)).toEqual(PRESETS[preset]);
  });

  test('is changed in every part that is named, and in no other', () => {
    const mapping = mappingFrom('sun-schema2', {
      'address-attributes': ['proxyAddresses', 'mail'],
      'address-prefix': 'smtp:',
      'prefixed-attributes': ['proxyAddresses'],
      'primary-prefix': 'SMTP:',
      'catch-all-addresses': false,
      'resource-marks': [{ attribute: 'roomNumber' }, { attribute: 'kind', values: ['room'] }],
      'group-member-dns': ['member'],
      'group-member-addresses': ['memberMail'],
      'group-member-urls': [],
      'group-restricted': ['moderator'],
      status: [
        { scope: 'user', attribute: 'flags', 'disabled-bits': 2, except: [{ attribute: 'kind', values: ['room'] }] },
      ],
      moving: { attribute: 'moveMark', value: 'yes' },
      marker: 'backEnd',
      server: 'labeledURI',
      'mail-host': 'none',
      language: 'lingua',
      key: 'entryUUID',
    });
    const { mailHostAttribute: _, ...preset } = PRESETS['sun-schema2'];
    expect(mapping).toEqual({
      ...preset,
      addressAttributes: ['proxyAddresses', 'mail'],
      addressPrefix: 'smtp:',
      prefixedAttributes: ['proxyAddresses'],
      primaryPrefix: 'SMTP:',
      catchAll: false,
      resourceMarks: [{ attribute: 'roomNumber' }, { attribute: 'kind', values: ['room'] }],
      groups: { memberDns: ['member'], memberAddresses: ['memberMail'], memberUrls: [], restricted: ['moderator'] },
      statusAttributes: [
        { scope: 'user', attribute: 'flags', disabledBits: 2, except: [{ attribute: 'kind', values: ['room'] }] },
      ],
      moving: { attribute: 'moveMark', value: 'yes' },
      markerAttribute: 'backEnd',
      serverAttribute: 'labeledURI',
      languageAttribute: 'lingua',
      keyAttribute: 'entryUUID',
    });
  });

  test.for([
    [{ kind: 'none' }, undefined],
    [{ kind: 'dc-tree' }, PRESETS['sun-schema1'].domains],
    [
      { kind: 'search', root: 'o=orgs' },
      { ...PRESETS['sun-schema2'].domains, root: 'o=orgs' },
    ],
    [
      { kind: 'search', attributes: ['dc'], class: 'domain', status: [] },
      { kind: 'search', attributes: ['dc'], class: 'domain', statusAttributes: [] },
    ],
  ])('finds domains by %o', ([domains, expected]) => {
    expect(mappingFrom('sun-schema2', { domains }).domains).toEqual(expected);
  });
});
