/** What a quantised model holds, and how it is asked for. */
import { afterEach, describe, expect, it } from "vitest";
import { readFileTensor } from "../../src/compile/fileTensors.js";
import { hostTensor, rotaryAngles, type TensorMap, tf } from "../../src/compile/index.js";
import { encodeTensor } from "../../src/compile/quantise/tensorFormat.js";
import { generateTokens } from "../../src/generate/index.js";
import {
  AutoModelForCausalLM,
  BitsAndBytesConfig,
  type BitsAndBytesConfigInput,
  type CausalLM,
  Qwen2ForCausalLM,
  get_peft_model,
  headLogits,
  maskedAttention,
  openCheckpoint,
  qwen2Hidden,
  saveCheckpoint,
} from "../../src/model/index.js";
import { LoraConfig } from "../../src/model/loraConfig.js";
import { parameterShapes, publishedConfig } from "../../src/model/shapes.js";
import { newFolder, writeModel } from "../train/tinyModel.js";

const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.base.dispose();
});

const NF4 = { load_in_4bit: true, bnb_4bit_quant_type: "nf4" } as const;
const DOUBLE = { ...NF4, bnb_4bit_use_double_quant: true } as const;
const TINY = "tests/golden/tiny-qwen2";
const BF16 = "tests/golden/bf16";

async function open(dir: string, quantization_config?: BitsAndBytesConfigInput, engine?: "eager"): Promise<Qwen2ForCausalLM> {
  const model = await AutoModelForCausalLM.from_pretrained(dir, { quantization_config, engine, threads: engine === "eager" ? null : 1 });
  models.push(model);
  return model;
}

async function text(model: CausalLM): Promise<number[]> {
  const ids: number[] = [];
  for await (const id of generateTokens(model, [458, 291, 494, 12], { max_new_tokens: 10, eos_token_id: null })) ids.push(id);
  return ids;
}

/** Logits of every token of a short prompt, in one list. */
async function logits(model: CausalLM, ids: number[] = [458, 291, 494, 12, 7]): Promise<Float32Array> {
  const engine = await model.load();
  const { config } = model;
  const half = config.head_dim / 2;
  const program = engine.compile(
    (inputs: TensorMap) => {
      const { weights, adapter } = model.tensors(inputs);
      const causal = tf.linalg.bandPart(tf.ones([ids.length, ids.length]), -1, 0);
      const mask = tf.mul(tf.sub(causal, 1), 1e9) as tf.Tensor2D;
      return {
        logits: headLogits(config, weights, qwen2Hidden(config, weights, inputs as never, maskedAttention(config, mask), { adapter })),
      };
    },
    {
      ...model.signature(),
      ids: { shape: [ids.length], dtype: "int32" },
      cos: { shape: [ids.length, half] },
      sin: { shape: [ids.length, half] },
    },
    { name: "logits" },
  );
  const { cos, sin } = rotaryAngles(
    ids.map((_, i) => i),
    config.head_dim,
    config.rope_theta,
  );
  const shape = [ids.length, half];
  const inputs = { ids: hostTensor(Int32Array.from(ids), [ids.length]), cos: hostTensor(cos, shape), sin: hostTensor(sin, shape) };
  const result = (await program.run(inputs))["logits"]!.data as Float32Array;
  await program.dispose();
  return result;
}

const farthest = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
};

