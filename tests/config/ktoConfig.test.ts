import * as tf from "@tensorflow/tfjs";
import { describe, expect, expectTypeOf, test } from "vitest";
import type { KTOLossFunction, KTOLossName } from "../../src/train/options/ktoConfig.js";
import { KTOConfig } from "../../src/train/options/ktoConfig.js";

const own: KTOLossFunction = ({ policy, reference }) => tf.sub(reference, policy);

describe("KTOConfig", () => {
  test("defaults are TRL's", () => {
    // TRL 1.13 KTOConfig; shuffle_dataset false is its train_sampling_strategy "sequential".
    expect(new KTOConfig()).toMatchObject({
      loss_type: "kto",
      beta: 0.1,
      desirable_weight: 1,
      undesirable_weight: 1,
      learning_rate: 1e-6,
      max_length: 1024,
      precompute_ref_log_probs: false,
      disable_dropout: true,
      logging_steps: 10,
      per_device_train_batch_size: 8,
      num_train_epochs: 3,
      shuffle_dataset: false,
    });
    expectTypeOf(new KTOConfig().loss_type).toEqualTypeOf<KTOLossName | KTOLossFunction>();
  });

  test("a batch of one row is refused where the loss needs a KL estimate", () => {
    expect(() => new KTOConfig({ per_device_train_batch_size: 1 })).toThrow(
      expect.objectContaining({
        name: "ConfigError",
        code: "option_conflict",
        message:
          'KTOConfig: per_device_train_batch_size must be > 1 with loss_type "kto", got 1: alone in its micro-batch, a row\'s own completion would be its KL estimate; raise it, or use loss_type "apo_zero_unpaired"',
      }),
    );
    expect(() => new KTOConfig({ per_device_train_batch_size: 1, loss_type: own }, { where: "preflab kto" })).toThrow(
      "preflab kto: per_device_train_batch_size must be > 1 with a loss_type function, got 1",
    );
    expect(new KTOConfig({ per_device_train_batch_size: 1, loss_type: "apo_zero_unpaired" }).per_device_train_batch_size).toBe(1);
  });

  test("names that TRL dropped, or that change nothing here, are accepted with one note each", () => {
    const notes: string[] = [];
    const old = {
      max_prompt_length: 512,
      max_completion_length: 128,
      truncation_mode: "keep_end",
      precompute_ref_batch_size: 4,
      bf16: true,
    };
    const config = new KTOConfig(old as object, { onNote: (note) => notes.push(note) });
    expect(config.to_json()).toEqual(new KTOConfig().to_json());
    expect(notes.length).toBe(5);
    expect(notes[0]).toBe("KTOConfig: max_prompt_length has no effect; TRL dropped it too: only max_length cuts");
  });

  test.each([
    [{ sync_ref_model: true, precompute_ref_log_probs: true }, "KTOConfig: precompute_ref_log_probs needs a reference that stays"],
    [{ ref_model_sync_steps: 4 }, "KTOConfig: ref_model_mixup_alpha and ref_model_sync_steps need sync_ref_model true, got false"],
    [{ sync_ref_model: true, ref_model_mixup_alpha: 1.5 }, "ref_model_mixup_alpha must be"],
    [{ train_sampling_strategy: "random" }, "set shuffle_dataset instead"],
    [{ deepspeed: "config.json" }, "one machine"],
    [{ beta: 0 }, "beta must be > 0"],
    [{ desirable_weight: -1 }, "desirable_weight must be >= 0"],
    [{ loss_type: "sigmoid" }, "loss_type must be"],
    [{ desirable_wieght: 1 }, "desirable_weight"],
  ])("%j is refused", (options, text) => {
    expect(() => new KTOConfig(options as object)).toThrow(expect.objectContaining({ name: "ConfigError" }));
    expect(() => new KTOConfig(options as object)).toThrow(text);
  });

  test("JSON round trip; a function must be passed again", () => {
    const config = new KTOConfig({ beta: 0.3, loss_type: "apo_zero_unpaired", undesirable_weight: 1.5 });
    expect(KTOConfig.from_json(JSON.stringify(config))).toEqual(config);
    expect(config.with({ beta: 0.5 })).toMatchObject({ beta: 0.5, undesirable_weight: 1.5 });
    const written = new KTOConfig({ loss_type: own }).to_json();
    expect(written["loss_type"]).toBe("function own");
    expect(() => KTOConfig.from_json(written)).toThrow(expect.objectContaining({ code: "loss_function" }));
    expect(KTOConfig.from_json(written, { loss_type: own }).loss_type).toBe(own);
  });
});
