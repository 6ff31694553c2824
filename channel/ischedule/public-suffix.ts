import { getPublicSuffix } from 'tldts';

/**
 * The part of a domain below which strangers register their names: `com`, `co.uk`, `github.io`. The list of ICANN's
 * registries and that of private ones both count; of a top-level domain in neither, the top level itself.
 * @param domain in lower case, A-labels
 */
export function publicSuffixOf(domain: string): string {
  const suffix = getPublicSuffix(domain, {
    allowPrivateDomains: true,
    extractHostname: false,
    validateHostname: false,
    detectIp: false,
  });
  return suffix ?? domain.slice(domain.lastIndexOf('.') + 1);
}