describe("embedding and head of a 16-bit checkpoint", () => {
  it.each([["compiled", undefined] as const, ["eager", "eager"] as const])(
    "%s: the bf16 numbers come back exactly",
    async (_name, engine) => {
      const model = await open(BF16, DOUBLE, engine);
      expect(model.formatOf("model.embed_tokens.weight")).toEqual({ kind: "float16" });
      const entry = model.checkpoint.tensors.get("model.embed_tokens.weight")!;
      expect(entry.dtype).toBe("BF16");
      for await (const [name, , values] of model.parameters()) {
        if (name === "model.embed_tokens.weight") expect(values).toEqual(readFileTensor(entry));
      }
    },
  );

  it("rows, logits and texts in blocks are those of the numbers in float32, on both engines", async () => {
    // Above 16,384 rows the head is cut into views.
    const wide = await writeModel({ vocab_size: 17_000, hidden_size: 8, intermediate_size: 12 });
    const { config, generationConfig, tensors } = await openCheckpoint(wide);
    const folder = newFolder();
    const all = [...tensors].map(([name, entry]) => [name, entry.shape, readFileTensor(entry)] as const);
    await saveCheckpoint(folder, config, generationConfig, all, { dtype: "bfloat16" });
    const half = await open(folder, NF4);
    const saved = newFolder();
    await half.save_pretrained(saved);
    const plain = await open(saved);
    const wanted = await logits(plain);
    expect(Math.max(...wanted)).toBeGreaterThan(0.5);
    expect(farthest(await logits(half), wanted)).toBeLessThan(1e-5);
    expect(farthest(await logits(await open(folder, NF4, "eager")), wanted)).toBeLessThan(1e-5);
    expect(await text(half)).toEqual(await text(plain));
    const mean = async (model: Qwen2ForCausalLM) => {
      await model.storeHeadMean();
      return (await (await model.load()).fetch("head.mean")).data;
    };
    expect(farthest(await mean(half), await mean(plain))).toBeLessThan(1e-6);
  });

  it("a float32 checkpoint keeps float32", async () => {
    expect((await open(TINY, NF4)).formatOf("model.embed_tokens.weight")).toBeUndefined();
  });

  it("16 bits hold bfloat16 numbers of very different sizes, exactly down to 2^-32 of the largest", () => {
    const largest = 300;
    const values = Float32Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? 1 : -1) * (1 + (i % 128) / 128) * 2 ** (8 - i));
    values[0] = largest;
    const parts = encodeTensor("w", [60], { kind: "float16" }, () => [values]);
    const scale = parts["w.half_scale"]!.data[0]!;
    expect(scale).toBe(2 ** (8 - 14));
    const back = Array.from(parts["w.half"]!.data as Uint16Array, (bits) => halfNumber(bits) * scale);
    values.forEach((value, i) => {
      if (Math.abs(value) >= largest * 2 ** -32) expect(back[i]).toBe(value);
      expect(Math.abs(back[i]! - value)).toBeLessThanOrEqual(largest * 2 ** -39);
    });
  });
});

function halfNumber(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 === 0 ? 1 : -1, (bits >> 10) & 31, bits & 1023];
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

