/**
 * AdamW, arXiv:1711.05101, in the order of operations of torch.optim.AdamW. Parameters, gradients and both means stay in
 * the engine's store; only the gradient's norm comes out.
 */
import { type Engine, type InputSpec, type Program, type TensorMap, hostTensor, tf } from "../../compile/index.js";
import type { CausalLM } from "../../model/index.js";
import type { TrainingOptions } from "../options/trainingConfig.js";
import { readSafetensors } from "../../model/safetensors.js";
import { SafetensorsWriter } from "../../model/safetensorsWriter.js";
import { gradientName } from "./gradientSums.js";

type AdamOptions = Pick<TrainingOptions, "adam_beta1" | "adam_beta2" | "adam_epsilon" | "weight_decay">;

/** Elements updated by one program: bounds what a step holds twice. */
const GROUP_ELEMENTS = 32_000_000;

interface Group {
  readonly names: string[];
  readonly norm: Program;
  readonly update: Program;
}

export class AdamW {
  readonly #engine: Engine;
  readonly #model: CausalLM;
  readonly #options: AdamOptions;
  readonly #groups: Group[] = [];
  #steps = 0;

  private constructor(engine: Engine, model: CausalLM, options: AdamOptions, groupElements: number) {
    this.#engine = engine;
    this.#model = model;
    this.#options = options;
    let names: string[] = [];
    let elements = 0;
    const flush = (): void => {
      if (names.length > 0) this.#groups.push(this.#group(names));
      names = [];
      elements = 0;
    };
    for (const [name, shape] of model.trainable()) {
      const size = shape.reduce((product, dimension) => product * dimension, 1);
      if (elements + size > groupElements) flush();
      names.push(name);
      elements += size;
    }
    flush();
  }

  /** Puts zero means and zero gradient sums into the store. @param groupElements of the tensors that one program updates */
  static async create(engine: Engine, model: CausalLM, options: AdamOptions, groupElements = GROUP_ELEMENTS): Promise<AdamW> {
    for (const [name, shape] of model.trainable()) {
      const stored = model.storeName(name);
      for (const slot of [gradientName(stored), meanName(stored), squareName(stored)]) {
        await engine.put(slot, hostTensor(new Float32Array(shape.reduce((product, dimension) => product * dimension, 1)), shape));
      }
    }
    return new AdamW(engine, model, options, groupElements);
  }

  /** L2 norm of the summed gradient over all trainable tensors. */
  async gradientNorm(): Promise<number> {
    let squares = 0;
    for (const { norm } of this.#groups) {
      const { squares: part } = await norm.run({});
      for (const value of part!.data) squares += value;
    }
    return Math.sqrt(squares);
  }

  /**
   * One update with the summed gradient.
   * @param clip factor for the gradient, as torch's clip_grad_norm_ computes it
   */
  async step(learningRate: number, clip: number): Promise<void> {
    this.#steps++;
    const { adam_beta1, adam_beta2, weight_decay } = this.#options;
    const scalar = (value: number) => hostTensor(Float32Array.of(value), []);
    const inputs = {
      clip: scalar(clip),
      decay: scalar(1 - learningRate * weight_decay),
      stepSize: scalar(learningRate / (1 - adam_beta1 ** this.#steps)),
      rootCorrection: scalar(Math.sqrt(1 - adam_beta2 ** this.#steps)),
    };
    for (const { update } of this.#groups) await update.run(inputs);
  }

  /** Writes means, squares and the number of steps as safetensors. */
  async save(file: string): Promise<void> {
    const plans = this.#slots().map(({ slot, shape }) => ({ name: slot, shape, dtype: "F32" as const }));
    const writer = await SafetensorsWriter.create(file, plans, { steps: String(this.#steps) });
    for (const { slot } of this.#slots()) await writer.write(slot, (await this.#engine.fetch(slot)).data as Float32Array);
    await writer.close();
  }

  /** Reads what `save` wrote. */
  async restore(file: string): Promise<void> {
    const { tensors, metadata } = readSafetensors(file);
    for (const { slot } of this.#slots()) await this.#engine.load(slot, tensors.get(slot)!);
    this.#steps = Number(metadata["steps"]);
  }

  #slots(): { slot: string; shape: readonly number[] }[] {
    return [...this.#model.trainable()].flatMap(([name, shape]) => {
      const stored = this.#model.storeName(name);
      return [meanName(stored), squareName(stored)].map((slot) => ({ slot, shape: [...shape] }));
    });
  }

  /** Frees the means, the gradient sums and the programs. */
  async dispose(): Promise<void> {
    for (const { norm, update } of this.#groups) {
      await norm.dispose();
      await update.dispose();
    }
    const stored = [...this.#model.trainable().keys()].map((name) => this.#model.storeName(name));
    await this.#engine.remove(...stored.flatMap((name) => [gradientName(name), meanName(name), squareName(name)]));
  }

  #group(names: string[]): Group {
    const shapes = this.#model.trainable();
    const gradients: Record<string, InputSpec> = {};
    const states: Record<string, InputSpec> = {
      clip: { shape: [] },
      decay: { shape: [] },
      stepSize: { shape: [] },
      rootCorrection: { shape: [] },
    };
    for (const name of names) {
      const shape = shapes.get(name)!;
      const stored = this.#model.storeName(name);
      gradients[gradientName(name)] = { shape, role: "state", store: gradientName(stored) };
      states[name] = { shape, role: "state", store: stored };
      states[meanName(name)] = { shape, role: "state", store: meanName(stored) };
      states[squareName(name)] = { shape, role: "state", store: squareName(stored) };
    }
    const squares = (inputs: TensorMap): TensorMap => ({
      squares: tf.stack(names.map((name) => tf.sum(tf.square(inputs[gradientName(name)]!)))),
    });
    const update = (inputs: TensorMap): TensorMap => Object.assign({}, ...names.map((name) => this.#updated(name, inputs))) as TensorMap;
    return {
      names,
      norm: this.#engine.compile(squares, gradients, { name: "gradient norm" }),
      update: this.#engine.compile(update, { ...gradients, ...states }, { name: "AdamW" }),
    };
  }

  #updated(name: string, inputs: TensorMap): TensorMap {
    const { adam_beta1: beta1, adam_beta2: beta2, adam_epsilon } = this.#options;
    const gradient = tf.mul(inputs[gradientName(name)]!, inputs["clip"]!);
    const mean = tf.add(tf.mul(inputs[meanName(name)]!, beta1), tf.mul(gradient, 1 - beta1));
    const square = tf.add(tf.mul(inputs[squareName(name)]!, beta2), tf.mul(tf.square(gradient), 1 - beta2));
    const denominator = tf.add(tf.div(tf.sqrt(square), inputs["rootCorrection"]!), adam_epsilon);
    const decayed = decays(name) ? tf.mul(inputs[name]!, inputs["decay"]!) : inputs[name]!;
    return {
      [name]: tf.sub(decayed, tf.mul(tf.div(mean, denominator), inputs["stepSize"]!)),
      [meanName(name)]: mean,
      [squareName(name)]: square,
    };
  }
}

/** Weight decay leaves out biases and norms, as transformers' Trainer does. */
export function decays(name: string): boolean {
  return !name.endsWith(".bias") && !name.endsWith("norm.weight");
}

export function meanName(name: string): string {
  return `adamw.mean/${name}`;
}

export function squareName(name: string): string {
  return `adamw.square/${name}`;
}
