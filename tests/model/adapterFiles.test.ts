import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { readFileTensor } from "../../src/compile/fileTensors.js";
import {
  adapterShapes,
  adapterTensorName,
  openAdapter,
  parseAdapterConfig,
  readAdapterConfig,
  saveAdapter,
} from "../../src/model/adapterFiles.js";
import type { NamedTensor } from "../../src/model/checkpointWriter.js";
import { readConfig } from "../../src/model/config.js";
import { LoraConfig, type LoraConfigInput } from "../../src/model/loraConfig.js";
import type { JsonObject } from "../../src/model/pythonJson.js";
import { Random } from "../../src/random.js";

const golden = new URL("../golden/", import.meta.url).pathname;
const model = readConfig(join(golden, "tiny-qwen2"));
const goldenAdapters = readdirSync(golden).filter(
  (name) => name.startsWith("lora_") && existsSync(join(golden, name, "adapter_config.json")),
);
let root: string;
let dir: string;
let count = 0;
beforeAll(() => void (root = mkdtempSync(join(tmpdir(), "preflab-adapter-"))));
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => void (dir = join(root, `case-${count++}`)));

describe("LoraConfig", () => {
  test("defaults are PEFT's class defaults", () => {
    const config = new LoraConfig();
    expect({ ...config }).toEqual({
      r: 8,
      lora_alpha: 8,
      lora_dropout: 0,
      target_modules: null,
      exclude_modules: null,
      layers_to_transform: null,
      layers_pattern: null,
      rank_pattern: {},
      alpha_pattern: {},
      modules_to_save: null,
      ensure_weight_tying: false,
      bias: "none",
      lora_bias: false,
      use_rslora: false,
      use_dora: false,
      init_lora_weights: true,
      task_type: "CAUSAL_LM",
      base_model_name_or_path: null,
    });
    // PEFT's own choice for qwen2.
    expect(config.targets).toEqual(["q_proj", "v_proj"]);
    expect(config.scaling).toBe(1);
  });

  test("targets and scale", () => {
    const all = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    expect(new LoraConfig({ target_modules: "all-linear" }).targets).toEqual(all);
    expect(new LoraConfig({ target_modules: ["v_proj", "down_proj", "v_proj"] }).targets).toEqual(["v_proj", "down_proj"]);
    expect(new LoraConfig({ target_modules: "up_proj" }).targets).toEqual(["up_proj"]);
    expect(new LoraConfig({ target_modules: ["0.mlp.up_proj", "self_attn.k_proj"] }).targets).toEqual(["k_proj", "up_proj"]);
    expect(new LoraConfig({ target_modules: ".*\\.1\\.self_attn\\.[qv]_proj" }).targets).toEqual(["q_proj", "v_proj"]);
    expect(new LoraConfig({ r: 16, lora_alpha: 32 }).scaling).toBe(2);
    expect(new LoraConfig({ r: 16, lora_alpha: 32, use_rslora: true }).scaling).toBe(8);
    expect(new LoraConfig({ r: 4 }).with({ lora_alpha: 2 })).toMatchObject({ r: 4, lora_alpha: 2, scaling: 0.5 });
  });

  const wrong: [object, string, string][] = [
    [{ r: 0 }, "option_range", "LoraConfig: r must be >= 1, got 0; the default is 8"],
    [{ r: 2.5 }, "option_type", "LoraConfig: r must be an integer >= 1, got 2.5; the default is 8"],
    [{ lora_alpha: 0 }, "option_range", "LoraConfig: lora_alpha must be > 0, got 0; the default is 8"],
    [{ lora_dropout: 1 }, "option_range", "LoraConfig: lora_dropout must be >= 0 and < 1, got 1; the default is 0"],
    [{ bias: "some" }, "option_choice", 'LoraConfig: bias must be one of none, all, lora_only, got "some"; the default is "none"'],
    [
      { init_lora_weights: "pissa_niter_4" },
      "option_unsupported",
      'LoraConfig: init_lora_weights must be true, false or "gaussian", got "pissa_niter_4"; PiSSA changes the base model\'s weights before training',
    ],
    [
      { init_lora_weights: "zero" },
      "option_type",
      'LoraConfig: init_lora_weights must be true, false or "gaussian", got "zero"; the default is true',
    ],
    [
      { trainable_token_indices: [1] },
      "option_unsupported",
      "LoraConfig: trainable_token_indices is not supported, got [1]: training single rows of the embedding is not implemented; modules_to_save trains all of it; leave it out",
    ],
    [
      { fan_in_fan_out: true },
      "option_unsupported",
      "LoraConfig: fan_in_fan_out is not supported, got true: Qwen2 has no layer that stores its weight transposed; leave it out",
    ],
    [
      { rank_pattern: { q_proj: 2.5 } },
      "option_type",
      'LoraConfig: rank_pattern must be names or patterns with integers >= 1, got {"q_proj":2.5}; the default is {}',
    ],
    [
      { alpha_pattern: { "(": 1 } },
      "pattern",
      'LoraConfig: alpha_pattern must be a regular expression that Python and JavaScript share, got "(": Invalid regular expression: /(/: Unterminated group; write it more simply, or list the names',
    ],
    [
      { target_modules: ".*q_proj", layers_to_transform: [0] },
      "option_conflict",
      'LoraConfig: layers_to_transform needs a list of names in target_modules, got ".*q_proj"; put the layers into the regular expression',
    ],
    [
      { layers_pattern: "layers" },
      "option_conflict",
      "LoraConfig: layers_pattern needs layers_to_transform, got null; set it, or leave out layers_pattern",
    ],
    [
      { lora_bias: true, use_dora: true },
      "option_conflict",
      "LoraConfig: lora_bias needs use_dora false, got true; leave out one of the two, as PEFT asks",
    ],
    [
      { lora_bias: true, init_lora_weights: "gaussian" },
      "option_conflict",
      'LoraConfig: lora_bias needs init_lora_weights true or false, got "gaussian"; leave out one of the two, as PEFT asks',
    ],
    [{ rr: 4 }, "option_unknown", "LoraConfig: unknown option rr; did you mean r?"],
    [{ target_modules: [] }, "option_range", "LoraConfig: target_modules must be at least one value or null, got []; the default is null"],
    [
      { target_modules: ["all-linear", "q_proj"] },
      "option_range",
      'LoraConfig: target_modules must be names or "all-linear" alone, got all-linear, q_proj; drop one of the two',
    ],
    [
      { target_modules: ["lm_head"] },
      "option_range",
      'LoraConfig: target_modules must be names that end in q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or "all-linear" or null, got "lm_head"; the default is null',
    ],
  ];
  test.each(wrong)("%j", (input, code, message) => {
    expect(() => new LoraConfig(input as LoraConfigInput)).toThrow(expect.objectContaining({ name: "ConfigError", code, message }));
  });

  test("what is off may be said", () => {
    const input = { use_dora: false, rank_pattern: {}, modules_to_save: null, layers_to_transform: null } as LoraConfigInput;
    expect({ ...new LoraConfig(input) }).toEqual({ ...new LoraConfig() });
  });
});

