import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseConfig } from '../../../src/config/load.ts';
import { ConfigFolder } from './folder.ts';

const examplesIn = (page: string): readonly object[] => {
  const text = readFileSync(new URL(`../../../${page}`, import.meta.url), 'utf8');
  return [...text.matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml = '']) => parse(yaml) as object);
};
/** What docs/free-busy.md says to stand beside its example. */
const BESIDE = {
  domains: ['example.com'],
  listeners: [{ name: 'in' }],
  directory: { servers: ['ldaps://ldap.example.com'], base: 'o=isp' },
  'next-hop': { address: '127.0.0.1:10026' },
};

let folder: ConfigFolder;

beforeAll(() => {
  folder = new ConfigFolder();
  folder.write('ischeduledomainmap.properties', 'example.com=http://cs6.example.com:8080/ischedule/\n');
  folder.write('secret', 'geheim\n');
});
afterAll(() => folder[Symbol.dispose]());

/** Everything said of it; secrets are read from a file that there is. */
function said(config: object): readonly string[] {
  const readable = JSON.parse(JSON.stringify(config).replaceAll(/file:\/etc\/[^"]+/g, `file:${folder.path}/secret`));
  const loaded = parseConfig(readable, 'x', {}, folder.path);
  return [...(loaded.ok ? [] : loaded.errors), ...loaded.warnings];
}

test('the example of docs/free-busy.md is right but for the password in clear that the page speaks of', () => {
  const [example, ...more] = examplesIn('docs/free-busy.md');
  expect(more).toEqual([]);
  expect(said({ ...BESIDE, ...example })).toEqual([
    'x: free-busy.servers[0].password: goes to cs6.example.com:8080 in clear; use https://',
  ]);
});

test('the example of docs/coexistence.md is right', () => {
  const [example, ...more] = examplesIn('docs/coexistence.md');
  expect(more).toEqual([]);
  expect(said(example ?? {})).toEqual([]);
});

test('the example of README.md is right beside those before it', () => {
  const isAbout = (one: object): boolean => 'free-busy' in one;
  const [example] = examplesIn('README.md').filter(isAbout);
  const calendar = { 'domain-map': 'ischeduledomainmap.properties' };
  expect(said({ ...BESIDE, calendar, http: { service: {} }, ...example })).toEqual([]);
});
