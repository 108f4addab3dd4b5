import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configJson, parseConfig, readConfig } from "../../src/model/config.js";
import { defaultGenerationConfig, parseGenerationConfig, readGenerationConfig } from "../../src/model/generationConfig.js";
import { formatPythonFloat, formatPythonJson, type JsonObject } from "../../src/model/pythonJson.js";
import { readSafetensors } from "../../src/model/safetensors.js";
import { countParameters, parameterShapes, publishedConfig, PUBLISHED_SHAPES } from "../../src/model/shapes.js";

const golden = new URL("../golden/", import.meta.url).pathname;
const tiny = JSON.parse(readFileSync(join(golden, "tiny-qwen2/config.json"), "utf8")) as JsonObject;
const older = JSON.parse(readFileSync(join(golden, "bf16/config.json"), "utf8")) as JsonObject;
let dir: string;
beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), "preflab-config-"))));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const without = (raw: JsonObject, ...keys: string[]) => Object.fromEntries(Object.entries(raw).filter(([key]) => !keys.includes(key)));

describe("config.json", () => {
  test("both layouts give the same model", () => {
    const expected = {
      model_type: "qwen2",
      vocab_size: 736,
      hidden_size: 64,
      intermediate_size: 160,
      num_hidden_layers: 3,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 16,
      max_position_embeddings: 512,
      rms_norm_eps: 1e-6,
      rope_theta: 1e6,
      tie_word_embeddings: true,
      initializer_range: 0.02,
      bos_token_id: 700,
      eos_token_id: [702],
      pad_token_id: undefined,
    };
    expect(readConfig(join(golden, "tiny-qwen2"))).toEqual({ ...expected, dtype: "float32", raw: tiny });
    expect(readConfig(join(golden, "bf16"))).toEqual({ ...expected, dtype: "bfloat16", raw: older });
  });

  test("what is absent has transformers' default", () => {
    const keys = ["max_position_embeddings", "rms_norm_eps", "rope_parameters", "tie_word_embeddings", "initializer_range", "dtype"];
    const config = parseConfig(without(tiny, ...keys, "bos_token_id", "eos_token_id", "layer_types", "hidden_act"), "x");
    expect(config).toMatchObject({
      max_position_embeddings: 32768,
      rms_norm_eps: 1e-6,
      rope_theta: 10000,
      tie_word_embeddings: false,
      initializer_range: 0.02,
      dtype: undefined,
      bos_token_id: undefined,
      eos_token_id: [],
    });
    expect(parseConfig({ ...tiny, num_key_value_heads: null }, "x").num_key_value_heads).toBe(4);
    expect(parseConfig({ ...tiny, head_dim: null }, "x").head_dim).toBe(16);
  });

  const cases: [JsonObject, string, string][] = [
    [
      { model_type: "llama" },
      "config_unsupported",
      'model_type must be "qwen2" (Qwen2 and Qwen2.5), got "llama", which is not supported; use a Qwen2 or Qwen2.5 checkpoint',
    ],
    [{ model_type: "qwen2_moe" }, "config_unsupported", 'model_type must be "qwen2" (Qwen2 and Qwen2.5), got "qwen2_moe"'],
    [
      { use_sliding_window: true },
      "config_unsupported",
      "use_sliding_window must be false, got true, which is not supported; set it to false if your texts are shorter than sliding_window",
    ],
    [
      { layer_types: ["full_attention", "full_attention", "sliding_attention"] },
      "config_unsupported",
      'layer_types must be "full_attention" in every layer, got ["full_attention","full_attention","sliding_attention"], which is not supported',
    ],
    [
      { layer_types: ["full_attention"] },
      "config_value",
      'layer_types must be a list of num_hidden_layers (3) names, got ["full_attention"]; repair the file or fetch it again',
    ],
    [
      { rope_scaling: { type: "yarn", factor: 4 } },
      "config_unsupported",
      'rope_scaling must be of rope_type "default", got {"type":"yarn","factor":4}, which is not supported; remove the scaling if your texts fit into max_position_embeddings',
    ],
    [
      { rope_parameters: { rope_type: "llama3", rope_theta: 1 } },
      "config_unsupported",
      'rope_parameters must be of rope_type "default", got {"rope_type":"llama3","rope_theta":1}',
    ],
    [
      { rope_parameters: { rope_theta: 1, partial_rotary_factor: 0.5 } },
      "config_unsupported",
      "rope_parameters must be without partial_rotary_factor",
    ],
    [{ rope_parameters: { rope_theta: 0 } }, "config_value", "rope_parameters.rope_theta must be a number > 0, got 0"],
    [{ rope_parameters: "default" }, "config_value", 'rope_parameters must be an object or null, got "default"'],
    [{ rope_theta: 10000 }, "config_value", "rope_theta must be equal to rope_parameters.rope_theta (1000000), got 10000"],
    [{ hidden_act: "gelu" }, "config_unsupported", 'hidden_act must be "silu", got "gelu"'],
    [{ attention_dropout: 0.1 }, "config_unsupported", "attention_dropout must be 0, got 0.1"],
    [
      { quantization_config: { quant_method: "gptq" } },
      "config_unsupported",
      'quantization_config must be absent, got {"quant_method":"gptq"}, which is not supported; use the checkpoint that is not quantised',
    ],
    [{ dtype: "int8" }, "config_unsupported", 'dtype must be one of float32, float16, bfloat16, got "int8"'],
    [{ hidden_size: 66 }, "config_value", "hidden_size must be a multiple of num_attention_heads (4), got 66"],
    [{ hidden_size: 60 }, "config_value", "head_dim must be even, because rotary embedding turns pairs, got 15"],
    [{ head_dim: 7 }, "config_value", "head_dim must be even, because rotary embedding turns pairs, got 7"],
    [{ num_key_value_heads: 3 }, "config_value", "num_attention_heads must be a multiple of num_key_value_heads (3), got 4"],
    [{ num_hidden_layers: 1e9 }, "config_value", "num_hidden_layers must be at most 1024, got 1000000000"],
    [{ vocab_size: 0 }, "config_value", "vocab_size must be an integer >= 1, got 0; repair the file or fetch it again"],
    [{ intermediate_size: "160" }, "config_value", 'intermediate_size must be an integer >= 1, got "160"'],
    [{ rms_norm_eps: -1 }, "config_value", "rms_norm_eps must be a number > 0, got -1"],
    [{ tie_word_embeddings: "yes" }, "config_value", 'tie_word_embeddings must be true or false, got "yes"'],
    [{ bos_token_id: -1 }, "config_value", "bos_token_id must be a token id (an integer >= 0) or null, got -1"],
    [{ eos_token_id: [1, "2"] }, "config_value", 'eos_token_id must be a token id (an integer >= 0), a list of them, or null, got [1,"2"]'],
  ];
  test.each(cases)("%j", (changes, code, message) => {
    const wrong = () => parseConfig({ ...tiny, ...changes }, "the/config.json");
    expect(wrong).toThrow(expect.objectContaining({ code }));
    expect(wrong).toThrow(`the/config.json: ${message}`);
  });

  test.each(["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size"])(
    "%s is missing",
    (key) => {
      expect(() => parseConfig(without(tiny, key), "c")).toThrow(
        `c: ${key} must be an integer >= 1, got nothing; repair the file or fetch it again`,
      );
    },
  );

  test("files that are not a config", () => {
    expect(() => readConfig(dir)).toThrow(
      `${dir}: a model folder must hold config.json, got none; pass the folder that save_pretrained wrote or the Hub download`,
    );
    const file = join(dir, "config.json");
    writeFileSync(file, '{"model_type": "qwen2",');
    expect(() => readConfig(dir)).toThrow(expect.objectContaining({ code: "config_json" }));
    expect(() => readConfig(dir)).toThrow(`${file}: the file must be JSON, got an error at: `);
    writeFileSync(file, "[1, 2]");
    expect(() => readConfig(dir)).toThrow(`${file}: the file must hold a JSON object, got [1,2]; repair it or fetch it again`);
    writeFileSync(file, `{"hidden_size": ${"[".repeat(100_000)}${"]".repeat(100_000)}}`);
    expect(() => readConfig(dir)).toThrow(`${file}: the file must nest at most 64 levels deep, got more; repair it or fetch it again`);
    rmSync(file);
  });

  test("saved again: only the format of the weights changes, in the keys the file uses", () => {
    expect(configJson(parseConfig(tiny, "x"), "bfloat16")).toEqual({ ...tiny, dtype: "bfloat16" });
    expect(configJson(parseConfig(older, "x"), "float32")).toEqual({ ...older, torch_dtype: "float32" });
    expect(configJson(parseConfig({ ...tiny, torch_dtype: "float32" }, "x"), "float16")).toEqual({
      ...tiny,
      dtype: "float16",
      torch_dtype: "float16",
    });
    expect(configJson(parseConfig(without(tiny, "dtype"), "x"), "float16")).toEqual({ ...without(tiny, "dtype"), torch_dtype: "float16" });
  });
});

