/** What the loop does around the steps: when, best checkpoint, early stopping, callbacks, several evaluation sets, older names. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { DPOTrainer, EarlyStoppingCallback, type LogEntry, type TrainerCallback, type TrainerState } from "../../src/train/index.js";
import { noteBest } from "../../src/train/loop/bestModel.js";
import { absoluteSteps, dueAfter } from "../../src/train/loop/cadence.js";
import { openAdapter, openCheckpoint } from "../../src/model/index.js";
import { readFileTensor } from "../../src/compile/index.js";
import { goldenPairs, goldenTokenizer, newFolder, quiet, smallLora, smallModel, trainedTensors, withTrainer } from "./tinyModel.js";

describe("when", () => {
  const args = quiet({ logging_steps: 4, eval_strategy: "steps", eval_steps: 0.25, save_strategy: "steps", save_steps: 5 });
  const steps = (of: keyof ReturnType<typeof dueAfter>, given = args): number[] =>
    Array.from({ length: 10 }, (_, i) => i + 1).filter((step) => dueAfter(given, 10, step, step / 5, step % 5 === 0)[of]);

  it("steps, shares of all steps (rounded up), and the end", () => {
    expect(absoluteSteps(0.25, 10)).toBe(3);
    expect(steps("log")).toEqual([4, 8]);
    expect(steps("evaluate")).toEqual([3, 6, 9]);
    expect(steps("save")).toEqual([5, 10]);
    expect(steps("save", args.with({ save_steps: 4 }))).toEqual([4, 8, 10]);
  });

  it("epochs, the first step, never", () => {
    const epochs = args.with({ logging_strategy: "epoch", logging_first_step: true, eval_strategy: "epoch", eval_steps: null });
    expect(steps("log", epochs)).toEqual([1, 5, 10]);
    expect(steps("evaluate", epochs)).toEqual([5, 10]);
    expect(steps("log", args.with({ logging_strategy: "no" }))).toEqual([]);
  });

  it("eval_delay counts steps, or epochs", () => {
    expect(steps("evaluate", args.with({ eval_delay: 4 }))).toEqual([6, 9]);
    expect(steps("evaluate", args.with({ eval_strategy: "epoch", eval_steps: null, eval_delay: 1.5 }))).toEqual([10]);
  });

  it("eval_on_start evaluates the untrained model", async () => {
    await withTrainer(
      { peft_config: smallLora(), eval_dataset: await goldenPairs([8]), args: { eval_strategy: "epoch", eval_on_start: true } },
      async (trainer) => {
        await trainer.train();
        const evaluations = trainer.state.log_history.filter((entry) => "eval_loss" in entry);
        expect(evaluations.map(({ step }) => step)).toEqual([0, 2, 3]);
        expect(evaluations[0]!["eval_loss"]).toBeCloseTo(Math.log(2), 5);
      },
    );
  });
});

describe("the best checkpoint", () => {
  it("is by eval_loss, or by a metric of which more is better unless said otherwise", () => {
    const best = (args: Parameters<typeof quiet>[0], values: readonly LogEntry[]): (number | null)[] => {
      const state = { best_metric: null, best_global_step: null, global_step: 0 } as TrainerState;
      return values.map((metrics, i) => {
        state.global_step = i + 1;
        noteBest(quiet(args), state, metrics);
        return state.best_global_step;
      });
    };
    const losses = [3, 2, 2, 4, 1].map((eval_loss) => ({ eval_loss, "eval_rewards/accuracies": eval_loss / 10 }));
    expect(best({}, losses)).toEqual([1, 2, 2, 2, 5]);
    expect(best({ metric_for_best_model: "rewards/accuracies" }, losses)).toEqual([1, 1, 1, 4, 4]);
    expect(best({ metric_for_best_model: "eval_rewards/accuracies", greater_is_better: false }, losses)).toEqual([1, 2, 2, 2, 5]);
    expect(() => best({ metric_for_best_model: "rewards/accuracy" }, losses)).toThrow(
      "metric_for_best_model: the evaluation must have the metric, got none named eval_rewards/accuracy; did you mean eval_rewards/accuracies?",
    );
  });

  /** Makes the evaluations of a run follow a script. */
  function scripted(values: readonly number[]): TrainerCallback {
    let i = 0;
    return { on_log: (_state, entry) => void ("eval_loss" in entry && (entry["eval_loss"] = values[i++]!)) };
  }

  it("is kept by save_total_limit and loaded at the end", async () => {
    const output_dir = newFolder();
    const model = await smallModel();
    await withTrainer(
      {
        model,
        peft_config: smallLora(),
        eval_dataset: await goldenPairs([8]),
        callbacks: [scripted([0.6, 0.4, 0.5, 0.7])],
        args: {
          ...{ output_dir, max_steps: 4, eval_strategy: "steps", eval_steps: 1, save_strategy: "steps", save_steps: 1 },
          ...{ save_total_limit: 1, load_best_model_at_end: true, learning_rate: 1e-2 },
        },
      },
      async (trainer) => {
        await trainer.train();
        const names = readdirSync(output_dir).filter((name) => name.startsWith("checkpoint-"));
        expect(names.sort()).toEqual(["checkpoint-2", "checkpoint-4"]);
        expect(trainer.state).toMatchObject({
          best_global_step: 2,
          best_metric: 0.4,
          best_model_checkpoint: join(output_dir, "checkpoint-2"),
        });
        const now = await trainedTensors(trainer.model);
        const read = async (name: string) => (await openAdapter(join(output_dir, name), model.config)).tensors;
        for (const [name, entry] of await read("checkpoint-2")) expect(now.get(name)).toEqual(readFileTensor(entry));
        const [last] = await read("checkpoint-4");
        expect(now.get(last![0])).not.toEqual(readFileTensor(last![1]));
      },
    );
  });

  it("save_strategy best saves those alone; all weights come back too", async () => {
    const output_dir = newFolder();
    await withTrainer(
      {
        eval_dataset: await goldenPairs([8]),
        callbacks: [scripted([0.6, 0.7, 0.4, 0.5])],
        args: {
          ...{ output_dir, max_steps: 4, eval_strategy: "steps", eval_steps: 1, save_strategy: "best", load_best_model_at_end: true },
          ...{ save_only_model: true, learning_rate: 1e-2 },
        },
      },
      async (trainer) => {
        await trainer.train();
        expect(readdirSync(output_dir).filter((name) => name.startsWith("checkpoint-"))).toEqual(["checkpoint-1", "checkpoint-3"]);
        expect(existsSync(join(output_dir, "checkpoint-3", "optimizer.safetensors"))).toBe(false);
        const now = await trainedTensors(trainer.model);
        for (const [name, entry] of (await openCheckpoint(join(output_dir, "checkpoint-3"))).tensors)
          expect(now.get(name)).toEqual(readFileTensor(entry));
      },
    );
  });

  it("early stopping waits patience evaluations, and counts an improvement above the threshold only", async () => {
    const steps = async (options: ConstructorParameters<typeof EarlyStoppingCallback>[0], values: readonly number[]): Promise<number> =>
      withTrainer(
        {
          peft_config: smallLora({ target_modules: ["q_proj"] }),
          eval_dataset: await goldenPairs([8]),
          callbacks: [scripted(values), new EarlyStoppingCallback(options)],
          args: { max_steps: 6, eval_strategy: "steps", eval_steps: 1 },
        },
        async (trainer) => (await trainer.train()).global_step,
      );
    expect(await steps({ early_stopping_patience: 2 }, [0.6, 0.5, 0.5, 0.49, 0.6, 0.6])).toBe(6);
    expect(await steps({}, [0.6, 0.5, 0.55, 0.1, 0.1, 0.1])).toBe(3);
    expect(await steps({ early_stopping_threshold: 0.2 }, [0.6, 0.3, 0.2, 0.1, 0.1, 0.1])).toBe(3);
    expect(() => new EarlyStoppingCallback({ early_stopping_patience: 0 })).toThrow(
      "early_stopping_patience must be an integer >= 1, got 0",
    );
    await withTrainer({ callbacks: [new EarlyStoppingCallback()] }, async (trainer) => {
      await expect(trainer.train()).rejects.toMatchObject({ code: "early_stopping" });
    });
  });
});

