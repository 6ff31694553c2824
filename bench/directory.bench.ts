import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { writeDirectory } from '../test/servers/ldap/generate.ts';
import { PASSWORD, startSlapd } from '../test/servers/servers.ts';

// Time and peak memory of `imipd directory verify` and `populate-davuniqueid` on a real slapd with a large directory,
// beside ldapsearch with the same filter and page size, which is the floor. Each run is a process of its own; they take turns.
// Needs slapd, ldapsearch and GNU time.

const { values } = parseArgs({
  options: { users: { type: 'string', default: '100000' }, rounds: { type: 'string', default: '5' } },
});
const users = Number(values.users);
const rounds = Number(values.rounds);
const root = resolve(import.meta.dirname, '..');
const folder = await mkdtemp(join(tmpdir(), 'imipd-bench-'));
const ldif = join(folder, 'directory.ldif');
const { withoutId } = await writeDirectory(ldif, { users, withoutIdEvery: 10, defects: true });

type Run = { readonly seconds: number; readonly peakMb: number; readonly code: number | null };

/** Runs a program to its end. @param okay exit codes that are none of a failure */
async function measure(program: string, args: readonly string[], okay: readonly number[] = [0]): Promise<Run> {
  const sink = openSync(join(folder, 'out'), 'w');
  const errors = openSync(join(folder, 'err'), 'w');
  const timed = ['-f', '%e %M', '-o', join(folder, 'time'), program, ...args];
  const child = spawn('/usr/bin/time', timed, {
    cwd: folder,
    stdio: ['ignore', sink, errors],
    env: { ...process.env, NODE_OPTIONS: '', IMIPD_LDAP_PASSWORD: PASSWORD },
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code === null || !okay.includes(code))
    throw new Error(`${program} ${args.join(' ')}: exit ${code}\n${readFileSync(join(folder, 'err'), 'utf8')}`);
  const [seconds, peakKb] = (readFileSync(join(folder, 'time'), 'utf8').trim().split('\n').at(-1) ?? '').split(' ');
  return { seconds: Number(seconds), peakMb: Number(peakKb) / 1024, code };
}

const imipd = (...args: readonly string[]): readonly string[] => [join(root, 'src/main.ts'), 'directory', ...args];
const results = new Map<string, Run[]>();

{
  await using slapd = await startSlapd({ ldif, maxSizeBytes: 2 ** 30 });
  await writeFile(
    join(folder, 'imipd.yaml'),
    [
      'domains: [example.test, sales.test]',
      "listeners: [{name: in, address: '127.0.0.1:0'}]",
      "next-hop: {address: '127.0.0.1:9'}",
      'calendar: {back-ends: {defaultbackend: {url: http://127.0.0.1:9/}, second: {url: http://127.0.0.1:9/}}}',
      `directory: {servers: ['${slapd.url}'], base: o=isp, bind-dn: '${slapd.bindDn}', password: ${PASSWORD}}`,
      '',
    ].join('\n'),
  );
  const account = ['-x', '-LLL', '-H', slapd.url, '-D', slapd.bindDn, '-w', PASSWORD, '-b', 'o=isp'];
  const paged = ['-E', 'pr=100/noprompt', '-o', 'ldif-wrap=no'];
  const named = (title: string, run: () => Promise<Run>): [string, () => Promise<Run>] => [title, run];
  const populate = (...args: readonly string[]) =>
    imipd('populate-davuniqueid', '-h', slapd.url, '-D', 'cn=admin,o=isp', '-b', 'o=isp', ...args);
  let output = 0;
  const subjects = [
    named('ldapsearch of the same entries', () =>
      measure('ldapsearch', [...account, ...paged, '(objectClass=inetMailUser)']),
    ),
    named('verify, nothing repeated nor moved: one pass', () =>
      measure(process.execPath, imipd('verify', '--config', 'one-pass.yaml'), [0, 1]),
    ),
    named('verify, with repeated addresses: two passes', () =>
      measure(process.execPath, imipd('verify', '--config', 'imipd.yaml'), [1]),
    ),
    named(`ldapsearch of the ${withoutId} without id`, () =>
      measure('ldapsearch', [...account, ...paged, '(&(!(davUniqueId=*))(objectClass=inetMailUser))', 'davUniqueId']),
    ),
    named(`populate, LDIF of ${withoutId} entries`, () =>
      measure(process.execPath, populate('-o', `out-${output++}.ldif`)),
    ),
  ];
  // Sees only the first addresses, of which none is repeated, and no ids.
  const yaml = readFileSync(join(folder, 'imipd.yaml'), 'utf8').trimEnd();
  const mapping = ', mapping: {address-attributes: [mail, mailAlternateAddress], key: none}}';
  await writeFile(join(folder, 'one-pass.yaml'), `${yaml.slice(0, -1)}${mapping}\n`);
  for (let round = 0; round <= rounds; round++) {
    for (const [title, run] of subjects) {
      const result = await run();
      // The first round fills the caches and is not counted.
      if (round > 0) results.set(title, [...(results.get(title) ?? []), result]);
    }
  }
  // Once: afterwards there is nothing left to do.
  const applied = populate('-x', '-o', 'applied.ldif');
  results.set(`populate -x, ${withoutId} entries changed`, [await measure(process.execPath, applied)]);
}
await rm(folder, { recursive: true, force: true });

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
const version = execFileSync(
  'bash',
  ['-c', 'PATH=/usr/sbin:$PATH slapd -VV 2>&1 | grep -o "OpenLDAP: slapd [0-9.]*"'],
  {
    encoding: 'utf8',
  },
).trim();
console.log(
  `directory, commit ${commit}, Node ${process.versions.node}, ${version}, ${cpus().length} × ${cpus()[0]?.model.trim()}`,
);
console.log(`${users} users, ${rounds} rounds; seconds, and peak resident memory in MiB`);
const columns = ['median', 'lowest', 'highest', 'memory'];
console.log('subject'.padEnd(50) + columns.map((title) => title.padStart(9)).join(''));
for (const [title, runs] of results) {
  const sorted = runs.map((run) => run.seconds).toSorted((a, b) => a - b);
  const shown = [sorted[Math.floor(sorted.length / 2)], sorted[0], sorted.at(-1)];
  const peakMb = Math.round(Math.max(...runs.map((run) => run.peakMb)));
  console.log(
    title.padEnd(50) +
      [...shown.map((one) => (one ?? 0).toFixed(2)), peakMb].map((one) => `${one}`.padStart(9)).join(''),
  );
}
