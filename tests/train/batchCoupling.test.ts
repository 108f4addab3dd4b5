/** Which losses see one pair, which the batch; and what a loss is given to look at. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tf } from "../../src/compile/index.js";
import type { CausalLM } from "../../src/model/index.js";
import type { PreparedPair } from "../../src/train/dpo/pairBatch.js";
import { dpoPreference } from "../../src/train/dpo/preference.js";
import { DPO_LOSSES, type DPOConfigInput, type DPOLossFunction, type DPOLossName } from "../../src/train/index.js";
import { scoredTokens } from "../../src/train/sequence/pairLayout.js";
import { gradientsOf, preparedPairs } from "./microBatches.js";
import { plainGradients } from "./plainModel.js";
import { goldenPairs, largestDifference, quiet, smallModel } from "./tinyModel.js";

let model: CausalLM;
let pairs: PreparedPair[];
const REFERENCES = [
  { chosen: -40, rejected: -160 },
  { chosen: -90, rejected: -70 },
  { chosen: -120, rejected: -20 },
  { chosen: -20, rejected: -90 },
];
beforeAll(async () => {
  model = await smallModel();
  pairs = await preparedPairs(await goldenPairs([0, 6, 13, 1]), model);
});
afterAll(() => model.base.dispose());

const run = (options: DPOConfigInput, sizes?: number[]) => gradientsOf(model, pairs, REFERENCES, options, sizes);

/** The mean of the gradients of parts, relative to a gradient. */
function differenceFromMean(whole: Map<string, Float32Array>, parts: Map<string, Float32Array>[], norm: number): number {
  const mean = new Map(
    [...whole].map(([name, values]) => [
      name,
      values.map((_, i) => parts.reduce((sum, part) => sum + part.get(name)![i]!, 0) / parts.length),
    ]),
  );
  return largestDifference(whole, mean) / norm;
}

describe("pair by pair", () => {
  it("every built-in loss but aot and aot_unpaired", () => {
    const coupled = Object.keys(DPO_LOSSES).filter(
      (name) => dpoPreference(quiet({ loss_type: name as DPOLossName, label_smoothing: name === "exo_pair" ? 0.1 : 0 })).coupled,
    );
    expect(coupled).toEqual(["aot", "aot_unpaired"]);
    expect(dpoPreference(quiet({ loss_type: ["sigmoid", "aot"] })).coupled).toBe(true);
    expect(dpoPreference(quiet({ loss_type: () => tf.zeros([1]) })).coupled).toBe(true);
  });

  const uncoupled: DPOConfigInput[] = [
    { loss_type: ["sigmoid", "ipo", "apo_zero"], loss_weights: [1, 0.01, 2] },
    { ld_alpha: 0.3 },
    { use_weighting: true, loss_type: "bco_pair" },
    { loss_type: "discopop", f_divergence_type: "js_divergence" },
  ];
  it.each(uncoupled.map((options) => [JSON.stringify(options), options] as const))("4×1 equals 1×4: %s", async (_name, options) => {
    const whole = await run(options);
    for (const sizes of [
      [1, 1, 1, 1],
      [2, 2],
    ]) {
      const parts = await run(options, sizes);
      expect(Math.abs(parts.loss - whole.loss) / whole.loss).toBeLessThan(1e-6);
      expect(largestDifference(parts.gradients, whole.gradients) / whole.norm).toBeLessThan(2e-6);
    }
  });
});

describe("sft", () => {
  it("is the mean over the tokens of a micro-batch, as in TRL, so 4×1 is another mean than 1×4", async () => {
    const whole = await run({ loss_type: "sft" });
    const tokens = pairs.map(({ layout }) => scoredTokens(layout).chosen);
    const nll = whole.scores.map(({ chosenNll }) => chosenNll);
    const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
    expect(whole.loss).toBeCloseTo(sum(nll) / sum(tokens), 5);
    const single = await run({ loss_type: "sft" }, [1, 1, 1, 1]);
    expect(single.loss).toBeCloseTo(sum(nll.map((value, i) => value / tokens[i]!)) / 4, 5);
    expect(Math.abs(single.loss - whole.loss)).toBeGreaterThan(1e-3);
    const plain = await plainGradients(model, pairs, REFERENCES, DPO_LOSSES.sft, 0.1);
    expect(largestDifference(whole.gradients, plain.gradients) / whole.norm).toBeLessThan(5e-6);
  });
});

