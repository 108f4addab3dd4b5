import { createRequire } from "node:module";
import { expect, it, vi } from "vitest";
import { Dataset } from "../../src/data/index.js";

/** A file of its own, because the test runner gives each file a process in which nothing is loaded yet. */
it("loads danfojs when a data frame is first asked for, not before, and without a word on stderr", async () => {
  const isLoaded = (): boolean => Object.keys(createRequire(import.meta.url).cache).some((name) => name.includes("danfojs-node"));
  const stderr = vi.spyOn(process.stderr, "write");
  expect(isLoaded()).toBe(false);
  await Dataset.from_rows([{ a: 1 }]).to_dataframe();
  expect(isLoaded()).toBe(true);
  expect(stderr).not.toHaveBeenCalled();
});
