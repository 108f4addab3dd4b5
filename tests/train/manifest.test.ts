/** run_manifest.json, and runs that are repeated from it. */
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { tf } from "../../src/compile/index.js";
import { Dataset, load_dataset } from "../../src/data/index.js";
import { get_peft_model } from "../../src/model/index.js";
import {
  CPOConfig,
  CPOTrainer,
  type DPOLossFunction,
  KTOConfig,
  KTOTrainer,
  ORPOConfig,
  ORPOTrainer,
  type ReproduceOptions,
  SFTConfig,
  SFTTrainer,
  type Trainer,
  readRunManifest,
  reproduceRun,
} from "../../src/train/index.js";
import { placeOf } from "../../src/train/manifest/fingerprint.js";
import {
  GOLDEN,
  type TrainerInput,
  goldenPairs,
  goldenTokenizer,
  newFolder,
  quietOptions,
  smallLora,
  smallModel,
  smallTrainer,
} from "./tinyModel.js";

/** Trains and saves; returns output_dir. */
async function finish(trainer: Trainer): Promise<string> {
  try {
    await trainer.train();
    await trainer.save_model();
    return trainer.args.output_dir;
  } finally {
    await trainer.dispose();
  }
}
const run = async (input: TrainerInput = {}): Promise<string> => finish(await smallTrainer(input));
const again = (dir: string, options: ReproduceOptions = {}) => reproduceRun(dir, { tell: () => undefined, ...options });
const failure = async (promise: Promise<unknown>): Promise<{ code: string; message: string }> => {
  const result = await promise.then(
    () => new Error("it should have failed"),
    (error: unknown) => error,
  );
  return result as { code: string; message: string };
};

async function edit(dir: string, change: (manifest: Record<string, Record<string, unknown>>) => void): Promise<void> {
  const manifest = (await readRunManifest(dir)) as unknown as Record<string, Record<string, unknown>>;
  change(manifest);
  writeFileSync(join(dir, "run_manifest.json"), JSON.stringify(manifest));
}