describe("memory", () => {
  it("is what the store holds, and falls by what the bits say", async () => {
    const [plain, single, double] = [await open(BF16), await open(BF16, NF4), await open(BF16, DOUBLE)];
    for (const model of [plain, single, double]) expect((await model.load()).bytes()).toBe(model.get_memory_footprint());
    // Per layer q 64·64, k and v 32·64, o 64·64, gate, up and down 64·160 each: 43,008 weights, 672 blocks, 3 layers.
    const weights = 3 * 43_008;
    const embedding = 736 * 64;
    expect(plain.get_memory_footprint() - single.get_memory_footprint()).toBe(
      weights * 4 - (weights / 2 + (weights / 64) * 4) + 2 * embedding - 4,
    );
    // A byte a block, and for 64, 32, 64, 160 blocks one scale and one offset a matrix: 21 matrices.
    expect(single.get_memory_footprint() - double.get_memory_footprint()).toBe((weights / 64) * 3 - 21 * 8);
    const adapted = get_peft_model(double, new LoraConfig({ r: 4 }));
    expect(adapted.get_memory_footprint() - double.get_memory_footprint()).toBe(3 * 4 * 4 * (64 + 64 + 64 + 32));
    await adapted.load();
    expect((await double.load()).bytes()).toBe(adapted.get_memory_footprint());
  });

  it("8 bits take a byte a weight, two with rounded gradients, and a float32 a row", async () => {
    const plain = await open(BF16);
    // Per layer 43,008 weights in 64 + 32 + 32 + 64 + 160 + 160 + 64 = 576 rows of 7 matrices; 3 layers. The embedding has 16 bits.
    const [weights, rows, matrices, embedding] = [3 * 43_008, 3 * 576, 3 * 7, 736 * 64];
    const others = plain.get_memory_footprint() - 4 * weights - 2 * embedding + 4;
    for (const [options, bytes] of [
      [{ llm_int8_backward: "float32", llm_int8_threshold: 0 }, weights + 4 * rows],
      [{ llm_int8_backward: "float32" }, weights + 4 * rows + 4 * matrices],
      [{ llm_int8_backward: "int16" }, 2 * weights + 4 * rows + 4 * matrices],
      [{}, 2 * weights + 4 * rows + 4 * matrices],
    ] as const) {
      const model = await open(BF16, { load_in_8bit: true, ...options });
      expect(model.get_memory_footprint()).toBe(others + bytes);
      expect((await model.load()).bytes()).toBe(model.get_memory_footprint());
    }
  });

  it("1.5B in NF4 with double quantisation is under 1.6e9 bytes, counted from its shapes", async () => {
    const { generationConfig } = await openCheckpoint(TINY);
    const model = (name: string, quantization?: BitsAndBytesConfig): Qwen2ForCausalLM => {
      const config = publishedConfig(name);
      const tensors = new Map(
        [...parameterShapes(config)].map(([tensor, shape]) => [
          tensor,
          { file: "", offset: 0, byteLength: 0, dtype: "BF16" as const, shape, name: tensor },
        ]),
      );
      return new Qwen2ForCausalLM({ dir: "none", config, generationConfig, tensors }, {}, name, quantization);
    };
    const double = new BitsAndBytesConfig(DOUBLE);
    // 1,310,195,712 weights in projections at half a byte, 20,471,808 blocks at one; 233,373,696 numbers of the embedding at two; the rest
    // are the scales of 256 blocks, biases and norms. Added up by a separate program.
    const bytes = model("Qwen2-1.5B", double).get_memory_footprint();
    expect(bytes).toBeLessThan(1.6e9);
    expect(bytes).toBe(1_143_217_300);
    expect(model("Qwen2-1.5B").get_memory_footprint()).toBe(6_174_857_216);
    expect(model("Qwen2.5-0.5B", double).get_memory_footprint()).toBeLessThan(0.5e9);
    // Embedding and head apart, both in 16 bits.
    expect(model("Qwen2.5-7B", double).get_memory_footprint()).toBeLessThan(5.6e9);
  });
});