describe("aot", () => {
  it.each(["aot", "aot_unpaired"] as const)("%s couples the pairs of a micro-batch and no others", async (loss_type) => {
    const whole = await run({ loss_type });
    const plain = await plainGradients(model, pairs, REFERENCES, DPO_LOSSES[loss_type], 0.1);
    expect(Math.abs(whole.loss - plain.loss)).toBeLessThan(1e-5);
    expect(largestDifference(whole.gradients, plain.gradients) / whole.norm).toBeLessThan(5e-6);

    const halves = await run({ loss_type }, [2, 2]);
    const [first, second] = [
      await gradientsOf(model, pairs.slice(0, 2), REFERENCES.slice(0, 2), { loss_type }),
      await gradientsOf(model, pairs.slice(2), REFERENCES.slice(2), { loss_type }),
    ];
    expect(halves.loss).toBeCloseTo((first.loss + second.loss) / 2, 5);
    expect(differenceFromMean(halves.gradients, [first.gradients, second.gradients], halves.norm)).toBeLessThan(2e-6);
    expect(largestDifference(halves.gradients, whole.gradients) / whole.norm).toBeGreaterThan(0.01);
  });

  it("of one pair, in one pass, is the sigmoid", async () => {
    const aot = await run({ loss_type: "aot" }, [1, 1, 1, 1]);
    const sigmoid = await run({ loss_type: "sigmoid" }, [1, 1, 1, 1]);
    expect(Math.abs(aot.loss - sigmoid.loss)).toBeLessThan(1e-6);
    expect(largestDifference(aot.gradients, sigmoid.gradients) / sigmoid.norm).toBeLessThan(2e-6);
  });
});

describe("the eager engine", () => {
  const both: [string, DPOConfigInput][] = [
    ["weights, long completions and a likelihood", { loss_type: ["sigmoid", "sft"], use_weighting: true, ld_alpha: 0.3 }],
    ["a coupled loss", { loss_type: "aot_unpaired" }],
  ];
  it.each(both)("computes the same: %s", async (_name, options) => {
    const eager = await smallModel();
    try {
      const compiled = await run(options);
      const other = await gradientsOf(eager, pairs, REFERENCES, { ...options, engine: "eager" });
      expect(Math.abs(other.loss - compiled.loss) / compiled.loss).toBeLessThan(2e-6);
      expect(largestDifference(other.gradients, compiled.gradients) / compiled.norm).toBeLessThan(5e-6);
    } finally {
      await eager.dispose();
    }
  });
});

describe("what a user's loss is given", () => {
  it.each([
    ["traced", [1, 1, 1, 1]],
    ["over the batch", [4]],
  ])("%s: all fields, the weights where they are asked for, and the options", async (_name, sizes) => {
    const seen = new Set<string>();
    const loss: DPOLossFunction = (logps, { beta, label_smoothing, discopop_tau }) => {
      Object.entries(logps).forEach(([name, column]) => {
        if ((column as tf.Tensor | undefined) !== undefined) seen.add(`${name} ${column.shape.join()}`);
      });
      expect([beta, label_smoothing, discopop_tau]).toEqual([0.2, 0.25, 0.05]);
      // A likelihood of its own, from fields that the built-in sft uses too.
      return tf.div(logps.chosenNll, logps.nllTokens);
    };
    const own = await run({ loss_type: loss, use_weighting: true, beta: 0.2, label_smoothing: 0.25 }, sizes);
    const builtIn = await run({ loss_type: "sft", use_weighting: true }, sizes);
    expect(Math.abs(own.loss - builtIn.loss) / builtIn.loss).toBeLessThan(1e-6);
    expect(largestDifference(own.gradients, builtIn.gradients) / builtIn.norm).toBeLessThan(2e-6);
    const names = ["policyChosen", "policyRejected", "referenceChosen", "referenceRejected", "chosenNll", "nllTokens"];
    names.push("chosenLengths", "rejectedLengths", "chosenTokens", "rejectedTokens", "chosenWeights", "rejectedWeights");
    expect([...seen].sort()).toEqual(names.map((name) => `${name} ${sizes[0]}`).sort());
  });
});
