/**
 * Single batches against TRL (golden/dpo_losses.json): log-probs, loss, metrics and gradients of every case, through the
 * built-in options. Some formulas are written here once more as a user would write them, and run as a loss over the batch.
 * Tolerances are the "replay" column of golden/README.md, doubled.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readFileTensor, tf } from "../../src/compile/index.js";
import { load_dataset } from "../../src/data/index.js";
import { AutoModelForCausalLM, type CausalLM } from "../../src/model/index.js";
import { readSafetensors } from "../../src/model/safetensors.js";
import { DPOConfig, type DPOConfigInput, type DPOLossFunction, type DPOLossName, type PairLogps } from "../../src/train/index.js";
import type { PreparedPair, ReferenceLogps } from "../../src/train/dpo/pairBatch.js";
import { dpoPreference } from "../../src/train/dpo/preference.js";
import { referenceParts } from "../../src/train/dpo/references.js";
import { type Gradients, gradientsOf, preparedPairs, referenceLogps } from "./microBatches.js";
import { GOLDEN, TINY, largestDifference } from "./tinyModel.js";
import { far, note, relative } from "./differences.js";

interface Sides {
  chosen: number[];
  rejected: number[];
}

interface LossCase {
  name: string;
  batch: string;
  config: DPOConfigInput & { beta: number; loss_type: DPOLossName[] };
  /** TRL refuses the combination, or fails in the loss. */
  error?: string;
  /** TRL computes the loss but fails in its gradient. */
  backward_error?: string;
  policy_logps: Sides;
  reference_logps: Sides;
  loss: number;
  metrics: Record<string, number>;
  grad_norm: number;
  grad_norm_per_parameter: Record<string, number>;
}

const { cases, batches } = JSON.parse(readFileSync(`${GOLDEN}/dpo_losses.json`, "utf8")) as {
  cases: LossCase[];
  batches: Record<string, { rows: number[] }>;
};
const FILES: Record<string, string> = { edge: "pairs_edge.jsonl", conversational: "pairs_conversational.jsonl" };

/** The log-ratios of both sides, and of the two models. */
function ratios({ policyChosen, policyRejected, referenceChosen, referenceRejected }: PairLogps) {
  const chosen = tf.sub<tf.Tensor1D>(policyChosen, referenceChosen);
  const rejected = tf.sub<tf.Tensor1D>(policyRejected, referenceRejected);
  return { chosen, rejected, margin: tf.sub<tf.Tensor1D>(chosen, rejected) };
}

const logSigmoid = (x: tf.Tensor): tf.Tensor1D => tf.neg(tf.softplus(tf.neg(x as tf.Tensor1D)));

/** Rising; differentiable, since only the order comes from topk. */
function sorted(x: tf.Tensor1D): tf.Tensor1D {
  return tf.reverse(tf.gather(x, tf.topk(x, x.shape[0]).indices as tf.Tensor1D));
}

const smoothed = (x: tf.Tensor, e: number): tf.Tensor1D => tf.sub(tf.mul(logSigmoid(x), e - 1), tf.mul(logSigmoid(tf.neg(x)), e));

/** As a user writes them, by the case's options. */
const WRITTEN: Record<string, (config: LossCase["config"]) => DPOLossFunction> = {
  nca_pair:
    () =>
    (logps, { beta }) => {
      const { chosen, rejected } = ratios(logps);
      const half = (x: tf.Tensor) => tf.mul(logSigmoid(tf.mul(x, -beta)), 0.5);
      return tf.neg(tf.add(logSigmoid(tf.mul(chosen, beta)), tf.add(half(chosen), half(rejected))));
    },
  aot:
    ({ label_smoothing: e = 0 }) =>
    ({ policyChosen, policyRejected, referenceChosen, referenceRejected }, { beta }) =>
      smoothed(tf.mul(tf.sub(sorted(tf.sub(policyChosen, policyRejected)), sorted(tf.sub(referenceChosen, referenceRejected))), beta), e),
  discopop:
    () =>
    (logps, { beta, discopop_tau, f_divergence_type }) => {
      expect(f_divergence_type).toBe("reverse_kl");
      const l = tf.mul(ratios(logps).margin, beta);
      const m = tf.sigmoid(tf.div(l, discopop_tau));
      return tf.add(tf.mul(tf.neg(logSigmoid(l)), tf.sub(1, m)), tf.mul(tf.exp(tf.neg(l)), m));
    },
  // Leaves out the rejected side altogether; the mean is over all tokens, not over pairs.
  sft:
    () =>
    ({ policyChosen, chosenLengths }) =>
      tf.neg(tf.div(policyChosen, tf.mean(chosenLengths))),
  sigmoid_norm:
    () =>
    (logps, { beta }) => {
      const { chosen, rejected } = ratios(logps);
      return tf.neg(logSigmoid(tf.mul(tf.sub(tf.div(chosen, logps.chosenLengths), tf.div(rejected, logps.rejectedLengths)), beta)));
    },
};

