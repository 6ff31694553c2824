import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadTemplates, type SiteTemplates, TemplateError } from '../imip/templates.ts';
import type { Field } from './field.ts';
import { folder, type Site } from './kinds.ts';

/** A site's templates as they were read. */
export type TemplatesFolder = {
  readonly folder: string;
  /** Those that were there, absolute. */
  readonly files: readonly string[];
  /** Of all of them: differs when one does. */
  readonly digest: string;
  readonly templates: SiteTemplates;
};

/** The `templates` option: a folder of templates, read and checked now. */
export function templatesFolder(site: Site): Field<TemplatesFolder, '', false> {
  const about = {
    doc: 'Folder with texts of your own, by language (docs/outbound.md).',
    form: 'the path of a folder with templates',
  };
  return folder(site, about, (path) => {
    try {
      const templates = loadTemplates(path);
      const files = readdirSync(path)
        .toSorted()
        .filter((name) => /\.(?:json|txt|html)$/.test(name))
        .map((name) => join(path, name));
      const hash = createHash('sha256');
      for (const file of files) hash.update(`${file}\0`).update(readFileSync(file));
      return { ok: true, value: { folder: path, files, digest: hash.digest('hex'), templates } };
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      const faults = error.message.split('\n');
      // That the folder cannot be read names it already.
      return { ok: false, why: faults.map((fault) => (fault.startsWith(path) ? fault : join(path, fault))) };
    }
  });
}
