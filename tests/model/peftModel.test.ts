/** Several adapters on one model: PEFT's verbs, saving, loading, freeing. */
import { existsSync, readFileSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { generateTokens } from "../../src/generate/index.js";
import {
  AutoModelForCausalLM,
  AutoPeftModelForCausalLM,
  type CausalLM,
  LoraConfig,
  type LoraConfigInput,
  PeftModel,
  type Qwen2ForCausalLM,
  get_peft_model,
} from "../../src/model/index.js";
import { GOLDEN, TINY, VARIANTS, distance, newFolder, tokenLogps, writeAdapter } from "./goldenVariants.js";

const opened: Qwen2ForCausalLM[] = [];
afterEach(async () => {
  for (const model of opened.splice(0)) await model.dispose();
});
async function openBase(dir: string = TINY): Promise<Qwen2ForCausalLM> {
  const model = await AutoModelForCausalLM.from_pretrained(dir, { threads: 1 });
  opened.push(model);
  return model;
}
const lora = (more: LoraConfigInput = {}): LoraConfig => new LoraConfig({ r: 2, target_modules: ["q_proj"], ...more });
const random = (more: LoraConfigInput = {}): LoraConfig => lora({ init_lora_weights: false, ...more });

describe("verbs", () => {
  test("add, set, freeze, delete", async () => {
    const base = await openBase();
    const plain = await tokenLogps(base);
    const model = get_peft_model(base, random());
    const one = await tokenLogps(model);
    model.add_adapter("second", random({ target_modules: ["v_proj"] }), { seed: 7 });
    expect(model.active_adapters).toEqual(["default"]);
    expect([...model.adapters.keys()]).toEqual(["default", "second"]);
    expect(distance(await tokenLogps(model), one)).toBe(0);
    expect(model.trainable().size).toBe(6);

    model.set_adapter(["default", "second"]);
    const both = await tokenLogps(model);
    expect(distance(both, one)).toBeGreaterThan(1e-3);
    expect(model.trainable().size).toBe(12);
    const stores = [...model.trainable().keys()].map((name) => model.storeName(name));
    expect(new Set(stores).size).toBe(12);
    model.set_requires_grad("default", false);
    expect(model.trainable().size).toBe(6);
    expect([...model.trainable().keys()].every((name) => name.includes("v_proj"))).toBe(true);
    expect(model.peft_config.targets).toEqual(["v_proj"]);
    expect(distance(await tokenLogps(model), both)).toBeLessThan(1e-6);
    model.set_requires_grad(["default"]);
    expect(model.trainable().size).toBe(12);

    model.set_adapter("second", { inference_mode: true });
    expect(model.trainable().size).toBe(0);
    const engine = await base.load();
    const before = engine.names().length;
    await model.delete_adapter("second");
    expect(model.active_adapters).toEqual(["default"]);
    expect(engine.names().length).toBe(before - 6);
    expect(distance(await tokenLogps(model), one)).toBe(0);
    await model.dispose();
    expect(engine.names("adapter")).toEqual([]);
    expect(distance(await tokenLogps(model.disable_adapter()), plain)).toBe(0);
  });

  test("what does not go together is refused", async () => {
    const base = await openBase();
    const model = get_peft_model(base, lora({ modules_to_save: ["norm"], bias: "all" }));
    const thrown = (work: () => unknown) => {
      try {
        work();
      } catch (error) {
        return error;
      }
    };
    expect(thrown(() => model.add_adapter("default", lora()))).toMatchObject({
      code: "adapter_name",
      message: `PeftModel: an adapter's name must be new, got "default"; choose another or delete_adapter first`,
    });
    expect(thrown(() => model.add_adapter("a/b", lora()))).toMatchObject({ code: "adapter_name" });
    expect(thrown(() => model.add_adapter("b", lora({ bias: "lora_only" })))).toMatchObject({ code: "two_biases" });
    expect(thrown(() => model.set_adapter("other"))).toMatchObject({
      code: "adapter_unknown",
      message: `PeftModel.set_adapter: the adapter must be one of default, got "other"; choose one of them`,
    });
    expect(thrown(() => model.set_adapter([]))).toMatchObject({ code: "adapter_unknown" });
    model.add_adapter("copies", lora({ modules_to_save: ["model.norm"] }));
    expect(thrown(() => model.set_adapter(["default", "copies"]))).toMatchObject({
      code: "two_copies",
      message:
        "PeftModel.set_adapter: one active adapter at most may have its own copy of a parameter, got model.norm.weight in default and copies; activate one of them",
    });
    model.add_adapter("dropped", lora({ lora_dropout: 0.5 }));
    expect(thrown(() => model.set_adapter(["default", "dropped"]))).toMatchObject({ code: "two_dropouts" });
    model.set_adapter(["default", "dropped"], { inference_mode: true });
    model.set_requires_grad("default");
    expect(thrown(() => model.set_requires_grad("dropped"))).toMatchObject({ code: "two_dropouts" });
    await expect(get_peft_model(base, lora()).delete_adapter("default")).rejects.toMatchObject({ code: "last_adapter" });
    await expect(model.save_pretrained(newFolder(), { selected_adapters: ["x"] })).rejects.toMatchObject({ code: "adapter_unknown" });
    await expect(get_peft_model(base, lora({ lora_bias: true, target_modules: ["o_proj"] })).merge_and_unload()).rejects.toMatchObject({
      code: "lora_bias_merge",
      message:
        "PeftModel.merge_and_unload: lora_bias needs projections with a bias of their own (q_proj, k_proj, v_proj), got model.layers.0.self_attn.o_proj; keep the adapter beside the model",
    });
  });

  test("saving: default in the folder, others in sub-folders, in one go", async () => {
    const base = await openBase();
    const model = get_peft_model(base, random());
    model.add_adapter("second", random({ target_modules: ["v_proj"] }));
    const dir = newFolder();
    await model.save_pretrained(dir, {
      selected_adapters: ["default", "second"],
      alsoWrite: async (folder) => writeFileSync(join(folder, "x"), ""),
    });
    expect(readdirSync(dir).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors", "second", "x"]);
    expect(readdirSync(join(dir, "second")).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    const again = await PeftModel.from_pretrained(base, dir);
    await again.load_adapter(join(dir, "second"), "second");
    for (const names of ["default", "second", ["default", "second"]]) {
      model.set_adapter(names);
      again.set_adapter(names);
      expect(distance(await tokenLogps(again), await tokenLogps(model))).toBeLessThan(1e-6);
    }
    // Only what is trained by default.
    again.set_adapter("second");
    const trained = newFolder();
    await again.save_pretrained(trained);
    expect(readdirSync(trained)).toEqual(["second"]);
  });
});

describe("one upon another", () => {
  test("an adapter beneath that was never saved goes along, and moves with the folder", async () => {
    const top = get_peft_model(
      get_peft_model(get_peft_model(await openBase(resolve(TINY)), random()), random({ use_dora: true }), { seed: 1 }),
      random(),
      {
        seed: 2,
      },
    );
    const before = await tokenLogps(top);
    const dir = newFolder();
    await top.save_pretrained(dir);
    expect(readdirSync(dir).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors", "beneath-1", "beneath-2"]);
    const moved = newFolder();
    renameSync(dir, moved);
    // The path in the file is no more; the folders beside it count.
    const file = join(moved, "beneath-2", "adapter_config.json");
    const config = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    expect(config["base_model_name_or_path"]).toBe(join(dir, "beneath-1"));
    const again = await AutoPeftModelForCausalLM.from_pretrained(moved, { threads: 1 });
    opened.push(again.base);
    expect(distance(await tokenLogps(again), before)).toBeLessThan(1e-5);
    expect(again.trainable().size).toBe(6);
  });

  test("copies and lengths start from what is beneath", async () => {
    const base = await openBase();
    const golden = VARIANTS.variants["norms"]!;
    const below = await PeftModel.from_pretrained(base, await writeAdapter("norms", golden.config));
    const top = get_peft_model(below, lora({ modules_to_save: ["norm"], use_dora: true, bias: "all" }));
    expect(distance(await tokenLogps(top), golden.logps)).toBeLessThan(1e-4);
    const head = await PeftModel.from_pretrained(base, await writeAdapter("lm_head", VARIANTS.variants["lm_head"]!.config));
    const untied = get_peft_model(head, lora());
    expect(untied.config.tie_word_embeddings).toBe(false);
    expect(distance(await tokenLogps(untied), VARIANTS.variants["lm_head"]!.logps)).toBeLessThan(1e-4);
    const both = get_peft_model(head, lora({ modules_to_save: ["lm_head", "embed_tokens"] }));
    expect(distance(await tokenLogps(both), VARIANTS.variants["lm_head"]!.logps)).toBeLessThan(1e-4);
    const merged = await both.merge_and_unload();
    expect(merged.config.tie_word_embeddings).toBe(false);
    expect(distance(await tokenLogps(merged), VARIANTS.variants["lm_head"]!.logps)).toBeLessThan(1e-4);
  });
});

test("AutoPeftModelForCausalLM", async () => {
  const dir = newFolder();
  const golden = await PeftModel.from_pretrained(await openBase(), `${GOLDEN}/lora_final`);
  await golden.save_pretrained(dir);
  const set = (base_model_name_or_path: string | null): void => {
    const file = join(dir, "adapter_config.json");
    writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, "utf8")) as object), base_model_name_or_path }));
  };
  set(TINY);
  const model = await AutoPeftModelForCausalLM.from_pretrained(dir, { threads: 1, is_trainable: false });
  opened.push(model.base);
  expect(model.trainable().size).toBe(0);
  expect(distance(await tokenLogps(model), await tokenLogps(golden))).toBeLessThan(1e-6);
  set(null);
  await expect(AutoPeftModelForCausalLM.from_pretrained(dir)).rejects.toMatchObject({
    code: "adapter_base",
    message: `${dir}: base_model_name_or_path in adapter_config.json must name the base model, got null; load that model and use PeftModel.from_pretrained(model, dir)`,
  });
  expect(existsSync(dir)).toBe(true);
});

test.each(["dora", "lm_head", "patterns"])("generation with %s, beside and merged", async (name) => {
  const base = await openBase();
  const model = await PeftModel.from_pretrained(base, await writeAdapter(name, VARIANTS.variants[name]!.config));
  const beside = await greedy(model);
  // The base model goes elsewhere: the adapter is in what was generated.
  expect(beside).not.toEqual(await greedy(base));
  expect(await greedy(await model.merge_and_unload())).toEqual(beside);
});

async function greedy(model: CausalLM): Promise<number[]> {
  const ids: number[] = [];
  for await (const id of generateTokens(model, VARIANTS.ids, { max_new_tokens: 8, do_sample: false })) ids.push(id);
  return ids;
}