describe("reading", () => {
  test.each(goldenAdapters)("golden %s", async (name) => {
    const { config, tensors } = await openAdapter(join(golden, name), model);
    expect({ ...config }).toMatchObject({
      r: 4,
      lora_alpha: 8,
      target_modules: ["q_proj", "v_proj"],
      base_model_name_or_path: "tiny-qwen2",
    });
    expect(config.scaling).toBe(2);
    expect(tensors.size).toBe(12);
    expect([...tensors.keys()].slice(0, 2)).toEqual([
      "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
      "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
    ]);
    const b = readFileTensor(tensors.get(adapterTensorName("model.layers.2.self_attn.v_proj", "B"))!);
    expect(b.length).toBe(32 * 4);
    // A fresh adapter starts as no change.
    expect(b.every((value) => value === 0)).toBe(name === "lora_fresh_init");
  });

  test("shapes for all seven projections", () => {
    const shapes = adapterShapes(model, new LoraConfig({ r: 3, target_modules: "all-linear" }));
    expect(shapes.size).toBe(3 * 7 * 2);
    const of = (module: string) =>
      ["A", "B"].map((matrix) => shapes.get(adapterTensorName(`model.layers.1.${module}`, matrix as "A" | "B")));
    expect(of("self_attn.k_proj")).toEqual([
      [3, 64],
      [32, 3],
    ]);
    expect(of("mlp.gate_proj")).toEqual([
      [3, 64],
      [160, 3],
    ]);
    expect(of("mlp.down_proj")).toEqual([
      [3, 160],
      [64, 3],
    ]);
  });

  test("an adapter of another base model, rank or set of modules", async () => {
    cpSync(join(golden, "lora_init"), dir, { recursive: true });
    const file = join(dir, "adapter_config.json");
    const raw = JSON.parse(readFileSync(file, "utf8")) as JsonObject;
    writeFileSync(file, JSON.stringify({ ...raw, r: 8 }));
    const error = await openAdapter(dir, model).catch((cause: unknown) => cause as Error);
    expect(error).toMatchObject({ name: "ModelError", code: "tensors_mismatch" });
    expect((error as Error).message).toContain(
      "12 of the wrong shape: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight must be [8, 64], got [4, 64], ",
    );
    expect((error as Error).message).toContain(
      'and 2 more; check that the adapter was made for this base model (adapter_config.json says "tiny-qwen2")',
    );
    writeFileSync(file, JSON.stringify({ ...raw, target_modules: ["q_proj", "k_proj"] }));
    await expect(openAdapter(dir, model)).rejects.toThrow(
      "got 6 missing: base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight [4, 64], base_model.model.model.layers.0.self_attn.k_proj.lora_B.weight [32, 4], ",
    );
  });

  test("folders that are no adapter", async () => {
    const base = join(golden, "tiny-qwen2");
    await expect(openAdapter(base, model)).rejects.toMatchObject({
      code: "adapter_missing",
      message: `${base}: an adapter folder must hold adapter_config.json, got none; pass the folder of the adapter, not of its base model`,
    });
    mkdirSync(dir);
    cpSync(join(golden, "lora_init/adapter_config.json"), join(dir, "adapter_config.json"));
    await expect(openAdapter(dir, model)).rejects.toThrow(
      `${dir}: an adapter folder must hold adapter_model.safetensors, got none; check that the download is complete`,
    );
  });

  const raw = JSON.parse(readFileSync(join(golden, "lora_init/adapter_config.json"), "utf8")) as JsonObject;
  const wrong: [JsonObject, string][] = [
    [{ peft_type: "IA3" }, 'c: peft_type must be "LORA", got "IA3"; other kinds of adapter are not supported'],
    [
      { use_qalora: true },
      "c: the adapter must be one that is supported, got LoraConfig: use_qalora is not supported, got true: QA-LoRA is for GPTQ models; leave it out",
    ],
    [{ use_new_thing: true }, "c: the adapter must be one that is supported, got LoraConfig: unknown option use_new_thing; "],
    [
      { init_lora_weights: "pissa" },
      "c: the adapter must be one that is supported, got LoraConfig: init_lora_weights must be true, false or ",
    ],
    [{ r: -1 }, "c: the adapter must be one that is supported, got LoraConfig: r must be >= 1, got -1; the default is 8"],
  ];
  test.each(wrong)("%j", (changes, message) => {
    const parse = () => parseAdapterConfig({ ...raw, ...changes }, "c");
    expect(parse).toThrow(expect.objectContaining({ name: "ModelError", code: "adapter_config" }));
    expect(parse).toThrow(message);
  });

  test("random starts that left the base alone, and no task type", () => {
    for (const init of [true, false, "gaussian"])
      expect(parseAdapterConfig({ ...raw, init_lora_weights: init }, "c").init_lora_weights).toBe(init);
    expect(parseAdapterConfig({ ...raw, init_lora_weights: "orthogonal" }, "c").init_lora_weights).toBe(true);
    expect(parseAdapterConfig({ ...raw, task_type: null }, "c").task_type).toBe("CAUSAL_LM");
  });

  test("keys of a later PEFT that are off, and a file without the newer keys", () => {
    expect(parseAdapterConfig({ ...raw, use_new_thing: false, new_config: {} }, "c").r).toBe(4);
    expect(parseAdapterConfig({ peft_type: "LORA", r: 2, target_modules: "all-linear" }, "c")).toMatchObject({ r: 2, lora_alpha: 8 });
  });
});

