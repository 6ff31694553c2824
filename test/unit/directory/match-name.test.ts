import { describe, expect, test } from 'vitest';
import { chooseNamed, namedEntry, nameQuestion } from '../../../src/directory/match-name.ts';
import { PRESETS } from '../../../src/directory/presets.ts';
import { entryReader, type SchemaMapping } from '../../../src/directory/schema.ts';

const { sun } = PRESETS;
const read = entryReader(sun);

/** @param attributes such as `mail=ann@example.com icsCalendar=ann` */
function person(attributes: string) {
  const record = { dn: attributes, attributes: new Map([['objectclass', ['inetMailUser']]]) };
  for (const pair of attributes.split(' ')) {
    const [name = '', value = ''] = pair.split('=');
    record.attributes.set(name.toLowerCase(), [...(record.attributes.get(name.toLowerCase()) ?? []), value]);
  }
  return namedEntry(read(record)!, record, sun);
}

/** DNs, which say all there is of the entry. */
function chosen(name: string, people: readonly string[], canonical?: string) {
  const asked = nameQuestion(name, 'Example.COM', sun);
  if (asked === undefined) return 'not asked';
  return chooseNamed(asked, people.map(person), canonical).map(({ dn }) => dn);
}

function asked(name: string, mapping: SchemaMapping = sun, domain = 'example.com') {
  return nameQuestion(name, domain, mapping)?.tiers.map(({ attribute, value }) => `${attribute}=${value}`);
}

describe('what is asked for a calendar id', () => {
  test.for([
    ['ann', ['icsCalendar=ann', 'icsCalendar=ann@example.com', 'uid=ann', 'uid=ann@example.com']],
    [
      'ann:work',
      ['icsCalendar=ann:work', 'icsCalendar=ann:work@example.com', 'uid=ann:work', 'uid=ann:work@example.com'],
    ],
    ['ann@example.org', ['icsCalendar=ann@example.org', 'icsCalendar=ann', 'uid=ann@example.org', 'uid=ann']],
    ['ann@example.org:work', ['icsCalendar=ann@example.org:work', 'uid=ann@example.org:work']],
    ['', undefined],
    ['  ', undefined],
    ['a\r\nb', undefined],
    ['a\0', undefined],
    ['a'.repeat(257), undefined],
  ] as const)('%j', ([name, tiers]) => {
    expect(asked(name)).toEqual(tiers);
  });

  test('is what the mapping names', () => {
    expect(asked('ann', PRESETS.openldap)).toEqual(['uid=ann', 'uid=ann@example.com']);
    expect(asked('ann', PRESETS['active-directory'])).toEqual(['sAMAccountName=ann', 'sAMAccountName=ann@example.com']);
    expect(asked('ann', { ...sun, calendarIdAttributes: [] })).toBeUndefined();
    expect(asked('ann', sun, '')).toBeUndefined();
  });
});

describe('of entries that have a calendar id', () => {
  const byId = 'mail=a@example.com icsCalendar=ann uid=x';
  const byWholeId = 'mail=b@example.com icsCalendar=ann@example.com uid=x';
  const byUid = 'mail=c@example.com icsCalendar=other uid=Ann';
  const elsewhere = 'mail=ann@example.org icsCalendar=ann uid=ann';
  const unseen = 'mail=d@example.com';

  test.for([
    ['the calendar of that name', 'ann', [byUid, byWholeId, byId], [byId]],
    ['the calendar of that name in the default domain', 'ann', [byUid, byWholeId], [byWholeId]],
    ['the user of that name', 'ANN', [byUid], [byUid]],
    ['nobody of another domain', 'ann', [elsewhere], []],
    ['who is of the default domain', 'ann', [elsewhere, byUid], [byUid]],
    ['all that have it alike', 'ann', [byId, byId.replace('a@', 'z@')], [byId, byId.replace('a@', 'z@')]],
    [
      'who has the second calendar for his own',
      'a:b',
      ['mail=a@example.com icsCalendar=a:b'],
      ['mail=a@example.com icsCalendar=a:b'],
    ],
    ['nobody without an address', 'ann', ['uid=ann'], []],
    [
      'who has all of it',
      'ann@example.org',
      [byId, elsewhere.replace('=ann ', '=ann@example.org ')],
      [elsewhere.replace('=ann ', '=ann@example.org ')],
    ],
    ['who has it in the domain of the id', 'ann@example.org', [byId, elsewhere], [elsewhere]],
    ['who the directory says has it', 'ann', [unseen], [unseen]],
    ['who is seen to have it, before', 'ann', [unseen, byUid], [byUid]],
  ] as const)('%s is chosen', ([, name, people, wanted]) => {
    expect(chosen(name, people)).toEqual(wanted);
  });

  test('one counts whose address is in the domain that the default is another name of', () => {
    expect(chosen('ann', [elsewhere], 'example.org')).toEqual([elsewhere]);
  });

  test('an entry says what it was found by', () => {
    const [entry] = chooseNamed(nameQuestion('ann', 'example.com', sun)!, [person(byUid)]);
    expect(entry).toMatchObject({ mail: 'c@example.com', matchedBy: 'uid=ann' });
  });
});
