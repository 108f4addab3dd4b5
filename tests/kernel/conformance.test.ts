/** The probes of `npm run conformance`, which the table in docs/conformance.md shows, must pass on this package's kernel. */
import { afterAll, describe, expect, test } from "vitest";
import { preflabKernel } from "../../scripts/conformance/kernels.js";
import { KernelBench, PROBES } from "../../scripts/conformance/suite.js";

const bench = new KernelBench(preflabKernel());
afterAll(() => bench.close());

describe("conformance", () => {
  test.each(PROBES.map((probe) => [`${probe.group}: ${probe.name}`, probe] as const))("%s", async (_, probe) => {
    await expect(bench.check(probe)).resolves.toBeUndefined();
  });
});
