import { readFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseConfig } from '../../../src/config/load.ts';
import { en } from '../../../src/imip/words/en.ts';
import { ConfigFolder } from './folder.ts';

const page = readFileSync(new URL('../../../docs/outbound.md', import.meta.url), 'utf8');
const examples = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml = '']) => parse(yaml) as object);

test('docs/outbound.md has examples', () => {
  expect(examples.length).toBeGreaterThan(3);
});

const folder = new ConfigFolder();
folder.write('templates/it.json', JSON.stringify(en));
folder.write('templates/de.json', /`(\{"leadInvitation".*?\})`/.exec(page)?.[1] ?? '');
folder.write('templates/de.footer.html', '<p>{recipient}</p>');
afterAll(() => folder[Symbol.dispose]());

test.each(examples.map((_, index) => index))('example %i of docs/outbound.md is a right configuration', (index) => {
  const example = JSON.stringify({ ...examples[0], ...examples[index] }).replace('/etc/imipd', folder.path);
  const loaded = parseConfig(JSON.parse(example), 'x');
  expect([loaded.ok ? [] : loaded.errors, loaded.warnings]).toEqual([[], []]);
});
