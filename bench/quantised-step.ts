/**
 * A LoRA DPO step on a quantised base beside the same step on float32, and what quantising does to the gradients:
 *
 *     npm run bench:quantised [-- --model runs/random-Qwen2-0.5B --data DATASET --variants 8bit,8bit-int16,… --pairs 2 --rounds 5]
 *
 * Without --data the pairs have about 234 tokens: prompt 74, answers 80 each. Each variant has a process of its own. Its steps and those of float32 are taken in turn, on the same pairs, so that a machine whose speed
 * drifts tells the ratio all the same. Gradients are those of all LoRA matrices (A and B random) in one step of plain SGD: their cosine with
 * the gradients of the reference variant, and the relative length of the difference.
 */
import { type ChildProcess, fork } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readFileTensor } from "../src/compile/fileTensors.js";
import { Dataset, load_dataset } from "../src/data/index.js";
import { AutoModelForCausalLM, type BitsAndBytesConfigInput, type CausalLM, LoraConfig, get_peft_model } from "../src/model/index.js";
import { readSafetensors } from "../src/model/safetensors.js";
import { AutoTokenizer } from "../src/text/index.js";
import { DPOConfig, type DPOConfigInput, DPOTrainer } from "../src/train/index.js";
import { median } from "../scripts/compare/report.js";
import { checkpointOf } from "./shared/models.js";

const VARIANTS: Readonly<Record<string, BitsAndBytesConfigInput | undefined>> = {
  float32: undefined,
  "8bit-float32": { load_in_8bit: true, llm_int8_backward: "float32" },
  "8bit": { load_in_8bit: true },
  "8bit-int16": { load_in_8bit: true, llm_int8_backward: "int16" },
  "8bit-rounded": { load_in_8bit: true, llm_int8_threshold: 0 },
  // Random weights have no outliers at 6: at 4 there are as many as trained models have at 6, about one column in a hundred.
  "8bit-outliers": { load_in_8bit: true, llm_int8_threshold: 4 },
  nf4: { load_in_4bit: true, bnb_4bit_quant_type: "nf4" },
};
/** Beside which a variant's gradients are put, besides float32: what rounding the gradients alone does. */
const SAME_FORWARD = "8bit-float32";

type Gradients = ReadonlyMap<string, Float32Array>;
interface Report {
  readonly seconds?: number;
  readonly peak?: number;
  readonly weights?: number;
}

/** What is measured, the same in every process. */
interface Task {
  readonly folder: string;
  readonly data: string | undefined;
  readonly pairs: number;
}

/** Words of a token each. */
function text(count: number, from: number): string {
  const words = ["the", "cat", "is", "good", "it", "was", "yes", "no"];
  return Array.from({ length: count }, (_, i) => words[(from + i * (1 + (from % 3))) % words.length]!).join(" ");
}

async function rowsOf({ data, pairs }: Task): Promise<Dataset> {
  const places = [...Array(pairs).keys()];
  if (data !== undefined) return (await load_dataset(data)).select(places);
  return Dataset.from_rows(places.map((i) => ({ prompt: text(74, i), chosen: ` ${text(79, i + 1)}`, rejected: ` ${text(79, i + 2)}` })));
}

async function trainerOf(model: CausalLM, task: Task, options: DPOConfigInput): Promise<DPOTrainer> {
  return new DPOTrainer({
    model,
    processing_class: await AutoTokenizer.from_pretrained("datasets/tiny-qwen2-chat"),
    train_dataset: await rowsOf(task),
    args: new DPOConfig({
      output_dir: mkdtempSync(join(tmpdir(), "preflab-bench-")),
      save_strategy: "no",
      report_to: "none",
      disable_tqdm: true,
      logging_steps: 1000,
      per_device_train_batch_size: task.pairs,
      lr_scheduler_type: "constant",
      ...options,
    }),
  });
}

/** Gradients as the step that plain SGD takes with a learning rate that dwarfs the weights. */
async function gradients(model: CausalLM, task: Task): Promise<Gradients> {
  const folder = mkdtempSync(join(tmpdir(), "preflab-bench-"));
  const rate = 1000;
  const trainer = await trainerOf(model, task, { max_steps: 1, optim: "sgd", learning_rate: rate, max_grad_norm: 0 });
  const numbers = async (): Promise<[string, Float32Array][]> => {
    await model.save_pretrained(folder);
    const { tensors } = readSafetensors(join(folder, "adapter_model.safetensors"));
    return [...tensors].map(([name, tensor]) => [name, readFileTensor(tensor)]);
  };
  const before = new Map(await numbers());
  await trainer.train();
  const after = await numbers();
  rmSync(folder, { recursive: true });
  return new Map(after.map(([name, values]) => [name, values.map((value, i) => (before.get(name)![i]! - value) / rate)]));
}

