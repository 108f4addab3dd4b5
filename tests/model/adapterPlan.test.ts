/** Which modules an adapter is made of: PEFT's rules of matching. Numbers of modules as get_peft_model made them on the golden model. */
import { describe, expect, test } from "vitest";
import { planAdapter } from "../../src/model/adapterPlan.js";
import { readConfig } from "../../src/model/config.js";
import { LoraConfig, type LoraConfigInput } from "../../src/model/loraConfig.js";
import { pythonPattern } from "../../src/model/loraPatterns.js";

const model = readConfig("tests/golden/tiny-qwen2");
const plan = (input: LoraConfigInput) => planAdapter(model, new LoraConfig(input), true);
const modules = (input: LoraConfigInput) => [...plan(input).modules.keys()];

test("a list holds ends of paths, a string is the whole path", () => {
  expect(modules({ target_modules: ["self_attn.q_proj"] })).toEqual([0, 1, 2].map((layer) => `model.layers.${layer}.self_attn.q_proj`));
  expect(modules({ target_modules: ["model.layers.1.mlp.up_proj"] })).toEqual(["model.layers.1.mlp.up_proj"]);
  expect(modules({ target_modules: ["1.mlp.up_proj", "2.mlp.up_proj"] })).toHaveLength(2);
  expect(modules({ target_modules: ".*\\.0\\.self_attn\\.(q|k)_proj" })).toEqual([
    "model.layers.0.self_attn.q_proj",
    "model.layers.0.self_attn.k_proj",
  ]);
  // Python's named groups and anchors.
  expect(modules({ target_modules: "\\A.*\\.(?P<layer>[12])\\.mlp\\.down_proj\\Z" })).toHaveLength(2);
  expect(pythonPattern("(?P<a>x)(?P=a)\\\\Z", "t").source).toBe("(?<a>x)\\k<a>\\\\Z");
});

test("layers, exclusions and modules that are saved", () => {
  expect(modules({ target_modules: "all-linear" })).toHaveLength(21);
  expect(modules({ target_modules: ["q_proj"], layers_to_transform: 1 })).toEqual(["model.layers.1.self_attn.q_proj"]);
  expect(modules({ target_modules: ["q_proj"], layers_to_transform: [0, 2], layers_pattern: ["blocks", "layers"] })).toHaveLength(2);
  expect(modules({ target_modules: "all-linear", exclude_modules: ["mlp.up_proj"] })).toHaveLength(18);
  expect(modules({ target_modules: "all-linear", exclude_modules: ".*mlp.*" })).toHaveLength(12);
  // What is trained in full gets no A and B.
  expect(modules({ target_modules: ["q_proj", "o_proj"], modules_to_save: ["q_proj"] })).toHaveLength(3);
  expect(plan({ modules_to_save: ["norm"] }).replaced.map(({ name }) => name)).toContain("model.layers.2.post_attention_layernorm.weight");
});

test("rank and alpha by pattern: the first that fits", () => {
  const { modules: found } = plan({
    r: 8,
    lora_alpha: 4,
    use_rslora: true,
    target_modules: ["q_proj", "up_proj"],
    rank_pattern: { "layers.1.self_attn.q_proj": 16, q_proj: 4 },
    alpha_pattern: { "^model.layers.2.mlp.up_proj": 1 },
  });
  const at = (path: string) => [found.get(`model.layers.${path}`)!.r, found.get(`model.layers.${path}`)!.scaling];
  expect(at("0.self_attn.q_proj")).toEqual([4, 2]);
  expect(at("1.self_attn.q_proj")).toEqual([16, 1]);
  expect(at("1.mlp.up_proj")).toEqual([8, 4 / Math.sqrt(8)]);
  expect(at("2.mlp.up_proj")).toEqual([8, 1 / Math.sqrt(8)]);
});

test("a tied head", () => {
  const names = (input: LoraConfigInput) => plan(input).replaced.map(({ name, files }) => [name, ...files]);
  const [EMBEDDING, HEAD] = ["model.embed_tokens.weight", "lm_head.weight"];
  expect(names({ modules_to_save: ["lm_head"] })).toEqual([[HEAD, `base_model.model.${HEAD}`]]);
  expect(plan({ modules_to_save: ["embed_tokens"] }).unties).toBe(true);
  expect(plan({ modules_to_save: ["norm"] }).unties).toBe(false);
  for (const module of ["lm_head", "embed_tokens"]) {
    const tied = { modules_to_save: [module], ensure_weight_tying: true };
    expect(names(tied)).toEqual([[EMBEDDING, `base_model.model.${EMBEDDING}`, `base_model.model.${HEAD}`]]);
    expect(plan(tied).unties).toBe(false);
  }
});

describe("refused", () => {
  const wrong: [LoraConfigInput, string, string][] = [
    [
      { target_modules: ".*lm_head" },
      "no_target",
      "LoraConfig: target_modules must fit q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj only, got lm_head; LoRA on embedding and head is not supported; train it in full with modules_to_save",
    ],
    [{ target_modules: ".*norm" }, "no_target", "got model.layers.0.input_layernorm; it has no weight matrix"],
    [{ target_modules: "nothing" }, "no_target", 'at least one module must be adapted, got none for target_modules "nothing" on 3 layers'],
    [{ target_modules: ["q_proj"], exclude_modules: ["q_proj"] }, "no_target", "at least one module must be adapted"],
    [{ target_modules: ["q_proj", "9.mlp.up_proj"] }, "no_match", 'target_modules must fit a module of the model, got "9.mlp.up_proj"'],
    [{ modules_to_save: ["lm_haed"] }, "no_match", 'got "lm_haed", which fits none; correct it'],
    [{ modules_to_save: ["mlp", "up_proj"] }, "modules_overlap", "got model.layers.0.mlp with model.layers.0.mlp.up_proj inside"],
    // PEFT's exclusion knows whole names only, so "_proj" would be both.
    [{ target_modules: ["q_proj"], modules_to_save: ["q_proj", "_proj"] }, "no_target", "at least one module must be adapted"],
    [{ target_modules: ["q_proj"], modules_to_save: ["_proj"] }, "modules_overlap", "got model.layers.0.self_attn.q_proj"],
    [{ rank_pattern: { k_proj: 2 } }, "no_match", 'rank_pattern must fit a module of the model, got "k_proj", which fits none'],
    [{ layers_to_transform: [3] }, "no_match", "layers_to_transform must be layers of the model, 0 to 2, got 3; correct it"],
    [{ bias: "all", modules_to_save: ["k_proj"] }, "bias_twice", "got model.layers.0.self_attn.k_proj.bias; leave one of the two out"],
    [{ ensure_weight_tying: true }, "tying", "ensure_weight_tying needs embed_tokens or lm_head in modules_to_save, got neither"],
  ];
  test.each(wrong)("%j", (input, code, message) => {
    expect(() => plan(input)).toThrow(expect.objectContaining({ name: "ConfigError", code }));
    expect(() => plan(input)).toThrow(message);
  });

  test("tying an untied model", () => {
    const untied = { ...model, tie_word_embeddings: false };
    const config = new LoraConfig({ ensure_weight_tying: true, modules_to_save: ["lm_head"] });
    expect(() => planAdapter(untied, config, true)).toThrow(expect.objectContaining({ code: "tying" }));
    // PEFT warns and goes on: a file may say it.
    expect(planAdapter(untied, config).replaced.map(({ name }) => name)).toEqual(["lm_head.weight"]);
  });
});
