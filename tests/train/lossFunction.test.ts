/** A loss that the user wrote: pair by pair, over the batch, and wrong in the ways people get wrong. */
import { afterEach, describe, expect, it } from "vitest";
import { tf } from "../../src/compile/index.js";
import { type CausalLM, get_peft_model } from "../../src/model/index.js";
import type { DPOConfigInput, DPOLossFunction, LogEntry, PairLogps } from "../../src/train/index.js";
import { gradientsOf, preparedPairs } from "./microBatches.js";
import { plainGradients } from "./plainModel.js";
import { goldenPairs, largestDifference, smallLora, smallModel, smallTrainer, trainedTensors, withTrainer } from "./tinyModel.js";

const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.base.dispose();
});

async function newModel(): Promise<CausalLM> {
  const model = await smallModel();
  models.push(model);
  return model;
}

function margins({ policyChosen, policyRejected, referenceChosen, referenceRejected }: PairLogps): tf.Tensor1D {
  return tf.sub(tf.sub(policyChosen, referenceChosen), tf.sub(policyRejected, referenceRejected));
}

/** The built-in sigmoid, as a user writes it. */
const own: DPOLossFunction = (logps, { beta }) => tf.neg(tf.logSigmoid(tf.mul(margins(logps), beta)));

/** Coupled: each margin is compared with the batch's mean. */
const centred: DPOLossFunction = (logps, { beta }) => {
  const m = tf.mul(margins(logps), beta);
  return tf.add(tf.softplus(tf.neg(m)), tf.square(tf.sub(m, tf.mean(m))));
};

/** Coupled: the k-th largest margin has weight k. */
const ranked: DPOLossFunction = (logps, { beta }) => {
  const m = margins(logps);
  const [pairs] = m.shape;
  const order = tf.topk(m, pairs).indices as tf.Tensor1D;
  return tf.mul(tf.softplus(tf.mul(tf.gather(m, order), -beta)), tf.range(1, pairs + 1));
};

const REFERENCES = [
  { chosen: -60, rejected: -75 },
  { chosen: -90, rejected: -70 },
  { chosen: -80, rejected: -80 },
];

async function logOf(args: DPOConfigInput): Promise<{ log: LogEntry[]; tensors: Map<string, Float32Array> }> {
  return withTrainer({ args }, async (trainer) => {
    await trainer.train();
    return { log: trainer.state.log_history.slice(0, -1), tensors: await trainedTensors(trainer.model) };
  });
}

describe("a loss of one pair", () => {
  it.each([
    ["alone in its batch, where it is traced", 1],
    ["over a batch", 2],
  ])("equals the built-in one, %s", async (_name, per_device_train_batch_size) => {
    const builtIn = await logOf({ loss_type: "sigmoid", per_device_train_batch_size });
    const users = await logOf({ loss_type: own, per_device_train_batch_size });
    expect(users.log.length).toBe(3);
    users.log.forEach((entry, i) => {
      expect(Object.keys(entry)).toEqual(Object.keys(builtIn.log[i]!));
      // Adam divides by the gradient's size, so a rounding of a tiny gradient is seen at 1e-5 of a later log-prob.
      for (const [name, value] of Object.entries(entry)) expect(value, name).toBeCloseTo(builtIn.log[i]![name]!, 3);
    });
    expect(users.log[0]!["loss"]).toBeCloseTo(Math.log(2), 6);
    expect(largestDifference(users.tensors, builtIn.tensors)).toBeLessThan(1e-4);
  });
});

