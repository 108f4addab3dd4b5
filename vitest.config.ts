import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    globalSetup: "tests/cacheFolder.ts",
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2,
    // Two files run at a time: threads of their engines and of Python's torch would only wait for each other.
    env: { OMP_NUM_THREADS: "1" },
    // The compute worker and the notebook kernel are started from dist/, so `npm test` builds first.
  },
});
