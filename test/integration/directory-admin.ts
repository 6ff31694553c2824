import { type Folder, folderWith, run } from './cli.ts';

/** A directory for slapd with nothing in it but the account that binds, and these entries below `ou=People,o=isp`. */
export function ldifOf(entries: readonly (readonly string[])[]): string {
  const all: readonly (readonly string[])[] = [
    ['o=isp', 'objectClass: organization', 'o: isp'],
    [
      'cn=gateway,o=isp',
      'objectClass: organizationalRole',
      'objectClass: simpleSecurityObject',
      'cn: gateway',
      'userPassword: secret',
    ],
    ['ou=People,o=isp', 'objectClass: organizationalUnit', 'ou: People'],
    ...entries.map(([dn, ...lines]) => [`${dn},ou=People,o=isp`, ...lines]),
  ];
  return all.map(([dn, ...lines]) => [`dn: ${dn}`, ...lines, '', ''].join('\n')).join('');
}

/** A user of the Sun schema: `uid`, his mail address, the classes for calendars, and these lines. */
export function user(uid: string, ...lines: readonly string[]): readonly string[] {
  return [
    `uid=${uid}`,
    ...['inetOrgPerson', 'inetMailUser', 'icsCalendarUser', 'davEntity'].map((name) => `objectClass: ${name}`),
    `uid: ${uid}`,
    `cn: ${uid}`,
    `sn: ${uid}`,
    `mail: ${uid}@example.test`,
    ...lines,
  ];
}

/** A folder with an `imipd.yaml` for this slapd, and the files. */
export function siteFor(
  slapd: { readonly url: string; readonly ldapsUrl: string; readonly ca: string },
  options: { readonly directory?: readonly string[]; readonly bindDn?: string } = {},
  files: Readonly<Record<string, string>> = {},
): Promise<Folder> {
  return folderWith({
    'imipd.yaml': [
      'domains: [example.test]',
      "listeners: [{name: in, address: '127.0.0.1:0'}]",
      'calendar:',
      '  back-ends:',
      '    one: {url: http://127.0.0.1:9/ischedule}',
      '    two: {url: http://127.0.0.1:9/ischedule/two}',
      "next-hop: {address: '127.0.0.1:9'}",
      'directory:',
      `  servers: ['${slapd.url}']`,
      '  start-tls: true',
      `  ca: ${slapd.ca}`,
      '  base: o=isp',
      `  bind-dn: '${options.bindDn ?? 'cn=gateway,o=isp'}'`,
      '  password: secret',
      ...(options.directory ?? []).map((line) => `  ${line}`),
      '',
    ].join('\n'),
    ...files,
  });
}

/**
 * Changes an entry as the directory's administrator does.
 * @param lines of one LDIF modify record, below `changetype: modify`
 */
export async function changeEntry(
  slapd: { readonly url: string },
  dn: string,
  ...lines: readonly string[]
): Promise<void> {
  await using folder = await folderWith({
    'change.ldif': [`dn: ${dn}`, 'changetype: modify', ...lines, ''].join('\n'),
  });
  const account = ['-x', '-H', slapd.url, '-D', 'cn=admin,o=isp', '-w', 'secret'];
  const { code, err } = await run(folder.path, 'ldapmodify', [...account, '-f', 'change.ldif']);
  if (code !== 0) throw new Error(`ldapmodify: ${err}`);
}
