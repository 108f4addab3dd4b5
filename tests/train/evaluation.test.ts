import { describe, expect, it } from "vitest";
import { Dataset } from "../../src/data/index.js";
import { DPO_LOSSES, type DPOConfigInput, type LogEntry } from "../../src/train/index.js";
import { preparedPairs } from "./microBatches.js";
import { plainGradients } from "./plainModel.js";
import { goldenPairs, smallLora, smallModel, smallTrainer, withTrainer } from "./tinyModel.js";

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value / values.length, 0);

describe("evaluation", () => {
  it("before and after training equals scoring by hand", async () => {
    const model = await smallModel();
    const rows = await goldenPairs([8, 9, 10, 11, 12]);
    const beta = 0.3;
    const trainer = await smallTrainer({ model, eval_dataset: rows, args: { beta, per_device_eval_batch_size: 2, learning_rate: 5e-3 } });
    const pairs = await preparedPairs(rows, model);
    const zero = pairs.map(() => ({ chosen: 0, rejected: 0 }));
    const start = await plainGradients(model, pairs, zero, DPO_LOSSES.sigmoid, beta);
    const references = pairs.map((_, i) => ({ chosen: start.chosen[i]!, rejected: start.rejected[i]! }));

    const before = await trainer.evaluate();
    expect(before["eval_loss"]).toBeCloseTo(Math.log(2), 5);
    expect(before["eval_rewards/margins"]).toBeCloseTo(0, 4);
    await trainer.train();
    const after = await trainer.evaluate();

    const now = await plainGradients(model, pairs, references, DPO_LOSSES.sigmoid, beta);
    expect(Math.abs(now.loss - Math.log(2))).toBeGreaterThan(0.01);
    // The loss is a mean over pairs; metrics are means over batches, of which the last has one pair.
    expect(after["eval_loss"]).toBeCloseTo(now.loss, 5);
    const overBatches = (of: (i: number) => number): number => mean([mean([of(0), of(1)]), mean([of(2), of(3)]), of(4)]);
    const chosen = (i: number): number => beta * (now.chosen[i]! - references[i]!.chosen);
    const rejected = (i: number): number => beta * (now.rejected[i]! - references[i]!.rejected);
    const byHand: LogEntry = {
      "eval_logps/chosen": overBatches((i) => now.chosen[i]!),
      "eval_logps/rejected": overBatches((i) => now.rejected[i]!),
      "eval_rewards/chosen": overBatches(chosen),
      "eval_rewards/rejected": overBatches(rejected),
      "eval_rewards/margins": overBatches((i) => chosen(i) - rejected(i)),
      "eval_rewards/accuracies": overBatches((i) => (chosen(i) > rejected(i) ? 1 : 0)),
      // Evaluation adds nothing to the tokens seen in training.
      eval_num_tokens: trainer.state.num_input_tokens_seen,
      step: 3,
      epoch: 1.5,
    };
    for (const [name, value] of Object.entries(byHand)) expect(Math.abs(after[name]! - value), name).toBeLessThan(2e-4);
    expect(after["eval_samples_per_second"]).toBeCloseTo(5 / after["eval_runtime"]!, 6);
    expect(after["eval_steps_per_second"]).toBeCloseTo(3 / after["eval_runtime"]!, 6);
    expect(trainer.state.log_history.at(-1)).toEqual(after);
    await trainer.dispose();
  });

  it("does not change the run", async () => {
    const losses = async (eval_strategy: "no" | "steps"): Promise<number[]> => {
      const eval_dataset = eval_strategy === "no" ? undefined : await goldenPairs([8, 9]);
      return withTrainer({ peft_config: smallLora(), eval_dataset, args: { eval_strategy } }, async (trainer) => {
        await trainer.train();
        return trainer.state.log_history.filter((entry) => "loss" in entry).map((entry) => entry["loss"]!);
      });
    };
    expect(await losses("steps")).toEqual(await losses("no"));
  });

  const steps = async (args: DPOConfigInput): Promise<number[]> =>
    withTrainer({ peft_config: smallLora({ target_modules: ["q_proj"] }), eval_dataset: await goldenPairs([8]), args }, async (trainer) => {
      await trainer.train();
      return trainer.state.log_history.filter((entry) => "eval_loss" in entry).map((entry) => entry["step"]!);
    });

  it("comes every eval_steps, with logging_steps as the default", async () => {
    expect(await steps({ eval_strategy: "steps", eval_steps: 2, max_steps: 5 })).toEqual([2, 4]);
    expect(await steps({ eval_strategy: "steps", logging_steps: 3, max_steps: 5 })).toEqual([3]);
  });

  it("comes at the end of each epoch, and at the end of a run inside one, as in transformers", async () => {
    expect(await steps({ eval_strategy: "epoch", max_steps: 5 })).toEqual([2, 4, 5]);
    expect(await steps({ eval_strategy: "epoch", max_steps: -1, num_train_epochs: 2 })).toEqual([2, 4]);
  });

  it("needs rows", async () => {
    await expect(smallTrainer({ args: { eval_strategy: "epoch" } })).rejects.toMatchObject({
      code: "eval_dataset",
      message: expect.stringContaining("needs an eval_dataset") as string,
    });
    const trainer = await smallTrainer();
    await expect(trainer.evaluate()).rejects.toMatchObject({ code: "eval_dataset" });
    const empty = (await goldenPairs(1)).filter(() => false);
    await expect(smallTrainer({ eval_dataset: empty })).rejects.toMatchObject({ name: "DataError" });
  });
});

