/**
 * The built compare-with-trl: against TRL where a Python with its libraries is found ($PREFLAB_PYTHON, else python3 or .cache/python-checks),
 * skipped with the reason elsewhere; what it says without one; and its tables.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compareLogs, type LogComparison } from "../../scripts/compare/differences.js";
import { findPython } from "../../scripts/compare/pythonStack.js";
import { type Comparison, comparisonPage, formatComparison, median } from "../../scripts/compare/report.js";
import { methodRows } from "../../scripts/compare/rows.js";
import type { RunRecord } from "../../scripts/compare/runs.js";
import { Dataset } from "../../src/data/index.js";
import { PreflabError } from "../../src/errors.js";
import type { LogEntry } from "../../src/train/index.js";

const SCRIPT = resolve(import.meta.dirname, "../../dist/scripts/compare-with-trl.js");
const GOLDEN = resolve(import.meta.dirname, "../golden");
const INPUT = ["--model", join(GOLDEN, "tiny-qwen2"), "--dataset", join(GOLDEN, "pairs.jsonl"), "--steps", "3", "--threads", "1"];

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "preflab-comparison-"))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function compare(argv: readonly string[], python?: string) {
  const env = { ...process.env, ...(python !== undefined && { PREFLAB_PYTHON: python }) };
  return spawnSync(process.execPath, [SCRIPT, ...argv], { encoding: "utf8", env });
}

/** Why TRL cannot run here; undefined when it can. A library may be there and yet not be importable. */
function lack(): string | undefined {
  try {
    const script = "from trl import DPOTrainer, KTOTrainer, SFTTrainer; import peft, datasets, accelerate";
    const { status, stderr } = spawnSync(findPython(), ["-c", script], { encoding: "utf8", cwd: tmpdir() });
    return status === 0 ? undefined : stderr.trim().split("\n").at(-1)!;
  } catch (error) {
    if (error instanceof PreflabError) return error.message.split("\n").slice(1, -3).join("; ").trim();
    throw error;
  }
}
const lacking = lack();

describe.skipIf(lacking !== undefined)(
  `against TRL${lacking === undefined ? "" : ` (skipped: ${lacking}; scripts/install-python-checks.sh --all installs what it needs)`}`,
  () => {
    test.each([
      ["dpo", ["--gradient_accumulation_steps", "2", "--per_device_train_batch_size", "2"]],
      ["sft", ["--lr_scheduler_type", "cosine", "--warmup_steps", "1"]],
      ["kto", ["--peft", "--lora_target_modules", "all-linear", "--learning_rate", "1e-3"]],
    ])(
      "%s",
      (method, more) => {
        const [json, html] = [join(folder, method, "comparison.json"), join(folder, `${method}.html`)];
        const { status, stdout, stderr } = compare(["--method", method, ...INPUT, ...more, "--json", json, "--html", html]);
        expect(status, stderr).toBe(0);
        const result = JSON.parse(readFileSync(json, "utf8")) as Comparison & LogComparison;
        const worst = Object.fromEntries(result.differences.map(({ name, absolute }) => [name, absolute]));
        expect(result.differences.map(({ name }) => name)).toEqual(
          expect.arrayContaining(["loss", "grad_norm", "learning_rate", "num_tokens"]),
        );
        expect(worst["loss"]).toBeLessThan(1e-4);
        expect(worst["grad_norm"]).toBeLessThan(1e-3);
        expect(worst["learning_rate"]).toBeLessThan(1e-15);
        expect(worst["num_tokens"]).toBe(0);
        expect([result.onlyTrl, result.onlyPreflab]).toEqual([[], []]);
        for (const { log, step_seconds } of [result.trl, result.preflab]) {
          expect(log.map(({ step }) => step)).toEqual([1, 2, 3]);
          expect(new Set(log.map(({ loss }) => loss)).size).toBe(3);
          expect(step_seconds.length).toBe(3);
        }
        expect(result.trl.versions["trl"]).toMatch(/^\d/);
        expect(stdout).toContain("Largest difference of every logged value:");
        expect(readFileSync(html, "utf8")).toContain("<svg");
      },
      180_000,
    );
  },
);