describe("run_manifest.json", () => {
  it("names what the run was made of, by content, and what came out", async () => {
    const dir = await run({ peft_config: smallLora(), train_dataset: await goldenPairs([3, 1, 2]), eval_dataset: await goldenPairs([8]) });
    const manifest = await readRunManifest(dir);
    const sha256 = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");
    const pairs = resolve(GOLDEN, "pairs.jsonl");
    expect(manifest).toMatchObject({
      status: "finished",
      method: "dpo",
      seeds: { seed: 42, data_seed: null },
      not_reproducible: [],
      data: { train: { rows: 3, order: "0:3+1 0:1+2", files: [{ path: pairs, sha256: sha256(pairs) }] }, eval: { "": { order: "0:8+1" } } },
      adapter: { r: 4 },
      results: { global_step: 3, max_steps: 3, log_entries: [0, 4] },
    });
    const [config, weights] = manifest.model.files;
    expect(config).toMatchObject({ path: join(manifest.model.place.path, "config.json"), sha256: sha256(config!.path) });
    expect(weights!.sha256).toBe(sha256(weights!.path));
    expect(manifest.software.packages["onnxruntime-node"]).toMatch(/^\d+\.\d+\.\d+/);
    expect(manifest.software.code_sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(manifest.hardware.cores).toBeGreaterThan(0);
    expect(manifest.options).toMatchObject({ learning_rate: 1e-3, beta: 0.1 });
    expect(Date.parse(manifest.results!.ended_at)).toBeGreaterThanOrEqual(Date.parse(manifest.started_at));
  });

  it("of the Hub's cache names repository and commit", () => {
    const commit = "a".repeat(40);
    expect(placeOf(`/x/hub/datasets--alice--pairs/snapshots/${commit}/data/train.jsonl`)).toEqual({
      path: "data/train.jsonl",
      repository: "alice/pairs",
      commit,
    });
    expect(placeOf(`/x/hub/models--Qwen--Qwen2-0.5B/snapshots/${commit}`)).toEqual({ path: "", repository: "Qwen/Qwen2-0.5B", commit });
    expect(placeOf("data/train.jsonl")).toEqual({ path: resolve("data/train.jsonl") });
  });

  it("of a run that failed says so, and it cannot be repeated", async () => {
    const callback = {
      on_step_end: () => {
        throw new Error("the cat");
      },
    };
    const trainer = await smallTrainer({ callbacks: [callback] });
    await expect(finish(trainer)).rejects.toThrow("the cat");
    expect(await readRunManifest(trainer.args.output_dir)).toMatchObject({ status: "failed", error: "the cat", results: null });
    const error = await failure(again(trainer.args.output_dir));
    expect(error).toMatchObject({ code: "run_unfinished" });
    expect(error.message).toMatch(/^preflab reproduce: the run must have come to an end, got one that failed \(the cat\) in /);
  });

  it("is missing or foreign: an error that says what to pass", async () => {
    const dir = newFolder();
    mkdirSync(dir, { recursive: true });
    expect(await failure(again(dir))).toMatchObject({
      code: "run_manifest",
      message: `${join(dir, "run_manifest.json")}: must be the manifest of a run, got no such file; pass the output_dir of a training run`,
    });
    writeFileSync(join(dir, "run_manifest.json"), "{}");
    expect((await failure(again(dir))).message).toContain("got manifest_version undefined; use the version of Preflab that wrote it");
  });
});

describe("a run that is repeated", () => {
  it("with adapter, dropout, evaluation and shuffled rows is identical", async () => {
    const dir = await run({
      peft_config: smallLora({ lora_dropout: 0.1 }),
      train_dataset: (await goldenPairs()).shuffle({ seed: 3 }).select(6),
      eval_dataset: { a: await goldenPairs([8]), b: await goldenPairs([9]) },
      args: { disable_dropout: false, shuffle_dataset: true, eval_strategy: "steps", seed: 7 },
    });
    const result = await again(dir);
    expect(result).toMatchObject({ verdict: "identical", changes: [], output_dir: `${dir}-reproduced` });
    expect(result.message).toBe("identical: 10 log entries and the weights of 3 steps");
    const [first, second] = [dir, result.output_dir].map((folder) => readFileSync(join(folder, "adapter_model.safetensors")));
    expect(second!.equals(first!)).toBe(true);
    expect(await failure(again(dir))).toMatchObject({ code: "output_dir" });
  });

  const quiet = () => ({ ...quietOptions(), max_steps: 2, per_device_train_batch_size: 2 });
  const shared = async () => ({ model: await smallModel(), processing_class: await goldenTokenizer() });
  const trainers: [string, () => Promise<Trainer>][] = [
    [
      "sft",
      async () => {
        const train_dataset = (await load_dataset(`${GOLDEN}/sft.jsonl`))
          .filter((row) => row["completion"] !== null)
          .select(4)
          .select_columns(["prompt", "completion"]);
        return new SFTTrainer({ ...(await shared()), train_dataset, args: new SFTConfig(quiet()) });
      },
    ],
    [
      "kto",
      async () =>
        new KTOTrainer({
          ...(await shared()),
          train_dataset: (await load_dataset(`${GOLDEN}/kto.jsonl`)).select(4),
          args: new KTOConfig(quiet()),
        }),
    ],
    ["cpo", async () => new CPOTrainer({ ...(await shared()), train_dataset: await goldenPairs(4), args: new CPOConfig(quiet()) })],
    ["orpo", async () => new ORPOTrainer({ ...(await shared()), train_dataset: await goldenPairs(4), args: new ORPOConfig(quiet()) })],
  ];
  it.each(trainers)("%s: identical", async (name, make) => {
    const dir = await finish(await make());
    expect((await readRunManifest(dir)).method).toBe(name);
    expect(await again(dir)).toMatchObject({ verdict: "identical", changes: [] });
  });

  it("and was stopped is repeated up to there", async () => {
    const trainer = await smallTrainer({ args: { max_steps: 5 } });
    trainer.add_callback({ on_step_end: (state) => void (state.global_step === 2 && trainer.stop()) });
    const dir = await finish(trainer);
    expect(await readRunManifest(dir)).toMatchObject({ status: "stopped", results: { global_step: 2, max_steps: 5 } });
    expect((await again(dir)).message).toMatch(/^identical: \d log entries and the weights of 2 steps$/);
  });

  it("with another learning rate is different, from the first step that shows it", async () => {
    const dir = await run({ args: { max_steps: 3 } });
    await edit(dir, ({ options }) => (options!["learning_rate"] = 1e-2));
    const result = await again(dir);
    expect(result.verdict).toBe("different");
    // The first loss is that of the untrained model.
    const [first, second] = JSON.parse(readFileSync(join(dir, "trainer_state.json"), "utf8")).log_history;
    expect(first.learning_rate).toBe(1e-3);
    const start = "different, first at step 1: learning_rate 0.001 vs 0.01; loss first at step 2: ";
    expect(result.message.slice(0, start.length)).toBe(start);
    const [then, now] = result.message.slice(start.length).split(" vs ").map(Number);
    expect(then).toBe(second.loss);
    expect(Math.abs(now! - then!)).toBeGreaterThan(1e-4);
  });

  it("with a rate that differs in the last digits is within tolerance", async () => {
    const dir = await run({ peft_config: smallLora() });
    await edit(dir, ({ options }) => (options!["learning_rate"] = 1e-3 * (1 + 1e-6)));
    const result = await again(dir);
    expect(result.verdict).toBe("within tolerance");
    expect(result.message).toMatch(/^within tolerance \(largest difference \d\.\de-\d+ at step \d: \S+; weights included\)$/);
    expect(result.largest!.difference).toBeGreaterThan(0);
    expect((await again(dir, { tolerance: 0, output_dir: newFolder() })).verdict).toBe("different");
  });
});

describe("inputs that changed are named before anything is trained", () => {
  it("data, base model and packages", async () => {
    const file = join(newFolder(), "pairs.jsonl");
    mkdirSync(join(file, ".."), { recursive: true });
    copyFileSync(`${GOLDEN}/pairs.jsonl`, file);
    const dir = await run({ train_dataset: (await load_dataset(file)).select(4) });
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replace("a", "e"));
    const { model } = await readRunManifest(dir);
    const config = model.files[0]!.path;
    writeFileSync(config, `${readFileSync(config, "utf8")}\n`);
    await edit(dir, ({ software }) => ((software!["packages"] as Record<string, string>)["onnxruntime-node"] = "1.0.0"));

    const output_dir = newFolder();
    const error = await failure(again(dir, { output_dir }));
    expect(error.code).toBe("inputs_changed");
    expect(error.message).toMatch(
      /^preflab reproduce: the inputs must be those of the run, got changes; pass --allow-changes to go on with them\n/,
    );
    expect(error.message).toContain(`  training data: ${file} has other content, sha256 `);
    expect(error.message).toContain(`  base model: ${config} has other content, sha256 `);
    expect(existsSync(output_dir)).toBe(false);

    const tell = vi.fn();
    const { changes, verdict } = await again(dir, { output_dir, allow_changes: true, tell });
    expect(verdict).toBe("different");
    expect(changes).toHaveLength(4);
    expect(changes[2]).toMatch(/^training data: the rows: [0-9a-f]{12} then, [0-9a-f]{12} now$/);
    expect(changes[3]).toMatch(/^onnxruntime-node: 1\.0\.0 then, [\d.]+ now$/);
    expect(tell.mock.calls.map(([line]) => line as string).slice(0, 4)).toEqual(changes.map((line) => `changed: ${line}`));

    writeFileSync(file, text.split("\n").slice(0, 2).join("\n"));
    expect((await failure(again(dir, { output_dir: newFolder(), allow_changes: true }))).message).toContain("got fewer rows");
  });

  it("a log that was edited", async () => {
    const dir = await run();
    const file = join(dir, "trainer_state.json");
    writeFileSync(file, readFileSync(file, "utf8").replace(/"loss": [\d.]+/, '"loss": 0.1'));
    expect(await failure(again(dir))).toMatchObject({
      code: "run_log",
      message: `${file}: must hold the log that the run has written, got one that was changed since; nothing can be compared`,
    });
  });
});

