/** Every variant of LoRA against PEFT's numbers: tests/golden/lora_variants.*. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type HostTensors, hostTensor } from "../../src/compile/index.js";
import { AutoModelForCausalLM, LoraConfig, PeftModel, type Qwen2ForCausalLM, get_peft_model, openAdapter } from "../../src/model/index.js";
import { planAdapter } from "../../src/model/adapterPlan.js";
import { dropoutWidths } from "../../src/train/sequence/dropout.js";
import { TINY, VARIANTS, distance, goldenTensors, l2, logpsAndGradients, newFolder, tokenLogps, writeAdapter } from "./goldenVariants.js";

const opened: Qwen2ForCausalLM[] = [];
afterEach(async () => {
  for (const model of opened.splice(0)) await model.dispose();
});

async function openBase(engine: "compiled" | "eager" = "compiled"): Promise<Qwen2ForCausalLM> {
  const model = await AutoModelForCausalLM.from_pretrained(TINY, engine === "eager" ? { engine, backend: "cpu" } : { threads: 1 });
  opened.push(model);
  return model;
}

/** The name of a trained tensor in PEFT's file. */
function fileName(model: PeftModel, name: string): string {
  const { replaced } = planAdapter(model.base.config, model.peft_config);
  return replaced.find((parameter) => parameter.name === name)?.files[0] ?? name;
}

/** lora_variants.py's masks. */
function masks(model: PeftModel): HostTensors {
  const tokens = VARIANTS.ids.length;
  return Object.fromEntries(
    [...dropoutWidths(model)].map(([path, width], module) => {
      const values = Float32Array.from({ length: tokens * width }, (_, at) => {
        const [t, i] = [Math.floor(at / width), at % width];
        return (7 * t + 3 * i + module) % 4 === 0 ? 0 : 4 / 3;
      });
      return [path, hostTensor(values, [tokens, width])];
    }),
  );
}

describe.each(Object.entries(VARIANTS.variants))("%s", (name, golden) => {
  test("log-probs, gradients, saved files and merged weights are PEFT's", async () => {
    const base = await openBase();
    const dir = await writeAdapter(name, golden.config);
    const model = await PeftModel.from_pretrained(base, dir);
    const own = golden.masked ?? golden;
    const { logps, gradients } = await logpsAndGradients(model, golden.masked === undefined ? {} : masks(model));
    expect(distance(logps, own.logps)).toBeLessThan(1e-4);
    expect(distance(await tokenLogps(model), golden.logps)).toBeLessThan(1e-4);

    const files = [...gradients.keys()].map((tensor) => fileName(model, tensor));
    expect(files.sort()).toEqual(Object.keys(own.gradient_norms).sort());
    const full = goldenTensors(`${name}.gradient`);
    for (const [tensor, gradient] of gradients) {
      const file = fileName(model, tensor);
      const norm = own.gradient_norms[file]!;
      expect(Math.abs(l2(gradient) - norm), file).toBeLessThan(2e-4 * norm + 1e-5);
      const expected = full.get(file);
      if (expected !== undefined) expect(distance(gradient, expected.values), file).toBeLessThan(2e-4 * norm + 1e-5);
    }

    const again = newFolder();
    await model.save_pretrained(again);
    expect(readFileSync(join(again, "adapter_model.safetensors")).equals(readFileSync(join(dir, "adapter_model.safetensors")))).toBe(true);
    expect(JSON.parse(readFileSync(join(again, "adapter_config.json"), "utf8"))).toEqual(golden.config);

    const merged = await model.merge_and_unload();
    expect(merged).toBe(base);
    expect(distance(await tokenLogps(merged), golden.merged_logps)).toBeLessThan(1e-4);
    expect(merged.config.tie_word_embeddings).toBe(golden.merged_tied);
    for await (const [parameter, , values] of merged.parameters())
      expect(Math.abs(l2(values) - golden.merged_norms[parameter]!), parameter).toBeLessThan(1e-4 * golden.merged_norms[parameter]! + 1e-6);
    // The merged checkpoint is a checkpoint.
    const folder = newFolder();
    await merged.save_pretrained(folder);
    const reopened = await AutoModelForCausalLM.from_pretrained(folder, { threads: 1 });
    opened.push(reopened);
    expect(distance(await tokenLogps(reopened), golden.merged_logps)).toBeLessThan(1e-4);
    await expect(model.load()).rejects.toMatchObject({ code: "merged" });
  });
});

