/**
 * Weights that follow the policy (TR-DPO, arXiv:2404.09656): every `ref_model_sync_steps` steps they become
 * alpha · policy + (1 − alpha) · themselves, tensor by tensor. They lie beside the policy's, in its engine.
 */
import { type Engine, type InputSpec, type Program, type TensorMap, tf } from "../../compile/index.js";
import { ConfigError } from "../../errors.js";
import { type CausalLM, type EngineChoice, headName } from "../../model/index.js";

/** Elements mixed by one program: bounds what a move holds twice. */
const GROUP_ELEMENTS = 32_000_000;

/** Store name of the moving tensor. */
function movingName(name: string): string {
  return `reference/${name}`;
}

/** The options they look at. */
export interface MovingOptions extends EngineChoice {
  /** Share of the policy in the new weights, 0 to 1. */
  readonly ref_model_mixup_alpha: number;
  /** Optimizer steps between two moves, from 1. */
  readonly ref_model_sync_steps: number;
}

interface Started {
  readonly engine: Engine;
  readonly mixing: readonly Program[];
}

export class MovingWeights {
  /** Where a program of the model finds these weights instead of the policy's. */
  readonly bind: Readonly<Record<string, string>>;
  readonly #model: CausalLM;
  readonly #args: MovingOptions;
  readonly #initial: CausalLM;
  readonly #groupElements: number;
  #started: Promise<Started> | undefined;

  /**
   * @param trainer for errors, e.g. "DPOTrainer"
   * @param model the policy
   * @param ref_model where they start, by default the policy as it is when `start` is first called; it is copied and stays as it is
   * @param groupElements of the tensors that one program mixes
   * @throws ConfigError `sync_ref_model` for a LoRA adapter, whose reference has no weights of its own (TRL refuses it too), and
   *   for a ref_model with other tensors than the policy
   */
  constructor(trainer: string, model: CausalLM, args: MovingOptions, ref_model: CausalLM = model, groupElements = GROUP_ELEMENTS) {
    for (const [name, { peft_config }] of Object.entries({ model, ref_model })) {
      if (peft_config !== undefined)
        throw new ConfigError(
          "sync_ref_model",
          `${trainer}: sync_ref_model needs a ${name} whose weights are trained whole, got a LoRA adapter; set sync_ref_model false or leave out peft_config`,
        );
    }
    const [own, others] = [model.trainable(), ref_model.trainable()];
    const other = [...own].find(([name, shape]) => others.get(name)?.join() !== shape.join());
    if (other !== undefined || own.size !== others.size)
      throw new ConfigError(
        "sync_ref_model",
        `${trainer}: sync_ref_model needs a ref_model with the same tensors as the model, got ${describeDifference(other, own, others)}; load both from the same architecture`,
      );
    this.#model = model;
    this.#args = args;
    this.#initial = ref_model;
    this.#groupElements = groupElements;
    const inputs = [...own.keys(), ...model.base.headBlocks().map(({ view }) => view)];
    this.bind = Object.fromEntries(inputs.map((name) => [name, movingName(name)]));
  }

  /** Copies the weights with which they start, the first time it is called. @returns the engine that holds them */
  async start(): Promise<Engine> {
    return (await this.#copies()).engine;
  }

  /** To be called after every optimizer step. @param step counted from 1 */
  async afterStep(step: number): Promise<void> {
    if (step % this.#args.ref_model_sync_steps !== 0) return;
    const { mixing } = await this.#copies();
    for (const program of mixing) await program.run({});
  }

  /** Store names of the weights: what a checkpoint saves, and writes back after `start`, to resume. */
  storedNames(): string[] {
    return [...this.#model.trainable().keys()].map(movingName);
  }

  async dispose(): Promise<void> {
    const started = await this.#started;
    if (started === undefined) return;
    this.#started = undefined;
    for (const program of started.mixing) await program.dispose();
    const views = this.#model.base.headBlocks().map(({ view }) => movingName(view));
    await started.engine.remove(...views, ...this.storedNames());
  }

  #copies(): Promise<Started> {
    return (this.#started ??= this.#copy());
  }

  async #copy(): Promise<Started> {
    const [model, initial] = [this.#model, this.#initial];
    const engine = await model.load(this.#args);
    const source = await initial.load(this.#args);
    for (const name of model.trainable().keys()) {
      const from = initial.storeName(name);
      if (source === engine) await engine.copy(from, movingName(name));
      else await engine.put(movingName(name), await source.fetch(from));
    }
    const head = movingName(headName(model.config));
    for (const { view, start, rows } of model.base.headBlocks()) await engine.view(movingName(view), head, start, rows);
    return { engine, mixing: [...this.#groups()].map((names) => this.#mix(engine, names)) };
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
      signature[movingName(name)] = { shape, role: "state" };
    }
    const mixed = (inputs: TensorMap): TensorMap =>
      Object.fromEntries(
        names.map((name) => [movingName(name), tf.add(tf.mul(inputs[movingName(name)]!, 1 - alpha), tf.mul(inputs[name]!, alpha))]),
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
