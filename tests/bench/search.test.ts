/** TRL's best setting: what is tried, which is chosen, what is used where nobody has searched. */
import { describe, expect, test } from "vitest";
import { describeSetting, findBest, type Tried } from "../../bench/vs-trl/recorded.js";
import type { TrlSetting } from "../../bench/vs-trl/requests.js";
import { chooseFastest, plainSettings, searchLong } from "../../bench/vs-trl/search.js";

const SETTING = plainSettings()[0]!;

function tried(setting: TrlSetting, pairs_per_second: number | null, plain_sgemm = 300): Tried {
  const killed = pairs_per_second === null ? "it took more than 24 GB" : null;
  return { setting, pairs_per_second, step_seconds: null, peak_bytes: null, killed, plain_sgemm };
}

describe("what is tried", () => {
  test("both batches, both attentions, with and without checkpointing", () => {
    const settings = plainSettings();
    expect(new Set(settings.map(describeSetting)).size).toBe(8);
    expect(describeSetting(settings[0]!)).toBe("batch 5, sdpa, checkpointing off, reference precomputed, allocator default");
    expect(describeSetting(settings.at(-1)!)).toBe(
      "batch 1 × 5 accumulated, eager, checkpointing on, reference precomputed, allocator default",
    );
  });

  test("long prompts: from 5 pairs downwards to the largest that survives, and one at a time", async () => {
    // Five survive with checkpointing, three without.
    const all = await searchLong((setting) => {
      const most = setting.gradient_checkpointing ? 5 : 3;
      return Promise.resolve(tried(setting, setting.per_device_train_batch_size > most ? null : 0.1));
    });
    const batches = all.map(({ setting: { per_device_train_batch_size: batch, gradient_accumulation_steps: n } }) => `${batch}×${n}`);
    expect(batches).toEqual(["5×1", "4×1", "3×1", "1×5", "5×1", "1×5", "5×1", "4×1", "3×1", "1×5", "5×1", "1×5"]);
  });
});

describe("what is chosen", () => {
  const eager = { ...SETTING, attn_implementation: "eager" } as const;

  test("most pairs a second at equal speed of the machine", () => {
    expect(chooseFastest([tried(SETTING, 0.1), tried(eager, 0.11)])?.setting).toBe(eager);
    // The machine was twice as fast beside the second.
    expect(chooseFastest([tried(SETTING, 0.1, 150), tried(eager, 0.11, 300)])?.setting).toBe(SETTING);
  });

  test("never one that was stopped", () => {
    expect(chooseFastest([tried(SETTING, null), tried(eager, 0.01)])?.setting).toBe(eager);
    expect(chooseFastest([tried(SETTING, null)])).toBeUndefined();
  });
});

describe("what is used", () => {
  test("the recorded one, with where it is from", () => {
    const setting = { ...SETTING, malloc: "kept_huge" } as const;
    const search = { setting, tried: [tried(setting, 0.1)], date: "2026-11-28", machine: "a machine", shape: "Qwen2-0.5B" };
    const best = findBest("lora", { lora: search });
    expect(best.setting).toBe(setting);
    expect(best.note).toMatch(/allocator kept_huge \(the fastest of 1 tried on 2026-11-28, Qwen2-0\.5B, a machine\)/);
  });

  test("else an assumption, called so", () => {
    const best = findBest("long", {});
    expect(best.setting).toMatchObject({ per_device_train_batch_size: 1, gradient_accumulation_steps: 5 });
    expect(best.note).toContain("not searched for; --search --cases long finds the best");
  });
});
