import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseConfig } from '../../../src/config/load.ts';
import { ConfigFolder } from './folder.ts';

const page = readFileSync(new URL('../../../docs/ischedule.md', import.meta.url), 'utf8');
const examples = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml = '']) => parse(yaml) as object);

let folder: ConfigFolder;

beforeAll(() => {
  folder = new ConfigFolder();
  const at = (name: string): string => `${folder.path}/${name}`;
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
  const files = ['-keyout', at('imipd.key'), '-out', at('imipd.pem'), '-subj', '/CN=imipd.example.com'];
  execFileSync('openssl', ['req', '-x509', ...kind, ...files], { stdio: 'ignore' });
  for (const name of ['partners-ca.pem', 'cal1-ca.pem']) folder.write(name, readFileSync(at('imipd.pem')));
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  folder.write('isched1.example.com.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }));
  folder.write('partner-password', 'geheim\n');
});
afterAll(() => folder[Symbol.dispose]());

/** The page says itself that this is warned about. */
const OLD_TLS =
  'x: ischedule.servers[0].min-tls: TLSv1 protects little (RFC 8996); only for a server that speaks nothing newer';

test('the page has an example for each proof, for draft00, for servers and for discovery', () => {
  expect(examples).toHaveLength(8);
});

test.each(examples.map((_, index) => index))('example %i of docs/ischedule.md is a right configuration', (index) => {
  const example = examples[index] ?? {};
  const env = { PARTNER_TOKEN: 'wort', CAL2_TOKEN: 'wort' };
  const loaded = parseConfig(
    { ...examples[0], ...('http' in example ? {} : { http: {} }), ...example },
    'x',
    env,
    folder.path,
  );
  const warned = JSON.stringify(example).includes('TLSv1') ? [OLD_TLS] : [];
  expect([loaded.ok ? [] : loaded.errors, loaded.warnings]).toEqual([[], warned]);
});
