import { createInterface } from "node:readline";
import { defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { SWEEP_OPTIONS, type SweepValues, readSweepFile } from "../sweep/sweepOptions.js";
import type { SweepInput } from "../sweep/sweep.js";
import { type Command, readCommandLine } from "./command.js";
import { ENGINE_OPTIONS, type EngineValues, cancelElsewhere, loadEngine, requireEngine } from "./engineOptions.js";
import { onInterrupt } from "./interrupt.js";

const RUN_OPTIONS = defineOptions("Options", {
  ask_tell: {
    type: "boolean",
    default: false,
    help: 'Take settings from standard input, one JSON object a line such as {"params": {"learning_rate": 1e-4}}, and answer each with a line: for Optuna and others',
  },
  dry_run: { type: "boolean", default: false, help: "Check everything and say what would be tried" },
  notebook: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "FILE",
    help: "Write a notebook with the sweep as a cell, its table and its figure",
  },
  optuna: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "FILE",
    help: "Write the study as Optuna's SQLite storage, for optuna-dashboard",
  },
});

/** The sweep's own, without what only a file can say. */
const FLAGS = defineOptions("Sweep (flags override the file)", {
  base: SWEEP_OPTIONS.entries.base,
  data: SWEEP_OPTIONS.entries.data,
  budget: SWEEP_OPTIONS.entries.budget,
  metric: SWEEP_OPTIONS.entries.metric,
  goal: SWEEP_OPTIONS.entries.goal,
  output_dir: SWEEP_OPTIONS.entries.output_dir,
  keep: SWEEP_OPTIONS.entries.keep,
  lease_seconds: SWEEP_OPTIONS.entries.lease_seconds,
});

const WHERE = "preflab sweep";

export const sweep: Command = {
  name: "sweep",
  usage: `${WHERE} SWEEP.yaml [flags]`,
  summary:
    "Tries many settings of a training and ranks them in one table. Started again it goes on where it was; several processes started on one output_dir share the trials.",
  tables: [RUN_OPTIONS, FLAGS, ENGINE_OPTIONS],
  async prepare(argv) {
    const { values, positionals, names } = await readCommandLine(WHERE, [RUN_OPTIONS, FLAGS, ENGINE_OPTIONS], argv);
    const [file, ...others] = positionals;
    if (file === undefined || others.length > 0)
      throw new ConfigError(
        "sweep_file",
        `${WHERE}: one sweep file must be given, got ${positionals.length === 0 ? "none" : positionals.join(" ")}`,
      );
    const run = RUN_OPTIONS.resolve(values[0]!, { where: WHERE, prefix: "--" });
    const input = await readSweepFile(file, FLAGS.check(values[1]!, { where: WHERE, prefix: "--" }));
    const engine = ENGINE_OPTIONS.resolve(values[2]!, { where: WHERE, prefix: "--" });
    requireEngine(engine, names, WHERE);
    if (run.ask_tell && engine.engine !== "local")
      throw new ConfigError("sweep_engine", `${WHERE}: ask_tell must run its trials in this process, got --engine ${engine.engine}`);
    return () => (run.ask_tell ? answer(input) : engine.cancel ? cancel(input, engine) : search(input, run, engine));
  },
};

interface Outputs {
  readonly dry_run: boolean;
  readonly notebook: string | null;
  readonly optuna: string | null;
}

async function cancel(values: SweepValues, engine: EngineValues): Promise<number> {
  const [{ openSweep }] = await Promise.all([import("../sweep/index.js"), import("../hub/index.js")]);
  const open = await openSweep(sweepInput(values), WHERE);
  try {
    console.log(await cancelElsewhere(engine, open));
    return 0;
  } finally {
    open.study.close();
  }
}

async function search(values: SweepValues, outputs: Outputs, engine: EngineValues): Promise<number> {
  const [{ sweep, openSweep, exportToOptuna }, { writeNotebook }] = await Promise.all([
    import("../sweep/index.js"),
    import("../notebook/index.js"),
    // Importing it lets Hub ids stand where a path can, and writes model cards.
    import("../hub/index.js"),
  ]);
  const input = sweepInput(values);
  if (outputs.dry_run) {
    const open = await openSweep(input, WHERE);
    try {
      const counts = open.study.ledger.counts();
      const done = counts.complete + counts.pruned + counts.fail;
      console.log(
        `${open.planned} trials of ${[...open.space.dimensions.keys()].join(", ")}, judged by ${open.metric}; ${done} have ended`,
      );
      return 0;
    } finally {
      open.study.close();
    }
  }
  const abort = new AbortController();
  const interrupt = onInterrupt(
    () => abort.abort(),
    "Stopping after this step; the same command goes on from there. Ctrl-C again ends at once.",
  );
  try {
    const result = await sweep({
      ...{ ...input, signal: abort.signal, engine: await loadEngine(engine) },
      on_progress: ({ number, worker, step, value }) =>
        console.log(`trial ${number + 1}  ${worker}  ${step === undefined ? "begun" : `step ${step}: ${value}`}`),
    });
    console.log(`\n${result.toString()}\n`);
    console.log(`table in ${values.output_dir}/results.csv${result.best_dir === undefined ? "" : `, best model in ${result.best_dir}`}`);
    if (outputs.notebook !== null)
      await writeNotebook(outputs.notebook, { cells: [result.to_notebook_cell()], metadata: {}, nbformat: 4, nbformat_minor: 5 } as never);
    if (outputs.optuna !== null) {
      const open = await openSweep(input, WHERE);
      try {
        const { study, space } = open;
        exportToOptuna(outputs.optuna, {
          name: values.output_dir,
          goal: study.goal,
          space,
          trials: study.trials(),
          reports: (number) => study.ledger.reports(number),
        });
      } finally {
        open.study.close();
      }
    }
    return result.best === undefined ? 1 : 0;
  } catch (error) {
    if (interrupt.exitCode === undefined) throw error;
    console.error((error as Error).message);
    return interrupt.exitCode;
  } finally {
    interrupt.release();
  }
}

async function answer(values: SweepValues): Promise<number> {
  const [{ openSweep, answerLines }] = await Promise.all([import("../sweep/index.js"), import("../hub/index.js")]);
  const open = await openSweep(sweepInput(values), WHERE);
  const abort = new AbortController();
  const interrupt = onInterrupt(() => abort.abort(), "Stopping after this step.");
  // Lines for people would stand among the answers.
  const { log, info } = console;
  console.log = console.info = (...texts: unknown[]) => console.error(...texts);
  let failed = true;
  try {
    await answerLines(
      open,
      createInterface({ input: process.stdin, signal: abort.signal }),
      (line) => process.stdout.write(`${line}\n`),
      abort.signal,
    );
    failed = false;
    return interrupt.exitCode ?? 0;
  } finally {
    Object.assign(console, { log, info });
    interrupt.release();
    await open.close(failed);
  }
}

/** Checked already, and whole. null says nothing, except that there is no split to judge by. */
function sweepInput(values: SweepValues): SweepInput {
  const given = Object.entries(values).filter(([name, value]) => value !== null || name === "test_split");
  return Object.fromEntries(given) as SweepInput;
}
