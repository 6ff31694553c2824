import { expect, test } from 'vitest';
import { parseLdapUrl } from '../../../src/directory/ldap-url.ts';

const all = '(objectClass=*)';

test.for([
  ['ldap:///o=isp??sub?(uid=a*)', { host: '', base: 'o=isp', scope: 'sub', filter: '(uid=a*)' }],
  ['ldap:///uid=a,o=isp', { host: '', base: 'uid=a,o=isp', scope: 'base', filter: all }],
  [
    'LDAPS://Dir.Example.com:636/o=isp?mail?ONE',
    { host: 'dir.example.com:636', base: 'o=isp', scope: 'one', filter: all },
  ],
  ['ldap:///ou=A%20B,o=isp??sub?(cn=%c3%a4%3f)', { host: '', base: 'ou=A B,o=isp', scope: 'sub', filter: '(cn=ä?)' }],
  ['ldap:///o=isp??sub?(uid=a)?x-hint=1', { host: '', base: 'o=isp', scope: 'sub', filter: '(uid=a)' }],
  ['ldap://dir.example.com', { host: 'dir.example.com', base: '', scope: 'base', filter: all }],
] as const)('%s is read as RFC 4516 says', ([text, expected]) => {
  expect(parseLdapUrl(text)).toEqual(expected);
});

test.for([
  ['http://example.com/', 'it is no LDAP URL (RFC 4516)'],
  ['ldap:///o=isp??everything', 'its scope is "everything", want base, one or sub'],
  ['ldap:///o=isp??sub??!bindname=cn=x', 'it has a critical extension (!bindname=cn=x)'],
  ['ldap:///o=%ff', 'its percent escapes are not UTF-8'],
])('%s cannot be followed', ([text, problem]) => {
  expect(parseLdapUrl(text!)).toEqual({ problem });
});
