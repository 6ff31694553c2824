import { describe, expect, test } from 'vitest';
import { PRESETS } from '../../../src/directory/presets.ts';
import { entryReader, neededAttributes, type SchemaMapping } from '../../../src/directory/schema.ts';

const { sun, openldap } = PRESETS;

function read(mapping: SchemaMapping, attributes: Readonly<Record<string, readonly string[]>>) {
  const lower = Object.entries(attributes).map(([name, values]) => [name.toLowerCase(), values] as const);
  return entryReader(mapping)({ dn: 'uid=x,o=isp', attributes: new Map(lower) });
}

describe('an entry read by the Sun preset', () => {
  test('a v7 user carries his addresses, primary first, his status, marker and mail host', () => {
    expect(
      read(sun, {
        objectClass: ['inetOrgPerson', 'INETMAILUSER', 'icsCalendarUser', 'davEntity'],
        mailAlternateAddress: ['A.Adams@Example.COM', '@example.com', 'alice@example.com'],
        mailEquivalentAddress: ['aa@bücher.example'],
        mail: ['alice@example.com'],
        inetUserStatus: ['active'],
        mailUserStatus: ['overquota'],
        icsStatus: ['active'],
        davStore: ['defaultbackend'],
        mailHost: ['store.example.com'],
      })?.entry,
    ).toEqual({
      dn: 'uid=x,o=isp',
      kind: 'user',
      mail: 'alice@example.com',
      addresses: ['alice@example.com', 'A.Adams@example.com', 'aa@xn--bcher-kva.example'],
      status: [
        { scope: 'user', attribute: 'inetUserStatus', value: 'active' },
        { scope: 'mail', attribute: 'mailUserStatus', value: 'overquota' },
        { scope: 'calendar', attribute: 'icsStatus', value: 'active' },
      ],
      moving: false,
      calendar: true,
      marker: 'defaultbackend',
      mailHost: 'store.example.com',
    });
  });

  test('hold marks a user as being moved and is no status of his', () => {
    const entry = read(sun, {
      objectClass: ['inetMailUser'],
      mail: ['e@example.com'],
      mailUserStatus: ['Hold'],
    })?.entry;
    expect(entry).toMatchObject({ moving: true, status: [] });
  });

  test.for([
    ['mail only', ['inetMailUser'], 'user', false],
    ['a room', ['inetMailUser', 'icsCalendarResource'], 'resource', true],
    ['a list', ['groupOfUniqueNames', 'inetMailGroup'], 'group', false],
    ['a v7 entity without the v6 class', ['inetLocalMailRecipient', 'davEntity'], 'user', true],
  ] as const)('%s has the right kind', ([, objectClass, kind, calendar]) => {
    expect(read(sun, { objectClass, mail: ['x@example.com'] })?.entry).toMatchObject({ kind, calendar });
  });

  test('an entry of none of our classes, such as a contact in an address book, is not looked at', () => {
    expect(read(sun, { objectClass: ['inetOrgPerson'], mail: ['contact@example.com'] })).toBeUndefined();
  });

  test.for([
    ['http', {}, ['http']],
    ['-http:all', {}, ['-http:all']],
    ['-HTTP', {}, ['-HTTP']],
    ['+imap:ALL', {}, []],
    ['http', { icsStatus: ['active'] }, ['active']],
    ['-http:all', { davStore: ['back1'] }, []],
  ] as const)('icsAllowedServiceAccess %s beside %o gives the calendar status %o', ([value, others, expected]) => {
    const entry = read(sun, {
      objectClass: ['inetMailUser', 'icsCalendarUser'],
      mail: ['x@example.com'],
      icsAllowedServiceAccess: [value],
      ...others,
    })?.entry;
    expect(entry?.status.filter(({ scope }) => scope === 'calendar').map((status) => status.value)).toEqual(expected);
  });

  test('the status of a list is a mail status', () => {
    const entry = read(sun, {
      objectClass: ['inetMailGroup'],
      mail: ['team@example.com'],
      inetMailGroupStatus: ['disabled'],
    })?.entry;
    expect(entry?.status).toEqual([{ scope: 'mail', attribute: 'inetMailGroupStatus', value: 'disabled' }]);
  });
});

describe('an entry read by another mapping', () => {
  test('the OpenLDAP preset takes every user for a calendar user, and no group', () => {
    const user = read(openldap, {
      objectClass: ['inetOrgPerson'],
      mail: ['a@example.com', 'b@example.com'],
      mailLocalAddress: ['c@example.com'],
    })?.entry;
    expect(user).toMatchObject({
      calendar: true,
      status: [],
      addresses: ['a@example.com', 'b@example.com', 'c@example.com'],
    });
    expect(user).not.toHaveProperty('marker');
    const group = read(openldap, {
      objectClass: ['inetLocalMailRecipient', 'groupOfNames'],
      mail: ['g@example.com'],
    })?.entry;
    expect(group).toMatchObject({ kind: 'group', calendar: false });
  });

  test('values with the prefix lose it, those with another one are no mail address', () => {
    const mapping = { ...openldap, addressAttributes: ['proxyAddresses', 'mail'], addressPrefix: 'smtp:' };
    const mapped = read(mapping, {
      objectClass: ['inetOrgPerson'],
      proxyAddresses: [
        'SMTP:ann@example.com',
        'smtp:a.smith@example.com',
        'X500:/o=Example/cn=ann',
        'sip:ann@example.com',
      ],
      mail: ['ann@mail.example.com'],
    });
    expect(mapped?.entry.addresses).toEqual(['ann@example.com', 'a.smith@example.com', 'ann@mail.example.com']);
    expect(mapped?.addresses.get('ann@example.com')).toBe('proxyAddresses=SMTP:ann@example.com');
  });

  test('with no class configured any entry is a user', () => {
    const mapping = { ...openldap, userClasses: [], groupClasses: [] };
    expect(read(mapping, { objectClass: ['account'], mail: ['a@example.com'] })?.entry).toMatchObject({ kind: 'user' });
  });
});

test('a look-up reads what the mapping names, each attribute once', () => {
  expect(neededAttributes(sun)).toEqual([
    'objectClass',
    'mail',
    'mailAlternateAddress',
    'mailEquivalentAddress',
    'inetUserStatus',
    'mailUserStatus',
    'inetMailGroupStatus',
    'icsStatus',
    'icsAllowedServiceAccess',
    'davStore',
    'mailHost',
  ]);
});