describe("generation_config.json", () => {
  test("golden", () => {
    const config = readConfig(join(golden, "tiny-qwen2"));
    const generation = readGenerationConfig(join(golden, "tiny-qwen2"), config);
    expect(generation).toMatchObject({
      do_sample: false,
      temperature: undefined,
      bos_token_id: 700,
      eos_token_id: [702, 700],
      pad_token_id: 700,
    });
  });

  test("without the file the ids come from the model", () => {
    const config = readConfig(join(golden, "tiny-qwen2"));
    expect(readGenerationConfig(dir, config)).toEqual(defaultGenerationConfig(config));
    expect(defaultGenerationConfig(config)).toMatchObject({
      eos_token_id: [702],
      bos_token_id: 700,
      pad_token_id: undefined,
      raw: { bos_token_id: 700, eos_token_id: 702 },
    });
  });

  test("published values and wrong ones", () => {
    const raw = {
      do_sample: true,
      temperature: 0.7,
      top_k: 20,
      top_p: 0.8,
      repetition_penalty: 1.1,
      eos_token_id: 3,
      max_new_tokens: 2048,
    };
    expect(parseGenerationConfig(raw, "g")).toMatchObject({ ...raw, eos_token_id: [3], min_p: undefined });
    expect(() => parseGenerationConfig({ temperature: "hot" }, "g")).toThrow(
      'g: temperature must be a number, got "hot"; repair the file or fetch it again',
    );
    expect(() => parseGenerationConfig({ do_sample: 1 }, "g")).toThrow("g: do_sample must be true or false, got 1");
    expect(() => parseGenerationConfig({ num_beams: 4 }, "g")).toThrow(
      "g: num_beams must be 1, got 4, which is not supported; remove the key",
    );
  });
});

