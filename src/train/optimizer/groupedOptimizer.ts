/** The common part of all optimizers: which tensors one program updates, what is stored, and the gradient's norm. */
import { type Engine, type InputSpec, type Program, type TensorMap, hostTensor, tf } from "../../compile/index.js";
import type { CausalLM } from "../../model/index.js";
import { gradientName, headSums } from "./gradientSums.js";
import { type Optimizer, type OptimizerKind, type StateTensor, decays, sizeOf } from "./optimizer.js";

/** Small tensors are updated together, up to so many elements. */
const GROUP_ELEMENTS = 32_000_000;
/** A tensor with more is updated by itself. */
const SMALL_ELEMENTS = 1 << 18;
/** In pieces of at most so many elements, so that what is between one operator and the next stays in the cache. */
const PIECE_ELEMENTS = 1 << 17;

/** A tensor that is kept for each parameter, e.g. the mean of its gradients. */
export interface Slot {
  readonly slot: string;
  readonly shape: readonly number[];
  readonly dtype: "float32" | "uint8";
}

/** One parameter inside an update program. */
export interface Member {
  readonly shape: readonly number[];
  readonly decays: boolean;
  readonly weight: tf.Tensor;
  /** Clipped. */
  readonly gradient: tf.Tensor;
  /** By slot; empty where nothing is kept. */
  readonly state: TensorMap;
  /** The numbers of this step, by name. */
  readonly numbers: TensorMap;
}

interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly decays: boolean;
  readonly slots: readonly Slot[];
}

interface Programs {
  readonly norm: Program;
  readonly update: Program;
}

interface Group extends Programs {
  /** Store names by the programs' state names. */
  readonly bindNorm: Record<string, string>;
  readonly bindUpdate: Record<string, string>;
  readonly pieces: { readonly pieces?: number };
}

export abstract class GroupedOptimizer implements Optimizer {
  abstract readonly kind: OptimizerKind;
  readonly engine: Engine;
  readonly #model: CausalLM;
  readonly #programs = new Map<string, Programs>();
  #parameters: Parameter[] = [];
  #groups: Group[] = [];
  #steps = 0;

  protected constructor(engine: Engine, model: CausalLM) {
    this.engine = engine;
    this.#model = model;
  }

  /** What is kept for a parameter. */
  protected abstract slots(name: string, shape: readonly number[]): Slot[];
  /** The numbers that one step needs beside `clip`. @param step counts from 1 */
  protected abstract numbers(learningRate: number, step: number): Record<string, number>;
  /**
   * The new `weight` and the new state of each slot. May depend on nothing but the member: parameters of one shape share a program. Where
   * every slot has the parameter's shape, element by element: the member is then a piece of the parameter.
   */
  protected abstract updated(member: Member): { weight: tf.Tensor } & TensorMap;

