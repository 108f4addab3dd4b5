/**
 * Single batches against TRL (golden/dpo_losses.json): log-probs, loss, metrics and gradients. The built-in losses run
 * pair by pair; the other formulas of TRL that need log-probs only are written here as a user would write them, and run
 * as a loss over the batch. Tolerances are the "replay" column of golden/README.md, doubled.
 * Cases with f_divergence_type, ld_alpha, use_weighting or loss_weights are options of a later version: no test yet.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readFileTensor, tf } from "../../src/compile/index.js";
import { load_dataset } from "../../src/data/index.js";
import { AutoModelForCausalLM, type CausalLM } from "../../src/model/index.js";
import { readSafetensors } from "../../src/model/safetensors.js";
import type { DPOConfigInput, DPOLossFunction, PairLogps } from "../../src/train/index.js";
import { type PreparedPair, type ReferenceLogps, batchMetrics } from "../../src/train/dpo/pairBatch.js";
import { type Gradients, gradientsOf, preparedPairs, referenceLogps } from "./microBatches.js";
import { GOLDEN, TINY, largestDifference } from "./tinyModel.js";

interface Sides {
  chosen: number[];
  rejected: number[];
}

interface LossCase {
  name: string;
  batch: string;
  config: { beta: number; loss_type: string[]; max_length?: number; label_smoothing?: number; discopop_tau?: number };
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

/** reference/trl.md's table, by the case's options. */
const WRITTEN: Record<string, (config: LossCase["config"]) => DPOLossFunction> = {
  exo_pair:
    ({ label_smoothing: e = 0 }) =>
    (logps, { beta }) => {
      const x = tf.mul(ratios(logps).margin, beta);
      const part = (y: tf.Tensor, share: number) => tf.mul(tf.sigmoid(y), tf.sub(logSigmoid(y), Math.log(share)));
      return tf.add(part(x, 1 - e), part(tf.neg(x), e));
    },
  nca_pair:
    () =>
    (logps, { beta }) => {
      const { chosen, rejected } = ratios(logps);
      const half = (x: tf.Tensor) => tf.mul(logSigmoid(tf.mul(x, -beta)), 0.5);
      return tf.neg(tf.add(logSigmoid(tf.mul(chosen, beta)), tf.add(half(chosen), half(rejected))));
    },
  robust:
    ({ label_smoothing: e = 0 }) =>
    (logps, { beta }) => {
      const x = tf.mul(ratios(logps).margin, beta);
      return tf.div(tf.add(tf.mul(logSigmoid(x), e - 1), tf.mul(logSigmoid(tf.neg(x)), e)), 1 - 2 * e);
    },
  bco_pair:
    () =>
    (logps, { beta }) => {
      const { chosen, rejected } = ratios(logps);
      return tf.neg(tf.add(logSigmoid(tf.mul(chosen, beta)), logSigmoid(tf.mul(rejected, -beta))));
    },
  sppo_hard:
    () =>
    (logps, { beta }) => {
      const { chosen, rejected } = ratios(logps);
      return tf.add(tf.square(tf.sub(chosen, 0.5 / beta)), tf.square(tf.add(rejected, 0.5 / beta)));
    },
  aot:
    ({ label_smoothing: e = 0 }) =>
    ({ policyChosen, policyRejected, referenceChosen, referenceRejected }, { beta }) =>
      smoothed(tf.mul(tf.sub(sorted(tf.sub(policyChosen, policyRejected)), sorted(tf.sub(referenceChosen, referenceRejected))), beta), e),
  aot_unpaired:
    ({ label_smoothing: e = 0 }) =>
    (logps, { beta }) => {
      const { chosen, rejected } = ratios(logps);
      return smoothed(tf.mul(tf.sub(sorted(chosen), sorted(rejected)), beta), e);
    },
  apo_zero:
    () =>
    (logps, { beta }) => {
      const { chosen, rejected } = ratios(logps);
      return tf.add(tf.sub(1, tf.sigmoid(tf.mul(chosen, beta))), tf.sigmoid(tf.mul(rejected, beta)));
    },
  apo_down:
    () =>
    (logps, { beta }) => {
      const { chosen, margin } = ratios(logps);
      return tf.add(tf.sigmoid(tf.mul(chosen, beta)), tf.sub(1, tf.sigmoid(tf.mul(margin, beta))));
    },
  discopop:
    ({ discopop_tau: tau = 0.05 }) =>
    (logps, { beta }) => {
      const l = tf.mul(ratios(logps).margin, beta);
      const m = tf.sigmoid(tf.div(l, tau));
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

const LATER = ["f_divergence_type", "ld_alpha", "use_weighting", "loss_weights"];
const present = cases.filter(({ config, loss }) => loss !== undefined && !LATER.some((option) => option in config));
const builtIn = present.filter(
  ({ config }) => config.label_smoothing === undefined && config.loss_type.every((name) => ["sigmoid", "hinge", "ipo"].includes(name)),
);
const written = present.filter(({ config }) => config.loss_type.length === 1 && config.loss_type[0]! in WRITTEN);

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
function batchOf({ batch, config: { max_length = 1024 } }: LossCase) {
  const make = async () => {
    const dataset = await load_dataset(`${GOLDEN}/${FILES[batch] ?? "pairs.jsonl"}`);
    const pairs = await preparedPairs(dataset.select(batches[batch]!.rows), policy, { max_length });
    return { pairs, references: await referenceLogps(reference, pairs) };
  };
  if (!prepared.has(batch)) prepared.set(batch, make());
  return prepared.get(batch)!;
}

const far = (got: number, golden: number): number => Math.abs(got - golden);
const relative = (got: number, golden: number): number => Math.abs(got / golden - 1);
const worst: Record<string, number> = {};
afterAll(() =>
  console.log(
    `largest differences from TRL: ${Object.entries(worst)
      .map(([name, value]) => `${name} ${value.toExponential(1)}`)
      .join(", ")}`,
  ),
);

function note(name: string, difference: number, tolerance: number, where: string): void {
  expect(difference, where).toBeLessThanOrEqual(tolerance);
  worst[name] = Math.max(worst[name] ?? 0, difference);
}

async function check(golden: LossCase, options: DPOConfigInput) {
  const { pairs, references } = await batchOf(golden);
  const { beta } = golden.config;
  expect(pairs.length).toBe(golden.policy_logps.chosen.length);
  const result = await gradientsOf(policy, pairs, references, { beta, ...options });

  result.scores.forEach(({ chosenLogps, rejectedLogps }, i) => {
    note("log-probs", far(chosenLogps, golden.policy_logps.chosen[i]!), 1e-4, `policy chosen ${i}`);
    note("log-probs", far(rejectedLogps, golden.policy_logps.rejected[i]!), 1e-4, `policy rejected ${i}`);
    note("log-probs", far(references[i]!.chosen, golden.reference_logps.chosen[i]!), 1e-4, `reference chosen ${i}`);
    note("log-probs", far(references[i]!.rejected, golden.reference_logps.rejected[i]!), 1e-4, `reference rejected ${i}`);
  });
  note("loss (relative)", relative(result.loss, golden.loss), 6e-5, "loss");
  const metrics = {
    ...batchMetrics(pairs, result.scores, references, beta),
    num_tokens: pairs.reduce((sum, { layout }) => sum + layout.attended, 0),
  };
  expect(Object.keys(metrics).sort()).toEqual(Object.keys(golden.metrics).sort());
  for (const [name, value] of Object.entries(golden.metrics))
    note("metrics", far((metrics as Record<string, number>)[name]!, value), 6e-5, name);
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
  it.each(builtIn.map((golden) => [golden.name, golden] as const))("%s", async (_name, golden) => {
    await check(golden, { loss_type: golden.config.loss_type as "sigmoid"[] });
  });

  it("there are as many cases as expected", () => expect(builtIn.length).toBe(11));

  it("the full gradient of sigmoid", async () => {
    const golden = cases.find(({ name }) => name === "sigmoid")!;
    const { gradients } = await check(golden, { loss_type: "sigmoid" });
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
    await check(golden, { loss_type: WRITTEN[golden.config.loss_type[0]!]!(golden.config) });
  });

  it("every formula is met", () =>
    expect(new Set(written.map(({ config }) => config.loss_type[0])).size).toBe(Object.keys(WRITTEN).length));
});
