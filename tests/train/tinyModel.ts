/** Throw-away models, data and trainers for the tests of this folder. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { type Dataset, load_dataset } from "../../src/data/index.js";
import {
  AutoModelForCausalLM,
  type CausalLM,
  LoraConfig,
  type NamedTensor,
  type ProjectionName,
  type Qwen2Config,
  type Qwen2ForCausalLM,
  openCheckpoint,
  parameterShapes,
  saveCheckpoint,
} from "../../src/model/index.js";
import { parseConfig } from "../../src/model/config.js";
import { Random } from "../../src/random.js";
import { AutoTokenizer, type PreTrainedTokenizer } from "../../src/text/index.js";
import { gradientName } from "../../src/train/optimizer/gradientSums.js";
import { DPOConfig, type DPOConfigInput, DPOTrainer, type DPOTrainerOptions } from "../../src/train/index.js";

export const GOLDEN = "tests/golden";
export const TINY = `${GOLDEN}/tiny-qwen2`;

const root = mkdtempSync(join(tmpdir(), "preflab-train-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;

/** A path that does not exist yet; deleted after the file's tests. */
export function newFolder(): string {
  return join(root, `folder-${folders++}`);
}

/** Two layers, hidden 16, tied head, the golden tokenizer's vocabulary. */
const SMALLEST = {
  model_type: "qwen2",
  architectures: ["Qwen2ForCausalLM"],
  hidden_act: "silu",
  vocab_size: 736,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  tie_word_embeddings: true,
};

/** Saves a random checkpoint with the golden tokenizer and returns its folder. @param shape fields of config.json to change */
export async function writeModel(
  shape: Partial<typeof SMALLEST> = {},
  change: (name: string, values: Float32Array) => void = () => undefined,
): Promise<string> {
  const dir = newFolder();
  const config = parseConfig({ ...SMALLEST, ...shape }, "tests");
  const { generationConfig } = await openCheckpoint(TINY);
  await saveCheckpoint(dir, config, generationConfig, randomWeights(config, change));
  await (await goldenTokenizer()).save_pretrained(dir);
  return dir;
}

function* randomWeights(config: Qwen2Config, change: (name: string, values: Float32Array) => void): Generator<NamedTensor> {
  for (const [name, shape] of parameterShapes(config)) {
    const random = new Random(7).fork(name);
    const [center, deviation] = name.endsWith("norm.weight") ? [1, 0.2] : name.endsWith(".bias") ? [0, 0.1] : [0, 1 / Math.sqrt(shape[1]!)];
    const values = Float32Array.from(
      { length: shape.reduce((product, size) => product * size, 1) },
      () => center + deviation * random.normal(),
    );
    change(name, values);
    yield [name, shape, values];
  }
}

/** A random model that computes in an engine of its own. */
export async function smallModel(shape: Partial<typeof SMALLEST> = {}): Promise<Qwen2ForCausalLM> {
  return AutoModelForCausalLM.from_pretrained(await writeModel(shape));
}

let tokenizer: Promise<PreTrainedTokenizer> | undefined;

export function goldenTokenizer(): Promise<PreTrainedTokenizer> {
  return (tokenizer ??= AutoTokenizer.from_pretrained(TINY));
}

/** The golden pairs, 16 rows. */
export function goldenPairs(rows?: number | readonly number[]): Promise<Dataset> {
  const all = load_dataset(`${GOLDEN}/pairs.jsonl`);
  return rows === undefined ? all : all.then((dataset) => dataset.select(rows as number[]));
}

export const EVERY_PROJECTION: ProjectionName[] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

export function smallLora(more: ConstructorParameters<typeof LoraConfig>[0] = {}): LoraConfig {
  return new LoraConfig({ r: 4, lora_alpha: 8, target_modules: EVERY_PROJECTION, ...more });
}

/** Options of a short quiet run: one thread, every step logged, nothing saved on the way. */
export function quiet(options: DPOConfigInput = {}): DPOConfig {
  return new DPOConfig({ ...quietOptions(options.engine), ...options });
}

/** The same for the options of any trainer. */
export function quietOptions(engine?: "compiled" | "eager") {
  return {
    output_dir: newFolder(),
    ...(engine === "eager" ? {} : { threads: 1 }),
    logging_steps: 1,
    save_strategy: "no",
    disable_tqdm: true,
    shuffle_dataset: false,
    learning_rate: 1e-3,
  } as const;
}

export type TrainerInput = Partial<Omit<DPOTrainerOptions, "args">> & { args?: DPOConfigInput };

/** A trainer on a small random model and four golden pairs, unless said otherwise. */
export async function smallTrainer({ args, ...given }: TrainerInput = {}): Promise<DPOTrainer> {
  return new DPOTrainer({
    model: given.model ?? (await smallModel()),
    train_dataset: given.train_dataset ?? (await goldenPairs(4)),
    processing_class: await goldenTokenizer(),
    ...given,
    args: quiet({ per_device_train_batch_size: 2, max_steps: 3, ...args }),
  });
}

/** Runs `work` and frees the trainer's workers, whatever happens. */
export async function withTrainer<T>(input: TrainerInput, work: (trainer: DPOTrainer) => Promise<T>): Promise<T> {
  const trainer = await smallTrainer(input);
  try {
    return await work(trainer);
  } finally {
    await trainer.dispose();
  }
}

/** All trainable tensors as they are now, by name. */
export async function trainedTensors(model: CausalLM): Promise<Map<string, Float32Array>> {
  const engine = await model.load();
  const tensors = new Map<string, Float32Array>();
  for (const name of model.trainable().keys()) tensors.set(name, (await engine.fetch(model.storeName(name))).data as Float32Array);
  return tensors;
}

/** The gradient that a step has summed for every trainable tensor, by name. */
export async function storedGradients(model: CausalLM): Promise<Map<string, Float32Array>> {
  const engine = await model.load();
  const gradients = new Map<string, Float32Array>();
  for (const name of model.trainable().keys())
    gradients.set(name, (await engine.fetch(gradientName(model.storeName(name)))).data as Float32Array);
  return gradients;
}

/** The largest |a − b| over all elements of tensors with the same names. */
export function largestDifference(a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): number {
  if (a.size === 0 || a.size !== b.size) throw new Error(`tensors differ in number: ${a.size}, ${b.size}`);
  let largest = 0;
  for (const [name, values] of a) {
    const others = b.get(name)!;
    if (others.length !== values.length) throw new Error(`${name}: ${values.length} and ${others.length} elements`);
    values.forEach((value, i) => {
      const difference = Math.abs(value - others[i]!);
      // NaN compares false with everything: it must not pass as no difference.
      if (!(difference <= largest)) largest = difference;
    });
  }
  return largest;
}
