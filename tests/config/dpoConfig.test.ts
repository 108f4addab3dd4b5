import { describe, expect, expectTypeOf, test } from "vitest";
import * as tf from "@tensorflow/tfjs";
import type { JsonObject } from "../../src/config/index.js";
import { ConfigError } from "../../src/errors.js";
import { DPOConfig, DPO_OPTIONS } from "../../src/train/options/dpoConfig.js";
import type { DPOLossName } from "../../src/train/options/dpoConfig.js";
import type { DPOLossFunction } from "../../src/train/options/preferenceLoss.js";

/** Code and message of what `action` throws. */
function failure(action: () => unknown): { code: string; message: string } {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("DPOConfig", () => {
  test("defaults are TRL's", () => {
    // TRL 1.13 DPOConfig and transformers 5.18 TrainingArguments.
    const trl = {
      output_dir: "trainer_output",
      learning_rate: 1e-6,
      beta: 0.1,
      loss_type: ["sigmoid"],
      loss_weights: null,
      label_smoothing: 0,
      discopop_tau: 0.05,
      f_divergence_type: "reverse_kl",
      f_alpha_divergence_coef: 0.5,
      ld_alpha: null,
      use_weighting: false,
      sync_ref_model: false,
      ref_model_mixup_alpha: 0.6,
      ref_model_sync_steps: 512,
      per_device_train_batch_size: 8,
      per_device_eval_batch_size: 8,
      gradient_accumulation_steps: 1,
      num_train_epochs: 3,
      max_steps: -1,
      max_length: 1024,
      truncation_mode: "keep_start",
      lr_scheduler_type: "linear",
      lr_scheduler_kwargs: null,
      optim: "adamw_torch_fused",
      optim_args: null,
      warmup_steps: 0,
      weight_decay: 0,
      adam_beta1: 0.9,
      adam_beta2: 0.999,
      adam_epsilon: 1e-8,
      max_grad_norm: 1,
      seed: 42,
      shuffle_dataset: true,
      logging_steps: 10,
      logging_first_step: false,
      save_strategy: "steps",
      save_steps: 500,
      save_total_limit: null,
      eval_strategy: "no",
      eval_steps: null,
      precompute_ref_log_probs: false,
      disable_dropout: true,
      disable_tqdm: false,
    };
    expect(new DPOConfig()).toMatchObject(trl);
    expect(new DPOConfig()).toMatchObject({
      engine: "compiled",
      backend: null,
      device: "cpu",
      threads: null,
      warmup_ratio: null,
    });
  });

  test("types follow the table", () => {
    const config = new DPOConfig({ beta: 0.3, loss_type: "ipo" });
    expectTypeOf(config.beta).toEqualTypeOf<number>();
    expectTypeOf(config.max_length).toEqualTypeOf<number | null>();
    expectTypeOf(config.shuffle_dataset).toEqualTypeOf<boolean>();
    expectTypeOf(config.lr_scheduler_type).toExtend<string>();
    expectTypeOf<"greedy">().toExtend<typeof config.lr_scheduler_type>();
    expectTypeOf(config.lr_scheduler_kwargs).toEqualTypeOf<JsonObject | null>();
    expectTypeOf(config.loss_type).toEqualTypeOf<DPOLossName[] | DPOLossFunction>();
    expect(config.beta).toBe(0.3);
    expect(config.loss_type).toEqual(["ipo"]);
  });

  test.each([
    [{ beta: -0.1 }, "option_range", "DPOConfig: beta must be > 0, got -0.1; the default is 0.1"],
    [{ beta: "0.1" }, "option_type", 'DPOConfig: beta must be a number > 0, got "0.1"; the default is 0.1'],
    [{ learning_rate: NaN }, "option_type", "DPOConfig: learning_rate must be a number >= 0, got NaN; the default is 1e-6"],
    [
      { per_device_train_batch_size: 1.5 },
      "option_type",
      "DPOConfig: per_device_train_batch_size must be an integer >= 1, got 1.5; the default is 8",
    ],
    [
      { optim: "lomo" },
      "option_refused",
      'DPOConfig: optim "lomo" is not offered; it is not implemented; for less memory use adamw_8bit, or train a LoRA adapter',
    ],
    [
      { optim: "adam" },
      "option_choice",
      'DPOConfig: optim must be one of adamw_torch_fused, adamw_torch, adamw_8bit, adamw_bnb_8bit, paged_adamw_32bit, paged_adamw_8bit, sgd, got "adam"; the default is "adamw_torch_fused"',
    ],
    [
      { optim_args: "momentum=0.9" },
      "option_unknown",
      'DPOConfig: optim_args of "adamw_torch_fused" must be known to it, got momentum; known: none',
    ],
    [
      { optim: "sgd", optim_args: "momentom=0.9" },
      "option_unknown",
      'DPOConfig: optim_args of "sgd" must be known to it, got momentom; known: momentum, dampening, nesterov',
    ],
    [{ optim: "sgd", optim_args: "momentum" }, "option_type", 'DPOConfig: optim_args must be NAME=VALUE,NAME=VALUE, got "momentum"'],
    [{ optim: "sgd", optim_args: "momentum=-1" }, "option_type", 'DPOConfig: optim_args: momentum must be a number >= 0, got "-1"'],
    [
      { optim: "sgd", optim_args: "nesterov=true" },
      "option_conflict",
      "DPOConfig: optim_args: nesterov needs momentum > 0 and dampening 0, got nesterov=true",
    ],
    [{ optim: "sgd", adam_beta1: 0.5 }, "option_conflict", 'DPOConfig: adam_beta1 is for AdamW, got 0.5 with optim "sgd"; remove it'],
    [{ max_length: 0 }, "option_range", "DPOConfig: max_length must be >= 1 or null, got 0; the default is 1024"],
    [{ seed: null }, "option_type", "DPOConfig: seed must be an integer >= 0, got null; the default is 42"],
    [
      { loss_type: "sigmod" },
      "option_choice",
      'DPOConfig: loss_type must be one of sigmoid, hinge, ipo, exo_pair, nca_pair, robust, bco_pair, sppo_hard, aot, aot_unpaired, apo_zero, apo_down, discopop, sft, sigmoid_norm, got "sigmod"; the default is ["sigmoid"]',
    ],
    [{ loss_type: [] }, "option_range", 'DPOConfig: loss_type must be at least one value, got []; the default is ["sigmoid"]'],
    [
      { max_steps: 0 },
      "option_range",
      "DPOConfig: max_steps must be -1 (num_train_epochs decides) or an integer >= 1, got 0; the default is -1",
    ],
    [
      { warmup_steps: 2.5 },
      "option_range",
      "DPOConfig: warmup_steps must be a whole number of steps, or a share of all steps in [0, 1), got 2.5; the default is 0",
    ],
    [{ learning_rat: 1e-5 }, "option_unknown", "DPOConfig: unknown option learning_rat; did you mean learning_rate?"],
    [
      { report_to: "wandb" },
      "option_refused",
      'DPOConfig: report_to "wandb" is not offered; it has no client here; use tensorboard, csv or mlflow',
    ],
    [{ fsdp: "full_shard" }, "option_refused", "DPOConfig: fsdp is not offered; one process trains on one machine"],
    [
      { train_sampling_strategy: "sequential" },
      "option_refused",
      "DPOConfig: train_sampling_strategy is not offered; set shuffle_dataset instead: true (the default) is random, false is sequential; rows are not grouped by length",
    ],
    [
      { neftune_noise_alpha: 5 },
      "option_refused",
      "DPOConfig: neftune_noise_alpha is not offered; noise on the embeddings is for SFT: set it in SFTConfig",
    ],
    [{ ld_alpha: 1.5 }, "option_range", "DPOConfig: ld_alpha must be >= 0 and <= 1 or null, got 1.5; the default is null"],
    [{ label_smoothing: 1 }, "option_range", "DPOConfig: label_smoothing must be >= 0 and < 1, got 1; the default is 0"],
    [
      { loss_type: ["sigmoid", "sft"], loss_weights: [1] },
      "option_conflict",
      "DPOConfig: loss_weights must have one weight for each of the 2 losses of loss_type, got 1",
    ],
    [
      { loss_type: "robust", label_smoothing: 0.5 },
      "option_conflict",
      "DPOConfig: loss_type robust needs a label_smoothing < 0.5, got 0.5; at one half the preferences say nothing",
    ],
    [
      { loss_type: () => undefined, f_divergence_type: "js_divergence" },
      "option_conflict",
      'DPOConfig: f_divergence_type "js_divergence" is for named losses, got a function as loss_type; apply the divergence inside it',
    ],
    [
      { f_alpha_divergence_coef: 2 },
      "option_conflict",
      'DPOConfig: f_alpha_divergence_coef needs f_divergence_type "alpha_divergence", got "reverse_kl"',
    ],
    [{ discopop_tau: 1 }, "option_conflict", "DPOConfig: discopop_tau needs loss_type discopop, got sigmoid"],
    [
      { sync_ref_model: true, precompute_ref_log_probs: true },
      "option_conflict",
      "DPOConfig: precompute_ref_log_probs needs a reference that stays, got sync_ref_model true; set one of them false",
    ],
    [
      { ref_model_sync_steps: 8 },
      "option_conflict",
      "DPOConfig: ref_model_mixup_alpha and ref_model_sync_steps need sync_ref_model true, got false",
    ],
    [
      { eval_strategy: "steps", evaluation_strategy: "epoch" },
      "option_given_twice",
      "DPOConfig: eval_strategy must be given once, got it also as evaluation_strategy",
    ],
    [{ warmup_steps: 3, warmup_ratio: 0.1 }, "option_conflict", "DPOConfig: give warmup_steps or warmup_ratio, not both"],
    [{ eval_steps: 5 }, "option_conflict", 'DPOConfig: eval_steps needs eval_strategy "steps", got "no"'],
    [
      { backend: "wasm" },
      "option_conflict",
      'DPOConfig: backend is for engine "eager", got engine "compiled"; choose where it runs with device',
    ],
    [
      { engine: "eager", device: "webgpu" },
      "option_conflict",
      'DPOConfig: device is for engine "compiled", got engine "eager"; choose a TensorFlow.js backend with backend',
    ],
  ])("refuses %j", (options, code, message) => {
    expect(failure(() => new DPOConfig(options as never))).toEqual({ code, message });
  });

  test("an unknown name without a near one lists the known names", () => {
    const { code, message } = failure(() => new DPOConfig({ qqqqqqqqqqqqqq: 1 } as never));
    expect(code).toBe("option_unknown");
    expect(message).toMatch(/^DPOConfig: unknown option qqqqqqqqqqqqqq; known: loss_type, loss_weights, beta, /);
  });

  test("names of Object.prototype are unknown options", () => {
    expect(failure(() => new DPOConfig({ toString: 1 } as never)).code).toBe("option_unknown");
    expect(failure(() => new DPOConfig({ constructor: 1 } as never)).code).toBe("option_unknown");
  });

  test("options that TRL removed, or that change nothing here, are accepted with one note each", () => {
    const notes: string[] = [];
    const config = new DPOConfig(
      { max_prompt_length: 128, generate_during_eval: true, bf16: true, padding_free: true, beta: 0.2 } as never,
      {
        onNote: (note) => notes.push(note),
      },
    );
    expect(config.beta).toBe(0.2);
    expect(config).not.toHaveProperty("max_prompt_length");
    expect(notes).toEqual([
      "DPOConfig: max_prompt_length has no effect; TRL dropped it too: only max_length cuts",
      "DPOConfig: generate_during_eval has no effect; TRL dropped it too: call model.generate after training",
      "DPOConfig: bf16 has no effect; training computes in float32, which is more exact",
      "DPOConfig: padding_free has no effect; rows run one by one, without padding",
    ]);
  });

  test("label_smoothing beside a loss that does not use it is accepted with a note, as TRL accepts it", () => {
    const notes: string[] = [];
    const onNote = (note: string): void => void notes.push(note);
    new DPOConfig({ label_smoothing: 0.1, loss_type: ["sigmoid", "robust", "ipo"] }, { onNote });
    expect(notes).toEqual([
      "DPOConfig: label_smoothing has no effect on loss_type sigmoid, ipo, as in TRL; robust, exo_pair, aot, aot_unpaired use it",
    ]);
    new DPOConfig({ label_smoothing: 0.1, loss_type: "aot" }, { onNote });
    expect(notes.length).toBe(1);
  });

  test("undefined counts as not given", () => {
    expect(new DPOConfig({ beta: undefined }).beta).toBe(0.1);
  });

  test("is immutable and does not share its defaults", () => {
    const config = new DPOConfig();
    expect(() => {
      (config as { beta: number }).beta = -1;
    }).toThrow(TypeError);
    (config.loss_type as string[]).push("ipo");
    expect(new DPOConfig().loss_type).toEqual(["sigmoid"]);
    const changed = config.with({ beta: 0.5, loss_type: "hinge" });
    expect([config.beta, changed.beta, changed.loss_type]).toEqual([0.1, 0.5, ["hinge"]]);
    expect(failure(() => config.with({ beta: 0 })).code).toBe("option_range");
  });

  test("JSON there and back", () => {
    const config = new DPOConfig({ beta: 0.25, loss_type: ["sigmoid", "ipo"], max_length: null, warmup_ratio: 0.1 });
    const text = JSON.stringify(config);
    expect(DPOConfig.from_json(text)).toEqual(config);
    expect(DPOConfig.from_json(config.to_json())).toEqual(config);
    expect(Object.keys(config.to_json())).toEqual([...DPO_OPTIONS.specs.keys()]);
    expect(DPOConfig.from_json(text, { beta: 0.75 }).beta).toBe(0.75);
  });

  test("a loss function survives in code and must be passed again from JSON", () => {
    const squared: DPOLossFunction = (logps) => tf.squaredDifference(logps.policyChosen, logps.policyRejected);
    const config = new DPOConfig({ loss_type: squared });
    expect(config.loss_type).toBe(squared);
    const json = config.to_json();
    expect(json["loss_type"]).toBe("function squared");
    expect(failure(() => DPOConfig.from_json(json))).toEqual({
      code: "loss_function",
      message: "DPOConfig.from_json: loss_type was function squared, which JSON cannot hold; pass it again: from_json(json, { loss_type })",
    });
    expect(DPOConfig.from_json(json, { loss_type: squared }).loss_type).toBe(squared);
  });

  test.each(["[1]", "3", "null", "{", ""])("from_json refuses %j", (text) => {
    expect(failure(() => DPOConfig.from_json(text)).message).toMatch(/^DPOConfig\.from_json: the (JSON|text) must be/);
  });

  test("warmup: steps as they are, shares rounded up", () => {
    expect(new DPOConfig({ warmup_steps: 7 }).get_warmup_steps(100)).toBe(7);
    expect(new DPOConfig({ warmup_steps: 0.1 }).get_warmup_steps(25)).toBe(3);
    expect(new DPOConfig({ warmup_ratio: 0.1 }).get_warmup_steps(25)).toBe(3);
    expect(new DPOConfig().get_warmup_steps(25)).toBe(0);
  });
});
