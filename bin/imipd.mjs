#!/usr/bin/env node
// Starts imipd, or says in one line why it cannot. Every Node since 14 can read this file.
const NEEDED = 26;
// Node strips no types below node_modules, so the installed package brings JavaScript.
const isInstalled = import.meta.url.includes('/node_modules/');
if (Number(process.versions.node.split('.')[0]) < NEEDED) {
  const advice = isInstalled
    ? 'install it'
    : 'install it, or run "npm ci" and start with "npm start", which brings a fitting Node';
  console.error(`imipd: found Node ${process.versions.node}, need Node ${NEEDED} or newer: ${advice}`);
  process.exitCode = 69;
} else {
  const { main } = await import(isInstalled ? '../dist/src/cli.js' : '../src/cli.ts');
  await main(process.argv.slice(2));
}
