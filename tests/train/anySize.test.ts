/** Every training program is one graph for all lengths: a session for each length would cost a second and half a gigabyte at 0.5B. */
import { afterEach, expect, it } from "vitest";
import { buildForAnySize } from "../../src/compile/buildProgram.js";
import type { Engine, Program, Signature, TensorFunction } from "../../src/compile/index.js";
import { AutoModelForCausalLM, BitsAndBytesConfig, type CausalLM, LoraConfig, get_peft_model } from "../../src/model/index.js";
import { dpoPreference, orpoPreference } from "../../src/train/dpo/preference.js";
import { gradientProgram, scoringProgram } from "../../src/train/dpo/pairProgram.js";
import { gradientProgram as rowGradient, scoringProgram as rowScoring } from "../../src/train/kto/rowProgram.js";
import { ORPOConfig, KTOConfig } from "../../src/train/index.js";
import type { GradientProgram } from "../../src/train/optimizer/gradientSums.js";
import { dropoutWidths } from "../../src/train/sequence/dropout.js";
import { NO_PARTS } from "../../src/train/sequence/pairLayout.js";
import { type SequenceForm, idsName } from "../../src/train/sequence/sequenceInputs.js";
import { textGradientProgram, textScoringProgram } from "../../src/train/sequence/textProgram.js";
import type { SequenceProgram } from "../../src/train/sequence/sequenceProgram.js";
import { hostTensor } from "../../src/compile/index.js";
import { EVERY_PROJECTION, quiet, writeModel } from "./tinyModel.js";

const models: CausalLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.base.dispose();
});

async function newModel(kind: string): Promise<CausalLM> {
  const quantised = { nf4: { load_in_4bit: true, bnb_4bit_quant_type: "nf4" }, int8: { load_in_8bit: true } } as const;
  const quantization_config = kind in quantised ? new BitsAndBytesConfig(quantised[kind as keyof typeof quantised]) : undefined;
  // Large enough a vocabulary for blocks of the head.
  const shape = { hidden_size: 64, intermediate_size: 64, vocab_size: kind === "all weights" ? 17_000 : 736 };
  const base = await AutoModelForCausalLM.from_pretrained(await writeModel(shape), { quantization_config, threads: 1 });
  const lora = { r: 2, target_modules: [...EVERY_PROJECTION], lora_dropout: kind === "dropout" ? 0.1 : 0, use_dora: kind === "dora" };
  const model = kind === "all weights" ? base : get_peft_model(base, new LoraConfig(lora));
  models.push(model);
  await model.load();
  return model;
}

type Runs = Pick<SequenceProgram, "run">;

/** An engine that keeps what it is to compile. */
function recording(): { engine: Engine; readonly build: (program: Runs, form: SequenceForm) => Promise<unknown> } {
  let given: [TensorFunction, Signature, string | undefined, boolean] | undefined;
  const stop = new Error("compiled");
  const engine = {
    has: () => false,
    clear: () => Promise.resolve(),
    compile: (fn: TensorFunction, signature: Signature, options: { sizes?: string; inPlace?: boolean } = {}): Partial<Program> => ({
      run: () => {
        given = [fn, signature, options.sizes, options.inPlace ?? false];
        return Promise.reject(stop);
      },
    }),
  } as unknown as Engine;
  const one = hostTensor(Int32Array.of(0), [1]);
  return {
    engine,
    build: async (program, form) => {
      const places = form === 0 ? { segments: one } : Object.fromEntries(Array.from({ length: form }, (_, i) => [idsName(i), one]));
      await expect(program.run({ ...places, targets: one })).rejects.toBe(stop);
      const [fn, signature, sizes, inPlace] = given!;
      expect(sizes).toBe("any");
      return buildForAnySize("program", fn, signature, inPlace);
    },
  };
}

it.each(["lora", "dropout", "dora", "nf4", "int8", "all weights"])("of %s", async (kind) => {
  const model = await newModel(kind);
  const widths = dropoutWidths(model);
  const { engine, build } = recording();
  const dpo = dpoPreference(quiet({ use_weighting: true, ld_alpha: 0.5 }));
  const orpo = orpoPreference(new ORPOConfig({ output_dir: "unused" }));
  const kto = new KTOConfig({ output_dir: "unused" });
  const objective = (preference: typeof dpo) => ({ kind: "loss", ...preference }) as const;
  const [pairs, texts]: SequenceForm[][] = [
    [0, 3],
    [0, 2],
  ];
  // The forms that rows of the method take; a pair whose prompt is scored stands under a mask.
  const gradients = (recompute: number): [GradientProgram, SequenceForm[]][] => [
    [gradientProgram(engine, model, objective(dpo), dpo.parts, widths, recompute), pairs!],
    [gradientProgram(engine, model, objective(orpo), orpo.parts, widths, recompute), [0]],
    [gradientProgram(engine, model, { kind: "slopes" }, NO_PARTS, widths, recompute), pairs!],
    [rowGradient(engine, model, kto, widths, recompute), texts!],
    [textGradientProgram(engine, model, { dropoutWidths: widths, noise: true, recompute, loss: "dft" }), texts!],
  ];
  const programs: [Runs, SequenceForm[]][] = [
    // Sums are cleared in front of a step's first row only.
    ...[...gradients(0), ...(kind === "lora" ? gradients(1) : [])].map(([program, forms]): [Runs, SequenceForm[]] => [
      { run: (inputs) => program.run(inputs, false) },
      forms,
    ]),
    [scoringProgram(engine, model, { parts: dpo.parts, dropoutWidths: widths }), pairs!],
    [rowScoring(engine, model, { metrics: true, dropoutWidths: widths }), [...texts!, ...pairs!]],
    [textScoringProgram(engine, model), texts!],
  ];
  for (const [i, [program, forms]] of programs.entries()) {
    for (const form of forms) expect(await build(program, form), `program ${i}, form ${form}`).toBeDefined();
  }
});