describe("without TRL", () => {
  test("it says that the Python cannot be run and how to get one", () => {
    const { status, stdout, stderr } = compare(["--method", "dpo", ...INPUT], "/nonexistent");
    expect(status).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toContain(
      "compare-with-trl: TRL's side needs a Python with torch, transformers, trl, peft, datasets, accelerate, got\n",
    );
    expect(stderr).toContain("  /nonexistent (PREFLAB_PYTHON): cannot be run (ENOENT)\n");
    expect(stderr).toContain("scripts/install-python-checks.sh --all");
  });

  /** A stand-in for Python: answers the question for libraries, then does as told. */
  function standIn(name: string, lacks: string, then: string): string {
    const file = join(folder, name);
    writeFileSync(file, `#!/bin/sh\nif [ "$1" = -c ]; then echo "${lacks}"; exit 0; fi\n${then}\n`);
    chmodSync(file, 0o755);
    return file;
  }

  test("it names the libraries that are missing", () => {
    const python = standIn("lacking", "trl, peft", "exit 9");
    const { status, stdout, stderr } = compare(["--method", "kto", ...INPUT], python);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(`  ${python} (PREFLAB_PYTHON): lacks trl, peft\n`);
  });

  test("it tells a library that is there and cannot be imported", () => {
    const python = standIn("broken", "", `echo '{"missing": {"trl": "ImportError: no rich"}}'; exit 3`);
    const { status, stdout, stderr } = compare(["--method", "sft", ...INPUT], python);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(`  ${python}: trl: ImportError: no rich\n`);
  });

  test("it passes on why TRL's run failed, and compares nothing", () => {
    const python = standIn("failing", "", `echo "ValueError: no such model" >&2; exit 1`);
    const { status, stdout, stderr } = compare(["--method", "dpo", ...INPUT, "--json", join(folder, "none.json")], python);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(
      "compare-with-trl: TRL's run must end well, got exit code 1; its last messages are\nValueError: no such model",
    );
    expect(existsSync(join(folder, "none.json"))).toBe(false);
  });

  test.each([
    [["--method", "dpo", "--lora_r", "4"], "--lora_r needs --peft"],
    [["--method", "sft", "--beta", "0.2"], "--beta is for dpo and kto"],
    [["--method", "kto", "--loss_type", "kto", "apo_zero_unpaired"], "--loss_type must be one loss with kto"],
    [["--method", "dpo", "--model", "/nonexistent"], "--model must be a model's folder, got /nonexistent"],
    [["--method", "kto", "--per_device_train_batch_size", "1"], "per_device_train_batch_size must be > 1"],
    [["--method", "ppo"], "dpo, sft, kto"],
  ])("options that cannot be compared are errors: %j", (argv, message) => {
    const { status, stderr } = compare(argv, "/nonexistent");
    expect(status).toBe(2);
    expect(stderr).toContain(message);
  });
});

describe("the tables", () => {
  const record = (log: LogEntry[], seconds: number[]): RunRecord => ({
    log,
    versions: { some: "1.0" },
    step_seconds: seconds,
    train_seconds: 9,
    peak_bytes: null,
  });
  const trl: LogEntry[] = [
    { loss: 0.5, "rewards/margins": 0.25, grad_norm: 2, kl: NaN, mine: 1, step: 1 },
    { loss: 0.25, grad_norm: 4, kl: NaN, step: 2 },
  ];
  const preflab: LogEntry[] = [
    { loss: 0.5, "rewards/margins": 0.125, grad_norm: 2, kl: NaN, step: 1, yours: 1 },
    { loss: 0.375, grad_norm: NaN, kl: NaN, step: 2 },
  ];
  const comparison: Comparison = {
    method: "dpo",
    command: "--method dpo",
    setting: { model: "<m>" },
    trl: record(trl, [3, 1, 2]),
    preflab: record(preflab, [1, 2]),
  };

  test("differences are absolute and relative to the larger value, and a NaN on one side is one", () => {
    expect(compareLogs(trl, preflab)).toEqual({
      differences: [
        { name: "loss", absolute: 0.125, relative: 1 / 3, step: 2 },
        { name: "rewards/margins", absolute: 0.125, relative: 0.5, step: 1 },
        { name: "grad_norm", absolute: NaN, relative: NaN, step: 2 },
        { name: "kl", absolute: 0, relative: 0, step: 1 },
      ],
      onlyTrl: ["mine"],
      onlyPreflab: ["yours"],
    });
  });

  test("logs of other steps are not compared", () => {
    expect(() => compareLogs(trl, preflab.slice(1))).toThrowError(
      expect.objectContaining({ code: "steps_differ", message: "compare-with-trl: both must log the same steps, got 1, 2 and 2" }),
    );
  });

  test("text", () => {
    const text = formatComparison(comparison);
    expect(text).toContain("   1  0.500000      0.500000           0    0.250000        0.125000      1.3e-1");
    expect(text).toContain("   2  0.250000      0.375000      1.3e-1           -               -           -");
    expect(text).toMatch(/grad_norm +NaN +NaN +2\n/);
    expect(text).toMatch(/a step, median +2\.000 s +1\.500 s\n/);
    expect(text).toContain("Logged by TRL only: mine\n\nLogged by Preflab only: yours");
    expect(median([4])).toBe(4);
  });

  test("the page has both curves and escapes texts", () => {
    const page = comparisonPage(comparison);
    expect(page).toContain("<p>model &lt;m&gt;</p>");
    expect(page.match(/stroke-dasharray="5 4"/g)?.length).toBe(3);
    expect(page).not.toContain("<script");
  });
});

test("pairs become rows of the method; other rows are left alone", () => {
  const pairs = Dataset.from_rows([{ id: 1, prompt: "p", chosen: " c", rejected: " r" }]);
  expect(methodRows(pairs, "dpo").rows()).toEqual([{ prompt: "p", chosen: " c", rejected: " r" }]);
  expect(methodRows(pairs, "sft").rows()).toEqual([{ prompt: "p", completion: " c" }]);
  expect(methodRows(pairs, "kto").rows()).toEqual([
    { prompt: "p", completion: " c", label: true },
    { prompt: "p", completion: " r", label: false },
  ]);
  const texts = Dataset.from_rows([{ text: "t" }]);
  expect(methodRows(texts, "sft")).toBe(texts);
});
