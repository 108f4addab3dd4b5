/** TRL's side: what the table says of it, with a program in Python's place; and the real one, where it is found. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { randomPairs } from "../../bench/shared/pairs.js";
import { measurePreflab } from "../../bench/vs-trl/preflabSide.js";
import { PLAIN_SETTING, runTrl, wasKilled } from "../../bench/vs-trl/sides.js";
import { findPython } from "../../scripts/compare/pythonStack.js";
import { PreflabError } from "../../src/errors.js";

const ENTRY = resolve(import.meta.dirname, "../../dist/bench/vs-trl.js");
const MODEL = resolve(import.meta.dirname, "../../datasets/tiny-qwen2-chat");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "preflab-bench-trl-"));
  process.env["PREFLAB_CACHE"] = join(folder, "cache");
});
afterAll(() => {
  delete process.env["PREFLAB_CACHE"];
  rmSync(folder, { recursive: true, force: true });
});

/** A program that passes for a Python with all libraries and then runs `script` in place of trl_step.py, the request in `$2`. */
function standIn(script: string): string {
  const file = join(folder, `python-${script.length}`);
  writeFileSync(file, `#!/bin/sh\n[ "$1" = -c ] && exit 0\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

function bench(python: string, ...argv: string[]) {
  const env = { ...process.env, PREFLAB_PYTHON: python };
  const shared = ["--models", folder, "--shape", "tiny", "--threads", "1", "--rounds", "1", "--steps", "2"];
  return spawnSync(process.execPath, [ENTRY, ...shared, ...argv], { encoding: "utf8", env });
}

const DONE = `{"done":{"versions":{"trl":"9.9"},"begin_seconds":1,"reference_seconds":0,"peak_bytes":8e9}}`;

describe("with a program in Python's place", () => {
  test("the ratio is of pairs a second, with the recorded setting", () => {
    const record = join(folder, "best.json");
    const setting = { ...PLAIN_SETTING, per_device_train_batch_size: 1, gradient_accumulation_steps: 5 };
    writeFileSync(
      record,
      JSON.stringify({ lora: { setting, tuned: setting, tried: [], date: "2026-01-01", machine: "m", shape: "tiny" } }),
    );
    const python = standIn(`cp "$2" ${folder}/seen.json; echo '{"step":9000}'; echo '{"step":5000}'; echo '${DONE}'`);
    const { status, stdout, stderr } = bench(python, "--cases", "lora", "--record", record);
    expect(stderr).toContain("lora, TRL, round 1: TRL: 5000.00 s a step (first 9000.0), peak 8.00 GB");
    const times = /LoRA DPO.*\*\*([\d.]+) ×\*\*.*?; ([\d.]+) pairs\/s/.exec(stdout)!;
    // TRL makes 0.001 pairs a second.
    expect(Number(times[1]) / (Number(times[2]) / 0.001)).toBeCloseTo(1, 1);
    expect(stdout).toContain("| TRL: 5000.0 s a step, peak 8.00 GB | yes |");
    expect(stdout).toContain("trl 9.9");
    expect(stdout).toContain("TRL's setting for lora: batch 1 × 5 accumulated");
    expect(status).toBe(0);
    const seen = JSON.parse(readFileSync(join(folder, "seen.json"), "utf8")) as { rows: unknown[]; gradient_accumulation_steps: number };
    expect([seen.rows.length, seen.gradient_accumulation_steps]).toEqual([5, 5]);
  });

  test("a side that fails is a failed case, and exit code 1", () => {
    const { status, stdout, stderr } = bench(standIn("echo no such model >&2; exit 3"), "--cases", "lora,arithmetic");
    expect(stderr).toMatch(/lora, arithmetic: bench: .* must end well, got exit code 3; its last messages are\nno such model/);
    expect(stdout).toMatch(/\| lora, arithmetic \| – \| failed: bench/);
    expect(status).toBe(1);
  });
});

/** Why TRL cannot run here; undefined when it can. */
function lack(): string | undefined {
  try {
    const { status, stderr } = spawnSync(findPython(), ["-c", "from trl import DPOTrainer; import peft, datasets"], {
      encoding: "utf8",
      cwd: tmpdir(),
    });
    return status === 0 ? undefined : stderr.trim().split("\n").at(-1)!;
  } catch (error) {
    if (error instanceof PreflabError) return error.message.split("\n")[0]!;
    throw error;
  }
}
const lacking = lack();

describe.skipIf(lacking !== undefined)(`TRL itself${lacking === undefined ? "" : ` (skipped: ${lacking})`}`, () => {
  test.each([
    ["an adapter", 4],
    ["full weights", null],
  ])("computes the same as Preflab on the same token ids: %s", async (_, lora_r) => {
    const rows = randomPairs(2, 3000, 0, { prompt: [6, 2], completion: [8, 2] });
    const work = { model: MODEL, rows, steps: 2, threads: 1, lora_r, precompute_ref_log_probs: true };
    const trl = await runTrl(findPython(), work, { ...PLAIN_SETTING, per_device_train_batch_size: 2 }, 8e9);
    if (wasKilled(trl)) throw new Error(trl.killed);
    const own = await measurePreflab({ kind: "preflab", model: MODEL, rows, pairs: 2, steps: 2, threads: 1, lora_r, folder });
    expect(trl.first_logps!).toBeCloseTo(own.first_logps!, 2);
    // A fresh adapter's A is drawn by each side for itself.
    if (lora_r === null) expect(trl.first_grad_norm! / own.first_grad_norm!).toBeCloseTo(1, 4);
    expect(trl.step_seconds).toHaveLength(1);
    expect(trl.peak_bytes).toBeGreaterThan(1e8);
  });
});