/** In TRL the loss itself fails; it has a meaning, and is tested below. */
const REPAIRED = "sft_weighting";
const refused = cases.filter(({ error, name }) => error !== undefined && name !== REPAIRED);
const computed = cases.filter(({ error }) => error === undefined);
const SET_BY_BATCH = ["label_smoothing", "beta", "loss_type"];
const written = computed.filter(
  ({ config, backward_error }) =>
    backward_error === undefined &&
    config.loss_type.length === 1 &&
    config.loss_type[0]! in WRITTEN &&
    Object.keys(config).every((option) => [...SET_BY_BATCH, "max_length", "discopop_tau"].includes(option)),
);

let policy: CausalLM;
let reference: CausalLM;
beforeAll(async () => {
  policy = await AutoModelForCausalLM.from_pretrained(`${GOLDEN}/policy`);
  reference = await AutoModelForCausalLM.from_pretrained(TINY);
});
afterAll(async () => {
  await policy.dispose();
  await reference.dispose();
});

const prepared = new Map<string, Promise<{ pairs: PreparedPair[]; references: ReferenceLogps[] }>>();

/** The pairs of a golden batch and their reference log-probs, once. */
function batchOf({ batch, config: { max_length = 1024, ld_alpha = null } }: LossCase) {
  const make = async () => {
    const dataset = await load_dataset(`${GOLDEN}/${FILES[batch] ?? "pairs.jsonl"}`);
    const pairs = await preparedPairs(dataset.select(batches[batch]!.rows), policy, { max_length });
    return { pairs, references: await referenceLogps(reference, pairs, referenceParts({ ld_alpha })) };
  };
  const key = `${batch} ${ld_alpha}`;
  if (!prepared.has(key)) prepared.set(key, make());
  return prepared.get(key)!;
}

async function check(golden: LossCase, options: DPOConfigInput) {
  const { pairs, references } = await batchOf(golden);
  expect(pairs.length).toBe(golden.policy_logps.chosen.length);
  const result = await gradientsOf(policy, pairs, references, options);

  result.scores.forEach(({ chosenLogps, rejectedLogps }, i) => {
    note("log-probs", far(chosenLogps, golden.policy_logps.chosen[i]!), 1e-4, `policy chosen ${i}`);
    note("log-probs", far(rejectedLogps, golden.policy_logps.rejected[i]!), 1e-4, `policy rejected ${i}`);
    note("log-probs", far(references[i]!.chosen, golden.reference_logps.chosen[i]!), 1e-4, `reference chosen ${i}`);
    note("log-probs", far(references[i]!.rejected, golden.reference_logps.rejected[i]!), 1e-4, `reference rejected ${i}`);
  });
  note("loss (relative)", relative(result.loss, golden.loss), 6e-5, "loss");
  const metrics = {
    ...dpoPreference(new DPOConfig(options, { onNote: () => undefined })).metrics(pairs, result.scores, references),
    num_tokens: pairs.reduce((sum, { layout }) => sum + layout.attended, 0),
  };
  expect(Object.keys(metrics).sort()).toEqual(Object.keys(golden.metrics).sort());
  for (const [name, value] of Object.entries(golden.metrics))
    note("metrics", far((metrics as Record<string, number>)[name]!, value), 6e-5, name);
  if (golden.backward_error !== undefined) return result;
  note("gradient norm (relative)", relative(result.norm, golden.grad_norm), 6e-5, "grad_norm");
  expect([...result.gradients.keys()].sort()).toEqual(Object.keys(golden.grad_norm_per_parameter).sort());
  for (const [name, norm] of Object.entries(golden.grad_norm_per_parameter)) {
    // A norm near zero is all rounding: it is judged beside the whole gradient.
    const difference = far(Math.hypot(...result.gradients.get(name)!), norm);
    note("parameter norms (relative + 1e-6 of the whole)", difference / (norm + 1e-6 * golden.grad_norm), 6e-5, name);
  }
  return result;
}