describe("BitsAndBytesConfig", () => {
  it("has transformers' names and defaults", () => {
    expect(new BitsAndBytesConfig().to_dict()).toEqual({
      load_in_4bit: false,
      load_in_8bit: false,
      llm_int8_threshold: 6,
      llm_int8_backward: "int8",
      llm_int8_skip_modules: null,
      llm_int8_enable_fp32_cpu_offload: false,
      llm_int8_has_fp16_weight: false,
      bnb_4bit_compute_dtype: null,
      bnb_4bit_quant_type: "fp4",
      bnb_4bit_use_double_quant: false,
      bnb_4bit_quant_storage: null,
    });
    const given = new BitsAndBytesConfig({ ...DOUBLE, bnb_4bit_compute_dtype: "float32", bnb_4bit_quant_storage: "bfloat16" });
    expect(given.to_dict()).toMatchObject({ ...DOUBLE, bnb_4bit_compute_dtype: "float32", bnb_4bit_quant_storage: "bfloat16" });
  });

  it.each<[BitsAndBytesConfigInput, string, string]>([
    [
      { load_in_4bit: true },
      "option_unsupported",
      'BitsAndBytesConfig: bnb_4bit_quant_type must be "nf4", got "fp4", which is bitsandbytes\' default and less exact; pass bnb_4bit_quant_type: "nf4"',
    ],
    [
      { ...NF4, load_in_8bit: true },
      "option_conflict",
      "BitsAndBytesConfig: load_in_4bit and load_in_8bit exclude each other, got both; set one",
    ],
    [{ load_in_8bit: true, llm_int8_threshold: -1 }, "option_range", "llm_int8_threshold must be >= 0, got -1"],
    [
      { load_in_8bit: true, llm_int8_backward: "int4" as "int8" },
      "option_choice",
      'llm_int8_backward must be one of int8, int16, float32, got "int4"',
    ],
    [
      { load_in_8bit: true, llm_int8_has_fp16_weight: true },
      "option_range",
      "llm_int8_has_fp16_weight must be false (weights beside the codes would have to be trained, and a quantised model is trained through an adapter), got true",
    ],
    [
      { ...NF4, bnb_4bit_compute_dtype: "bfloat16" },
      "option_range",
      'bnb_4bit_compute_dtype must be "float32" (products with 4-bit weights',
    ],
    [{ ...NF4, bnb_4bit_quant_storage: "int4" as "int8" }, "option_choice", "bnb_4bit_quant_storage must be"],
    [{ load_in_4bits: true } as BitsAndBytesConfigInput, "option_unknown", "did you mean load_in_4bit?"],
  ])("refuses %j", (input, code, message) => {
    expect(() => new BitsAndBytesConfig(input)).toThrowError(
      expect.objectContaining({ code, message: expect.stringContaining(message) as string }) as Error,
    );
  });

  it("a model says what it cannot do with it", async () => {
    await expect(open(TINY, {})).rejects.toMatchObject({
      code: "quantization_nothing",
      message:
        "BitsAndBytesConfig: load_in_4bit or load_in_8bit must be true to quantise a model, got false; set one, or leave out quantization_config",
    });
    await expect(open(TINY, { ...NF4, llm_int8_skip_modules: ["down_project"] })).rejects.toMatchObject({
      code: "skip_module_unknown",
      message:
        'BitsAndBytesConfig: llm_int8_skip_modules must name modules of the model, got "down_project"; known: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, model.layers.0.self_attn, …',
    });
    const short = AutoModelForCausalLM.from_pretrained(TINY, { load_in_4bit: true } as never);
    await expect(short).rejects.toMatchObject({
      code: "load_in_bits",
      message:
        'AutoModelForCausalLM.from_pretrained: load_in_4bit must stand in a quantization_config, as in transformers 5, got it as an option; pass quantization_config: new BitsAndBytesConfig({ load_in_4bit: true, bnb_4bit_quant_type: "nf4" })',
    });
  });

  it("llm_int8_skip_modules keeps modules in float32", async () => {
    const model = await open(TINY, {
      ...NF4,
      llm_int8_skip_modules: ["lm_head", "down_proj", "model.layers.1.self_attn", "model.layers.2.mlp.up_proj"],
    });
    const engine = await model.load();
    const kept = engine.names().filter((name) => /_proj\.weight$/.test(name));
    expect(kept.map((name) => name.replace("model.layers.", "")).sort()).toEqual([
      "0.mlp.down_proj.weight",
      "1.mlp.down_proj.weight",
      "1.self_attn.k_proj.weight",
      "1.self_attn.o_proj.weight",
      "1.self_attn.q_proj.weight",
      "1.self_attn.v_proj.weight",
      "2.mlp.down_proj.weight",
      "2.mlp.up_proj.weight",
    ]);
    expect(kept.length + engine.names().filter((name) => name.endsWith(".quant")).length).toBe(21);
    expect(await text(model)).toHaveLength(10);
  });

  it("damaged weights are refused by name", async () => {
    const dir = await writeModel({}, (name, values) => {
      if (name === "model.layers.1.mlp.up_proj.weight") values[70] = NaN;
    });
    await expect((await open(dir, NF4)).load()).rejects.toMatchObject({
      code: "quantise_not_finite",
      message:
        "model.layers.1.mlp.up_proj.weight: quantise: numbers must be finite, got NaN at 70; the weights are damaged, fetch or train them again",
    });
  });
});
