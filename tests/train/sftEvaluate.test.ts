/** Packed rows in training, and evaluation, against TRL (golden/sft_evaluate.json, made by scripts/golden/sft_evaluate.py). */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { AutoModelForCausalLM } from "../../src/model/index.js";
import { type SFTConfigInput, SFTTrainer } from "../../src/train/index.js";
import { type Group, goldenTexts, quietSft } from "./sftTexts.js";
import { GOLDEN, TINY, goldenTokenizer } from "./tinyModel.js";

interface Case {
  group: Group;
  options: SFTConfigInput;
  log: Record<string, number>[];
}

const { cases } = JSON.parse(readFileSync(`${GOLDEN}/sft_evaluate.json`, "utf8")) as { cases: Case[] };
const TIMES = /runtime|per_second/;

describe("packing and evaluation equal TRL", () => {
  it.each(cases.map((golden) => [`${golden.group} ${JSON.stringify(golden.options)}`, golden] as const))("%s", async (_name, golden) => {
    const trainer = new SFTTrainer({
      model: await AutoModelForCausalLM.from_pretrained(TINY),
      args: quietSft({
        per_device_train_batch_size: 2,
        per_device_eval_batch_size: 3,
        gradient_accumulation_steps: 2,
        max_steps: 3,
        eval_strategy: "steps",
        eval_steps: 3,
        eval_on_start: true,
        ...golden.options,
      }),
      train_dataset: await goldenTexts(golden.group),
      eval_dataset: await goldenTexts(golden.group),
      processing_class: await goldenTokenizer(),
    });
    try {
      await trainer.train();
      const log = trainer.state.log_history.slice(0, -1);
      expect(log.length).toBe(golden.log.length);
      golden.log.forEach((entry, i) => {
        const names = Object.keys(log[i]!).filter((name) => !TIMES.test(name));
        expect(names.sort(), `entry ${i}`).toEqual(Object.keys(entry).sort());
        for (const [name, value] of Object.entries(entry)) {
          const difference = Math.abs(log[i]![name]! - value) / (name === "grad_norm" ? value : 1);
          expect(difference, `entry ${i}: ${name}`).toBeLessThanOrEqual(name.endsWith("num_tokens") ? 0 : 2e-4);
        }
      });
    } finally {
      await trainer.dispose();
    }
  });
});
