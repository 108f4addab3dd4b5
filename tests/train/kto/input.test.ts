/** What people hand to KTOTrainer: a loss of their own, rows and weights that do not fit, numbers that leave the range. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { tf } from "../../../src/compile/index.js";
import { Dataset } from "../../../src/data/index.js";
import { AutoModelForCausalLM } from "../../../src/model/index.js";
import type { KTOConfigInput, KTOLossFunction, RowLogps } from "../../../src/train/index.js";
import { balanceWarning, orderWarning } from "../../../src/train/kto/balance.js";
import type { PreparedRow } from "../../../src/train/kto/preparedRows.js";
import { largestDifference, smallModel, trainedTensors, writeModel } from "../tinyModel.js";
import { goldenRows, ktoTrainer, quietKto, withKto } from "./ktoModel.js";

afterEach(() => vi.restoreAllMocks());
const containing = (text: RegExp): string => expect.stringMatching(text) as string;

describe("a user's loss", () => {
  /** Eq. 7 as a user writes it. */
  const own: KTOLossFunction = ({ policy, reference, kl, label }, { beta }) => {
    const r = tf.sub(policy, reference);
    const wanted = tf.sub(1, tf.sigmoid(tf.mul(tf.sub(r, kl), beta)));
    const unwanted = tf.sub(1, tf.sigmoid(tf.mul(tf.sub(kl, r), beta)));
    return tf.where(tf.greater(label, 0.5), wanted, unwanted) as tf.Tensor1D;
  };

  it("equals the built-in one, with weights, in training and evaluation", async () => {
    const run = async (loss_type: "kto" | KTOLossFunction) => {
      const args: KTOConfigInput = { loss_type, desirable_weight: 1.3, learning_rate: 5e-3, eval_strategy: "steps", eval_steps: 3 };
      return withKto({ eval_dataset: await goldenRows([8, 9, 10]), args }, async (trainer) => {
        await trainer.train();
        return { log: trainer.state.log_history.slice(0, -1), tensors: await trainedTensors(trainer.model) };
      });
    };
    const [builtIn, users] = [await run("kto"), await run(own)];
    expect(users.log.length).toBe(4);
    users.log.forEach((entry, i) => {
      for (const name of ["loss", "kl", "eval_loss", "rewards/chosen"].filter((key) => key in entry))
        expect(entry[name], name).toBeCloseTo(builtIn.log[i]![name]!, 4);
    });
    expect(largestDifference(users.tensors, builtIn.tensors)).toBeLessThan(1e-4);
  });

  it.each([
    [
      "a mean",
      (({ policy }: RowLogps) => tf.mean(policy)) as unknown as KTOLossFunction,
      "loss_shape",
      /a float32 tensor of shape \[1\], got float32 of shape \[\]/,
    ],
    ["no tensor", (() => 1) as unknown as KTOLossFunction, "loss_shape", /got number/],
    ["no gradient", (({ reference }) => tf.mul(reference, 2)) as KTOLossFunction, "loss_gradient", /must depend on policy/],
  ])("%s is refused before the reference is computed", async (_name, loss_type, code, message) => {
    let computed = 0;
    await withKto({ args: { loss_type }, callbacks: [{ on_reference: () => void computed++ }] }, async (trainer) => {
      await expect(trainer.train()).rejects.toMatchObject({ name: "ConfigError", code, message: containing(message) });
    });
    expect(computed).toBe(0);
  });
});

describe("rows", () => {
  const refused = async (rows: Record<string, unknown>[], args: KTOConfigInput = {}): Promise<unknown> =>
    ktoTrainer({ train_dataset: Dataset.from_rows(rows, { file: "rows.jsonl" }), args }).then(
      () => undefined,
      (error: unknown) => error,
    );

  it("that break the contract, with file and row", async () => {
    const row = { prompt: "a", completion: " b", label: true };
    expect(await refused([row, { ...row, label: 1 }])).toMatchObject({
      name: "DataError",
      code: "data_type",
      row: 1,
      message: containing(/rows\.jsonl row 1.*label/),
    });
    expect(await refused([{ prompt: "a", completion: " b" }])).toMatchObject({
      code: "data_columns",
      message: containing(/rows\.jsonl.*label/),
    });
    expect(await refused([row], { max_length: 1 })).toMatchObject({
      code: "no_rows",
      message: containing(/^KTOTrainer: train_dataset needs at least one row, but all 1 were dropped.*max_length is 1; check max_length/),
    });
    await expect(ktoTrainer({ model: await smallModel({ vocab_size: 200 }) })).rejects.toMatchObject({
      code: "vocabulary",
      message: containing(/kto\.jsonl row 0: token ids must be below the model's vocab_size 200/),
    });
  });

  it("a row alone in the last batch is told, unless it is left out", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
    const lone = async (args: KTOConfigInput): Promise<boolean> => {
      log.mockClear();
      await ktoTrainer({ train_dataset: await goldenRows([0, 1, 2]), args });
      return log.mock.calls.map(String).some((line) => /3 rows in batches of 2 leave the last row alone \(.*kto\.jsonl row 2\)/.test(line));
    };
    expect(await lone({})).toBe(true);
    expect(await lone({ dataloader_drop_last: true })).toBe(false);
    expect(await lone({ dataloader_drop_last: true, shuffle_dataset: true })).toBe(true);
    expect(await lone({ per_device_train_batch_size: 3 })).toBe(false);
    expect(await lone({ loss_type: "apo_zero_unpaired" })).toBe(false);
  });

  it("whose numbers do not fit the weights are told, once", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
    await ktoTrainer({ train_dataset: await goldenRows([0, 1, 2, 3]), eval_dataset: await goldenRows([0, 2]) });
    expect(log.mock.calls.map(String)).toEqual([
      "KTOTrainer: train_dataset: 3 rows are desirable and 1 are not, with weights 1 and 1; advised is either desirable_weight in [0.33, 0.44] or undesirable_weight in [2.26, 3], not both",
    ]);
  });
});

