/**
 * Trains the same model on the same rows with TRL (in Python) and with Preflab, and prints both curves side by side:
 *
 *     npm run build && node dist/scripts/compare-with-trl.js --method dpo --steps 20 --html runs/comparison.html
 *
 * Needs a Python with torch, transformers, trl, peft, datasets and accelerate; says what is missing and ends with code 1 where there is
 * none. See docs/comparison.md.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { formatHelp, parseFlags } from "../src/config/index.js";
import { load_dataset } from "../src/data/index.js";
import { ConfigError, PreflabError } from "../src/errors.js";
import { writeAtomically } from "../src/notebook/index.js";
import { COMPARISON_OPTIONS, type ComparisonOptions, configOf, loraOf, sharedOptions, WHERE } from "./compare/options.js";
import { findPython } from "./compare/pythonStack.js";
import { type Comparison, comparisonPage, formatComparison } from "./compare/report.js";
import { methodRows } from "./compare/rows.js";
import { openPolicy, type Request, runPreflab, runTrl, type RunRecord, type StepListener } from "./compare/runs.js";
import { compareLogs } from "./compare/differences.js";
import { packageRoot } from "./corpus/pairs.js";

function modelFolder(options: ComparisonOptions): string {
  const folder = options.model ?? join(packageRoot(), "datasets", "tiny-qwen2-chat");
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new ConfigError("model_folder", `${WHERE}: --model must be a model's folder, got ${folder}; download the model first`);
  return resolve(folder);
}

/** A counter on stderr, where somebody looks at it. */
function counter(who: string, steps: number): StepListener {
  if (!process.stderr.isTTY) return () => undefined;
  return (step) => void process.stderr.write(`\r${who}: step ${step} of ${steps}${step === steps ? "\n" : ""}`);
}

async function compare(request: Request, python: string, steps: number): Promise<{ trl: RunRecord; preflab: RunRecord }> {
  const policy = await openPolicy(request);
  try {
    // One after the other: they would take each other's cores.
    const trl = await runTrl(python, request, counter("TRL", steps));
    const preflab = await runPreflab(policy, request, counter("Preflab", steps));
    return { trl, preflab };
  } finally {
    await policy.base.dispose();
  }
}

async function run(argv: readonly string[], folder: string): Promise<void> {
  const { values, positionals } = parseFlags([COMPARISON_OPTIONS], argv, { where: WHERE, prefix: "--" });
  if (positionals.length > 0) throw new ConfigError("unknown_argument", `${WHERE}: every value must follow a flag, got ${positionals[0]}`);
  const options = COMPARISON_OPTIONS.resolve(values, { where: WHERE, prefix: "--" });
  const { method, attn_implementation } = options;
  const threads = options.threads ?? availableParallelism();
  const shared = sharedOptions(options);
  const lora = loraOf(options, new Set(Object.keys(values)));
  const model = modelFolder(options);
  const source = options.dataset ?? join(packageRoot(), "datasets", "truthy-dpo-mini");
  configOf(method, shared, { output_dir: folder, threads });
  const python = findPython();
  const rows = methodRows(await load_dataset(source), method);
  const request: Request = { method, options: shared, model, rows, lora, attn_implementation, threads, folder };
  const runs = await compare(request, python, options.steps);
  const here = (path: string): string => relative(process.cwd(), path) || ".";
  const setting = { model: here(model), rows: `${rows.length} of ${here(resolve(source))}`, threads, attention: attn_implementation };
  const comparison: Comparison = { method, command: argv.join(" "), setting, ...runs };
  console.log(formatComparison(comparison));
  const files = [
    [
      options.json,
      () => `${JSON.stringify({ ...comparison, options: shared, ...compareLogs(runs.trl.log, runs.preflab.log) }, null, 2)}\n`,
    ],
    [options.html, () => comparisonPage(comparison)],
  ] as const;
  for (const [file, text] of files) {
    if (file === null) continue;
    mkdirSync(dirname(resolve(file)), { recursive: true });
    await writeAtomically(file, text());
    console.log(`\nWritten: ${file}`);
  }
}

async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    console.log(formatHelp(COMPARISON_OPTIONS));
    return 0;
  }
  const folder = mkdtempSync(join(tmpdir(), "preflab-compare-"));
  try {
    await run(argv, folder);
    return 0;
  } catch (error) {
    if (!(error instanceof PreflabError)) throw error;
    console.error(error.message);
    return error instanceof ConfigError ? 2 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main(process.argv.slice(2));
