import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "vitest";

/** Path of a fixture; fixtures/make.py wrote them with Python's datasets, pandas and openpyxl. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
}

/** Path of a golden file. */
export function golden(name: string): string {
  return fileURLToPath(new URL(`../golden/${name}`, import.meta.url));
}

/** A scratch directory for the tests of one file, and a writer into it that returns the path. */
export function useScratch(): { path: (name: string) => string; write: (name: string, content: string | Uint8Array) => Promise<string> } {
  let directory = "";
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "preflab-data-"));
  });
  afterAll(async () => {
    await rm(directory, { recursive: true });
  });
  const path = (name: string): string => join(directory, name);
  return {
    path,
    write: async (name, content) => {
      await writeFile(path(name), content);
      return path(name);
    },
  };
}