describe("what no file can hold is told", () => {
  const square: DPOLossFunction = ({ policyChosen, policyRejected }) => tf.square(tf.sub(policyChosen, policyRejected));

  it.each<[string, () => Promise<TrainerInput>, string]>([
    [
      "rows made in memory",
      async () => ({ train_dataset: Dataset.from_rows((await goldenPairs(4)).rows()) }),
      "train_dataset: its rows were made in memory, and no file holds them",
    ],
    ["a loss of one's own", () => Promise.resolve({ args: { loss_type: square } }), "loss_type: it is a function, square"],
    [
      "an adapter that was made outside",
      async () => ({ model: get_peft_model(await smallModel(), smallLora()) }),
      "model: its adapter was made or changed in memory; give the trainer peft_config, or save and load it again",
    ],
  ])("%s", async (_, input, reason) => {
    const dir = await run({ ...(await input()), args: { max_steps: 1, ...(await input()).args } });
    expect((await readRunManifest(dir)).not_reproducible).toEqual([reason]);
    const error = await failure(again(dir));
    expect(error).toMatchObject({ code: "not_reproducible" });
    expect(error.message).toBe(
      `preflab reproduce: the run must be described in full by its manifest, got what no file can hold\n  ${reason}`,
    );
  });

  it("rows that were changed after they were read", async () => {
    const train_dataset = (await goldenPairs(4)).map((row) => ({ prompt: `${String(row["prompt"])}!` }));
    const dir = await run({ train_dataset, args: { max_steps: 1 } });
    const error = await failure(again(dir));
    expect(error).toMatchObject({ code: "not_reproducible" });
    expect(error.message).toMatch(
      /^preflab reproduce: train_dataset: its rows must be those of the files, got rows that were changed in memory/,
    );
  });

  it("callbacks are a caution only", async () => {
    const dir = await run({ callbacks: [{}], args: { max_steps: 1 } });
    const tell = vi.fn();
    expect(await again(dir, { tell })).toMatchObject({ verdict: "identical" });
    expect(tell).toHaveBeenCalledWith("note: callbacks: 1 of the user's; they are not recorded and are left out of a repetition");
  });
});
