/** CPOConfig and ORPOConfig: TRL's defaults, and what contradicts itself. */
import { describe, expect, expectTypeOf, test } from "vitest";
import { CPOConfig, ORPOConfig } from "../../src/train/index.js";

// TRL 1.13, trl/experimental/cpo/cpo_config.py and orpo/orpo_config.py.
const SHARED = {
  learning_rate: 1e-6,
  max_length: 1024,
  disable_dropout: true,
  beta: 0.1,
  logging_steps: 10,
  per_device_train_batch_size: 8,
  num_train_epochs: 3,
};

describe("CPOConfig", () => {
  test("defaults are TRL's", () => {
    expect(new CPOConfig()).toMatchObject({
      ...SHARED,
      loss_type: "sigmoid",
      cpo_alpha: 1,
      simpo_gamma: 0.5,
      alpha: 0,
      label_smoothing: 0,
    });
    expectTypeOf(new CPOConfig().loss_type).toEqualTypeOf<"sigmoid" | "hinge" | "ipo" | "simpo">();
  });

  test("alphapo is simpo without the likelihood term", () => {
    expect(new CPOConfig({ loss_type: "alphapo", alpha: 0.25 })).toMatchObject({ loss_type: "simpo", cpo_alpha: 0, alpha: 0.25 });
    expect(new CPOConfig().with({ loss_type: "alphapo" })).toMatchObject({ loss_type: "simpo", cpo_alpha: 0 });
  });

  test.each([
    [
      { loss_type: "alphapo", cpo_alpha: 1 },
      "option_conflict",
      "CPOConfig: loss_type alphapo has cpo_alpha 0, got 1; take loss_type simpo",
    ],
    [{ simpo_gamma: 1 }, "option_conflict", "CPOConfig: simpo_gamma needs loss_type simpo, got sigmoid"],
    [
      { loss_type: "kto_pair" },
      "option_choice",
      'CPOConfig: loss_type must be one of sigmoid, hinge, ipo, simpo, alphapo, got "kto_pair"; the default is "sigmoid"',
    ],
    [{ beta: 0 }, "option_range", "CPOConfig: beta must be > 0, got 0; the default is 0.1"],
    [
      { precompute_ref_log_probs: true },
      "option_unknown",
      /^CPOConfig: unknown option precompute_ref_log_probs; known: loss_type, beta, cpo_alpha/,
    ],
    [{ warmup_steps: 3, warmup_ratio: 0.1 }, "option_conflict", "CPOConfig: give warmup_steps or warmup_ratio, not both"],
  ])("refuses %j", (options, code, message) => {
    const matches = typeof message === "string" ? message : (expect.stringMatching(message) as string);
    expect(() => new CPOConfig(options as never)).toThrow(
      expect.objectContaining({ name: "ConfigError", code, message: matches }) as Error,
    );
  });

  test("label_smoothing beside hinge and ipo is told, as by TRL", () => {
    const notes: string[] = [];
    for (const loss_type of ["sigmoid", "hinge", "ipo", "simpo"] as const)
      new CPOConfig({ loss_type, label_smoothing: 0.1 }, { onNote: (note) => void notes.push(note) });
    expect(notes).toEqual(
      ["hinge", "ipo"].map((name) => `CPOConfig: label_smoothing has no effect on loss_type ${name}, as in TRL; sigmoid and simpo use it`),
    );
  });

  test("JSON there and back", () => {
    const config = new CPOConfig({ loss_type: "alphapo", alpha: 0.3 });
    expect(CPOConfig.from_json(JSON.stringify(config))).toEqual(config);
  });
});

describe("ORPOConfig", () => {
  test("defaults are TRL's, and JSON goes there and back", () => {
    const config = new ORPOConfig();
    expect(config).toMatchObject(SHARED);
    expect(ORPOConfig.from_json(config.with({ beta: 0.3 }).to_json())).toMatchObject({ beta: 0.3 });
  });

  test("names of TRL's table that have no effect are accepted with a note", () => {
    const notes: string[] = [];
    new ORPOConfig({ max_completion_length: 64, padding_value: 0, fp16: true } as never, { onNote: (note) => void notes.push(note) });
    expect(notes).toEqual([
      "ORPOConfig: max_completion_length has no effect; it is for encoder-decoder models in TRL too: only max_length cuts",
      "ORPOConfig: padding_value has no effect; nothing is padded with a token",
      "ORPOConfig: fp16 has no effect; training computes in float32, which is more exact",
    ]);
  });
});