describe("a loss that couples the pairs of a batch", () => {
  it.each([
    ["centred on the batch's mean", centred],
    ["ranked in the batch", ranked],
  ])("%s: the gradient equals that of the whole batch in one graph", async (_name, loss) => {
    const model = await newModel();
    const pairs = await preparedPairs(await goldenPairs([0, 6, 13]), model);
    const plain = await plainGradients(model, pairs, REFERENCES, loss, 0.1);
    const coupled = await gradientsOf(model, pairs, REFERENCES, { loss_type: loss });
    expect(Math.abs(coupled.loss - plain.loss)).toBeLessThan(1e-5);
    expect(largestDifference(coupled.gradients, plain.gradients) / coupled.norm).toBeLessThan(5e-6);
    // It is not what the pairs give one by one.
    const single = await gradientsOf(model, pairs, REFERENCES, { loss_type: loss }, [1, 1, 1]);
    expect(largestDifference(single.gradients, coupled.gradients) / coupled.norm).toBeGreaterThan(0.01);
  });

  it("with adapter dropout both passes see the same masks", async () => {
    const base = await smallModel();
    models.push(base);
    const model = get_peft_model(base, smallLora({ lora_dropout: 0.5 }));
    await model.load({ threads: 1 });
    const pairs = await preparedPairs(await goldenPairs([0, 6, 13]), model);
    const options = { disable_dropout: false };
    const byFunction = await gradientsOf(model, pairs, REFERENCES, { ...options, loss_type: own });
    const builtIn = await gradientsOf(model, pairs, REFERENCES, { ...options, loss_type: "sigmoid" });
    expect(largestDifference(byFunction.gradients, builtIn.gradients) / builtIn.norm).toBeLessThan(2e-6);
  });

  it("may look at values, also in a last batch of one pair", async () => {
    const seen: number[][] = [];
    const looking: DPOLossFunction = (logps, options) => {
      seen.push([...logps.policyChosen.dataSync()]);
      return own(logps, options);
    };
    const train_dataset = await goldenPairs(3);
    await withTrainer({ train_dataset, args: { loss_type: looking, max_steps: 2 } }, (trainer) => trainer.train());
    // The first call tries it on made-up numbers.
    expect(seen.map((values) => values.length)).toEqual([2, 2, 1]);
  });
});

describe("a wrong loss is refused before any work", () => {
  const wrong: [string, DPOLossFunction, string, RegExp][] = [
    ["the mean", (logps, options) => tf.mean(own(logps, options)), "loss_shape", /one loss a pair.*got float32 of shape \[\]/],
    ["a column", (logps, options) => tf.expandDims(own(logps, options), 1), "loss_shape", /got float32 of shape \[\d, 1\]/],
    ["one too many", (logps, options) => tf.concat([own(logps, options), tf.zeros([1])]), "loss_shape", /got float32 of shape \[\d\]/],
    ["a truth value", (logps) => tf.greater(margins(logps), 0), "loss_shape", /got bool of shape/],
    ["a number", () => 0.5 as never, "loss_shape", /got number/],
    ["nothing", () => undefined as never, "loss_shape", /got undefined/],
    ["a promise", (async (...given: Parameters<DPOLossFunction>) => own(...given)) as never, "loss_shape", /got a Promise/],
    ["no policy", ({ referenceChosen }) => referenceChosen, "loss_gradient", /must depend on policyChosen or policyRejected/],
  ];
  it.each(wrong.flatMap(([name, loss, code, message]) => [1, 2].map((size) => [name, size, loss, code, message] as const)))(
    "%s, batch size %i",
    async (_name, per_device_train_batch_size, loss_type, code, message) => {
      let references = 0;
      const callbacks = [{ on_reference: () => void references++ }];
      await withTrainer({ callbacks, args: { loss_type, per_device_train_batch_size } }, async (trainer) => {
        const error = await trainer.train().catch((reason: unknown) => reason);
        expect(error).toMatchObject({ name: "ConfigError", code });
        expect((error as Error).message).toMatch(message);
      });
      expect(references).toBe(0);
    },
  );

  it("reading values where it is traced, with what to do instead", async () => {
    const reading: DPOLossFunction = ({ policyChosen }) => tf.tensor1d([...policyChosen.dataSync()]);
    const trainer = await smallTrainer({ args: { loss_type: reading, per_device_train_batch_size: 1 } });
    await expect(trainer.train()).rejects.toMatchObject({ name: "EngineError", message: expect.stringContaining("dataSync") as string });
    await trainer.dispose();
  });

  it("an error thrown inside it comes out as it is, and the trainer can be used again", async () => {
    const trainer = await smallTrainer({
      args: {
        loss_type: () => {
          throw new RangeError("my own mistake");
        },
      },
    });
    await expect(trainer.train()).rejects.toThrow(new RangeError("my own mistake"));
    await expect(trainer.train()).rejects.toThrow(new RangeError("my own mistake"));
    await trainer.dispose();
  });
});
