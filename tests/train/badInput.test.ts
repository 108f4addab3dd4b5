/** What people hand to the trainer by mistake, and numbers that leave the range. */
import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { readFileTensor, tf } from "../../src/compile/index.js";
import { Dataset, load_dataset } from "../../src/data/index.js";
import { AutoModelForCausalLM, openCheckpoint } from "../../src/model/index.js";
import { AutoTokenizer } from "../../src/text/index.js";
import type { DPOConfigInput } from "../../src/train/index.js";
import { GOLDEN, TINY, goldenPairs, newFolder, smallLora, smallModel, smallTrainer, withTrainer, writeModel } from "./tinyModel.js";

const containing = (text: RegExp): string => expect.stringMatching(text) as string;

afterEach(() => vi.restoreAllMocks());

/** What making a trainer on these rows throws. */
async function refused(rows: Record<string, unknown>[], args: DPOConfigInput = {}): Promise<unknown> {
  const train_dataset = Dataset.from_rows(rows, { file: "rows.jsonl" });
  return smallTrainer({ train_dataset, args }).then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe("rows", () => {
  it("without the columns of a preference", async () => {
    expect(await refused([{ prompt: "a", completion: "b", label: true }])).toMatchObject({
      name: "DataError",
      code: "data_columns",
      message: containing(/rows\.jsonl.*chosen.*rejected/),
    });
  });

  it("of the wrong type, with the number of the row", async () => {
    const error = await refused([
      { prompt: "a", chosen: " b", rejected: " c" },
      { prompt: "a", chosen: 4, rejected: " c" },
    ]);
    expect(error).toMatchObject({ name: "DataError", code: "data_type", row: 1, message: containing(/rows\.jsonl row 1.*chosen/) });
  });

  it("with both completions empty", async () => {
    expect(await refused([{ prompt: "a", chosen: "", rejected: "" }])).toMatchObject({ name: "DataError", code: "data_empty", row: 0 });
  });

  it("none at all", async () => {
    expect(await refused([])).toMatchObject({ name: "DataError", message: containing(/at least one row|empty/) });
  });

  it("whose prompt fills max_length are dropped with a warning; all of them, an error", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
    const rows = [
      { prompt: "The clock is late and the door was open, so the cat went out to the garden.", chosen: " Yes.", rejected: " No." },
      { prompt: "Why?", chosen: " Because it is late.", rejected: " No." },
    ];
    const train_dataset = Dataset.from_rows(rows, { file: "rows.jsonl" });
    await withTrainer({ train_dataset, eval_dataset: train_dataset, args: { max_length: 10, max_steps: 1 } }, (trainer) => trainer.train());
    const lines = log.mock.calls.map(String);
    for (const name of ["train_dataset", "eval_dataset"]) {
      expect(lines).toContainEqual(
        containing(new RegExp(`^DPOTrainer: ${name}: 1 of 2 rows are dropped .* max_length 10 \\(rows\\.jsonl row 0\\)`)),
      );
    }
    expect(await refused(rows, { max_length: 1 })).toMatchObject({
      name: "DataError",
      code: "no_rows",
      message: containing(/train_dataset needs at least one pair, but all 2 rows were dropped.*max_length is 1; check/),
    });
  });

  it("longer than max_length are cut with a warning", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
    await withTrainer({ args: { max_length: 16, max_steps: 1 } }, (trainer) => trainer.train());
    expect(log.mock.calls.map(String)).toContainEqual(containing(/pairs are cut to max_length 16; raise max_length/));
  });

  it("as conversations without a chat template", async () => {
    const bare = newFolder();
    await (await AutoTokenizer.from_pretrained(TINY)).save_pretrained(bare);
    rmSync(join(bare, "chat_template.jinja"), { force: true });
    const file = join(bare, "tokenizer_config.json");
    writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, "utf8")) as object), chat_template: undefined }));
    const given = {
      train_dataset: await load_dataset(`${GOLDEN}/pairs_conversational.jsonl`),
      processing_class: await AutoTokenizer.from_pretrained(bare),
    };
    await expect(smallTrainer(given)).rejects.toMatchObject({ name: "ModelError", code: "chat_template_missing" });
  });

  it("that a tokenizer of another model turned into ids which this model lacks", async () => {
    const model = await smallModel({ vocab_size: 200 });
    await expect(smallTrainer({ model })).rejects.toMatchObject({
      name: "ConfigError",
      code: "vocabulary",
      message: containing(
        /pairs\.jsonl row 0: token ids must be below the model's vocab_size 200, got \d+; the tokenizer belongs to another model/,
      ),
    });
  });
});

