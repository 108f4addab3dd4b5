/** Compiled equals eager: every kernel, fused operation and composition, both ways. */
import { afterAll, describe, expect, test } from "vitest";
import { CompiledEngine, EagerEngine } from "../../src/compile/index.js";
import { checkCase } from "./contractCase.js";
import { cases } from "./cases/index.js";

const engines = { compiled: new CompiledEngine({ threads: 1 }), eager: new EagerEngine("cpu") };

afterAll(async () => {
  await engines.compiled.dispose();
  await engines.eager.dispose();
});

for (const [subject, list] of Object.entries(cases)) {
  describe(subject, () => {
    test.each(list.map((contract) => [contract.name, contract] as const))("%s", async (_, contract) => {
      await checkCase(contract, engines);
    });
  });
}

test("case names are unique", () => {
  const names = Object.values(cases).flatMap((list) => list.map(({ name }) => name));
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});
