/**
 * What a DPO run of LoRA takes in memory, each case in a process of its own:
 *
 *     npm run build && node dist/bench/memory.js [--cases plain,checkpointing,qlora]
 *
 * plain: Qwen2-0.5B shape in float32, one pair of about 650 tokens. checkpointing: the same with gradient_checkpointing.
 * qlora: Qwen2-1.5B shape in NF4 with double quantisation and 8-bit AdamW. Random weights, three steps each; the checkpoints are made
 * in runs/ when they are absent.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Dataset } from "../src/data/index.js";
import { AutoModelForCausalLM, BitsAndBytesConfig, LoraConfig } from "../src/model/index.js";
import { publishedConfig } from "../src/model/shapes.js";
import { AutoTokenizer } from "../src/text/index.js";
import { DPOConfig, type DPOConfigInput, DPOTrainer } from "../src/train/index.js";
import { writeRandomCheckpoint } from "../scripts/make-random-checkpoint.js";

interface Case {
  readonly shape: "Qwen2-0.5B" | "Qwen2-1.5B";
  readonly quantised: boolean;
  readonly options: DPOConfigInput;
}

const CASES: Readonly<Record<string, Case>> = {
  plain: { shape: "Qwen2-0.5B", quantised: false, options: {} },
  checkpointing: { shape: "Qwen2-0.5B", quantised: false, options: { gradient_checkpointing: true } },
  qlora: { shape: "Qwen2-1.5B", quantised: true, options: { optim: "paged_adamw_8bit" } },
};

const TOKENIZER = "datasets/tiny-qwen2-chat";

/** `count` words, from a few in turn. */
function text(count: number, words: readonly string[]): string {
  return Array.from({ length: count }, (_, i) => words[i % words.length]!).join(" ");
}

async function checkpointOf(shape: Case["shape"]): Promise<string> {
  const dir = `runs/random-${shape}`;
  if (!existsSync(`${dir}/config.json`)) {
    console.log(`making ${dir} …`);
    await writeRandomCheckpoint(publishedConfig(shape), { output: dir, dtype: "bf16", seed: 42, tokenizer: null });
  }
  return dir;
}

async function measure(name: string, { shape, quantised, options }: Case): Promise<void> {
  const quantization_config = new BitsAndBytesConfig({ load_in_4bit: true, bnb_4bit_quant_type: "nf4", bnb_4bit_use_double_quant: true });
  const model = await AutoModelForCausalLM.from_pretrained(await checkpointOf(shape), quantised ? { quantization_config } : {});
  const started = performance.now();
  const engine = await model.load();
  const loaded = { seconds: (performance.now() - started) / 1000, store: engine.bytes() };
  const pair = {
    prompt: text(300, ["the", "cat", "is", "good"]),
    chosen: text(150, [" yes", "it", "is"]),
    rejected: text(150, [" no", "it", "was"]),
  };
  const trainer = new DPOTrainer({
    model,
    processing_class: await AutoTokenizer.from_pretrained(TOKENIZER),
    train_dataset: Dataset.from_rows([pair]),
    peft_config: new LoraConfig({ r: 16 }),
    args: new DPOConfig({
      ...{
        output_dir: `runs/memory-${name}`,
        max_steps: 3,
        logging_steps: 1,
        save_strategy: "no",
        disable_tqdm: true,
        learning_rate: 1e-4,
      },
      ...options,
    }),
  });
  const steps: number[] = [];
  let begun = 0;
  trainer.add_callback({
    on_step_begin: () => void (begun = performance.now()),
    on_step_end: () => void steps.push((performance.now() - begun) / 1000),
  });
  await trainer.train();
  // Linux counts in KiB.
  const peak = (process.resourceUsage().maxRSS * 1024) / 1e9;
  const median = [...steps].sort((a, b) => a - b)[1]!;
  console.log(
    `${name}: ${shape}, weights ${(loaded.store / 1e9).toFixed(2)} GB, read in ${loaded.seconds.toFixed(1)} s; median step ${median.toFixed(1)} s; peak memory ${peak.toFixed(2)} GB; last grad_norm ${trainer.state.log_history.at(-2)!["grad_norm"]}`,
  );
  await trainer.dispose();
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { cases: { type: "string", default: Object.keys(CASES).join(",") }, child: { type: "string" } },
  });
  if (values.child !== undefined) return measure(values.child, CASES[values.child]!);
  for (const name of values.cases.split(",")) {
    const { shape } = CASES[name]!;
    // Made here, so that it does not count in the child.
    await checkpointOf(shape);
    spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--child", name], { stdio: "inherit" });
  }
}

await main();