describe("built-in losses", () => {
  it.each(computed.map((golden) => [golden.name, golden] as const))("%s", async (_name, golden) => {
    await check(golden, golden.config);
  });

  it("there are as many cases as expected", () => {
    expect(cases.length).toBe(73);
    expect(computed.length + refused.length + 1).toBe(73);
  });

  it.each(refused.map((golden) => [golden.name, golden] as const))("%s is refused, as by TRL", (name, { config }) => {
    const message: Record<string, RegExp> = {
      exo_pair_smooth0: /^DPOConfig: loss_type exo_pair needs a label_smoothing > 0, got 0; its paper uses 1e-3$/,
      bco_pair_forward_kl: /^DPOConfig: f_divergence_type "forward_kl" is for loss_type sigmoid, .*, got bco_pair; use reverse_kl with it$/,
      aot_weighting:
        /^DPOConfig: use_weighting weighs pair by pair, got loss_type aot, which sorts the batch; set it false or take another/,
      aot_unpaired_weighting: /^DPOConfig: use_weighting weighs pair by pair, got loss_type aot_unpaired, which sorts the batch/,
    };
    expect(() => new DPOConfig(config)).toThrow(
      expect.objectContaining({ code: "option_conflict", message: expect.stringMatching(message[name]!) as string }) as Error,
    );
  });

  it("hinge_weighting, whose gradient TRL cannot compute: as a user's hinge over the batch", async () => {
    const golden = cases.find(({ name }) => name === "hinge_weighting")!;
    const { pairs, references } = await batchOf(golden);
    const builtIn = await check(golden, golden.config);
    const hinge: DPOLossFunction = (logps, { beta }) => tf.relu(tf.sub(1, tf.mul(ratios(logps).margin, beta)));
    const byFunction = await gradientsOf(policy, pairs, references, { ...golden.config, loss_type: hinge });
    expect(builtIn.norm).toBeGreaterThan(0.01);
    expect(relative(byFunction.norm, builtIn.norm)).toBeLessThan(1e-5);
    expect(largestDifference(byFunction.gradients, builtIn.gradients) / builtIn.norm).toBeLessThan(1e-5);
  });

  it("sft_weighting, which TRL cannot compute: every pair's likelihood has that pair's weight", async () => {
    const golden = cases.find(({ name }) => name === REPAIRED)!;
    expect(golden.error).toMatch(/more than one element of the written-to tensor/);
    const { pairs, references } = await batchOf(golden);
    const { loss, scores, gradients, norm } = await gradientsOf(policy, pairs, references, golden.config);
    const tokens = pairs.reduce((sum, { layout }) => sum + layout.chosenLength, 0);
    const expected = scores.reduce((sum, score) => sum + score.chosenNll * score.chosenWeights! * score.rejectedWeights!, 0) / tokens;
    expect(relative(loss, expected)).toBeLessThan(1e-6);
    const byFunction = await gradientsOf(policy, pairs, references, { ...golden.config, loss_type: WRITTEN["sft"]!(golden.config) });
    expect(largestDifference(byFunction.gradients, gradients) / norm).toBeLessThan(1e-5);
  });

  it("the full gradient of sigmoid", async () => {
    const golden = cases.find(({ name }) => name === "sigmoid")!;
    const { gradients } = await check(golden, golden.config);
    const file = readSafetensors(`${GOLDEN}/dpo_sigmoid_gradients.safetensors`).tensors;
    const expected = new Map([...file].map(([name, entry]) => [name, readFileTensor(entry)]));
    const largest = [...expected.values()].reduce(
      (most, values) => values.reduce((sofar, value) => Math.max(sofar, Math.abs(value)), most),
      0,
    );
    const difference = largestDifference(gradients, expected);
    console.log(`full gradient: largest difference ${difference.toExponential(1)}, largest element ${largest.toFixed(2)}`);
    expect(difference).toBeLessThan(2e-5 * largest);
  });

  it("a list of losses is their sum, in loss and gradient", async () => {
    const golden = (name: string): LossCase => cases.find((entry) => entry.name === name)!;
    const { pairs, references } = await batchOf(golden("sigmoid"));
    const together = await gradientsOf(policy, pairs, references, { loss_type: ["sigmoid", "hinge", "ipo"] });
    const apart: Gradients[] = [];
    for (const name of ["sigmoid", "hinge", "ipo"] as const) apart.push(await gradientsOf(policy, pairs, references, { loss_type: name }));
    expect(relative(together.loss, golden("sigmoid").loss + golden("hinge").loss + golden("ipo").loss)).toBeLessThan(6e-5);
    const sums = new Map(
      [...together.gradients].map(([name, values]) => [
        name,
        values.map((_, i) => apart.reduce((sum, { gradients }) => sum + gradients.get(name)![i]!, 0)),
      ]),
    );
    expect(largestDifference(together.gradients, sums) / together.norm).toBeLessThan(1e-5);
  });
});

describe("a user's loss over the batch", () => {
  it.each(written.map((golden) => [golden.name, golden] as const))("%s", async (_name, golden) => {
    await check(golden, { ...golden.config, loss_type: WRITTEN[golden.config.loss_type[0]!]!(golden.config) });
  });

  it("every formula is met", () =>
    expect(new Set(written.map(({ config }) => config.loss_type[0])).size).toBe(Object.keys(WRITTEN).length));
});
