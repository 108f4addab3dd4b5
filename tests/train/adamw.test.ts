/** AdamW over many steps against float64, written from arXiv:1711.05101 algorithm 2 in torch's order. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostTensor } from "../../src/compile/index.js";
import { type CausalLM, get_peft_model } from "../../src/model/index.js";
import { Random } from "../../src/random.js";
import { AdamW, decays } from "../../src/train/optimizer/adamw.js";
import { sizeOf } from "../../src/train/optimizer/optimizer.js";
import { gradientName } from "../../src/train/optimizer/gradientSums.js";
import { smallLora, smallModel, trainedTensors } from "./tinyModel.js";

let model: CausalLM;
beforeAll(async () => void (model = await smallModel()));
afterAll(() => model.dispose());

const OPTIONS = { adam_beta1: 0.8, adam_beta2: 0.95, adam_epsilon: 1e-6, weight_decay: 0.1 };

/** Float64 Adam of one tensor. */
class Reference {
  readonly values: Float64Array;
  readonly #mean: Float64Array;
  readonly #square: Float64Array;
  #steps = 0;
  constructor(start: Float32Array) {
    this.values = Float64Array.from(start);
    this.#mean = new Float64Array(start.length);
    this.#square = new Float64Array(start.length);
  }

  step(gradient: Float32Array, learningRate: number, clip: number, decay: number): void {
    const { adam_beta1: b1, adam_beta2: b2, adam_epsilon } = OPTIONS;
    this.#steps++;
    for (let i = 0; i < gradient.length; i++) {
      const g = gradient[i]! * clip;
      this.values[i]! *= 1 - learningRate * decay;
      this.#mean[i] = b1 * this.#mean[i]! + (1 - b1) * g;
      this.#square[i] = b2 * this.#square[i]! + (1 - b2) * g * g;
      const mean = this.#mean[i]! / (1 - b1 ** this.#steps);
      const square = this.#square[i]! / (1 - b2 ** this.#steps);
      this.values[i]! -= (learningRate * mean) / (Math.sqrt(square) + adam_epsilon);
    }
  }
}

describe("AdamW", () => {
  const large = { vocab_size: 17_000 };
  it.each([
    { name: "120 steps in one program", steps: 120 },
    { name: "120 steps in several programs", steps: 120, groupElements: 3000 },
    { name: "4 steps with a tensor in equal pieces", steps: 4, shape: { ...large, hidden_size: 16 }, largest: 272_000 },
  ])("equals float64, with decay, clipping and a changing rate: $name", async ({ steps, groupElements, shape, largest = 0 }) => {
    const trained = shape === undefined ? model : await smallModel(shape);
    const engine = await trained.load({ threads: 1 });
    expect(Math.max(...[...trained.trainable().values()].map(sizeOf))).toBeGreaterThanOrEqual(largest);
    const optimizer = await AdamW.create(engine, trained, OPTIONS, groupElements);
    const references = new Map([...(await trainedTensors(trained))].map(([name, start]) => [name, new Reference(start)]));
    const random = new Random(9);
    for (let step = 0; step < steps; step++) {
      let squares = 0;
      const learningRate = 1e-2 * (1 - step / steps);
      const gradients = new Map<string, Float32Array>();
      for (const [name, { values }] of references) {
        // Sizes from 1e-4 to 10, and exact zeros.
        const scale = 10 ** (5 * random.uniform() - 4);
        const gradient = Float32Array.from(values, () => (random.uniform() < 0.05 ? 0 : scale * (2 * random.uniform() - 1)));
        gradients.set(name, gradient);
        squares += gradient.reduce((sum, value) => sum + value * value, 0);
        await engine.put(gradientName(name), hostTensor(gradient.slice(), trained.trainable().get(name)!));
      }
      const norm = await optimizer.gradientNorm();
      expect(Math.abs(norm / Math.sqrt(squares) - 1)).toBeLessThan(1e-6);
      const clip = Math.min(1, 1 / (norm + 1e-6));
      await optimizer.step(learningRate, clip);
      for (const [name, reference] of references)
        reference.step(gradients.get(name)!, learningRate, clip, decays(name) ? OPTIONS.weight_decay : 0);
    }
    for (const [name, values] of await trainedTensors(trained)) {
      const expected = references.get(name)!.values;
      values.forEach((value, i) => expect(Math.abs(value - expected[i]!), `${name}[${i}]`).toBeLessThan(1e-5));
    }
    await optimizer.dispose();
    if (trained !== model) await trained.dispose();
  });

  it("leaves nothing in the store", async () => {
    const engine = await model.load();
    const before = engine.names().length;
    const optimizer = await AdamW.create(engine, model, OPTIONS);
    expect(engine.names().length).toBe(before + 3 * model.trainable().size);
    await optimizer.dispose();
    expect(engine.names().length).toBe(before);
  });

  it("decay leaves out biases and norms", () => {
    const kept = [...model.trainable().keys()].filter((name) => !decays(name)).map((name) => name.replace(/^model\.(layers\.\d+\.)?/, ""));
    expect(new Set(kept)).toEqual(
      new Set([
        "input_layernorm.weight",
        "post_attention_layernorm.weight",
        "norm.weight",
        "self_attn.q_proj.bias",
        "self_attn.k_proj.bias",
        "self_attn.v_proj.bias",
      ]),
    );
    const adapter = get_peft_model(model.base, smallLora());
    expect([...adapter.trainable().keys()].every(decays)).toBe(true);
  });
});
