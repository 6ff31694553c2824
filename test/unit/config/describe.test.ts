import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { describeOptions } from '../../../src/config/describe.ts';
import { ConfigFolder } from './folder.ts';

const page = readFileSync(new URL('../../../docs/config.md', import.meta.url), 'utf8');

test('docs/config.md is what the options say; if not: node src/config/describe.ts > docs/config.md', () => {
  expect(page).toBe(describeOptions());
});

test('every option of docs/config.md has a form, a default or the lack of one, and a sentence', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  const incomplete = rows.filter((row) => !/^\| `[a-z-]+` (\| [^|]+ ){2}\| [^|]+\. \|$/.test(row));
  expect(incomplete).toEqual([]);
  expect(rows.length).toBeGreaterThan(90);
});

test('the example of docs/config.md is a right configuration without warnings', () => {
  using folder = new ConfigFolder();
  const [, yaml = ''] = /```yaml\n(.*?)```/s.exec(page) ?? [];
  const loaded = folder.load(yaml, { IMIPD_LDAP_PASSWORD: 'geheim' });
  expect([loaded.ok ? [] : loaded.errors, loaded.warnings]).toEqual([[], []]);
});

test('what is refused with a reason is not offered', () => {
  expect(page).not.toContain('`collect`');
});
