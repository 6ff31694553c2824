#!/usr/bin/env node
// Starts imipd, or says in one line why it cannot. Every Node since 14 can read this file.
import { existsSync } from 'node:fs';

const NEEDED = 26;
const built = new URL('../dist/src/cli.js', import.meta.url);
if (Number(process.versions.node.split('.')[0]) < NEEDED) {
  console.error(
    `imipd: found Node ${process.versions.node}, need Node ${NEEDED} or newer: install it, or run "npm ci" and start with "npm start", which brings a fitting Node`,
  );
  process.exitCode = 69;
} else {
  // Node strips no types below node_modules, so the installed package brings JavaScript.
  const { main } = await import(existsSync(built) ? built.href : new URL('../src/cli.ts', import.meta.url).href);
  await main(process.argv.slice(2));
}
