import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type OpenSweep, answerLines, exportToOptuna, openSweep, sweep, TrialPruned } from "../../src/sweep/index.js";

const PYTHON = process.env["PREFLAB_PYTHON"] ?? "python3";
const hasOptuna = spawnSync(PYTHON, ["-c", "import optuna, sqlalchemy"]).status === 0;

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "preflab-optuna-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const objective = (trial: {
  number: number;
  params: Readonly<Record<string, unknown>>;
  report(step: number, value: number): void;
}): number => {
  const { lr, r } = trial.params as { lr: number; r: number };
  trial.report(1, lr * r);
  if (trial.number === 1) throw new TrialPruned("too slow");
  if (trial.number === 2) throw new Error("broken");
  return lr * r * 2;
};
const input = () => ({
  space: { lr: { log_uniform: [1e-5, 1e-3] as const }, r: { integer: [4, 16] as const }, targets: [["q_proj", "v_proj"], "all-linear"] },
  ...{ objective, output_dir: join(folder, "s"), budget: { trials: 5 }, progress: false, metric: "m", goal: "maximize" as const },
});

const READ = `
import json, sys, optuna
study = optuna.load_study(study_name="s", storage="sqlite:///" + sys.argv[1])
study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))  # the file can be written to
print(json.dumps({"direction": study.direction.name, "best": study.best_trial.number, "trials": [
  {"number": t.number, "state": t.state.name, "value": t.value, "params": t.params, "reports": t.intermediate_values, "reason": t.user_attrs.get("reason"), "timed": t.duration is not None}
  for t in study.trials[:-1]]}))
importance = optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
assert set(importance) == {"lr", "r", "targets"}, importance
`;

describe("Optuna", () => {
  test.skipIf(!hasOptuna)("reads an exported study (needs Python's optuna: PREFLAB_PYTHON)", { timeout: 60_000 }, async () => {
    const result = await sweep(input());
    const open = await openSweep(input());
    const file = join(folder, "optuna.db");
    exportToOptuna(file, {
      name: "s",
      goal: "maximize",
      space: open.space,
      trials: result.trials,
      reports: (number) => open.study.ledger.reports(number),
    });
    open.study.close();
    const read = JSON.parse(execFileSync(PYTHON, ["-c", READ, file], { stdio: ["ignore", "pipe", "ignore"] }).toString()) as {
      direction: string;
      best: number;
      trials: Record<string, unknown>[];
    };
    expect([read.direction, read.best]).toEqual(["MAXIMIZE", result.best!.number]);
    expect(read.trials.map(({ state }) => state)).toEqual(["COMPLETE", "PRUNED", "FAIL", "COMPLETE", "COMPLETE"]);
    for (const [i, trial] of result.trials.entries()) {
      const targets = trial.params["targets"];
      expect(read.trials[i]).toMatchObject({
        ...{ number: i, value: trial.value, reason: trial.reason, timed: true },
        params: { ...trial.params, targets: Array.isArray(targets) ? JSON.stringify(targets) : targets },
        reports: { "1": Number(trial.params["lr"]) * Number(trial.params["r"]) },
      });
    }
  });

  test("lines of JSON: every answer, in order; a bad line is told", async () => {
    const open: OpenSweep = await openSweep(input());
    const written: unknown[] = [];
    async function* lines(): AsyncGenerator<string> {
      yield await Promise.resolve('{"id": "a", "params": {"lr": 0.5, "r": 2}}');
      yield "";
      yield '{"id": "b", "params": {"lr": 1, "r": 1}}';
    }
    await answerLines(open, lines(), (line) => written.push(JSON.parse(line)), new AbortController().signal);
    expect(written).toEqual([
      { id: "a", trial: 0, step: 1, value: 1 },
      { id: "a", trial: 0, state: "complete", value: 2, reason: null },
      { id: "b", trial: 1, step: 1, value: 1 },
      { id: "b", trial: 1, state: "pruned", value: 1, reason: "too slow" },
    ]);
    async function* bad(): AsyncGenerator<string> {
      yield await Promise.resolve("lr=1");
    }
    await expect(answerLines(open, bad(), () => undefined, new AbortController().signal)).rejects.toThrow(
      "a line must be a JSON object, got lr=1",
    );
    open.study.close();
  });

  test.skipIf(!hasOptuna)("drives a sweep through ask and tell (needs Python's optuna: PREFLAB_PYTHON)", { timeout: 60_000 }, () => {
    const script = `
import json, subprocess, sys, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
run = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
study = optuna.create_study(direction="minimize", sampler=optuna.samplers.TPESampler(seed=1))
for _ in range(4):
    trial = study.ask({"learning_rate": optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True), "r": optuna.distributions.IntDistribution(2, 4)})
    run.stdin.write(json.dumps({"id": trial.number, "params": trial.params}) + "\\n"); run.stdin.flush()
    while True:
        answer = json.loads(run.stdout.readline())
        if "state" in answer: break
        trial.report(answer["value"], answer["step"])
    study.tell(trial, answer["value"], state=optuna.trial.TrialState.COMPLETE if answer["state"] == "complete" else optuna.trial.TrialState.FAIL)
run.stdin.close()
assert run.wait() == 0
print(json.dumps([[t.state.name, t.value, sorted(t.intermediate_values)] for t in study.trials]))
`;
    const root = join(import.meta.dirname, "../..");
    const file = join(folder, "sweep.yaml");
    writeFileSync(
      file,
      `
base: ${root}/datasets/tiny-qwen2-chat
data: ${root}/datasets/truthy-dpo-mini
train_split: "train[:4]"
test_split: null
metric: loss
space: { learning_rate: { log_uniform: [1.0e-4, 1.0e-2] }, r: { integer: [2, 4] } }
budget: { trials: 4 }
options: { max_steps: 2, logging_steps: 1, per_device_train_batch_size: 2 }
output_dir: ${folder}/driven
`,
    );
    const output = execFileSync(PYTHON, ["-c", script, process.execPath, join(root, "dist/src/cli.js"), "sweep", file, "--ask_tell"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const trials = JSON.parse(output.toString()) as [string, number, number[]][];
    expect(trials.map(([state, , steps]) => [state, steps])).toEqual(Array.from({ length: 4 }, () => ["COMPLETE", [1, 2]]));
    expect(trials.every(([, value]) => value > 0 && value < 1)).toBe(true);
  });
});
