import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { randomCheckpointConfig, writeRandomCheckpoint } from "../../scripts/make-random-checkpoint.js";
import { fillNormal } from "../../scripts/normalNumbers.js";
import { readFileTensor } from "../../src/compile/fileTensors.js";
import { openCheckpoint } from "../../src/model/checkpoint.js";
import { publishedConfig } from "../../src/model/shapes.js";
import { Random } from "../../src/random.js";

const golden = new URL("../golden/", import.meta.url).pathname;
let root: string;
beforeAll(() => void (root = mkdtempSync(join(tmpdir(), "preflab-random-"))));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SMALL = { num_hidden_layers: 2, hidden_size: 256, intermediate_size: 512, num_attention_heads: 4, max_window_layers: 2 };
const options = { output: "", dtype: "bf16", seed: 0, tokenizer: null } as const;

test("a checkpoint that opens, with the tokenizer beside it", async () => {
  const config = publishedConfig("Qwen2-0.5B", { ...SMALL, vocab_size: 64 });
  const output = join(root, "out");
  await writeRandomCheckpoint(config, { ...options, output, tokenizer: join(golden, "policy") });
  const { tensors, config: opened } = await openCheckpoint(output);
  expect(readdirSync(output).sort()).toEqual([
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
  ]);
  expect(readFileSync(join(output, "tokenizer.json")).equals(readFileSync(join(golden, "policy/tokenizer.json")))).toBe(true);
  expect(opened).toEqual(config);
  const read = (name: string, from = tensors) => readFileTensor(from.get(name)!);
  const spread = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
  // 131,072 and 256 numbers; the standard error of a deviation s is s / sqrt(2 n).
  expect(Math.abs(spread(read("model.layers.1.mlp.down_proj.weight")) - 0.02)).toBeLessThan((4 * 0.02) / Math.sqrt(2 * 131_072));
  expect(Math.abs(spread(read("model.layers.0.self_attn.q_proj.bias")) - 0.02)).toBeLessThan((4 * 0.02) / Math.sqrt(2 * 256));
  for (const norm of ["model.layers.1.post_attention_layernorm.weight", "model.layers.0.input_layernorm.weight", "model.norm.weight"]) {
    expect(read(norm).every((value) => value === 1)).toBe(true);
  }

  // A tensor's numbers depend on the seed and its name alone.
  const [other, again] = [join(root, "other"), join(root, "again")];
  await writeRandomCheckpoint(publishedConfig("Qwen2-0.5B", { ...SMALL, num_hidden_layers: 1, max_window_layers: 1 }), {
    ...options,
    output: again,
  });
  await writeRandomCheckpoint(config, { ...options, output: other, seed: 1 });
  const name = "model.layers.0.mlp.up_proj.weight";
  expect(read(name, (await openCheckpoint(again)).tensors)).toEqual(read(name));
  expect(read(name, (await openCheckpoint(other)).tensors)).not.toEqual(read(name));
});

test("shape and vocabulary", () => {
  expect(randomCheckpointConfig({ shape: "Qwen2.5-1.5B", vocab: null })).toMatchObject({
    hidden_size: 1536,
    vocab_size: 151936,
    eos_token_id: [151643],
  });
  expect(randomCheckpointConfig({ shape: "Qwen2-0.5B-Instruct", vocab: 100 })).toMatchObject({
    hidden_size: 896,
    vocab_size: 100,
    bos_token_id: 99,
    eos_token_id: [99],
  });
  expect(() => randomCheckpointConfig({ shape: "GPT-2", vocab: null })).toThrow(expect.objectContaining({ code: "unknown_shape" }));
});

test("a folder without a tokenizer", async () => {
  const config = publishedConfig("Qwen2-0.5B", { ...SMALL, vocab_size: 64 });
  const tokenizer = join(golden, "lora_init");
  await expect(writeRandomCheckpoint(config, { ...options, output: join(root, "no"), tokenizer })).rejects.toMatchObject({
    code: "tokenizer_missing",
    message: `make-random-checkpoint: --tokenizer must hold tokenizer.json, got ${tokenizer}; pass the folder of a model`,
  });
  expect(readdirSync(root)).not.toContain("no");
});

test("the fast normal numbers are normal", () => {
  const values = new Float32Array(1_000_000);
  fillNormal(values, 1, new Random(12));
  const mean = (power: number) => {
    let sum = 0;
    for (const value of values) sum += value ** power;
    return sum / values.length;
  };
  // Standard errors of the first six moments of a million normal numbers: sqrt(variance of x^k / n).
  const moments = [0, 1, 0, 3, 0, 15];
  const variances = [1, 2, 15, 96, 945, 10170];
  moments.forEach((moment, i) =>
    expect(Math.abs(mean(i + 1) - moment), `moment ${i + 1}`).toBeLessThan(4 * Math.sqrt(variances[i]! / values.length)),
  );
  // Shares in unit-wide bins, the outermost beyond the ziggurat's edge of 3.44; expected from the normal distribution function.
  const bins: [from: number, to: number, share: number][] = [
    [0, 0.5, 0.19146246],
    [0.5, 1, 0.14988228],
    [1, 2, 0.13590512],
    [2, 3, 0.02140023],
    [3, 3.5, 0.00111727],
    [3.5, 4, 0.00020096],
    [4, 9, 0.00003167],
  ];
  for (const [from, to, share] of bins) {
    for (const sign of [1, -1]) {
      let count = 0;
      for (const value of values) if (sign * value > from && sign * value <= to) count++;
      const expected = share * values.length;
      expect(Math.abs(count - expected), `between ${sign * from} and ${sign * to}`).toBeLessThan(4.5 * Math.sqrt(expected * (1 - share)));
    }
  }
  const again = new Float32Array(1000);
  fillNormal(again, 1, new Random(12));
  expect(again).toEqual(values.subarray(0, 1000));
});