/** A variant's process: gradients first, then a step whenever the parent asks for one. */
async function serve(variant: string, task: Task): Promise<void> {
  const base = await AutoModelForCausalLM.from_pretrained(task.folder, { quantization_config: VARIANTS[variant] });
  const engine = await base.load();
  const weights = engine.bytes();
  const model = get_peft_model(
    base,
    new LoraConfig({ r: 16, lora_alpha: 32, init_lora_weights: false, target_modules: ["q_proj", "v_proj"] }),
  );
  const found = await gradients(model, task);
  for (const [name, values] of found) process.send!({ gradient: [name, Array.from(values)] });
  const trainer = await trainerOf(model, task, { max_steps: 1_000_000, learning_rate: 1e-9 });
  const asked = (): Promise<unknown> => new Promise((resolve) => process.once("message", resolve));
  let begun = 0;
  trainer.add_callback({
    on_step_begin: async (_state, control) => {
      if ((await asked()) === "end") control.should_training_stop = true;
      begun = performance.now();
    },
    on_step_end: () => {
      // Linux counts in KiB.
      const report: Report = { seconds: (performance.now() - begun) / 1000, peak: process.resourceUsage().maxRSS * 1024, weights };
      process.send!(report);
    },
  });
  process.send!({});
  await trainer.train();
  await base.dispose();
  process.disconnect();
}

class Variant {
  readonly gradients = new Map<string, Float32Array>();
  readonly seconds: number[] = [];
  readonly #child: ChildProcess;
  last: Report = {};

  constructor(
    readonly name: string,
    { folder, data, pairs }: Task,
  ) {
    const args = ["--child", name, "--model", folder, "--pairs", `${pairs}`, ...(data === undefined ? [] : ["--data", data])];
    this.#child = fork(fileURLToPath(import.meta.url), args);
  }

  /** Waits until the gradients are there. */
  async ready(): Promise<this> {
    await this.#report();
    return this;
  }

  async step(warmUp = false): Promise<void> {
    this.#child.send("step");
    this.last = await this.#report();
    if (!warmUp) this.seconds.push(this.last.seconds!);
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.send("end");
    await ended;
  }

  #report(): Promise<Report> {
    return new Promise((resolve, reject) => {
      const failed = (code: number | null): void => reject(new Error(`${this.name}: its process ended with ${code}`));
      const take = (message: Report & { gradient?: [string, number[]] }): void => {
        if (message.gradient !== undefined) {
          this.gradients.set(message.gradient[0], Float32Array.from(message.gradient[1]));
          return;
        }
        this.#child.off("message", take);
        this.#child.off("exit", failed);
        resolve(message);
      };
      this.#child.on("message", take);
      this.#child.once("exit", failed);
    });
  }
}

/** Cosine, and length of the difference by the length of `wanted`, over all tensors. */
function compare(got: Gradients, wanted: Gradients): string {
  let product = 0;
  let gotSquares = 0;
  let wantedSquares = 0;
  let differences = 0;
  for (const [name, numbers] of wanted) {
    const others = got.get(name)!;
    for (let i = 0; i < numbers.length; i++) {
      product += numbers[i]! * others[i]!;
      gotSquares += others[i]! ** 2;
      wantedSquares += numbers[i]! ** 2;
      differences += (numbers[i]! - others[i]!) ** 2;
    }
  }
  const cosine = product / Math.sqrt(gotSquares * wantedSquares);
  return `cosine ${cosine.toFixed(6)}, difference ${Math.sqrt(differences / wantedSquares).toExponential(1)}, length ${Math.sqrt(gotSquares / wantedSquares).toFixed(4)}`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: "string", default: "runs/random-Qwen2-0.5B" },
      data: { type: "string" },
      variants: { type: "string", default: Object.keys(VARIANTS).slice(1).join(",") },
      pairs: { type: "string", default: "2" },
      rounds: { type: "string", default: "5" },
      child: { type: "string" },
    },
  });
  const [folder, pairs] = [values.model, Number(values.pairs)];
  const task = { folder, pairs, data: values.data };
  if (values.child !== undefined) return serve(values.child, task);
  if (!existsSync(folder)) await checkpointOf(basename(folder).replace(/^random-/, ""), dirname(folder));
  const float32 = await new Variant("float32", task).ready();
  await float32.step(true);
  const gigabytes = (bytes = 0): string => `${(bytes / 1e9).toFixed(2)} GB`;
  let sameForward: Gradients | undefined;
  for (const name of values.variants.split(",")) {
    const variant = await new Variant(name, task).ready();
    await variant.step(true);
    const ratios: number[] = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      await float32.step();
      await variant.step();
      ratios.push(float32.seconds.at(-1)! / variant.seconds.at(-1)!);
    }
    if (name === SAME_FORWARD) sameForward = variant.gradients;
    console.log(
      `${name}: ${(median(variant.seconds) / pairs).toFixed(3)} s a pair, ${median(ratios).toFixed(2)}x float32 (${ratios.map((ratio) => ratio.toFixed(2)).join(" ")}); weights ${gigabytes(variant.last.weights)}, peak ${gigabytes(variant.last.peak)}`,
    );
    console.log(`  gradients beside float32: ${compare(variant.gradients, float32.gradients)}`);
    if (sameForward !== undefined && name !== SAME_FORWARD && name !== "nf4")
      console.log(`  gradients beside ${SAME_FORWARD}: ${compare(variant.gradients, sameForward)}`);
    await variant.end();
  }
  console.log(
    `float32: ${(median(float32.seconds) / pairs).toFixed(3)} s a pair; weights ${gigabytes(float32.last.weights)}, peak ${gigabytes(float32.last.peak)}`,
  );
  await float32.end();
}

await main();
