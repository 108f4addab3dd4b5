/**
 * The product's target table with what this machine reaches, beside TRL where a Python with its libraries is found:
 *
 *     npm run bench:vs-trl -- [--cases lora,long] [--rounds 3] [--json FILE] [--markdown FILE]
 *
 * Random weights, the same token ids for both sides, each measurement in a process of its own, the sides in turns, and the machine's plain
 * sgemm beside every measurement. Goals that are missed are reported; the exit code is 1 only when something could not be measured.
 */
import { readFileSync } from "node:fs";

async function main(argv: readonly string[]): Promise<number> {
  // A child loads its own side alone: what it loads counts in the start-up that is measured.
  if (argv[0] === "--child") {
    const { answer } = await import("./vs-trl/preflabSide.js");
    console.log(JSON.stringify(await answer(JSON.parse(readFileSync(argv[1]!, "utf8")) as Parameters<typeof answer>[0])));
    return 0;
  }
  const { runBench } = await import("./vs-trl/run.js");
  return runBench(argv);
}

process.exitCode = await main(process.argv.slice(2));