describe("shapes", () => {
  test("names and shapes equal the golden checkpoint's", () => {
    const { tensors } = readSafetensors(join(golden, "tiny-qwen2/model.safetensors"));
    const shapes = parameterShapes(parseConfig(tiny, "x"));
    expect(new Map([...shapes].sort())).toEqual(new Map([...tensors.values()].map(({ name, shape }) => [name, shape] as const).sort()));
    expect(countParameters(parseConfig(tiny, "x"))).toBe(176960);
  });

  test("the head is there when it is not tied", () => {
    const shapes = parameterShapes(parseConfig({ ...tiny, tie_word_embeddings: false }, "x"));
    expect(shapes.get("lm_head.weight")).toEqual([736, 64]);
    expect([...shapes.keys()].at(-1)).toBe("lm_head.weight");
    expect(parameterShapes(parseConfig(tiny, "x")).has("lm_head.weight")).toBe(false);
  });

  test("a head size of its own", () => {
    const shapes = parameterShapes(parseConfig({ ...tiny, head_dim: 32 }, "x"));
    expect(shapes.get("model.layers.2.self_attn.q_proj.weight")).toEqual([128, 64]);
    expect(shapes.get("model.layers.2.self_attn.k_proj.bias")).toEqual([64]);
    expect(shapes.get("model.layers.2.self_attn.o_proj.weight")).toEqual([64, 128]);
  });

  test("published models have the parameters the Hub shows for them", () => {
    // "total" of the safetensors metadata on the model pages.
    const totals: Record<string, number> = { "0.5B": 494_032_768, "1.5B": 1_543_714_304, "3B": 3_085_938_688, "7B": 7_615_616_512 };
    for (const name of PUBLISHED_SHAPES) expect(countParameters(publishedConfig(name))).toBe(totals[name.split("-")[1]!]);
    expect(publishedConfig("Qwen/Qwen2-0.5B-Instruct")).toMatchObject({
      hidden_size: 896,
      eos_token_id: [151645],
      tie_word_embeddings: true,
    });
    expect(publishedConfig("Qwen2.5-7B").tie_word_embeddings).toBe(false);
    expect(() => publishedConfig("Qwen2-0.6B")).toThrow(
      expect.objectContaining({
        code: "unknown_shape",
        message: `publishedConfig: the shape must be one of ${PUBLISHED_SHAPES.join(", ")}, got "Qwen2-0.6B"; did you mean Qwen2-0.5B?`,
      }),
    );
  });
});

describe("JSON as Python writes it", () => {
  test("golden configs keep their bytes", () => {
    for (const file of [
      "tiny-qwen2/config.json",
      "bf16/config.json",
      "policy/generation_config.json",
      "lora_final/adapter_config.json",
      "bf16/model.safetensors.index.json",
    ]) {
      const text = readFileSync(join(golden, file), "utf8");
      expect(formatPythonJson(JSON.parse(text) as JsonObject)).toBe(text);
    }
  });

  test("floats", () => {
    // python3 -c "print(repr(x))"
    const expected: [number, string][] = [
      [1, "1.0"],
      [0, "0.0"],
      [-0, "-0.0"],
      [1e6, "1000000.0"],
      [1e-6, "1e-06"],
      [1.5e-7, "1.5e-07"],
      [0.0001, "0.0001"],
      [0.00012, "0.00012"],
      [0.00001, "1e-05"],
      [1e15, "1000000000000000.0"],
      [1e16, "1e+16"],
      [1.25e22, "1.25e+22"],
      [1e-100, "1e-100"],
      [0.1, "0.1"],
      [-2.5, "-2.5"],
    ];
    for (const [value, text] of expected) expect(formatPythonFloat(value)).toBe(text);
  });

  test("nesting, order, escapes", () => {
    const value = { b: [], a: { é: '😀\u007f\n"', z: {}, y: [1, [true, null]] }, temperature: 1, top_k: 1, B: 0.5 };
    // json.dumps(value, indent=2, sort_keys=True)
    expect(formatPythonJson(value)).toBe(
      [
        "{",
        '  "B": 0.5,',
        '  "a": {',
        '    "y": [',
        "      1,",
        "      [",
        "        true,",
        "        null",
        "      ]",
        "    ],",
        '    "z": {},',
        '    "\\u00e9": "\\ud83d\\ude00\\u007f\\n\\""',
        "  },",
        '  "b": [],',
        '  "temperature": 1.0,',
        '  "top_k": 1',
        "}",
        "",
      ].join("\n"),
    );
  });
});
