import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Path of a golden file or folder; golden/README.md says what each holds. */
export function goldenPath(name: string): string {
  return fileURLToPath(new URL(`../golden/${name}`, import.meta.url));
}

/** A golden JSON file. */
export function readGolden<T>(name: string): T {
  return JSON.parse(readFileSync(goldenPath(name), "utf8")) as T;
}