describe("the log", () => {
  it("an entry is the mean over its steps; the rate is of the last; logging_first_step adds one", async () => {
    const run = async (logging_steps: number, logging_first_step = false): Promise<LogEntry[]> =>
      withTrainer({ args: { logging_steps, logging_first_step, max_steps: 5, lr_scheduler_type: "linear" } }, async (trainer) => {
        await trainer.train();
        return trainer.state.log_history;
      });
    const [each, pairs, first] = [await run(1), await run(2), await run(2, true)];
    expect(each.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 5]);
    expect(pairs.map(({ step }) => step)).toEqual([2, 4, 5]);
    expect(first.map(({ step }) => step)).toEqual([1, 2, 4, 5]);
    for (const name of ["loss", "rewards/margins", "logps/chosen", "entropy"]) {
      expect(pairs[0]![name], name).toBeCloseTo((each[0]![name]! + each[1]![name]!) / 2, 12);
      // After an entry at step 1, the next one covers step 2 alone.
      expect(first[1]![name], name).toBeCloseTo(each[1]![name]!, 12);
    }
    expect(pairs[0]).toMatchObject({
      learning_rate: each[1]!["learning_rate"],
      grad_norm: each[1]!["grad_norm"],
      num_tokens: each[1]!["num_tokens"],
    });
    expect(each.at(-1)!["train_loss"]).toBeCloseTo(mean(each.slice(0, 5).map(({ loss }) => loss!)), 12);
  });

  it("the rate counts the pairs that were seen, also when batches are not full", async () => {
    await withTrainer({ train_dataset: await goldenPairs(3), args: { per_device_train_batch_size: 8, max_steps: 2 } }, async (trainer) => {
      const { metrics } = await trainer.train();
      expect(metrics["train_samples_per_second"]! * metrics["train_runtime"]!).toBeCloseTo(6, 6);
      expect(metrics["train_steps_per_second"]! * metrics["train_runtime"]!).toBeCloseTo(2, 6);
    });
  });

  it("a batch without a scored token logs zeros, not NaN", async () => {
    // An empty prompt and one token a side: the first token of a sequence is never scored.
    const train_dataset = Dataset.from_rows([{ prompt: "", chosen: "<|im_end|>", rejected: "<|im_end|>" }]);
    await withTrainer({ train_dataset, args: { max_steps: 1 } }, async (trainer) => {
      await trainer.train();
      const [entry] = trainer.state.log_history;
      expect(entry).toMatchObject({ entropy: 0, mean_token_accuracy: 0, "logits/chosen": 0, "logits/rejected": 0, grad_norm: 0 });
    });
  });
});
