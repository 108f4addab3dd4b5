/** TRL's best setting: what is tried, which is chosen, what is used where nobody has searched. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Bench } from "../../bench/vs-trl/bench.js";
import { BENCH_OPTIONS } from "../../bench/vs-trl/options.js";
import { randomPairs } from "../../bench/shared/pairs.js";
import { describeSetting, findBest, type Tried } from "../../bench/vs-trl/recorded.js";
import type { TrlSetting } from "../../bench/vs-trl/requests.js";
import { PLAIN_SETTING } from "../../bench/vs-trl/sides.js";
import { chooseFastest, searchCase, searchSettings } from "../../bench/vs-trl/search.js";

const SETTING = PLAIN_SETTING;

function tried(setting: TrlSetting, pairs_per_second: number | null, plain_sgemm = 300): Tried {
  const killed = pairs_per_second === null ? "it took more than 24 GB" : null;
  return { setting, pairs_per_second, step_seconds: null, peak_bytes: null, killed, plain_sgemm };
}

describe("what is tried", () => {
  const search = async (batches: readonly number[], rate: (setting: TrlSetting) => number | null): Promise<string[]> => {
    const all = await searchSettings(batches, (setting) => Promise.resolve(tried(setting, rate(setting))));
    return all.map(({ setting }) => describeSetting(setting).replace(", reference precomputed", ""));
  };

  test("one thing after the other, each on the best so far", async () => {
    const rate = ({ malloc, attn_implementation }: TrlSetting): number =>
      (malloc === "kept" ? 2 : 1) * (attn_implementation === "eager" ? 1.5 : 1);
    expect(await search([5], rate)).toEqual([
      "batch 5, sdpa, checkpointing off, allocator default",
      "batch 1 × 5 accumulated, sdpa, checkpointing off, allocator default",
      "batch 5, eager, checkpointing off, allocator default",
      "batch 5, eager, checkpointing on, allocator default",
      "batch 5, eager, checkpointing off, allocator kept",
      "batch 5, eager, checkpointing off, allocator kept_huge",
    ]);
  });

  test("long prompts: from 5 pairs downwards to the largest that survives", async () => {
    // Five survive with checkpointing, three without.
    const rate = ({ gradient_checkpointing, per_device_train_batch_size: batch }: TrlSetting): number | null =>
      batch > (gradient_checkpointing ? 5 : 3) ? null : 0.1;
    const settings = await search([5, 4, 3, 2, 1], rate);
    expect(settings.map((setting) => setting.split(", ").slice(0, 1).join())).toEqual([
      ...["batch 5", "batch 4", "batch 3", "batch 1 × 5 accumulated", "batch 3", "batch 5", "batch 3", "batch 3"],
    ]);
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
    const setting = { ...SETTING, gradient_checkpointing: true };
    const tuned = { ...SETTING, malloc: "kept_huge" } as const;
    const search = { setting, tuned, tried: [tried(tuned, 0.1)], date: "2026-11-28", machine: "a machine", shape: "Qwen2-0.5B" };
    const best = findBest("lora", { lora: search });
    expect([best.setting, best.tuned]).toEqual([setting, tuned]);
    expect(best.note).toMatch(/tuned allocator: .*kept_huge \(the fastest of 1 tried on 2026-11-28, Qwen2-0\.5B, a machine\)/);
    expect(findBest("lora", { lora: { ...search, tuned: setting } }).tuned).toBeUndefined();
  });

  test("else an assumption, called so", () => {
    const best = findBest("long", {});
    expect(best.setting).toMatchObject({ per_device_train_batch_size: 1, gradient_accumulation_steps: 5 });
    expect(best.note).toContain("not searched for; --search --cases long finds the best");
  });
});

describe("a search", () => {
  /** A bench on which the given setting is five times as fast as others. @param survives whether TRL lives at all */
  async function search(isFast: (setting: TrlSetting) => boolean, survives = true) {
    const folder = mkdtempSync(join(tmpdir(), "preflab-search-"));
    const record = join(folder, "best.json");
    const bench: Parameters<typeof searchCase>[0] = {
      options: BENCH_OPTIONS.resolve({ record, shape: "tiny" }, { where: "tests" }),
      pairs: (count, lengths) => randomPairs(count, 100, 0, lengths),
      log: () => undefined,
      trl: (_, { rows }, setting) => {
        const { per_device_train_batch_size: batch, gradient_accumulation_steps: n } = setting as TrlSetting;
        expect(rows).toHaveLength(batch * n);
        const step = isFast(setting as TrlSetting) ? 10 : 50;
        const measured = { step_seconds: [step], first_step_seconds: 99, peak_bytes: 8e9 };
        const result = survives ? measured : { killed: "it took more than 24 GB" };
        return Promise.resolve({ sgemm: 300, result } as Awaited<ReturnType<Bench["trl"]>>);
      },
    };
    try {
      const found = await searchCase(bench, "lora");
      return { found, recorded: survives ? (JSON.parse(readFileSync(record, "utf8")) as Parameters<typeof findBest>[1]) : undefined };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  test("records the fastest of all, with what was tried", async () => {
    const isFast = (setting: TrlSetting) => setting.attn_implementation === "eager" && setting.malloc === "default";
    const { found, recorded } = await search(isFast);
    expect(found).toBe(true);
    expect(recorded!.lora!.setting).toMatchObject({ attn_implementation: "eager", malloc: "default" });
    expect(recorded!.lora!.tuned).toEqual(recorded!.lora!.setting);
    expect(recorded!.lora!.tried[2]).toMatchObject({ step_seconds: 10, pairs_per_second: 0.5, plain_sgemm: 300, killed: null });
    const huge = (await search(({ malloc }) => malloc === "kept_huge")).recorded!.lora!;
    expect([huge.setting.malloc, huge.tuned.malloc]).toEqual(["default", "kept_huge"]);
  });

  test("records nothing where TRL survives in no setting", async () => {
    expect(await search(() => true, false)).toEqual({ found: false, recorded: undefined });
  });
});
