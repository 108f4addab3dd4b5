/**
 * The scheduler with trials that do nothing, and the assignment's 12 trials as one sweep beside twelve separate runs:
 *
 *     npm run build && node dist/bench/sweep.js [--trials 10,1000,100000] [--separate]
 *
 * The twelve runs share one cache of programs and reference log-probs, the sweep has its own; both begin empty.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { packageRoot } from "../scripts/corpus/pairs.js";
import { sweep } from "../src/sweep/index.js";

const { values } = parseArgs({
  options: { trials: { type: "string", default: "10,1000,100000" }, separate: { type: "boolean", default: false } },
});
const folder = mkdtempSync(join(tmpdir(), "preflab-bench-sweep-"));
const SPACE = { learning_rate: { log_uniform: [1e-5, 1e-2] }, beta: { uniform: [0.01, 1] }, r: { integer: [2, 64] } } as const;

try {
  for (const trials of values.trials.split(",").map(Number)) await measureScheduler(trials);
  if (values.separate) measureSeparate();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function measureScheduler(trials: number): Promise<void> {
  const output_dir = join(folder, String(trials));
  const input = { space: SPACE, metric: "value", goal: "maximize", output_dir, progress: false, budget: { trials } } as const;
  const objective = (trial: { params: Readonly<Record<string, unknown>> }): number => -((Number(trial.params["beta"]) - 0.3) ** 2);
  const timed = async (): Promise<number> => {
    const started = performance.now();
    await sweep({ ...input, objective });
    return performance.now() - started;
  };
  const first = await timed();
  const again = await timed();
  const bytes = statSync(join(output_dir, "study.sqlite")).size;
  const memory = process.memoryUsage().rss;
  console.log(
    `${trials} trials: ${(first / 1000).toFixed(2)} s, ${(first / trials).toFixed(3)} ms a trial; started again when all are done ${(again / 1000).toFixed(2)} s; file ${(bytes / 1e6).toFixed(1)} MB; process ${(memory / 1e6).toFixed(0)} MB`,
  );
}

function measureSeparate(): void {
  const root = packageRoot();
  const cli = join(root, "dist/src/cli.js");
  const [base, data] = [join(root, "datasets/tiny-qwen2-chat"), join(root, "datasets/truthy-dpo-mini")];
  const settings = [1e-4, 1e-3].flatMap((lr) => [0.1, 0.5].flatMap((beta) => [4, 8, 16].map((r) => ({ lr, beta, r }))));
  const file = join(folder, "sweep.json");
  writeFileSync(
    file,
    JSON.stringify({
      ...{ base, data, output_dir: join(folder, "sweep") },
      grid: { learning_rate: [1e-4, 1e-3], beta: [0.1, 0.5], r: [4, 8, 16] },
      options: { lora_alpha: 32, per_device_train_batch_size: 5, max_steps: 12, eval_strategy: "steps", eval_steps: 12, lora_dropout: 0 },
    }),
  );
  const run = (args: string[], cache: string): number => {
    const started = performance.now();
    const { status, stderr } = spawnSync(process.execPath, [cli, ...args], {
      env: { ...process.env, PREFLAB_CACHE: join(folder, cache) },
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
    return (performance.now() - started) / 1000;
  };
  let separate = 0;
  for (const [i, { lr, beta, r }] of settings.entries()) {
    const flags = ["dpo", "--model_name_or_path", base, "--dataset_name", data, "--output_dir", join(folder, `alone-${i}`), "--use_peft"];
    const options = [
      "--learning_rate",
      String(lr),
      "--beta",
      String(beta),
      "--lora_r",
      String(r),
      "--lora_alpha",
      "32",
      "--lora_dropout",
      "0",
    ];
    const rest = [
      "--per_device_train_batch_size",
      "5",
      "--max_steps",
      "12",
      "--eval_strategy",
      "steps",
      "--eval_steps",
      "12",
      "--precompute_ref_log_probs",
    ];
    separate += run([...flags, ...options, ...rest], "cache-separate");
  }
  const together = run(["sweep", file], "cache-together");
  console.log(
    `12 trials of 12 steps: one sweep ${together.toFixed(1)} s, twelve runs ${separate.toFixed(1)} s, ${(separate / together).toFixed(2)} times as long`,
  );
}
