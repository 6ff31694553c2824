/** An LDAP URL taken apart (RFC 4516 §2); what it leaves out has its default. */
export type LdapUrl = {
  /** `host`, `host:port`, or '' for whichever server is asked. */
  readonly host: string;
  readonly base: string;
  readonly scope: 'base' | 'one' | 'sub';
  readonly filter: string;
};

const SCOPES: ReadonlyMap<string, LdapUrl['scope']> = new Map([
  ['', 'base'],
  ['base', 'base'],
  ['one', 'one'],
  ['sub', 'sub'],
]);

/** @returns what is wrong with it, when it cannot be followed; the attributes it names are not looked at */
export function parseLdapUrl(text: string): LdapUrl | { readonly problem: string } {
  const match = /^ldaps?:\/\/([^/?]*)(?:\/([^?]*)(?:\?([^?]*))?(?:\?([^?]*))?(?:\?([^?]*))?(?:\?(.*))?)?$/is.exec(
    text.trim(),
  );
  if (match === null) return { problem: 'it is no LDAP URL (RFC 4516)' };
  const [, host = '', dn = '', , scopeName = '', filterText = '', extensions = ''] = match;
  const scope = SCOPES.get(scopeName.toLowerCase());
  if (scope === undefined) return { problem: `its scope is "${scopeName}", want base, one or sub` };
  if (/(?:^|,)!/.test(extensions)) return { problem: `it has a critical extension (${extensions})` };
  try {
    const [base, filter] = [dn, filterText].map(decodeURIComponent);
    return { host: host.toLowerCase(), base: base ?? '', scope, filter: filter || '(objectClass=*)' };
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return { problem: 'its percent escapes are not UTF-8' };
  }
}