describe("the labels of a data set", () => {
  const rows = (labels: string): PreparedRow[] => [...labels].map((label) => ({ label: label === "+" }) as PreparedRow);

  it("weights within 1 to 1.33 of balance are fine, as in TRL", () => {
    const warned = (labels: string, desirable_weight: number, undesirable_weight: number): boolean =>
      balanceWarning(rows(labels), { desirable_weight, undesirable_weight }).length > 0;
    expect(warned("++--", 5, 1)).toBe(false);
    expect(warned("+---", 1, 1)).toBe(true);
    expect([2.9, 3, 4, 4.1].map((weight) => warned("+---", weight, 1))).toEqual([true, false, false, true]);
    expect([0.24, 0.25, 0.33, 0.34].map((weight) => warned("+---", 1, weight))).toEqual([true, false, false, true]);
    expect(balanceWarning(rows("++++"), { desirable_weight: 1, undesirable_weight: 1 })).toEqual([
      "all 4 rows are desirable; KTO learns from rows of both labels",
    ]);
    expect(balanceWarning(rows("--"), { desirable_weight: 1, undesirable_weight: 2 })).toEqual([
      "all 2 rows are undesirable; KTO learns from rows of both labels",
    ]);
  });

  it("rows sorted by label are told in file order only", () => {
    const told = (labels: string, size: number, shuffle_dataset = false): string[] =>
      orderWarning(rows(labels), quietKto({ per_device_train_batch_size: size, shuffle_dataset }));
    const sorted = "+".repeat(20) + "-".repeat(20);
    expect(told(sorted, 4)).toEqual([containing(/^10 of 10 micro-batches hold rows of one label only/)]);
    expect(told(sorted, 4, true)).toEqual([]);
    expect(told("+-".repeat(20), 4)).toEqual([]);
    expect(told("+".repeat(40), 4)).toEqual([]);
    expect(told("+".repeat(38) + "--", 4)).toEqual([]);
  });
});

describe("numbers that leave the range", () => {
  const broken = (): Promise<string> =>
    writeModel({}, (name, values) => {
      if (name === "model.layers.0.self_attn.v_proj.weight") values[0] = NaN;
    });

  it("NaN in the policy names the step and the rows", async () => {
    const [model, ref_model] = [await AutoModelForCausalLM.from_pretrained(await broken()), await smallModel()];
    await withKto({ model, ref_model }, async (trainer) => {
      await expect(trainer.train()).rejects.toMatchObject({
        name: "EngineError",
        code: "loss_not_finite",
        message: containing(
          /^KTOTrainer: step 1: the loss must be finite, got NaN at .*kto\.jsonl row 0, .*kto\.jsonl row 1; lower learning_rate/,
        ),
      });
    });
  });

  it("NaN in the reference names the row", async () => {
    await withKto({ model: await AutoModelForCausalLM.from_pretrained(await broken()) }, async (trainer) => {
      await expect(trainer.train()).rejects.toMatchObject({
        name: "EngineError",
        code: "reference_not_finite",
        message: containing(/^KTOTrainer: the reference's log-probs must be finite, got NaN and NaN at .*kto\.jsonl row 0;/),
      });
    });
  });

  it("log-ratios far beyond the sigmoid's range stay finite", async () => {
    const ref_model = await smallModel({ rope_theta: 300 });
    await withKto({ ref_model, args: { beta: 1e4, max_steps: 2 } }, async (trainer) => {
      await trainer.train();
      const [first] = trainer.state.log_history;
      expect(Math.abs(first!["rewards/margins"]!)).toBeGreaterThan(100);
      expect(Number.isFinite(first!["loss"])).toBe(true);
    });
  });
});
