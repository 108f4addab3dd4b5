/** The stored sums that all gradient programs add to. */
import {
  type Engine,
  type HeadGradient,
  type HostTensors,
  type InputSpec,
  type Program,
  type TensorMap,
  addRows,
  tf,
} from "../../compile/index.js";
import { type CausalLM, headName } from "../../model/index.js";
import { type SequenceForm, type SequenceLayout, scoredSize, sequenceIds, sequenceSizes } from "../sequence/sequenceInputs.js";
import { type SequenceFunction, type SequenceProgram, sequenceProgram } from "../sequence/sequenceProgram.js";

/** Store name of the gradient that is being summed for a trainable tensor. */
export function gradientName(name: string): string {
  return `gradient/${name}`;
}

/** Whether training leaves the language-model head as it is. */
export function headIsFrozen(model: CausalLM): boolean {
  return !model.trainable().has(headName(model.config));
}

/** Rows of the head's gradient sum, by the view of the head that they belong to. */
export interface HeadSum {
  readonly view: string;
  /** Store name of a view of the sum, and name in a program's signature. */
  readonly sum: string;
  /** The store name of the sum. */
  readonly whole: string;
  readonly start: number;
  readonly rows: number;
}

/** The head reads its weight through views when it is large, and its gradient is summed through such views; none when it is frozen. */
export function headSums(model: CausalLM): HeadSum[] {
  if (headIsFrozen(model)) return [];
  const whole = gradientName(model.storeName(headName(model.config)));
  return model.base.headBlocks().map(({ view, start, rows }) => ({ view, sum: `${whole}#${view}`, whole, start, rows }));
}

const EMBEDDING = "model.embed_tokens.weight";
/** Name of a zero that is added to the embeddings: its gradient is the gradient of the embeddings' rows. Also the store name of that. */
const EMBEDDED = "gradient of embeddings";

/** The gradient sums of a model's trainable tensors, seen from inside a program. */
export class GradientSums {
  readonly #model: CausalLM;
  readonly #headSums: readonly HeadSum[];
  /** Trainable tensors whose gradient is as large as they are. */
  readonly #whole: Map<string, readonly number[]>;
  /** With a large vocabulary the embedding's gradient is a few rows, which are added to the sum afterwards. */
  readonly #byRows: boolean;