describe("saving", () => {
  test.each(goldenAdapters)("golden %s comes back byte for byte", async (name) => {
    const { config, tensors } = await openAdapter(join(golden, name), model);
    const stored = new Random(6)
      .shuffle([...tensors.values()])
      .map((entry): NamedTensor => [entry.name, entry.shape, readFileTensor(entry)]);
    await saveAdapter(dir, model, config, stored);
    expect(readdirSync(dir).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    for (const file of readdirSync(dir))
      expect(readFileSync(join(dir, file)).equals(readFileSync(join(golden, name, file))), file).toBe(true);
  });

  test("a config made here reads back equal, and has every key of PEFT's file", async () => {
    const config = new LoraConfig({
      r: 2,
      lora_alpha: 3,
      lora_dropout: 0.1,
      use_rslora: true,
      target_modules: "all-linear",
      base_model_name_or_path: "Qwen/é",
    });
    const random = new Random(7);
    const tensors = [...adapterShapes(model, config)].map(([name, shape]): NamedTensor => [
      name,
      shape,
      Float32Array.from({ length: shape[0]! * shape[1]! }, () => random.normal()),
    ]);
    await saveAdapter(dir, model, config, tensors, async (folder) => writeFileSync(join(folder, "README.md"), "card"));
    const back = await openAdapter(dir, model);
    // "all-linear" is written out, as PEFT does.
    expect({ ...back.config }).toEqual({ ...config, target_modules: config.targets });
    for (const [name, , values] of tensors) expect(readFileTensor(back.tensors.get(name)!)).toEqual(values);
    const reference = JSON.parse(readFileSync(join(golden, "lora_init/adapter_config.json"), "utf8")) as JsonObject;
    expect(Object.keys(config.toJson()).sort()).toEqual(Object.keys(reference).sort());
    expect(new LoraConfig({ r: 4, target_modules: ["q_proj", "v_proj"], base_model_name_or_path: "tiny-qwen2" }).toJson()).toEqual(
      reference,
    );
    expect(readAdapterConfig(dir).lora_dropout).toBe(0.1);
    expect(readFileSync(join(dir, "README.md"), "utf8")).toBe("card");
  });

  test("what does not fit is refused, and nothing is left behind", async () => {
    const { config, tensors } = await openAdapter(join(golden, "lora_init"), model);
    const stored = [...tensors.values()].map((entry): NamedTensor => [entry.name, entry.shape, readFileTensor(entry)]);
    await expect(saveAdapter(dir, model, config, stored.slice(1))).rejects.toMatchObject({ code: "tensors_missing" });
    await expect(saveAdapter(dir, model, config, [["lora_A", [4, 64], new Float32Array(256)]])).rejects.toMatchObject({
      code: "tensor_unknown",
    });
    const [name, , values] = stored[0]!;
    await expect(saveAdapter(dir, model, config, [[name, [64, 4], values]])).rejects.toMatchObject({
      code: "tensor_size",
      message: `saveAdapter: ${name} must be [4, 64] by the config, got [64, 4]; check the adapter`,
    });
    expect(readdirSync(root).filter((entry) => entry.includes(`case-${count - 1}`))).toEqual([]);
  });
});
