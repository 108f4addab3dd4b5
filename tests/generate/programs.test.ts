/** Every program of the decoder is one graph for all lengths: a session for each length would cost a second, and of blocks the weights once more. */
import { afterAll, expect, it } from "vitest";
import { buildForAnySize } from "../../src/compile/buildProgram.js";
import type { Engine, Program, Signature, TensorFunction } from "../../src/compile/index.js";
import { MAX_LANES } from "../../src/generate/decoder.js";
import { copyProgram, laneProgram, rowProgram } from "../../src/generate/programs.js";
import { AutoModelForCausalLM, BitsAndBytesConfig, type CausalLM, get_peft_model } from "../../src/model/index.js";
import { smallLora, writeModel } from "../train/tinyModel.js";

const models: CausalLM[] = [];
afterAll(async () => {
  for (const model of models) await model.base.dispose();
});

const FORMATS = {
  fp32: {},
  lora: {},
  dora: {},
  q8: { dtype: "q8" },
  q4: { dtype: "q4" },
  nf4: { quantization_config: new BitsAndBytesConfig({ load_in_4bit: true, bnb_4bit_quant_type: "nf4" }) },
  int8: { quantization_config: new BitsAndBytesConfig({ load_in_8bit: true }) },
} as const;

async function newModel(kind: keyof typeof FORMATS): Promise<CausalLM> {
  // Large enough a vocabulary for blocks of the head.
  const dir = await writeModel({ hidden_size: 64, intermediate_size: 64, vocab_size: kind === "nf4" ? 17_000 : 736 });
  const base = await AutoModelForCausalLM.from_pretrained(dir, { threads: 1, ...FORMATS[kind] });
  models.push(base);
  await base.load();
  return kind === "lora" || kind === "dora" ? get_peft_model(base, smallLora({ use_dora: kind === "dora" })) : base;
}

it.each(Object.keys(FORMATS) as (keyof typeof FORMATS)[])("of %s", async (kind) => {
  const model = await newModel(kind);
  const compiled: [name: string, TensorFunction, Signature, inPlace: boolean][] = [];
  const engine = {
    compile: (fn: TensorFunction, signature: Signature, { name, sizes, inPlace }: { name: string; sizes?: string; inPlace?: boolean }) => {
      expect(sizes, name).toBe("any");
      compiled.push([name, fn, signature, inPlace ?? false]);
      return {} as Program;
    },
  } as unknown as Engine;
  rowProgram(model, engine);
  for (const lanes of [2, MAX_LANES]) laneProgram(model, engine, lanes);
  copyProgram(model, engine);
  expect(compiled).toHaveLength(4);
  for (const [name, fn, signature, inPlace] of compiled) {
    const built = buildForAnySize(name, fn, signature, inPlace);
    expect(built, name).toBeDefined();
    // Blocks go to the session as constants, everything else is fed.
    const isBlocks = (input: string) => /\.block_(codes|scales)$/.test(input);
    expect(Object.keys(built!.fixed).every(isBlocks)).toBe(true);
    expect([...built!.inputs].some(isBlocks)).toBe(false);
    expect(Object.keys(built!.fixed).length > 0).toBe(kind.startsWith("q") && name !== "copy of a cache");
  }
});