  constructor(model: CausalLM) {
    this.#model = model;
    this.#headSums = headSums(model);
    this.#whole = new Map(model.trainable());
    this.#byRows = this.#headSums.length > 0 && this.#whole.has(EMBEDDING);
    if (this.#headSums.length > 0) this.#whole.delete(headName(model.config));
    if (this.#byRows) this.#whole.delete(EMBEDDING);
  }

  /** The sums as state inputs. */
  signature(): Record<string, InputSpec> {
    const signature: Record<string, InputSpec> = {};
    for (const [name, shape] of this.#whole) {
      signature[gradientName(name)] = { shape, role: "state", store: gradientName(this.#model.storeName(name)) };
    }
    for (const { sum, rows } of this.#headSums) signature[sum] = { shape: [rows, this.#model.config.hidden_size], role: "state" };
    return signature;
  }

  /** What to differentiate for. @param inputs of the program, a sequence among them */
  variables(inputs: TensorMap): TensorMap {
    const names = [...this.#whole.keys(), ...this.#headSums.map(({ view }) => view)];
    const variables: TensorMap = Object.fromEntries(names.map((name) => [name, inputs[name]!]));
    if (this.#byRows) variables[EMBEDDED] = tf.fill([inputs["cos"]!.shape[0]!, this.#model.config.hidden_size], 0);
    return variables;
  }

  /** What the forward pass must add to the embeddings, shape [T, D], for their gradient to be known. @param noise what it adds anyway */
  noise(variables: TensorMap, noise?: tf.Tensor2D): tf.Tensor2D | undefined {
    const zero = variables[EMBEDDED] as tf.Tensor2D | undefined;
    return noise !== undefined && zero !== undefined ? tf.add(noise, zero) : (noise ?? zero);
  }

  /** The new sums, as outputs that replace the old ones. */
  added(inputs: TensorMap, gradients: TensorMap): TensorMap {
    const sums: TensorMap = {};
    for (const name of this.#whole.keys()) sums[gradientName(name)] = tf.add(inputs[gradientName(name)]!, gradients[name]!);
    for (const { view, sum } of this.#headSums) sums[sum] = tf.add(inputs[sum]!, gradients[view]!);
    if (this.#byRows) sums[EMBEDDED] = gradients[EMBEDDED]!;
    return sums;
  }

  /** @param given a function with `signature()` among its inputs and `added()` among its outputs; it is told how to find the head's gradient */
  compile(engine: Engine, given: Omit<SequenceFunction<HeadGradient>, "variantOf" | "inPlace">): GradientProgram {
    const program = sequenceProgram(engine, {
      ...given,
      inPlace: true,
      variantOf: (inputs) => headGradientOf(this.#model, inputs["targets"]!.data.length),
    });
    return new GradientProgram(
      engine,
      this.#model,
      program,
      this.#headSums,
      this.#byRows ? embeddingProgram(engine, this.#model) : undefined,
    );
  }
}

/** Most probabilities that are kept for the gradient of a trained head: 256 MB. */
const MOST_KEPT = 1 << 26;

/** @param scored tokens */
function headGradientOf(model: CausalLM, scored: number): HeadGradient {
  if (headIsFrozen(model)) return "none";
  return scored * model.config.vocab_size <= MOST_KEPT ? "kept" : "recomputed";
}

/** Adds the gradients of the embeddings' rows to the embedding's sum. */
function embeddingProgram(engine: Engine, model: CausalLM): Program {
  const { vocab_size, hidden_size } = model.config;
  return engine.compile(
    ({ sum, rows, ids }) => ({ sum: addRows(sum as tf.Tensor2D, ids as tf.Tensor1D, rows as tf.Tensor2D) }),
    {
      sum: { shape: [vocab_size, hidden_size], role: "state", store: gradientName(model.storeName(EMBEDDING)) },
      rows: { shape: ["T", hidden_size], role: "state", store: EMBEDDED },
      ids: { shape: ["T"], dtype: "int32" },
    },
    { name: "gradient of the embedding", inPlace: true, sizes: "any" },
  );
}

/** A program that adds the gradients of a sequence to the stored sums. */
export class GradientProgram {
  readonly #engine: Engine;
  readonly #model: CausalLM;
  readonly #program: SequenceProgram<HeadGradient>;
  readonly #headSums: readonly HeadSum[];
  readonly #embedding: Program | undefined;

  constructor(
    engine: Engine,
    model: CausalLM,
    program: SequenceProgram<HeadGradient>,
    sums: readonly HeadSum[],
    embedding: Program | undefined,
  ) {
    this.#engine = engine;
    this.#model = model;
    this.#program = program;
    this.#headSums = sums;
    this.#embedding = embedding;
  }

  /** @param first whether the sums begin here @returns the outputs that are not sums */
  async run(inputs: HostTensors, first: boolean): Promise<HostTensors> {
    if (first) await this.#engine.clear(...[...this.#model.trainable().keys()].map((name) => gradientName(this.#model.storeName(name))));
    const write = Object.fromEntries(this.#headSums.map(({ sum, whole, start }) => [sum, { into: whole, axis: 0, offset: start }]));
    const keep: Record<string, string> = this.#embedding === undefined ? {} : { [EMBEDDED]: EMBEDDED };
    const outputs = await this.#program.run(inputs, { write, keep });
    await this.#embedding?.run({ ids: sequenceIds(inputs) });
    return outputs;
  }

  /** What the activations of a run of these layouts take; undefined for the eager engine. */
  liveBytes(layouts: readonly SequenceLayout[], form: SequenceForm): number | undefined {
    return this.#program.liveBytes(form, headGradientOf(this.#model, scoredSize(layouts)), sequenceSizes(layouts, form));
  }

  async dispose(): Promise<void> {
    await this.#program.dispose();
    await this.#embedding?.dispose();
    if (this.#engine.has(EMBEDDED)) await this.#engine.remove(EMBEDDED);
  }
}
