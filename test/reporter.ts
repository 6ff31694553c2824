import type { Reporter, TestModule } from 'vitest/node';

/** Ends the run with `N passed, N failed`, and names what was skipped and why. */
export default class Tally implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tally = { passed: 0, failed: errors.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      if (module.state() === 'failed' && module.errors().length > 0) tally.failed++; // a file that did not load
      for (const test of module.children.allTests()) {
        const result = test.result();
        tally[result.state]++;
        if (result.state === 'skipped') console.log(`skipped: ${test.fullName} ${result.note ?? ''}`);
      }
    }
    process.once('exit', () => {
      const skipped = tally.skipped > 0 ? `, ${tally.skipped} skipped` : '';
      console.log(`${tally.passed} passed, ${tally.failed} failed${skipped}`);
    });
  }
}
