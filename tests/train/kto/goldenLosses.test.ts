/** Single batches against TRL (golden/kto_losses.json). Tolerances are the "replay" column of golden/README.md, doubled. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AutoModelForCausalLM, type CausalLM } from "../../../src/model/index.js";
import type { KTOLossName } from "../../../src/train/index.js";
import { type RowScores, rowMetrics } from "../../../src/train/kto/rowBatch.js";
import { GOLDEN, TINY } from "../tinyModel.js";
import { goldenRows, ktoGradients, preparedRows, scoreRows } from "./ktoModel.js";
import { far, note, relative } from "../differences.js";

interface LossCase {
  name: string;
  batch: string;
  policy: string;
  config: { beta: number; loss_type: KTOLossName; desirable_weight?: number; undesirable_weight?: number; max_length?: number };
  policy_logps: number[];
  policy_KL_logps?: number[];
  reference_logps: number[];
  reference_KL_logps?: number[];
  kl_before_clamp?: number;
  loss: number;
  metrics: Record<string, number>;
  grad_norm: number;
  grad_norm_per_parameter: Record<string, number>;
}

const { cases, batches } = JSON.parse(readFileSync(`${GOLDEN}/kto_losses.json`, "utf8")) as {
  cases: LossCase[];
  batches: Record<string, { rows: number[] }>;
};

const models: Record<string, CausalLM> = {};
beforeAll(async () => {
  models["policy"] = await AutoModelForCausalLM.from_pretrained(`${GOLDEN}/policy`);
  models["tiny-qwen2"] = await AutoModelForCausalLM.from_pretrained(TINY);
});
afterAll(async () => {
  for (const model of Object.values(models)) await model.dispose();
});

describe("KTO losses equal TRL's", () => {
  it("covers 8 cases", () => expect(cases.length).toBe(8));

  it.each(cases.map((golden) => [golden.name, golden] as const))("%s", async (_name, golden) => {
    const policy = models[golden.policy]!;
    const reference = models[golden.policy === "policy" ? "tiny-qwen2" : "policy"]!;
    const wanted = batches[golden.batch]!.rows;
    const options = { ...golden.config, per_device_train_batch_size: wanted.length };
    const rows = await preparedRows(await goldenRows(wanted), policy, options);
    expect(rows.length).toBe(golden.policy_logps.length);
    const references = await scoreRows(reference, rows);
    const result = await ktoGradients(policy, rows, references, options);

    const shared = await scoreRows(policy, rows);
    rows.forEach((_row, i) => {
      note("log-probs", far(result.scores[i]!.logps, golden.policy_logps[i]!), 1e-4, `policy ${i}`);
      note("log-probs", far(shared[i]!.own, golden.policy_logps[i]!), 1e-4, `policy ${i}, prompt shared`);
      note("log-probs", far(references[i]!.own, golden.reference_logps[i]!), 1e-4, `reference ${i}`);
      note("log-probs", far(shared[i]!.mismatched, golden.policy_KL_logps?.[i] ?? 0), 1e-4, `policy mismatched ${i}`);
      note("log-probs", far(references[i]!.mismatched, golden.reference_KL_logps?.[i] ?? 0), 1e-4, `reference mismatched ${i}`);
    });
    note("kl", far(result.kl, Math.max(0, golden.kl_before_clamp ?? 0)), 6e-5, "kl");
    note("loss (relative)", relative(result.loss, golden.loss), 6e-5, "loss");
    const metrics: Record<string, number> = {
      ...rowMetrics(rows, result.scores, references, result.kl, golden.config.beta),
      num_tokens: rows.reduce((sum, { attended }) => sum + attended, 0),
    };
    expect(Object.keys(metrics).sort()).toEqual(Object.keys(golden.metrics).sort());
    for (const [name, value] of Object.entries(golden.metrics)) note("metrics", far(metrics[name]!, value), 6e-5, name);
    note("gradient norm (relative)", relative(result.norm, golden.grad_norm), 6e-5, "grad_norm");
    expect([...result.gradients.keys()].sort()).toEqual(Object.keys(golden.grad_norm_per_parameter).sort());
    for (const [name, norm] of Object.entries(golden.grad_norm_per_parameter)) {
      // A norm near zero is all rounding: it is judged beside the whole gradient.
      const difference = far(Math.hypot(...result.gradients.get(name)!), norm);
      note("parameter norms (relative + 1e-6 of the whole)", difference / (norm + 1e-6 * golden.grad_norm), 6e-5, name);
    }
  });
});

describe("the metrics of a micro-batch", () => {
  it("a side without rows, and one without scored tokens, are left out", async () => {
    const rows = await preparedRows(await goldenRows([1, 4]), models["tiny-qwen2"]!);
    const scores: RowScores[] = [
      { logps: -2, entropy: 3, logits: 1 },
      { logps: -4, entropy: 5, logits: 2 },
    ];
    const references = [
      { own: -1, mismatched: 0 },
      { own: -6, mismatched: 0 },
    ];
    const tokens = rows[0]!.scored + rows[1]!.scored;
    expect(rowMetrics(rows, scores, references, 0.25, 0.5)).toEqual({
      kl: 0.25,
      entropy: 8 / tokens,
      "logits/rejected": 3 / tokens,
      "rewards/rejected": 0.25,
      "logps/rejected": -3,
    });
    const unscored = rows.map((row) => ({ ...row, label: false, scored: 0 }));
    expect(rowMetrics(unscored, scores, references, 0, 0.5)).toEqual({ kl: 0, entropy: 0, "rewards/rejected": 0.25, "logps/rejected": -3 });
  });
});
