/** Single batches of SFT against TRL (golden/sft_losses.json). Tolerances are the "replay" column of golden/README.md, doubled. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AutoModelForCausalLM, type CausalLM } from "../../src/model/index.js";
import type { SFTLossName } from "../../src/train/index.js";
import { batchMetrics } from "../../src/train/sft/textRunner.js";
import { type Group, goldenTexts, labelLogps, preparedTexts, textGradients } from "./sftTexts.js";
import { GOLDEN, TINY } from "./tinyModel.js";
import { note, relative } from "./differences.js";

interface LossCase {
  group: Group;
  rows: number;
  completion_only_loss: boolean | null;
  loss_type: SFTLossName;
  loss: number;
  metrics: Record<string, number>;
  grad_norm: number;
  grad_norm_per_parameter: Record<string, number>;
  summed_label_logp_per_row?: number[];
  label_count_per_row?: number[];
}

const { cases } = JSON.parse(readFileSync(`${GOLDEN}/sft_losses.json`, "utf8")) as { cases: LossCase[] };

let model: CausalLM;
beforeAll(async () => void (model = await AutoModelForCausalLM.from_pretrained(TINY)));
afterAll(() => model.dispose());

describe("one batch equals TRL", () => {
  it("there are as many cases as expected", () => expect(cases.length).toBe(12));

  it.each(cases.map((golden) => [`${golden.group}, completion only ${golden.completion_only_loss}, ${golden.loss_type}`, golden] as const))(
    "%s",
    async (_name, golden) => {
      const { loss_type, completion_only_loss } = golden;
      const options = { loss_type, completion_only_loss };
      const texts = await preparedTexts(await goldenTexts(golden.group, golden.rows), model, options);
      expect(texts.length).toBe(golden.rows);
      const result = await textGradients(model, texts, options);
      note("loss (relative)", relative(result.loss, golden.loss), 6e-5, "loss");
      const metrics: Record<string, number> = {
        ...batchMetrics(texts, result),
        num_tokens: texts.reduce((sum, { tokens }) => sum + tokens, 0),
      };
      expect(Object.keys(metrics).sort()).toEqual(Object.keys(golden.metrics).sort());
      for (const [name, value] of Object.entries(golden.metrics)) note("metrics", Math.abs(metrics[name]! - value), 6e-5, name);
      note("gradient norm (relative)", relative(result.norm, golden.grad_norm), 6e-5, "grad_norm");
      expect([...result.gradients.keys()].sort()).toEqual(Object.keys(golden.grad_norm_per_parameter).sort());
      for (const [name, norm] of Object.entries(golden.grad_norm_per_parameter)) {
        // A norm near zero is all rounding: it is judged beside the whole gradient.
        const difference = Math.abs(Math.hypot(...result.gradients.get(name)!) - norm);
        note("parameter norms (relative + 1e-6 of the whole)", difference / (norm + 1e-6 * golden.grad_norm), 6e-5, name);
      }
      if (golden.summed_label_logp_per_row === undefined) return;
      expect(texts.map(({ scored }) => scored)).toEqual(golden.label_count_per_row);
      (await labelLogps(model, texts)).forEach((logp, i) => {
        note("log-probs", Math.abs(logp - golden.summed_label_logp_per_row![i]!), 1e-4, `row ${i}`);
      });
    },
  );
});
