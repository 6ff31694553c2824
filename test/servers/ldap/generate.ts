import { once } from 'node:events';
import { createWriteStream } from 'node:fs';

/** How often a defect is put in: in each so many-th entry. */
const DEFECT_EVERY = 10_000;

export type Generated = {
  readonly users: number;
  /** Users without `davUniqueId`. */
  readonly withoutId: number;
};

/**
 * Writes a directory in the shape of the sample one: users of two domains, two thirds of them on v7 on two back ends, a
 * third of the v7 ones migrated from v6, each with two further addresses. The same numbers give the same file.
 * @param options.withoutIdEvery each so many-th user has no davUniqueId, half of those an nsUniqueId; 0: all have one
 * @param options.defects puts in a repeated address and a repeated id for each 10,000 users
 */
export async function writeDirectory(
  file: string,
  options: { readonly users: number; readonly withoutIdEvery?: number; readonly defects?: boolean },
): Promise<Generated> {
  const { users, withoutIdEvery = 0, defects = false } = options;
  const out = createWriteStream(file);
  let withoutId = 0;
  out.write(TOP);
  for (let index = 0; index < users; index++) {
    const hasId = withoutIdEvery === 0 || index % withoutIdEvery !== 0;
    if (!hasId) withoutId++;
    const isDefect = defects && index % DEFECT_EVERY === DEFECT_EVERY - 1;
    if (!out.write(user(index, hasId, isDefect))) await once(out, 'drain');
  }
  out.end();
  await once(out, 'finish');
  return { users, withoutId };
}

const DOMAINS = ['example.test', 'sales.test'] as const;

const TOP = [
  ['o=isp', 'objectClass: organization', 'o: isp'],
  [
    'cn=gateway,o=isp',
    'objectClass: organizationalRole',
    'objectClass: simpleSecurityObject',
    'cn: gateway',
    'userPassword: secret',
  ],
  ...DOMAINS.flatMap((domain) => [
    [`o=${domain},o=isp`, 'objectClass: organization', `o: ${domain}`],
    [`ou=People,o=${domain},o=isp`, 'objectClass: organizationalUnit', 'ou: People'],
  ]),
]
  .map(([dn, ...lines]) => [`dn: ${dn}`, ...lines, '', ''].join('\n'))
  .join('');

function user(index: number, hasId: boolean, isDefect: boolean): string {
  const uid = `user${String(index).padStart(6, '0')}`;
  const domain = DOMAINS[index % DOMAINS.length] ?? DOMAINS[0];
  const isOnV7 = index % 3 !== 0;
  const isMigrated = index % 9 < 3;
  const repeats = isDefect ? index - 1 : index;
  const id = `${String(repeats).padStart(8, '0')}-0000-4000-8000-000000000000`;
  return [
    `dn: uid=${uid},ou=People,o=${domain},o=isp`,
    ...['inetOrgPerson', 'inetMailUser', 'inetLocalMailRecipient', 'icsCalendarUser', 'davEntity'].map(
      (name) => `objectClass: ${name}`,
    ),
    `uid: ${uid}`,
    `cn: User ${index}`,
    `sn: ${index}`,
    `mail: ${uid}@${domain}`,
    `mailAlternateAddress: u.${index}@${domain}`,
    `mailEquivalentAddress: e.${repeats}@all.test`,
    `mailHost: store.${domain}`,
    'mailUserStatus: active',
    'icsStatus: active',
    ...(isOnV7 ? [`davStore: ${index % 2 === 0 ? 'defaultbackend' : 'second'}`] : []),
    ...(!isOnV7 || isMigrated ? [`icsCalendar: ${uid}@${domain}`] : []),
    ...(isOnV7 && isMigrated ? ['icsAllowedServiceAccess: -http:all'] : []),
    ...(hasId ? [`davUniqueId: ${id}`] : index % 2 === 0 ? [`nsUniqueId: ${id}`] : []),
    '',
    '',
  ].join('\n');
}