describe("callbacks", () => {
  it("hear every event in order, and ask for a log, an evaluation, a checkpoint", async () => {
    const output_dir = newFolder();
    const heard: string[] = [];
    const callback: TrainerCallback = {
      on_train_begin: () => void heard.push("begin"),
      on_epoch_begin: () => void heard.push("epoch"),
      on_step_end: ({ global_step }, control) => {
        heard.push(`step ${global_step}`);
        if (global_step === 1) control.should_log = control.should_evaluate = control.should_save = true;
      },
      on_log: (_state, entry) => void heard.push("eval_loss" in entry ? "log eval" : "log"),
      on_evaluate: () => void heard.push("evaluate"),
      on_save: (_state, folder) => void heard.push(`save ${folder.slice(output_dir.length + 1)}`),
      on_epoch_end: () => void heard.push("epoch end"),
      on_train_end: () => void heard.push("end"),
    };
    await withTrainer(
      { eval_dataset: await goldenPairs([8]), callbacks: [callback], args: { output_dir, max_steps: 3, logging_strategy: "no" } },
      (trainer) => trainer.train(),
    );
    expect(heard).toEqual([
      "begin",
      "epoch",
      "step 1",
      "log",
      "log eval",
      "evaluate",
      "save checkpoint-1",
      "step 2",
      "epoch end",
      "epoch",
      "step 3",
      "log",
      "end",
    ]);
  });

  it("hear of the error that ends a run", async () => {
    const errors: unknown[] = [];
    const callbacks: TrainerCallback[] = [
      { on_step_end: () => Promise.reject(new Error("enough")) },
      { on_train_failed: (_state, error) => void errors.push(error) },
    ];
    await withTrainer({ callbacks }, async (trainer) => {
      await expect(trainer.train()).rejects.toThrow("enough");
    });
    expect(errors).toMatchObject([{ message: "enough" }]);
  });
});

