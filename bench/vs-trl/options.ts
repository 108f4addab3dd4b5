/** The options of vs-trl. */
import { defineOptions, type OptionValues } from "../../src/config/index.js";

export const WHERE = "vs-trl";

/** In the order of the table. */
export const CASES = [
  "lora",
  "lora-8bit",
  "lora-nf4",
  "long",
  "full",
  "arithmetic",
  "memory",
  "compile",
  "start-up",
  "decode",
  "grid",
  "growth",
] as const;

export type CaseName = (typeof CASES)[number];

export const BENCH_OPTIONS = defineOptions(WHERE, {
  cases: { type: "string", list: true, choices: CASES, default: [...CASES], help: "What is measured" },
  rounds: { type: "integer", default: 3, min: 1, help: "How often the two sides take turns; medians are over rounds" },
  steps: { type: "integer", default: 3, min: 2, unit: "optimizer steps", help: "Steps of one measurement; the first does not count" },
  threads: { type: "integer", default: 2, min: 1, help: "CPU threads of each side" },
  shape: {
    type: "string",
    default: "Qwen2-0.5B",
    help: "Shape of the random weights; tiny and small are for trying the benchmark itself",
  },
  large_shape: { type: "string", default: "Qwen2-1.5B", help: "The larger shape of the cases memory and growth" },
  models: { type: "string", default: "runs", placeholder: "DIR", help: "Where the checkpoints random-SHAPE are; absent ones are made" },
  alone: { type: "boolean", default: false, help: "Preflab's own numbers only, also where Python's stack is found" },
  search: {
    type: "boolean",
    default: false,
    help: "Measure TRL in every setting instead (cases lora, long and full) and record the fastest, which later runs use",
  },
  record: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "FILE",
    help: "Where TRL's best settings are read and recorded; null for bench/vs-trl/trlBest.json",
  },
  memory_limit: {
    type: "number",
    default: 24,
    exclusiveMin: 0,
    unit: "GB",
    help: "TRL is stopped when it takes more, or when the machine runs out",
  },
  json: { type: "string", default: null, nullable: true, placeholder: "FILE", help: "Write every measurement here" },
  markdown: { type: "string", default: null, nullable: true, placeholder: "FILE", help: "Write the table here too" },
});

export type BenchOptions = OptionValues<typeof BENCH_OPTIONS.entries>;
