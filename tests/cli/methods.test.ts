/** preflab sft, kto, cpo and orpo: the commands that are built as preflab dpo is. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { preflab } from "./command.js";

const GOLDEN = resolve(import.meta.dirname, "../golden");
const MODEL = ["--model_name_or_path", join(GOLDEN, "tiny-qwen2")];
const PAIRS = ["--dataset_name", join(GOLDEN, "pairs.jsonl")];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "preflab-methods-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const readJson = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const loggedIn = (output: string) => readJson(join(output, "trainer_state.json")).log_history.filter((entry: object) => "loss" in entry);

const OPTIMIZATION = ["learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "max_grad_norm", "max_steps"];
const BATCH = ["per_device_train_batch_size", "gradient_accumulation_steps"];
const flagsOf = (config: Record<string, unknown>, names: readonly string[]) => names.flatMap((name) => [`--${name}`, String(config[name])]);

/** Largest differences of logged values from the golden run's, over all steps. */
function largestDifference(logged: Record<string, number>[], steps: Record<string, number>[], names: readonly string[]): number {
  expect(logged).toHaveLength(steps.length);
  const differences = steps.flatMap((step, i) => names.map((name) => Math.abs(logged[i]![name]! - step[name]!)));
  return Math.max(...differences);
}

describe("the flags give TRL's run", () => {
  test("preflab sft: losses, entropy and accuracy of every step", async () => {
    const { config, steps, group } = readJson(join(GOLDEN, "train_sft.json")).variants.completion_only;
    const rows = readFileSync(join(GOLDEN, "sft.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line): Record<string, unknown> => JSON.parse(line))
      .filter((row) => row["group"] === group);
    const data = join(folder, "sft.jsonl");
    writeFileSync(data, rows.map(({ group: _group, ...row }) => `${JSON.stringify(row)}\n`).join(""));
    const output = join(folder, "sft");
    const result = await preflab([
      "sft",
      ...MODEL,
      ...["--dataset_name", data, "--shuffle_dataset", "false", "--logging_steps=1", "--output_dir", output],
      ...flagsOf(config, [...OPTIMIZATION, ...BATCH, "loss_type", "max_length"]),
    ]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toMatch(/^8 of 8 steps in [\d.]+ s, [\d.]+ rows\/s$/m);
    expect(result.stdout).toMatch(/mean_token_accuracy 0\.0000 -> 0\.6176$/m);
    // golden/README.md: 5e-3 relative + 2e-3 advised, 3e-5 in the replay.
    expect(largestDifference(loggedIn(output), steps, ["loss", "entropy", "mean_token_accuracy"])).toBeLessThan(1e-4);
  });

  test("preflab kto: losses and rewards of every step", async () => {
    const { config, steps } = readJson(join(GOLDEN, "train_kto.json")).variants.kto_batch4;
    const output = join(folder, "kto");
    const result = await preflab([
      "kto",
      ...MODEL,
      ...["--dataset_name", join(GOLDEN, "kto.jsonl"), "--logging_steps=1", "--output_dir", output],
      ...flagsOf(config, [...OPTIMIZATION, ...BATCH, "loss_type", "beta", "desirable_weight", "undesirable_weight", "max_length"]),
    ]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    const names = ["loss", "kl", "rewards/chosen", "rewards/rejected"];
    expect(largestDifference(loggedIn(output), steps, names)).toBeLessThan(1e-4);
  });
});

test.each([
  ["cpo", ["--loss_type", "simpo", "--simpo_gamma", "1"], ["nll_loss", "rewards/margins"]],
  ["orpo", ["--beta", "0.2"], ["nll_loss", "log_odds_ratio"]],
])("preflab %s: a run with DoRA, whose adapter is saved", async (name, flags, metrics) => {
  const output = join(folder, name);
  const result = await preflab([
    name,
    ...[...MODEL, ...PAIRS, ...flags, "--max_steps", "2", "--logging_steps", "1", "--per_device_train_batch_size", "2"],
    ...["--output_dir", output, "--use_peft", "--use_dora", "--lora_r", "4", "--lora_target_modules", String.raw`.*\.[01]\..*(q|v)_proj`],
    ...["--lora_rank_pattern", '{"layers.0.self_attn.q_proj": 2}', "--lora_modules_to_save", "norm", "--learning_rate", "1e-3"],
  ]);
  expect(result).toMatchObject({ code: 0, stderr: "" });
  const logged = loggedIn(output);
  expect(logged).toHaveLength(2);
  for (const metric of metrics) expect(logged[1]).toHaveProperty([metric]);
  expect(logged[1].loss).not.toBe(logged[0].loss);
  expect(readJson(join(output, "adapter_config.json"))).toMatchObject({
    r: 4,
    use_dora: true,
    target_modules: String.raw`.*\.[01]\..*(q|v)_proj`,
    rank_pattern: { "layers.0.self_attn.q_proj": 2 },
    modules_to_save: ["norm"],
  });
  expect(readJson(join(output, "training_args.json"))).toMatchObject({ max_steps: 2 });
});

test("layers and alphas by flag, and notes for options that change nothing here", async () => {
  const output = join(folder, "layers");
  const result = await preflab([
    "kto",
    ...[...MODEL, "--dataset_name", join(GOLDEN, "kto.jsonl"), "--max_steps", "1", "--output_dir", output, "--bf16"],
    ...["--use_peft", "--lora_layers_to_transform", "0", "2", "--lora_alpha_pattern", '{"q_proj": 8}', "--lora_modules_to_save", "lm_head"],
  ]);
  expect(result).toMatchObject({ code: 0, stderr: "" });
  expect(result.stdout).toContain("preflab kto: --bf16 has no effect; training computes in float32, which is more exact\n");
  expect(readJson(join(output, "adapter_config.json"))).toMatchObject({
    layers_to_transform: [0, 2],
    alpha_pattern: { q_proj: 8 },
    modules_to_save: ["lm_head"],
  });
});

test.each<[string[], string]>([
  [["sft", "--beta", "0.1"], "preflab sft: unknown option --beta; known:"],
  [["sft", "--packing_strategy", "wrapped"], 'preflab sft: packing_strategy "wrapped" needs packing true, got false'],
  [["kto", "--per_device_train_batch_size", "1"], 'preflab kto: per_device_train_batch_size must be > 1 with loss_type "kto", got 1'],
  [["cpo", "--loss_type", "simpoo"], "preflab cpo: --loss_type must be one of sigmoid, hinge, ipo, simpo, alphapo, got"],
  [["orpo", "--bet", "1"], "preflab orpo: unknown option --bet; did you mean --beta?"],
  [["orpo", "--use_dora"], "preflab orpo: --use_dora needs --use_peft; without it all weights are trained"],
  [
    ["sft", "--use_peft", "--lora_rank_pattern", '{"q_proj": "two"}'],
    "LoraConfig: rank_pattern must be names or patterns with integers >= 1",
  ],
  [["sft", "--use_peft", "--lora_target_parameters", "x"], "preflab sft: --lora_target_parameters is not offered; Qwen2 has"],
])("%j: exit code 2 and the rule", async (argv, message) => {
  const result = await preflab([...argv, ...MODEL, ...PAIRS]);
  expect(result).toMatchObject({ code: 2, stdout: "" });
  expect(result.stderr.slice(0, message.length)).toBe(message);
  expect(result.stderr).toContain(`See preflab ${argv[0]} --help`);
});
