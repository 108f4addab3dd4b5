/**
 * The product's target table with what this machine reaches, beside TRL where a Python with its libraries is found:
 *
 *     npm run bench:vs-trl -- [--cases lora,long] [--rounds 3] [--json FILE] [--markdown FILE]
 *
 * Random weights, the same token ids for both sides, each measurement in a process of its own, the sides in turns, and the machine's plain
 * sgemm beside every measurement. Goals that are missed are reported; the exit code is 1 only when something could not be measured.
 */
import { readFileSync } from "node:fs";
import type { PreflabRequest, SgemmRequest } from "./vs-trl/requests.js";

async function answer(request: PreflabRequest | SgemmRequest): Promise<object> {
  if (request.kind === "preflab") return (await import("./vs-trl/preflabSide.js")).measurePreflab(request);
  return { gflops: await (await import("./vs-trl/sgemmSide.js")).measureSgemm(request) };
}

async function main(argv: readonly string[]): Promise<number> {
  // A child loads its own side alone: what it loads counts in the start-up that is measured.
  if (argv[0] === "--child") {
    console.log(JSON.stringify(await answer(JSON.parse(readFileSync(argv[1]!, "utf8")) as PreflabRequest | SgemmRequest)));
    return 0;
  }
  const { runBench } = await import("./vs-trl/run.js");
  return runBench(argv);
}

process.exitCode = await main(process.argv.slice(2));
