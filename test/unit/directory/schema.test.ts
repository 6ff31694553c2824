import { describe, expect, test } from 'vitest';
import { PRESET_NAMES, PRESETS } from '../../../src/directory/presets.ts';
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
    expect(entry).toMatchObject({ moving: true, movingBy: 'mailUserStatus=hold', status: [] });
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

describe('an entry read by the Active Directory preset', () => {
  const ad = PRESETS['active-directory'];
  const user = {
    objectClass: ['top', 'person', 'organizationalPerson', 'user'],
    mail: ['ann@mail.example.com'],
    userPrincipalName: ['asmith@corp.example.com'],
    proxyAddresses: [
      'smtp:a.smith@example.com',
      'SMTP:Ann@example.com',
      'X500:/o=Example/cn=ann',
      'sip:ann@example.com',
    ],
  };
  const statusOf = (others: Readonly<Record<string, readonly string[]>>) => {
    const entry = read(ad, { ...user, ...others })?.entry;
    return [entry?.kind, ...(entry?.status ?? []).map(({ scope, value }) => `${scope} ${value}`)];
  };

  test('has the SMTP: address in capitals as its primary one, then mail, the others and the name to log in with', () => {
    expect(read(ad, user)?.entry).toMatchObject({
      kind: 'user',
      calendar: true,
      mail: 'Ann@example.com',
      addresses: ['Ann@example.com', 'ann@mail.example.com', 'a.smith@example.com', 'asmith@corp.example.com'],
    });
    expect(read(ad, { ...user, proxyAddresses: ['smtp:a.smith@example.com'] })?.entry.mail).toBe(
      'ann@mail.example.com',
    );
  });

  test.for([
    [{ userAccountControl: ['512'] }, ['user']],
    [{ userAccountControl: ['514'] }, ['user', 'user disabled']],
    [{ userAccountControl: ['66050'], msExchRecipientTypeDetails: ['1'] }, ['user', 'user disabled']],
    [{ userAccountControl: ['514'], msExchRecipientTypeDetails: ['4'] }, ['user']],
    [{ userAccountControl: ['514'], msExchRecipientTypeDetails: ['16'] }, ['resource']],
    [{ userAccountControl: ['514'], msExchResourceDisplay: ['Room'] }, ['resource']],
    [{ userAccountControl: ['512'], msExchRecipientTypeDetails: ['32'] }, ['resource']],
  ] as const)('with %o it is %o', ([others, expected]) => {
    expect(statusOf(others)).toEqual(expected);
  });
});

describe('a list read by the Sun preset', () => {
  const list = { objectClass: ['inetMailGroup'], mail: ['team@example.com'] };

  test('names its members as its entry does', () => {
    const entry = read(sun, {
      ...list,
      uniqueMember: ['uid=a,o=isp', 'uid=b,o=isp'],
      mgrpRFC822MailMember: ['c@example.org'],
      memberURL: ['ldap:///o=isp??sub?(uid=d*)'],
      mgrpBroadcasterPolicy: ['NO_REQUIREMENTS'],
    })?.entry;
    expect(entry?.group).toEqual({
      memberDns: ['uid=a,o=isp', 'uid=b,o=isp'],
      memberAddresses: ['c@example.org'],
      memberUrls: ['ldap:///o=isp??sub?(uid=d*)'],
    });
  });

  test.for(['mgrpAllowedBroadcaster', 'mgrpAllowedDomain', 'mgrpModerator'])(
    'that has %s is restricted by it',
    (name) => {
      expect(read(sun, { ...list, [name]: ['x'] })?.entry.group?.restrictedBy).toBe(name);
    },
  );
});

test('the attribute of a single user’s server is read where one is configured', () => {
  const mapping = { ...sun, serverAttribute: 'labeledURI' };
  const person = {
    objectClass: ['inetMailUser'],
    mail: ['a@example.com'],
    labeledURI: ['https://cal.example.com/ profile=cyrus'],
  };
  expect(read(mapping, person)?.entry.server).toBe('https://cal.example.com/ profile=cyrus');
  expect(read(sun, person)?.entry).not.toHaveProperty('server');
});

test.for(PRESET_NAMES)('the preset %s reads the languages of a user', (preset) => {
  const person = { objectClass: ['inetOrgPerson', 'inetMailUser', 'user'], mail: ['a@example.com'] };
  const { languageAttribute: _, ...without } = PRESETS[preset];
  const languages = (mapping: SchemaMapping, value: string) =>
    read(mapping, { ...person, preferredLanguage: [value], lingua: ['it'] })?.entry.languages;
  expect(languages(PRESETS[preset], 'es_ES, en;q=0.5')).toEqual(['es-ES', 'en']);
  expect(languages(PRESETS[preset], 'none of them')).toBeUndefined();
  expect(languages({ ...without, languageAttribute: 'lingua' }, 'es')).toEqual(['it']);
  expect(languages(without, 'es')).toBeUndefined();
});

test.for([
  ['https://www.example.com/ann.ifb', 'https://www.example.com/ann.ifb'],
  [' https://www.example.com/ann.ifb Free or busy', 'https://www.example.com/ann.ifb'],
  ['', undefined],
] as const)('where a user publishes his busy times is read of %j', ([value, url]) => {
  const person = { objectClass: ['inetMailUser'], mail: ['a@example.com'], calFBURL: [value] };
  expect(read(sun, person)?.entry.freeBusyUrl).toBe(url);
  expect(read(PRESETS['active-directory'], { ...person, objectClass: ['user'] })?.entry).not.toHaveProperty(
    'freeBusyUrl',
  );
});

test('a look-up reads what the mapping names, each attribute once', () => {
  expect(neededAttributes(sun)).toEqual([
    'objectClass',
    'mail',
    'mailAlternateAddress',
    'mailEquivalentAddress',
    'inetUserStatus',
    'inetGroupStatus',
    'mailUserStatus',
    'inetMailGroupStatus',
    'icsStatus',
    'icsAllowedServiceAccess',
    'davStore',
    'mailHost',
    'preferredLanguage',
    'calFBURL',
    'uniqueMember',
    'mgrpRFC822MailMember',
    'rfc822MailMember',
    'memberURL',
    'mgrpDeliverTo',
    'mgrpAllowedBroadcaster',
    'mgrpDisallowedBroadcaster',
    'mgrpAllowedDomain',
    'mgrpDisallowedDomain',
    'mgrpModerator',
    'mgrpBroadcasterPolicy',
    'mgrpAuthPassword',
  ]);
});