  /** Puts zero states and zero gradient sums into the store. @param groupElements most elements of small tensors in one program */
  protected async begin(groupElements = GROUP_ELEMENTS): Promise<this> {
    for (const [name, shape] of this.#model.trainable()) {
      const stored = this.#model.storeName(name);
      const parameter = { name, shape, decays: decays(name), slots: this.slots(name, shape) };
      this.#parameters.push(parameter);
      await this.engine.put(gradientName(stored), hostTensor(new Float32Array(sizeOf(shape)), shape));
      for (const { slot, shape: kept, dtype } of parameter.slots) {
        const zeros = new (dtype === "uint8" ? Uint8Array : Float32Array)(sizeOf(kept));
        await this.engine.put(slotName(slot, stored), hostTensor(zeros, kept));
      }
    }
    for (const { sum, whole, start, rows } of headSums(this.#model)) await this.engine.view(sum, whole, start, rows);
    this.#groups = this.#grouped(groupElements);
    return this;
  }

  get steps(): number {
    return this.#steps;
  }

  resume(steps: number): void {
    this.#steps = steps;
  }

  async gradientNorm(): Promise<number> {
    let squares = 0;
    for (const { norm, bindNorm, pieces } of this.#groups) {
      const { squares: part } = await norm.run({}, { bind: bindNorm, ...pieces });
      for (const value of part!.data) squares += value;
    }
    return Math.sqrt(squares);
  }

  async step(learningRate: number, clip: number): Promise<void> {
    this.#steps++;
    const numbers = { clip, ...this.numbers(learningRate, this.#steps) };
    for (const { update, bindUpdate, pieces } of this.#groups) {
      const inputs = Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, hostTensor(Float32Array.of(value), [])]));
      await update.run(inputs, { bind: bindUpdate, ...pieces });
    }
  }

  states(): StateTensor[] {
    return this.#parameters.flatMap(({ name, slots }) =>
      slots.map(({ slot, shape, dtype }) => ({
        name: `${slot}/${name}`,
        store: slotName(slot, this.#model.storeName(name)),
        shape,
        dtype,
      })),
    );
  }

  async dispose(): Promise<void> {
    for (const { norm, update } of this.#programs.values()) {
      await norm.dispose();
      await update.dispose();
    }
    const sums = this.#parameters.map(({ name }) => gradientName(this.#model.storeName(name)));
    await this.engine.remove(...headSums(this.#model).map(({ sum }) => sum));
    await this.engine.remove(...sums, ...this.states().map(({ store }) => store));
  }

  #grouped(groupElements: number): Group[] {
    const groups: Group[] = [];
    let pooled: Parameter[] = [];
    let elements = 0;
    const flush = (): void => {
      if (pooled.length > 0) groups.push(this.#group(pooled));
      pooled = [];
      elements = 0;
    };
    for (const parameter of this.#parameters) {
      const size = sizeOf(parameter.shape);
      if (size > SMALL_ELEMENTS) {
        const pieces = piecesOf(parameter);
        groups.push(this.#group([pieces === 1 ? parameter : pieceOf(parameter, pieces)], pieces === 1 ? {} : { pieces }));
        continue;
      }
      if (elements + size > groupElements) flush();
      pooled.push(parameter);
      elements += size;
    }
    flush();
    return groups;
  }

  #group(members: readonly Parameter[], pieces: Group["pieces"] = {}): Group {
    const key = JSON.stringify(members.map(({ shape, decays, slots }) => [shape, decays, slots]));
    let programs = this.#programs.get(key);
    if (programs === undefined) this.#programs.set(key, (programs = this.#compile(members)));
    const bindNorm: Record<string, string> = {};
    const bindUpdate: Record<string, string> = {};
    for (const [i, { name, slots }] of members.entries()) {
      const stored = this.#model.storeName(name);
      bindNorm[`${i}/gradient`] = bindUpdate[`${i}/gradient`] = gradientName(stored);
      bindUpdate[`${i}/weight`] = stored;
      for (const { slot } of slots) bindUpdate[`${i}/${slot}`] = slotName(slot, stored);
    }
    return { ...programs, bindNorm, bindUpdate, pieces };
  }

  #compile(members: readonly Parameter[]): Programs {
    const gradients: Record<string, InputSpec> = {};
    const states: Record<string, InputSpec> = { clip: { shape: [] } };
    const numbers = Object.keys(this.numbers(1, 1));
    for (const name of numbers) states[name] = { shape: [] };
    for (const [i, { shape, slots }] of members.entries()) {
      gradients[`${i}/gradient`] = { shape, role: "state" };
      states[`${i}/weight`] = { shape, role: "state" };
      for (const { slot, shape: kept, dtype } of slots) states[`${i}/${slot}`] = { shape: kept, dtype, role: "state" };
    }
    const squares = (inputs: TensorMap): TensorMap => ({
      squares: tf.stack(members.map((_, i) => tf.sum(tf.square(inputs[`${i}/gradient`]!)))),
    });
    const update = (inputs: TensorMap): TensorMap => {
      const outputs: TensorMap = {};
      for (const [i, { shape, decays, slots }] of members.entries()) {
        const member: Member = {
          shape,
          decays,
          weight: inputs[`${i}/weight`]!,
          gradient: tf.mul(inputs[`${i}/gradient`]!, inputs["clip"]!),
          state: Object.fromEntries(slots.map(({ slot }) => [slot, inputs[`${i}/${slot}`]!])),
          numbers: Object.fromEntries(numbers.map((name) => [name, inputs[name]!])),
        };
        for (const [name, tensor] of Object.entries(this.updated(member))) outputs[`${i}/${name}`] = tensor;
      }
      return outputs;
    };
    return {
      norm: this.engine.compile(squares, gradients, { name: "gradient norm" }),
      update: this.engine.compile(update, { ...gradients, ...states }, { name: `${this.kind} update`, inPlace: true }),
    };
  }
}

/** How many equal pieces of at most PIECE_ELEMENTS a parameter is updated in; 1 where there are none, or where slots are not by element. */
function piecesOf({ shape, slots }: Parameter): number {
  const size = sizeOf(shape);
  if (slots.some(({ shape: kept }) => kept.join() !== shape.join())) return 1;
  let pieces = Math.ceil(size / PIECE_ELEMENTS);
  const most = 8 * pieces;
  while (pieces <= most && size % pieces !== 0) pieces++;
  return pieces <= most ? pieces : 1;
}

function pieceOf(parameter: Parameter, pieces: number): Parameter {
  const shape = [sizeOf(parameter.shape) / pieces];
  return { ...parameter, shape, slots: parameter.slots.map((slot) => ({ ...slot, shape })) };
}

function slotName(slot: string, stored: string): string {
  return `optimizer.${slot}/${stored}`;
}
