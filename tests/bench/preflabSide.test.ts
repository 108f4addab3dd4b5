/** Preflab's side from end to end on the shipped tiny model, and the built command without Python. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { randomPairs } from "../../bench/shared/pairs.js";
import { measurePreflab } from "../../bench/vs-trl/preflabSide.js";
import type { PreflabRequest } from "../../bench/vs-trl/requests.js";

const ENTRY = resolve(import.meta.dirname, "../../dist/bench/vs-trl.js");
const MODEL = resolve(import.meta.dirname, "../../datasets/tiny-qwen2-chat");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "preflab-bench-test-"));
  vi.stubEnv("PREFLAB_CACHE", join(folder, "cache"));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

function request(change: Partial<PreflabRequest> = {}): PreflabRequest {
  return {
    kind: "preflab",
    model: MODEL,
    rows: randomPairs(2, 3000, 0, { prompt: [6, 2], completion: [8, 2] }),
    pairs: 2,
    steps: 3,
    threads: 1,
    lora_r: 4,
    folder,
    ...change,
  };
}

describe("on the shipped tiny model", () => {
  test("a training is timed step by step, with sgemm between the steps and every program's making", async () => {
    const measured = await measurePreflab(request({ sgemm: true, watch: true }));
    expect(measured.step_seconds).toHaveLength(2);
    expect(measured.sgemm).toHaveLength(3);
    expect(measured.first_step_seconds).toBeGreaterThan(Math.min(...measured.step_seconds));
    expect(measured.first_logps).toBeLessThan(0);
    expect(measured.weights_bytes).toBeGreaterThan(10e6);
    expect(measured.peak_bytes).toBeGreaterThan(measured.weights_bytes!);
    const gradients = measured.programs.filter(({ name }) => name.startsWith("gradient of a pair"));
    expect(gradients.map(({ sizes }) => sizes)).toEqual([...new Set(gradients.map(({ sizes }) => sizes))]);
    expect(gradients.length).toBeGreaterThan(0);
    expect(measured.programs.every(({ seconds }) => seconds > 0)).toBe(true);
  });

  test("watching and measuring beside it change no number", async () => {
    const [plain, watched] = [await measurePreflab(request()), await measurePreflab(request({ sgemm: true, watch: true }))];
    expect(plain.programs).toEqual([]);
    expect([watched.first_logps, watched.first_grad_norm]).toEqual([plain.first_logps, plain.first_grad_norm]);
  });

  test("several trials train on one base", async () => {
    const trials = [
      { learning_rate: 1e-4, beta: 0.1, lora_r: 2 },
      { learning_rate: 1e-3, beta: 0.2, lora_r: 4 },
    ];
    const measured = await measurePreflab(request({ trials, steps: 2 }));
    expect(measured.step_seconds).toHaveLength(3);
  });

  test("full weights and a quantised base", async () => {
    const full = await measurePreflab(request({ lora_r: null, steps: 2 }));
    const nf4 = await measurePreflab(request({ quantization: { load_in_4bit: true, bnb_4bit_quant_type: "nf4" }, steps: 2 }));
    expect(nf4.weights_bytes).toBeLessThan(full.weights_bytes!);
    expect(Math.abs(nf4.first_logps! - full.first_logps!)).toBeLessThan(0.1 * Math.abs(full.first_logps!));
  });
});

/** Python's stack is as good as absent where the given Python cannot be run. */
function bench(...argv: string[]) {
  const env = { ...process.env, PREFLAB_PYTHON: join(folder, "no-python") };
  return spawnSync(process.execPath, [ENTRY, "--models", folder, "--shape", "tiny", "--threads", "1", ...argv], { encoding: "utf8", env });
}

describe("the built command", () => {
  test("prints Preflab's own numbers and says so where Python's stack is not found", () => {
    const json = join(folder, "bench.json");
    const { status, stdout, stderr } = bench("--cases", "lora,arithmetic,decode", "--rounds", "1", "--steps", "2", "--json", json);
    expect(stderr).toContain("Preflab's own numbers follow, without TRL's beside them");
    expect(stdout).toMatch(/\| LoRA DPO, 5 pairs a step, exact fp32 \| pairs per second ≥ 4 × \| [\d.]+ pairs\/s.*\| not measured \| – \|/);
    expect(stdout).toMatch(/\| needed arithmetic \/ plain sgemm.*\| (yes|no) \|/);
    for (const dtype of ["fp32", "q8", "q4"])
      expect(stdout).toMatch(
        new RegExp(`\\| decode, one stream, ${dtype} \\| .* \\| [\\d.]+ tokens/s made, \\d+ read \\| not measured \\| – \\|`),
      );
    expect(stdout).toContain("TRL was not run: these are Preflab's own numbers alone.");
    expect(status).toBe(0);
    const { measurements } = JSON.parse(readFileSync(json, "utf8")) as { measurements: { side: string; plain_sgemm: number }[] };
    expect(measurements.map(({ side }) => side)).toEqual(["Preflab"]);
    expect(measurements[0]!.plain_sgemm).toBeGreaterThan(0);
  });

  test.each([
    [["--cases", "loro"], 2, /vs-trl: --cases must be.*lora/],
    [["--search"], 1, /TRL's side needs a Python/],
    [["--shape", "Qwen9", "--cases", "lora"], 2, /shape must be one of/],
  ])("%j ends with code %d", (argv, code, message) => {
    const { status, stderr } = bench(...argv);
    expect(stderr).toMatch(message);
    expect(status).toBe(code);
  });
});
