import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default', './test/reporter.ts'],
    testTimeout: 30_000,
    hookTimeout: 120_000,
    // Two files at a time: integration tests start servers, and a test machine may have two cores.
    maxWorkers: 2,
    pool: 'forks',
  },
});