test.each(["dora", "lm_head", "lora_bias"])("%s: eager is compiled", async (name) => {
  const golden = VARIANTS.variants[name]!;
  const model = await PeftModel.from_pretrained(await openBase("eager"), await writeAdapter(name, golden.config));
  const { logps, gradients } = await logpsAndGradients(model);
  expect(distance(logps, golden.logps)).toBeLessThan(1e-4);
  for (const [tensor, gradient] of gradients) {
    const norm = golden.gradient_norms[fileName(model, tensor)]!;
    expect(Math.abs(l2(gradient) - norm), tensor).toBeLessThan(2e-4 * norm + 1e-5);
  }
});

test("two active adapters, the second a DoRA", async () => {
  const base = await openBase();
  const [first, second] = [
    await writeAdapter("stack.default", VARIANTS.stack.configs["default"]!),
    await writeAdapter("stack.second", VARIANTS.stack.configs["second"]!),
  ];
  const model = await PeftModel.from_pretrained(base, first);
  await model.load_adapter(second, "second");
  model.set_adapter(["default", "second"]);
  expect(distance(await tokenLogps(model), VARIANTS.stack.logps)).toBeLessThan(1e-4);
  // The other way to the same model.
  const upon = await PeftModel.from_pretrained(await PeftModel.from_pretrained(base, first), second);
  expect(distance(await tokenLogps(upon), VARIANTS.stack.logps)).toBeLessThan(1e-4);
  expect(distance(await tokenLogps(await upon.merge_and_unload()), VARIANTS.stack.merged_logps)).toBeLessThan(1e-4);
});

describe("fresh adapters", () => {
  test.each(Object.entries(VARIANTS.variants))("%s starts as its base", async (_name, golden) => {
    const base = await openBase();
    const before = await tokenLogps(base);
    const config = openedConfig(golden.config);
    const model = get_peft_model(base, config);
    expect(distance(await tokenLogps(model), before)).toBeLessThan(2e-5);
    // Its files are those of a trained one.
    const dir = newFolder();
    await model.save_pretrained(dir);
    const saved = await openAdapter(dir, base.config);
    expect([...saved.tensors.keys()].sort()).toEqual([...goldenTensors(_name).keys()].sort());
  });

  test("init_lora_weights", async () => {
    const base = await openBase();
    const before = await tokenLogps(base);
    const options = { r: 4, target_modules: ["down_proj"], lora_bias: false };
    const gaussian = get_peft_model(base, new LoraConfig({ ...options, init_lora_weights: "gaussian" }), { seed: 3 });
    const engine = await gaussian.load();
    const a: number[] = [];
    for (const name of gaussian.trainable().keys())
      if (name.endsWith("lora_A.weight")) a.push(...((await engine.fetch(gaussian.storeName(name))).data as Float32Array));
    // Normal with deviation 1/r: 3 layers of 4 x 160 numbers, a standard error of 0.004.
    expect(Math.sqrt(a.reduce((sum, x) => sum + x * x, 0) / a.length)).toBeCloseTo(0.25, 1);
    expect(Math.max(...a.map(Math.abs))).toBeGreaterThan(0.6);
    expect(distance(await tokenLogps(gaussian), before)).toBeLessThan(2e-5);

    const random = get_peft_model(base, new LoraConfig({ r: 4, target_modules: ["q_proj"], lora_bias: true, init_lora_weights: false }));
    await random.load();
    for (const [name, shape] of random.trainable()) {
      const values = (await engine.fetch(random.storeName(name))).data as Float32Array;
      const bound = 1 / Math.sqrt(name.endsWith("lora_A.weight") ? shape[1]! : 4);
      const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      expect(largest, name).toBeGreaterThan(0.8 * bound);
      expect(largest, name).toBeLessThanOrEqual(bound * (1 + 1e-6));
    }
    expect(distance(await tokenLogps(random), before)).toBeGreaterThan(0.01);
  });
});

function openedConfig(config: object): LoraConfig {
  return new LoraConfig({ ...config, base_model_name_or_path: null } as ConstructorParameters<typeof LoraConfig>[0]);
}
