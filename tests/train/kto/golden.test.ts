/** Whole runs against TRL (golden/train_kto.json, train_kto_sync.json), number by number. Tolerances are ten times the "replay" column of golden/README.md. */
import { describe, expect, it } from "vitest";
import { load_dataset } from "../../../src/data/index.js";
import { AutoModelForCausalLM } from "../../../src/model/index.js";
import type { KTOConfigInput } from "../../../src/train/index.js";
import { differences, goldenVariants } from "../goldenRuns.js";
import { GOLDEN, TINY, trainedTensors } from "../tinyModel.js";
import { ktoTrainer, preparedRows, scoreRows } from "./ktoModel.js";

interface KtoVariant {
  config: Record<string, unknown>;
  steps: (Record<string, number> & { micro_batches: { rows: number[]; loss: number }[] })[];
  final_logps: number[];
  final_parameter_l2: Record<string, number>;
  update_l2: Record<string, number>;
}

const read = (file: string): Record<string, KtoVariant> => goldenVariants(file) as unknown as Record<string, KtoVariant>;
const variants = read("train_kto.json");
const synced = read("train_kto_sync.json");
const TOLERANCE: Record<string, number> = { learning_rate: 1e-12, grad_norm: 2e-4, num_tokens: 0 };
const OTHERS = 5e-4;

async function check(name: string, variant: KtoVariant): Promise<void> {
  const { optimizer: _adamw, ...config } = variant.config;
  const model = await AutoModelForCausalLM.from_pretrained(TINY);
  const trainer = await ktoTrainer({
    model,
    train_dataset: await load_dataset(`${GOLDEN}/kto.jsonl`),
    args: { ...(config as KTOConfigInput) },
  });
  try {
    await model.load(trainer.args);
    const start = await trainedTensors(model);
    await trainer.train();
    const steps = trainer.state.log_history.slice(0, -1);
    const golden = variant.steps;
    expect(steps.length).toBe(golden.length);
    const worst = differences(steps, golden);
    console.log(
      `${name}: ${Object.entries(worst)
        .map(([key, value]) => `${key} ${value.toExponential(1)}`)
        .join(", ")}`,
    );
    for (const [key, value] of Object.entries(worst)) expect(value, key).toBeLessThanOrEqual(TOLERANCE[key] ?? OTHERS);
    golden.forEach((step, i) => {
      const { step: number, epoch: _epoch, ...logged } = steps[i]!;
      expect(number).toBe(step["step"]);
      const wanted = Object.keys(step).filter((key) => typeof step[key] === "number" && key !== "step" && key !== "epoch");
      expect(Object.keys(logged).sort()).toEqual(wanted.sort());
    });

    const rows = await preparedRows(await load_dataset(`${GOLDEN}/kto.jsonl`), model);
    const logps = await scoreRows(model, rows);
    expect(logps.length).toBe(variant.final_logps.length);
    for (const [i, { own }] of logps.entries()) expect(Math.abs(own - variant.final_logps[i]!)).toBeLessThan(4e-3);
    const end = await trainedTensors(model);
    expect([...end.keys()].sort()).toEqual(Object.keys(variant.update_l2).sort());
    for (const [key, update] of Object.entries(variant.update_l2)) {
      const [first, last] = [start.get(key)!, end.get(key)!];
      const moved = Math.hypot(...last.map((value, i) => value - first[i]!));
      const difference = Math.max(Math.abs(Math.hypot(...last) / variant.final_parameter_l2[key]! - 1), Math.abs(moved / update - 1));
      // A key's bias hardly changes the attention: its gradient is mostly rounding, which Adam blows up.
      expect(difference, key).toBeLessThan(key.endsWith("k_proj.bias") ? 5e-3 : 2e-5);
    }
  } finally {
    await trainer.dispose();
  }
}

describe("KTO of all weights equals TRL", () => {
  it("covers 4 runs, one with accumulation", () => {
    expect(Object.keys(variants).length).toBe(4);
    expect(Object.values(variants).filter(({ config }) => config["gradient_accumulation_steps"] === 2).length).toBe(1);
  });

  it.each(Object.keys(variants))("%s", (name) => check(name, variants[name]!));
});

describe("KTO whose reference follows the policy equals TRL", () => {
  it("covers 3 runs: the KL estimate of a moved reference, accumulation, a move after every step", () => {
    expect(Object.values(synced).map(({ config }) => [config["gradient_accumulation_steps"], config["ref_model_sync_steps"]])).toEqual([
      [1, 2],
      [2, 2],
      [1, 1],
    ]);
    // The clamp at 0 would hide a reference that does not move.
    expect(synced["kto_sync"]!.steps.some(({ kl, step }) => kl! > 0.1 && step! > 2)).toBe(true);
  });

  it.each(Object.keys(synced))("%s", (name) => check(name, synced[name]!));
});