describe("files", () => {
  it("a truncated checkpoint is found when it is opened, or when it is read", async () => {
    const folder = await writeModel();
    const weights = join(folder, "model.safetensors");
    const whole = newFolder();
    copyFileSync(weights, whole);
    truncateSync(weights, 5000);
    await expect(AutoModelForCausalLM.from_pretrained(folder)).rejects.toMatchObject({
      name: "ModelError",
      message: containing(/model\.safetensors/),
    });
    copyFileSync(whole, weights);
    const model = await AutoModelForCausalLM.from_pretrained(folder);
    truncateSync(weights, 5000);
    await withTrainer({ model }, async (trainer) => {
      await expect(trainer.train()).rejects.toMatchObject({
        name: "EngineError",
        code: "file_truncated",
        message: containing(/model\.safetensors/),
      });
      // Mended, the same trainer goes on.
      copyFileSync(whole, weights);
      expect((await trainer.train()).finished).toBe(true);
    });
  });
});

describe("numbers that leave the range", () => {
  /** The steps of a run that fails, its error and its last checkpoint. */
  async function failing(args: DPOConfigInput, lora = true): Promise<{ error: Error; steps: number; tensors: Float32Array[] }> {
    const output_dir = newFolder();
    const given = { peft_config: lora ? smallLora() : undefined, train_dataset: await goldenPairs() };
    return withTrainer(
      { ...given, args: { max_steps: 30, save_strategy: "steps", save_steps: 1, lr_scheduler_type: "constant", output_dir, ...args } },
      async (trainer) => {
        const error: unknown = await trainer.train().catch((reason: unknown) => reason);
        const steps = trainer.state.global_step;
        const tensors: Float32Array[] = [];
        if (!lora && steps > 0)
          for (const tensor of (await openCheckpoint(join(output_dir, `checkpoint-${steps}`))).tensors.values())
            tensors.push(readFileTensor(tensor));
        return { error: error as Error, steps, tensors };
      },
    );
  }

  it("a rate of 1e12: stops at the step, names it and its rows, the last checkpoint has finite numbers", async () => {
    const { error, steps, tensors } = await failing({ learning_rate: 1e12, max_grad_norm: 0 }, false);
    expect(error).toMatchObject({ name: "EngineError", code: expect.stringMatching(/^(loss|gradient)_not_finite$/) as string });
    expect(error.message).toMatch(
      new RegExp(
        `^DPOTrainer: step ${steps + 1}: the (loss|gradient norm) must be finite, got .*pairs\\.jsonl row \\d+, .*pairs\\.jsonl row \\d+; lower learning_rate`,
      ),
    );
    expect(steps).toBeGreaterThan(0);
    expect(tensors.length).toBeGreaterThan(20);
    for (const values of tensors) expect(values.every(Number.isFinite)).toBe(true);
  });

  it("a loss that becomes NaN at the third step", async () => {
    let calls = 0;
    const { error, steps } = await failing({
      // The first call tries it before the run.
      loss_type: ({ policyChosen }) => tf.mul(policyChosen, calls++ === 3 ? NaN : 1),
    });
    expect(steps).toBe(2);
    expect(error).toMatchObject({
      code: "loss_not_finite",
      message: containing(/step 3: the loss must be finite, got NaN at .*row 4, .*row 5;/),
    });
  });

  it("a finite loss with an infinite slope", async () => {
    // At the start both log-ratios are 0, where the root has an infinite slope.
    const { error, steps } = await failing({
      loss_type: ({ policyChosen, referenceChosen }) =>
        tf.sqrt(tf.abs(tf.sub(policyChosen, tf.add(referenceChosen, tf.sub(policyChosen, policyChosen))))),
    });
    expect(steps).toBe(0);
    expect(error).toMatchObject({
      name: "EngineError",
      code: "gradient_not_finite",
      message: containing(/step 1: the gradient norm must be finite, got (NaN|Infinity) at .*row 0, .*row 1;/),
    });
  });

  it("NaN planted in the policy, with a whole reference", async () => {
    const broken = await writeModel({}, (name, values) => {
      if (name === "model.layers.0.self_attn.v_proj.weight") values[0] = NaN;
    });
    const [model, ref_model] = [await AutoModelForCausalLM.from_pretrained(broken), await smallModel()];
    await withTrainer({ model, ref_model }, async (trainer) => {
      await expect(trainer.train()).rejects.toMatchObject({
        code: "loss_not_finite",
        message: containing(/^DPOTrainer: step 1: the loss must be finite, got NaN/),
      });
    });
    await ref_model.dispose();
  });

  it("margins far beyond the sigmoid's range stay finite", async () => {
    const reference = await smallModel({ rope_theta: 300 });
    await withTrainer({ ref_model: reference, args: { beta: 1e4, max_steps: 2 } }, async (trainer) => {
      await trainer.train();
      const [first] = trainer.state.log_history;
      expect(Math.abs(first!["rewards/margins"]!)).toBeGreaterThan(100);
      expect(Number.isFinite(first!["loss"])).toBe(true);
    });
    await reference.dispose();
  });
});
