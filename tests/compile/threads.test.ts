import { expect, test } from "vitest";
import { defaultThreads } from "../../src/compile/threads.js";

test.each([
  [undefined, 0],
  ["", 0],
  ["1", 1],
  [" 3 ", 3],
  ["4,2", 4],
])("OMP_NUM_THREADS %j gives %i threads", (value, threads) => {
  expect(defaultThreads({ OMP_NUM_THREADS: value })).toBe(threads);
});

test.each(["0", "-1", "2.5", "all", ",2"])("OMP_NUM_THREADS %j is an error", (value) => {
  expect(() => defaultThreads({ OMP_NUM_THREADS: value })).toThrow(
    `OMP_NUM_THREADS must be a whole number of at least 1, got ${JSON.stringify(value)}; correct it, unset it, or name threads yourself`,
  );
});
