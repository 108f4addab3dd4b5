/** From the command line to the table. */
import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { formatHelp, parseFlags } from "../../src/config/index.js";
import { ConfigError, PreflabError } from "../../src/errors.js";
import { writeFileAtomic } from "../../src/text/atomicFile.js";
import { findPython, PythonStackError } from "../../scripts/compare/pythonStack.js";
import { describeMachine } from "../shared/machine.js";
import { shapeConfig } from "../shared/models.js";
import { Bench } from "./bench.js";
import { measureDecode } from "./cases/decode.js";
import { measureGrid } from "./cases/grid.js";
import { measureGrowth } from "./cases/growth.js";
import { measureMemory } from "./cases/memory.js";
import { measureFull, measureLong, measureLora } from "./cases/speed.js";
import { measureCompile, measureStartUp } from "./cases/start.js";
import { BENCH_OPTIONS, type BenchOptions, type CaseName, WHERE } from "./options.js";
import type { SearchedCase } from "./recorded.js";
import { searchCase } from "./search.js";
import { formatReport, type TableRow } from "./table.js";

/** What measures one or several cases; in the order of the table. */
const MEASURES: readonly [cases: readonly CaseName[], measure: (bench: Bench) => Promise<TableRow[]>][] = [
  [["lora", "lora-8bit", "lora-nf4", "arithmetic"], measureLora],
  [["long"], measureLong],
  [["full"], measureFull],
  [["memory"], measureMemory],
  [["compile"], measureCompile],
  [["start-up"], measureStartUp],
  [["decode"], measureDecode],
  [["grid"], measureGrid],
  [["growth"], measureGrowth],
];

const SEARCHED: readonly SearchedCase[] = ["lora", "long", "full"];

/** @returns the exit code: 0, goals reached or not; 1 when a case failed; 2 for bad options */
export async function runBench(argv: readonly string[]): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    console.log(formatHelp(BENCH_OPTIONS));
    return 0;
  }
  try {
    const { values, positionals } = parseFlags([BENCH_OPTIONS], argv, { where: WHERE, prefix: "--" });
    if (positionals.length > 0)
      throw new ConfigError("unknown_argument", `${WHERE}: every value must follow a flag, got ${positionals[0]}`);
    const options = BENCH_OPTIONS.resolve(values, { where: WHERE, prefix: "--" });
    // Named wrongly, they are told before anything is measured.
    for (const shape of [options.shape, options.large_shape]) shapeConfig(shape);
    const bench = new Bench(options, stackOf(options), (line) => console.error(line));
    return await (options.search ? search(bench) : measure(bench, argv));
  } catch (error) {
    if (!(error instanceof PreflabError)) throw error;
    console.error(error.message);
    return error instanceof ConfigError ? 2 : 1;
  }
}

/** Python with TRL; undefined when it is not wanted or, which is said, not found. @throws PythonStackError when a search has none */
function stackOf({ alone, search: searching }: BenchOptions): string | undefined {
  if (alone && !searching) return undefined;
  try {
    return findPython();
  } catch (error) {
    if (!(error instanceof PythonStackError) || searching) throw error;
    console.error(`${error.message}\nPreflab's own numbers follow, without TRL's beside them.`);
    return undefined;
  }
}

async function search(bench: Bench): Promise<number> {
  const names = SEARCHED.filter((name) => bench.wants(name));
  let found = true;
  for (const name of names) found = (await searchCase(bench, name)) && found;
  await writeRecord(bench, []);
  return found ? 0 : 1;
}

async function measure(bench: Bench, argv: readonly string[]): Promise<number> {
  const { threads, shape } = bench.options;
  const rows: TableRow[] = [];
  let failed = false;
  for (const [cases, measureCases] of MEASURES) {
    const wanted = cases.filter((name) => bench.wants(name));
    if (wanted.length === 0) continue;
    try {
      rows.push(...(await measureCases(bench)));
    } catch (error) {
      // The other cases are still worth measuring.
      failed = true;
      const why = error instanceof Error ? error.message : String(error);
      console.error(`${wanted.join(", ")}: ${why}`);
      rows.push({ target: wanted.join(", "), goal: "–", measured: `failed: ${why.split("\n")[0]!}`, other: "–", reached: null });
    }
  }
  if (bench.python === undefined) bench.note("TRL was not run: these are Preflab's own numbers alone.");
  bench.note(`Shape ${shape}, random weights in bf16 on disk, float32 arithmetic; both sides take the same token ids.`);
  const text = formatReport({
    rows,
    machine: describeMachine(),
    versions: bench.versions,
    threads,
    sgemm: bench.sgemms,
    date: new Date().toISOString().slice(0, 10),
    command: ["npm run bench:vs-trl", ...(argv.length === 0 ? [] : ["--", ...argv])].join(" "),
    notes: bench.notes,
  });
  console.log(text);
  await writeRecord(bench, rows);
  if (bench.options.markdown !== null) await write(bench.options.markdown, text);
  return failed ? 1 : 0;
}

async function writeRecord(bench: Bench, table: readonly TableRow[]): Promise<void> {
  const { json } = bench.options;
  if (json === null) return;
  const content = { machine: describeMachine(), versions: bench.versions, options: bench.options, table, measurements: bench.record };
  await write(json, `${JSON.stringify(content, null, 2)}\n`);
}

async function write(file: string, text: string): Promise<void> {
  mkdirSync(dirname(resolve(file)), { recursive: true });
  await writeFileAtomic(file, text);
  console.error(`written: ${file}`);
}
