/**
 * TR-DPO, arXiv:2404.09656: a reference that follows the policy. Every `ref_model_sync_steps` steps it becomes
 * alpha · policy + (1 − alpha) · reference, weight by weight, so its log-probs are computed when a micro-batch is met.
 */
import { type Engine, type InputSpec, type Program, type TensorMap, tf } from "../../compile/index.js";
import { ConfigError } from "../../errors.js";
import { type CausalLM, headName } from "../../model/index.js";
import type { DPOConfig } from "../options/dpoConfig.js";
import type { PairParts } from "../sequence/pairLayout.js";
import { type PreparedPair, type ReferenceLogps, scoreReference } from "./pairBatch.js";
import { scoringProgram } from "./pairProgram.js";
import { type ReferenceSource, referenceParts, requireFinite } from "./references.js";

/** Elements mixed by one program: bounds what a move of the reference holds twice. */
const GROUP_ELEMENTS = 32_000_000;

/** Store name of the reference's tensor, beside the policy's in the same engine. */
function referenceName(name: string): string {
  return `reference/${name}`;
}

interface Started {
  readonly engine: Engine;
  readonly scoring: Program;
  readonly mixing: readonly Program[];
}

export class SyncedReference implements ReferenceSource {
  readonly #model: CausalLM;
  readonly #args: DPOConfig;
  readonly #initial: CausalLM;
  readonly #groupElements: number;
  readonly #parts: PairParts;
  /** Where the scoring program finds the reference's weights instead of the policy's. */
  readonly #bind: Readonly<Record<string, string>>;
  #started: Promise<Started> | undefined;

  /**
   * @param ref_model where the reference starts, by default the policy as it is when `compute` is first called; it is copied and stays as it is
   * @param groupElements of the tensors that one program mixes
   * @throws ConfigError `sync_ref_model` for a LoRA adapter, whose reference has no weights of its own (TRL refuses it too), and
   *   for a ref_model with other tensors than the policy
   */
  constructor(model: CausalLM, args: DPOConfig, ref_model: CausalLM = model, groupElements = GROUP_ELEMENTS) {
    for (const [name, { peft_config }] of Object.entries({ model, ref_model })) {
      if (peft_config !== undefined)
        throw new ConfigError(
          "sync_ref_model",
          `DPOTrainer: sync_ref_model needs a ${name} whose weights are trained whole, got a LoRA adapter; set sync_ref_model false or leave out peft_config`,
        );
    }
    const [own, others] = [model.trainable(), ref_model.trainable()];
    const other = [...own].find(([name, shape]) => others.get(name)?.join() !== shape.join());
    if (other !== undefined || own.size !== others.size)
      throw new ConfigError(
        "sync_ref_model",
        `DPOTrainer: sync_ref_model needs a ref_model with the same tensors as the model, got ${describeDifference(other, own, others)}; load both from the same architecture`,
      );
    this.#model = model;
    this.#args = args;
    this.#initial = ref_model;
    this.#groupElements = groupElements;
    this.#parts = referenceParts(args);
    const inputs = [...own.keys(), ...model.base.headBlocks().map(({ view }) => view)];
    this.#bind = Object.fromEntries(inputs.map((name) => [name, referenceName(name)]));
  }

  /** Every pair can be asked for at any time. */
  has(): boolean {
    return true;
  }

  /** As the reference is now. @throws EngineError `reference_not_finite` */
  async of(pairs: readonly PreparedPair[]): Promise<ReferenceLogps[]> {
    const { scoring } = await this.#start();
    const logps = await scoreReference(scoring, pairs, this.#model.config, this.#parts, { bind: this.#bind });
    requireFinite(logps, pairs);
    return logps;
  }

  /** Copies the weights with which the reference starts; no log-prob can be computed in advance. */
  async compute(): Promise<void> {
    await this.#start();
  }

  async afterStep(step: number): Promise<void> {
    if (step % this.#args.ref_model_sync_steps !== 0) return;
    const { mixing } = await this.#start();
    for (const program of mixing) await program.run({});
  }

  /** Store names of the reference's weights: what a checkpoint saves, and writes back after `compute`, to resume. */
  storedNames(): string[] {
    return [...this.#model.trainable().keys()].map(referenceName);
  }

  async dispose(): Promise<void> {
    const started = await this.#started;
    if (started === undefined) return;
    this.#started = undefined;
    const { engine, scoring, mixing } = started;
    for (const program of [scoring, ...mixing]) await program.dispose();
    const views = this.#model.base.headBlocks().map(({ view }) => referenceName(view));
    await engine.remove(...views, ...this.storedNames());
  }

  #start(): Promise<Started> {
    return (this.#started ??= this.#copy());
  }

  async #copy(): Promise<Started> {
    const [model, initial] = [this.#model, this.#initial];
    const engine = await model.load(this.#args);
    const source = await initial.load(this.#args);
    for (const name of model.trainable().keys()) {
      const from = initial.storeName(name);
      if (source === engine) await engine.copy(from, referenceName(name));
      else await engine.put(referenceName(name), await source.fetch(from));
    }
    const head = referenceName(headName(model.config));
    for (const { view, start, rows } of model.base.headBlocks()) await engine.view(referenceName(view), head, start, rows);
    return {
      engine,
      scoring: scoringProgram(engine, model, { metrics: false, parts: this.#parts }),
      mixing: [...this.#groups()].map((names) => this.#mix(engine, names)),
    };
  }

  *#groups(): Generator<string[]> {
    let [names, elements] = [[] as string[], 0];
    for (const [name, shape] of this.#model.trainable()) {
      const size = shape.reduce((product, dimension) => product * dimension, 1);
      if (elements + size > this.#groupElements && names.length > 0) {
        yield names;
        [names, elements] = [[], 0];
      }
      names.push(name);
      elements += size;
    }
    yield names;
  }

  #mix(engine: Engine, names: readonly string[]): Program {
    const { ref_model_mixup_alpha: alpha } = this.#args;
    const shapes = this.#model.trainable();
    const signature: Record<string, InputSpec> = {};
    for (const name of names) {
      const shape = shapes.get(name)!;
      signature[name] = { shape, role: "state", store: this.#model.storeName(name) };
      signature[referenceName(name)] = { shape, role: "state" };
    }
    const mixed = (inputs: TensorMap): TensorMap =>
      Object.fromEntries(
        names.map((name) => [referenceName(name), tf.add(tf.mul(inputs[referenceName(name)]!, 1 - alpha), tf.mul(inputs[name]!, alpha))]),
      );
    return engine.compile(mixed, signature, { name: "mix the reference" });
  }
}

type Shapes = ReadonlyMap<string, readonly number[]>;

function describeDifference(other: readonly [string, readonly number[]] | undefined, own: Shapes, others: Shapes): string {
  if (other === undefined) return `${others.size} tensors instead of ${own.size}`;
  const [name, shape] = other;
  const got = others.get(name);
  return got === undefined ? `one without ${name}` : `${name} of shape [${got.join(", ")}] instead of [${shape.join(", ")}]`;
}
