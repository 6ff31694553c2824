import { type DomainMapEntry, parseDomainMap } from '../../rules/domain-map.ts';
import type { Field } from './field.ts';
import { file, type Site } from './kinds.ts';

/** A domain map as it was read; `notes` are what an operator should look at although the map stands. */
export type DomainMap = {
  readonly file: string;
  readonly entries: readonly DomainMapEntry[];
  readonly notes: readonly string[];
};

/** The `domain-map` option: an `ischeduledomainmap.properties` file, read and parsed now. */
export function domainMapFile(site: Site): Field<DomainMap, '', false> {
  const about = {
    doc: 'Domain map in the format of ischeduledomainmap.properties: lines domain=URL, and after the URL profile=NAME.',
    form: 'the path of a domain map',
  };
  return file(site, about, (content, absolutePath) => {
    const { entries, problems } = parseDomainMap(content, absolutePath);
    const texts = (kind: 'error' | 'note') =>
      problems
        .filter((problem) => problem.kind === kind)
        .map((problem) => `${absolutePath}:${problem.line}: ${problem.text}`);
    const errors = texts('error');
    return errors.length === 0
      ? { ok: true, value: { file: absolutePath, entries, notes: texts('note') } }
      : { ok: false, why: errors };
  });
}
