import { describe, expect, expectTypeOf, test } from "vitest";
import { ConfigError } from "../../src/errors.js";
import { SFTConfig, SFT_OPTIONS, type SFTConfigInput, type SFTLossName } from "../../src/train/options/sftConfig.js";

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

describe("SFTConfig", () => {
  test("defaults are TRL's", () => {
    // TRL 1.13 SFTConfig; loss_type null is read as chunked_nll there.
    expect(new SFTConfig()).toMatchObject({
      learning_rate: 2e-5,
      loss_type: "chunked_nll",
      completion_only_loss: null,
      assistant_only_loss: false,
      neftune_noise_alpha: null,
      dataset_text_field: "text",
      max_length: 1024,
      truncation_mode: "keep_start",
      packing: false,
      packing_strategy: "bfd",
      eval_packing: null,
      eos_token: null,
      chat_template_path: null,
      per_device_train_batch_size: 8,
      num_train_epochs: 3,
      shuffle_dataset: true,
    });
  });

  test("types follow the table", () => {
    const config = new SFTConfig({ loss_type: "dft" });
    expectTypeOf(config.loss_type).toEqualTypeOf<SFTLossName>();
    expectTypeOf(config.packing_strategy).toEqualTypeOf<"bfd" | "bfd_split" | "wrapped">();
    expectTypeOf(config.max_length).toEqualTypeOf<number | null>();
    expect(config.loss_type).toBe("dft");
  });

  test("older names and TRL's null", () => {
    expect(new SFTConfig({ loss_type: null }).loss_type).toBe("chunked_nll");
    expect(new SFTConfig({ max_seq_length: 64 } as SFTConfigInput).max_length).toBe(64);
    expect(new SFTConfig({ packing: true, packing_strategy: "bfd-requeue" as "bfd" }).packing_strategy).toBe("bfd_split");
  });

  test.each([
    "padding_free",
    "pad_to_multiple_of",
    "dataset_kwargs",
    "num_of_sequences",
    "dataset_batch_size",
    "model_init_kwargs",
    "use_liger",
  ])("%s has no effect and says so", (name) => {
    const notes: string[] = [];
    new SFTConfig({ [name]: true }, { onNote: (note) => void notes.push(note) });
    expect(notes).toEqual([expect.stringMatching(new RegExp(`^SFTConfig: ${name} has no effect; .{20}`))]);
  });

  test.each([
    [{ neftune_noise_alpha: 0 }, "option_range", "SFTConfig: neftune_noise_alpha must be > 0 or null, got 0; the default is null"],
    [
      { loss_type: "ce" },
      "option_choice",
      'SFTConfig: loss_type must be one of nll, chunked_nll, dft or null, got "ce"; the default is "chunked_nll"',
    ],
    [{ packing: true, max_length: null }, "option_conflict", "SFTConfig: packing needs a max_length to pack to, got null"],
    [{ eval_packing: true, max_length: null }, "option_conflict", "SFTConfig: packing needs a max_length to pack to, got null"],
    [{ packing_strategy: "wrapped" }, "option_conflict", 'SFTConfig: packing_strategy "wrapped" needs packing true, got false'],
    [
      { packing: true, truncation_mode: "keep_end" },
      "option_conflict",
      'SFTConfig: truncation_mode "keep_end" is for rows that are not packed: packing cuts at the end; remove one of them',
    ],
    [{ push_to_hub: true }, "option_refused", "SFTConfig: push_to_hub is not offered; call trainer.push_to_hub after training"],
    [{ beta: 0.1 }, "option_unknown", /^SFTConfig: unknown option beta/],
  ])("refuses %j", (options, code, message) => {
    const found = failure(() => new SFTConfig(options as SFTConfigInput));
    expect(found.code).toBe(code);
    if (typeof message === "string") expect(found.message).toBe(message);
    else expect(found.message).toMatch(message);
  });

  test("a changed copy, and JSON there and back", () => {
    const config = new SFTConfig({ packing: true, packing_strategy: "wrapped", loss_type: "dft", neftune_noise_alpha: 5 });
    expect(SFTConfig.from_json(JSON.stringify(config))).toEqual(config);
    expect(SFTConfig.from_json(config.to_json(), { loss_type: "nll" }).loss_type).toBe("nll");
    expect(config.with({ max_length: 7 })).toMatchObject({ max_length: 7, packing: true });
    expect(Object.keys(config.to_json())).toEqual([...SFT_OPTIONS.specs.keys()]);
  });
});
