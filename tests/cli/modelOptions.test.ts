/** The bits of the base model, as the training commands take them. */
import { afterEach, expect, test } from "vitest";
import { MODEL_OPTIONS, checkModelOptions, loadModel } from "../../src/cli/modelOptions.js";
import type { CausalLM } from "../../src/model/index.js";

const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.base.dispose();
});

const options = (given: object) => MODEL_OPTIONS.resolve({ model_name_or_path: "tests/golden/tiny-qwen2", ...given }, { where: "dpo" });

test("--load_in_8bit is LLM.int8() with transformers' threshold", async () => {
  const model = await loadModel(options({ load_in_8bit: true }));
  models.push(model);
  expect(model.base.quantization_config?.to_dict()).toMatchObject({
    load_in_8bit: true,
    load_in_4bit: false,
    llm_int8_threshold: 6,
    llm_int8_backward: "int8",
  });
  expect(model.base.formatOf("model.layers.2.mlp.up_proj.weight")).toEqual({ kind: "int8", threshold: 6, backward: "int8" });
});

test.each([
  [{ load_in_4bit: true, load_in_8bit: true }, "--load_in_4bit and --load_in_8bit exclude each other; give one"],
  [{ load_in_8bit: true, use_bnb_nested_quant: true }, "--use_bnb_nested_quant needs --load_in_4bit"],
])("%j is refused", (given, message) => {
  expect(() => checkModelOptions(options(given), new Set(Object.keys(given)), "dpo")).toThrowError(
    expect.objectContaining({ code: "option_conflict", message: `dpo: ${message}` }) as Error,
  );
});
