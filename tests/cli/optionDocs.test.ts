import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { formatOptionDocs } from "../../src/cli/optionDocs.js";

test("docs/options.md is what the options tables say (rerun scripts/make-option-docs.ts)", async () => {
  expect(readFileSync(new URL("../../docs/options.md", import.meta.url), "utf8")).toBe(await formatOptionDocs());
});
