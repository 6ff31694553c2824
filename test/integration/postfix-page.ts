import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readableFolder } from '../servers/servers.ts';
import { root } from './harness.ts';

/** The two ways of docs/mta/postfix.md, and what is added to either, by their headings. */
export type Way = 'As received' | 'Through the mail host' | 'Answers and bounces';

export type PagePorts = {
  /** Where the gateway listens; 10025 on the page. */
  readonly gateway: number;
  /** Where it hands mail back; 10026 on the page. */
  readonly reinject: number;
  /** Where mail enters Postfix; 25 on the page. */
  readonly entry: number;
  /** The mail store's LMTP; 24 on the page. */
  readonly store: number;
};

/** What the page says to write into one file, for this test's ports and domain. */
export type PageFile = { readonly name: string; readonly text: string };

/** @returns the code blocks of one section that begin with the comment `# FILE`, in order */
export function readPage(way: Way, ports: PagePorts): readonly PageFile[] {
  const page = readFileSync(join(root, 'docs/mta/postfix.md'), 'utf8');
  const section = page.split(/^## /m).find((text) => text.startsWith(`${way}\n`));
  if (section === undefined) throw new Error(`docs/mta/postfix.md has no section ${way}`);
  return [...section.matchAll(/^```[a-z]*\n# (\S+)\n([\s\S]*?)^```$/gm)].map((match) => ({
    name: match[1]!.replace('/etc/postfix/', ''),
    text: adapt(match[2]!, ports),
  }));
}

/** Writes the Postfix part into a folder of its own, for `startPostfix`; of two files of one name the later stands below. */
export async function writeSnippet(files: readonly PageFile[]): Promise<string> {
  const folder = await readableFolder('snippet');
  for (const file of files) {
    if (file.name !== 'imipd.yaml') appendFileSync(join(folder, file.name), file.text);
  }
  return folder;
}

function adapt(text: string, ports: PagePorts): string {
  return text
    .replaceAll('10025', `${ports.gateway}`)
    .replaceAll('10026', `${ports.reinject}`)
    .replaceAll('127.0.0.1:25\n', `127.0.0.1:${ports.entry}\n`)
    .replaceAll(']:24\n', `]:${ports.store}\n`)
    .replaceAll('example.com', 'example.test')
    .replaceAll('example\\.com', 'example\\.test');
}