it("several evaluation sets have metrics of their own names", async () => {
  const sets = { short: await goldenPairs([8]), long: await goldenPairs([9, 10]) };
  await withTrainer({ eval_dataset: sets, args: { eval_strategy: "epoch", max_steps: 2 } }, async (trainer) => {
    await trainer.train();
    const entries = trainer.state.log_history.filter((entry) => Object.keys(entry).some((name) => name.startsWith("eval_")));
    expect(entries.map((entry) => ["eval_short_loss" in entry, "eval_long_loss" in entry])).toEqual([
      [true, false],
      [false, true],
    ]);
    const all = await trainer.evaluate();
    expect(all["eval_short_loss"]).toBeCloseTo(entries[0]!["eval_short_loss"]!, 6);
    expect(all["eval_long_loss"]).toBeCloseTo(entries[1]!["eval_long_loss"]!, 6);
  });
});

it("tokenizer, the older name of processing_class, is taken with a note", async () => {
  const notes = vi.spyOn(console, "info").mockImplementation(() => undefined);
  const given = { model: await smallModel(), args: quiet(), train_dataset: await goldenPairs(2) };
  const tokenizer = await goldenTokenizer();
  expect(new DPOTrainer({ ...given, tokenizer }).processing_class).toBe(tokenizer);
  expect(notes.mock.calls.flat()).toContain("DPOTrainer: tokenizer is called processing_class now; it is used");
  notes.mockRestore();
  expect(() => new DPOTrainer(given)).toThrow("DPOTrainer: processing_class must be the model's tokenizer, got none");
});
