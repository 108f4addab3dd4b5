/**
 * Compares notebook kernels: `npm run conformance` runs the probes against this package's kernel, stock tslab and, where installed, Deno, and
 * writes docs/conformance.md. `--only NAME` runs one kernel and writes nothing. Exit code 1 when this package's kernel fails a probe.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { denoKernel, preflabKernel, tslabKernel } from "./conformance/kernels.js";
import { examine } from "./conformance/suite.js";
import { conformanceTable } from "./conformance/table.js";

const ROOT = join(import.meta.dirname, "..", "..");

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { only: { type: "string" } } });
  const deno = denoKernel();
  const kernels = [preflabKernel(), tslabKernel(), ...(deno === undefined ? [] : [deno])].filter(
    ({ name }) => values.only === undefined || name.toLowerCase() === values.only.toLowerCase(),
  );
  // Side by side: a kernel that hangs on a probe would hold up the others.
  const results = await Promise.all(
    kernels.map(async (kernel) => {
      const findings = await examine(kernel, (probe, found) =>
        console.log(
          `${kernel.name}  ${found === undefined ? "yes" : "NO "}  ${probe.name}${found === undefined ? "" : `: ${found.slice(0, 300)}`}`,
        ),
      );
      return { kernel, findings };
    }),
  );
  if (values.only === undefined) {
    const file = join(ROOT, "docs", "conformance.md");
    await writeFile(file, conformanceTable(results, deno === undefined ? ["Deno"] : [], new Date().toISOString().slice(0, 10)));
    console.log(`written: ${file}`);
  }
  const own = results.find(({ kernel }) => kernel.name === "Preflab");
  if (own !== undefined && [...own.findings.values()].some((found) => found !== undefined)) process.exitCode = 1;
}

await main();
