/**
 * CPO, SimPO, AlphaPO and ORPO on one batch against TRL's experimental trainers (golden/cpo_orpo_losses.json).
 * Tolerances are the "replay" column of golden/README.md, doubled.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AutoModelForCausalLM, type CausalLM } from "../../src/model/index.js";
import { type Preference, cpoPreference, orpoPreference } from "../../src/train/dpo/preference.js";
import { CPOConfig, type CPOConfigInput, ORPOConfig, type ORPOConfigInput } from "../../src/train/index.js";
import { gradientsOf, preparedPairs } from "./microBatches.js";
import { GOLDEN, goldenPairs, largestDifference } from "./tinyModel.js";

interface Case {
  name: string;
  trainer: "CPOTrainer" | "ORPOTrainer";
  config: CPOConfigInput & ORPOConfigInput;
  policy_logps: { chosen: number[]; rejected: number[] };
  loss: number | null;
  metrics: Record<string, number | null>;
  grad_norm: number | null;
  grad_norm_per_parameter: Record<string, number | null>;
}

const { cases, rows } = JSON.parse(readFileSync(`${GOLDEN}/cpo_orpo_losses.json`, "utf8")) as { cases: Case[]; rows: number[] };

let policy: CausalLM;
beforeAll(async () => {
  policy = await AutoModelForCausalLM.from_pretrained(`${GOLDEN}/policy`);
});
afterAll(() => policy.dispose());

function preferenceOf({ trainer, config }: Case): Preference {
  const quietly = { onNote: () => undefined };
  return trainer === "CPOTrainer" ? cpoPreference(new CPOConfig(config, quietly)) : orpoPreference(new ORPOConfig(config, quietly));
}

async function run(golden: Case, sizes?: number[]) {
  const preference = preferenceOf(golden);
  const pairs = await preparedPairs(await goldenPairs(rows), policy, {}, preference.parts);
  const result = await gradientsOf(policy, pairs, [], {}, sizes, preference);
  return { ...result, metrics: preference.metrics(pairs, result.scores, []) };
}

const relative = (got: number, golden: number): number => Math.abs(got / golden - 1);
// TRL averages logits over whole padded sequences, prompt included: a number that depends on the padding.
const OTHERS = ["logits/chosen", "logits/rejected"];

describe("against TRL's experimental trainers", () => {
  it.each(cases.map((golden) => [golden.name, golden] as const))("%s", async (_name, golden) => {
    const { loss, norm, gradients, metrics, scores } = await run(golden);
    expect(scores.length).toBe(rows.length);
    if (golden.loss === null) {
      // TRL raises e to the summed log-prob, which is 0 in float32, and divides by it.
      expect([loss, norm].every(Number.isFinite)).toBe(true);
      return;
    }
    expect(relative(loss, golden.loss)).toBeLessThanOrEqual(6e-5);
    for (const [name, value] of Object.entries(golden.metrics)) {
      if (OTHERS.includes(name)) continue;
      expect(Math.abs(metrics[name]! - value!), name).toBeLessThanOrEqual(6e-5 * Math.max(1, Math.abs(value!)));
    }
    if (golden.grad_norm === null) return void expect(Number.isFinite(norm)).toBe(true);
    expect(relative(norm, golden.grad_norm)).toBeLessThanOrEqual(6e-5);
    expect([...gradients.keys()].sort()).toEqual(Object.keys(golden.grad_norm_per_parameter).sort());
    for (const [name, value] of Object.entries(golden.grad_norm_per_parameter)) {
      const difference = Math.abs(Math.hypot(...gradients.get(name)!) - value!);
      expect(difference / (value! + 1e-6 * golden.grad_norm), name).toBeLessThanOrEqual(6e-5);
    }
  });

  it("logs what TRL logs", async () => {
    for (const trainer of ["CPOTrainer", "ORPOTrainer"] as const) {
      const golden = cases.find((entry) => entry.trainer === trainer)!;
      expect(Object.keys((await run(golden)).metrics)).toEqual(expect.arrayContaining(Object.keys(golden.metrics)));
    }
  });

  it("null stands only where TRL overflows: AlphaPO of summed log-probs", () => {
    const broken = cases.filter(({ loss, grad_norm }) => loss === null || grad_norm === null);
    expect(broken.map(({ name }) => name)).toEqual(["cpo_sigmoid_reward_alpha0.01", "cpo_hinge_reward_alpha-0.1"]);
  });
});

describe("accumulation", () => {
  it("of losses without a likelihood term, 6×1 equals 1×6", async () => {
    const golden = cases.find(({ name }) => name === "cpo_simpo_paper")!;
    const whole = await run(golden);
    const single = await run(golden, [1, 1, 1, 1, 1, 1]);
    expect(Math.abs(whole.loss - single.loss)).toBeLessThan(1e-6);
    expect(largestDifference(whole.gradients, single.gradients) / whole.norm).toBeLessThan(2e-6);
  });
});
