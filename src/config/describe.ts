import type { AnyField, Fields } from './field.ts';
import type { Site } from './kinds.ts';
import { options } from './options.ts';

const nowhere: Site = { hostname: 'localhost', env: {}, absolute: (path) => path, readText: () => '' };

const INTRODUCTION = `# Configuration

<!-- Written by: node src/config/describe.ts > docs/config.md -->

One YAML file, \`imipd.yaml\`: the file named by \`--config\`, else by the environment variable \`IMIPD_CONFIG\`, else
\`imipd.yaml\` in the working folder, else \`/etc/imipd/imipd.yaml\`. \`imipd check\` tells everything that is wrong with it,
with file and line, without starting; a start with a wrong configuration ends with exit code 78.

- **Times** carry a unit: \`500ms\`, \`30s\`, \`5m\`, \`12h\`, \`7d\`.
- **Sizes** carry a unit: \`B\`, \`KB\`, \`MB\`, \`GB\` count by 1000, \`KiB\`, \`MiB\`, \`GiB\` by 1024.
- **Paths** start at the folder of the configuration file.
- **Secrets** are the text itself, \`file:/path\` (a line end after it is dropped) or \`env:NAME\`. They are never logged or shown.
- How the next hop's recipients are addressed is \`next-hop.addressing\`; \`next-hop.address\` is where it is.

## Example

\`\`\`yaml
hostname: imip.example.com
state: /var/lib/imipd
domains: [example.com]
listeners:
  - name: in
    address: 127.0.0.1:10025
    clients: [127.0.0.0/8]
directory:
  kind: ldap
  servers: [ldaps://ldap1.example.com, ldaps://ldap2.example.com]
  base: o=example.com,o=isp
  bind-dn: cn=imipd,ou=services,o=isp
  password: env:IMIPD_LDAP_PASSWORD
calendar:
  back-ends:
    defaultbackend: {url: "https://calendar.example.com/ischedule/", profile: cyrus}
next-hop:
  address: 127.0.0.1:10026
\`\`\`
`;

/** Every option as Markdown: the text of `docs/config.md`. */
export function describeOptions(): string {
  const root = options(nowhere);
  return `${[INTRODUCTION.trimEnd(), ...new Set(chapters('', root))].join('\n\n')}\n`;
}

/** A chapter for the section, then one for each section in it. */
function chapters(name: string, field: AnyField): string[] {
  const { shape } = field;
  switch (shape.kind) {
    case 'section': {
      const heading = name === '' ? '## Options' : `## ${name}\n\n${field.doc}`;
      const parts = documented(shape.fields);
      const inner = parts.flatMap(([key, part]) => chapters(name === '' ? key : `${name}.${key}`, part));
      return [`${heading}\n\n${table(parts)}`, ...inner];
    }
    case 'list':
      return chapters(`${name}[]`, { ...shape.item, doc: field.doc });
    case 'map':
      return chapters(`${name}.<${shape.key}>`, { ...shape.item, doc: field.doc });
    case 'variants':
      return Object.entries(shape.of).flatMap(([kind, part]) => {
        const [own = '', ...inner] = chapters(name, { ...part, doc: `${field.doc} ${part.doc}` });
        const row = tableRow(shape.key, kind, kind === shape.default ? `\`${kind}\`` : 'needed', shape.doc);
        return [
          own.replace(`## ${name}`, `## ${name}, ${shape.key}: ${kind}`).replace(`${RULE}\n`, `${RULE}\n${row}\n`),
          ...inner,
        ];
      });
    case 'value':
    case 'refused':
      return [];
  }
}

function documented(fields: Fields): (readonly [string, AnyField])[] {
  return Object.entries(fields).filter(([, field]) => field.shape.kind !== 'refused');
}

const RULE = '| --- | --- | --- | --- |';

function table(parts: readonly (readonly [string, AnyField])[]): string {
  const rows = parts.map(([name, field]) =>
    tableRow(name, hasChapter(field) ? 'see below' : field.form, presence(field), field.doc),
  );
  return ['| option | value | default | |', RULE, ...rows].join('\n');
}

function tableRow(...cells: readonly [name: string, form: string, fallback: string, doc: string]): string {
  const [name, form, fallback, doc] = cells.map((cell) => cell.replaceAll('|', '\\|'));
  return `| \`${name}\` | ${form} | ${fallback} | ${doc} |`;
}

function presence(field: AnyField): string {
  if (field.optional) return '–';
  if (field.fallback !== undefined) return field.fallback;
  return field.shape.kind === 'section' ? '–' : 'needed';
}

function hasChapter(field: AnyField): boolean {
  const { shape } = field;
  if (shape.kind === 'list' || shape.kind === 'map') return hasChapter(shape.item);
  return shape.kind === 'section' || shape.kind === 'variants';
}

if (import.meta.main) process.stdout.write(describeOptions());
