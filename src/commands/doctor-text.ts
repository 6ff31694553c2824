import type { Finding } from '../doctor/finding.ts';
import { print } from './output.ts';

const WIDTH = 9;

/** Findings for a person: what was found on one line; what would be wanted, and what to do, below it. */
export function printFindings(findings: readonly Finding[]): void {
  for (const { verdict, area, what, found, wanted, advice } of findings) {
    print(`${verdict.padEnd(WIDTH)}${area} ${what}: ${found}`);
    if (wanted !== undefined) print(`${' '.repeat(WIDTH)}wanted: ${wanted}`);
    if (advice !== undefined) print(`${' '.repeat(WIDTH)}do: ${advice}`);
  }
}
