/** Checkpoints of a run: when, how many, and whole whatever happens. */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { readFileTensor } from "../../src/compile/index.js";
import { openAdapter, openCheckpoint } from "../../src/model/index.js";
import { Random } from "../../src/random.js";
import { AutoTokenizer } from "../../src/text/index.js";
import type { DPOConfigInput, TrainerState } from "../../src/train/index.js";
import { preflab } from "../cli/command.js";
import { GOLDEN, TINY, goldenPairs, newFolder, smallLora, smallModel, smallTrainer, withTrainer, writeModel } from "./tinyModel.js";

vi.mock("node:fs/promises", async (original) => {
  const actual = await original<typeof import("node:fs/promises")>();
  return { ...actual, statfs: vi.fn(actual.statfs) };
});

const checkpoints = (output_dir: string): string[] =>
  readdirSync(output_dir)
    .filter((name) => name.startsWith("checkpoint-"))
    .sort();
const stateOf = (folder: string): TrainerState => JSON.parse(readFileSync(join(folder, "trainer_state.json"), "utf8")) as TrainerState;

/** Reads every number of a checkpoint or adapter, its state and tokenizer. */
async function readWhole(folder: string, base = TINY): Promise<TrainerState> {
  const { config, tensors } = existsSync(join(folder, "adapter_config.json"))
    ? await openAdapter(folder, (await openCheckpoint(base)).config)
    : await openCheckpoint(folder);
  expect(config).toBeDefined();
  for (const tensor of tensors.values()) expect(readFileTensor(tensor).every(Number.isFinite), tensor.name).toBe(true);
  await AutoTokenizer.from_pretrained(folder);
  expect(JSON.parse(readFileSync(join(folder, "training_args.json"), "utf8"))).toHaveProperty("learning_rate");
  const state = stateOf(folder);
  expect(folder.endsWith(`checkpoint-${state.global_step}`)).toBe(true);
  expect(state.log_history.length).toBe(state.global_step);
  return state;
}

async function run(args: DPOConfigInput): Promise<string> {
  const output_dir = args.output_dir ?? newFolder();
  await withTrainer({ peft_config: smallLora(), args: { ...args, output_dir } }, (trainer) => trainer.train());
  return output_dir;
}

describe("when", () => {
  it("every save_steps and at the end; every epoch; never", async () => {
    expect(checkpoints(await run({ save_strategy: "steps", save_steps: 2, max_steps: 5 }))).toEqual([
      "checkpoint-2",
      "checkpoint-4",
      "checkpoint-5",
    ]);
    expect(checkpoints(await run({ save_strategy: "epoch", max_steps: 5 }))).toEqual(["checkpoint-2", "checkpoint-4", "checkpoint-5"]);
    expect(checkpoints(await run({ save_strategy: "no" }))).toEqual([]);
  });

  it("save_total_limit keeps the newest; a longer run's folders before it stay", async () => {
    const output_dir = await run({ save_strategy: "steps", save_steps: 1, max_steps: 5, save_total_limit: 2 });
    expect(checkpoints(output_dir)).toEqual(["checkpoint-4", "checkpoint-5"]);
    // What a kill in the middle of a deletion left.
    mkdirSync(join(output_dir, ".checkpoint-1.deleting"));
    await run({ output_dir, save_strategy: "steps", save_steps: 1, max_steps: 3, save_total_limit: 1 });
    expect(checkpoints(output_dir)).toEqual(["checkpoint-3", "checkpoint-4", "checkpoint-5"]);
    expect(readdirSync(output_dir).filter((name) => name.startsWith("."))).toEqual([]);
    for (const name of checkpoints(output_dir)) await readWhole(join(output_dir, name), await writeModel());
  });

  it("stop() ends after the present step with a checkpoint, saved once", async () => {
    const saved: string[] = [];
    const output_dir = newFolder();
    const base = await smallModel();
    const trainer = await smallTrainer({
      model: base,
      callbacks: [
        {
          on_step_end: ({ global_step }) => void (global_step === 3 && trainer.stop()),
          on_save: (_state, folder) => void saved.push(folder),
        },
      ],
      args: { output_dir, max_steps: 50, save_strategy: "steps", save_steps: 3 },
    });
    const output = await trainer.train();
    expect(output).toMatchObject({ finished: false, global_step: 3 });
    expect(saved).toEqual([join(output_dir, "checkpoint-3")]);
    expect((await readWhole(saved[0]!)).max_steps).toBe(50);
    expect(stateOf(output_dir).global_step).toBe(3);
    await trainer.dispose();
  });

  it("stop() while the reference is computed ends there", async () => {
    let computed = 0;
    const trainer = await smallTrainer({
      train_dataset: await goldenPairs(),
      callbacks: [{ on_reference: () => void (++computed === 3 && trainer.stop()) }],
      args: { max_steps: 50 },
    });
    expect(await trainer.train()).toMatchObject({ finished: false, global_step: 0, training_loss: 0 });
    expect(computed).toBe(3);
    expect(checkpoints(trainer.args.output_dir)).toEqual(["checkpoint-0"]);
    await trainer.dispose();
  });
});

describe("a place that cannot take them is refused before any work", () => {
  async function refused(output_dir: string): Promise<Error> {
    let begun = false;
    const trainer = await smallTrainer({ callbacks: [{ on_train_begin: () => void (begun = true) }], args: { output_dir } });
    const error: unknown = await trainer.train().catch((reason: unknown) => reason);
    await trainer.dispose();
    expect(begun).toBe(false);
    expect(error).toMatchObject({ name: "ConfigError", code: "output_dir" });
    return error as Error;
  }

  it("a file, or a folder below a file", async () => {
    const file = newFolder();
    writeFileSync(file, "");
    for (const place of [file, join(file, "below")])
      expect((await refused(place)).message).toMatch(
        /^DPOTrainer: output_dir must be a folder that can be written to, got .*(EEXIST|ENOTDIR)/,
      );
  });

  it("a disk without room for one checkpoint", async () => {
    vi.mocked(statfs).mockResolvedValueOnce({ bavail: 10, bsize: 4096 } as never);
    expect((await refused(newFolder())).message).toContain("0.0 MB free where one checkpoint takes 0.1 MB");
  });
});

describe("a process that is killed", () => {
  const FLAGS = [
    "dpo",
    "--model_name_or_path",
    TINY,
    "--dataset_name",
    `${GOLDEN}/pairs.jsonl`,
    "--threads",
    "1",
    "--per_device_train_batch_size",
    "1",
    "--max_steps",
    "5000",
  ];
  const EVERY_STEP = ["--logging_steps", "1", "--save_steps", "1", "--save_total_limit", "3", "--learning_rate", "1e-4"];
  const LORA = ["--use_peft", "--lora_target_modules", "q_proj", "v_proj"];

  it.each([
    ["all weights", []],
    ["LoRA", LORA],
  ])("with kill -9 at any time leaves whole checkpoints (%s)", async (name, more) => {
    const output_dir = newFolder();
    const random = new Random(12).fork(name);
    let last = 0;
    for (let round = 0; round < 5; round++) {
      const saves = 3 + random.integer(6);
      let timer: NodeJS.Timeout | undefined;
      const finished = await preflab([...FLAGS, ...EVERY_STEP, ...more, "--output_dir", output_dir], {
        onOutput(stdout, child) {
          if (stdout.split("saved ").length <= saves) return;
          timer ??= setTimeout(() => child.kill("SIGKILL"), random.integer(60));
        },
      });
      expect(finished.signal, finished.stderr).toBe("SIGKILL");
      const names = checkpoints(output_dir);
      expect(names.length).toBeGreaterThanOrEqual(3);
      for (const folder of names) last = Math.max(last, (await readWhole(join(output_dir, folder))).global_step);
    }
    expect(last).toBeGreaterThanOrEqual(5);
  });

  it("with ctrl-C early ends well with exit code 130", async () => {
    const output_dir = newFolder();
    let sent = false;
    const result = await preflab([...FLAGS, ...LORA, "--save_steps", "2", "--logging_steps", "1", "--output_dir", output_dir], {
      onOutput(stdout, child) {
        if (!sent && stdout.includes("saved")) sent = child.kill("SIGINT");
      },
    });
    expect(result).toMatchObject({ code: 130, signal: null });
    const state = await readWhole(join(output_dir, /the checkpoint is .*(checkpoint-\d+)/.exec(result.stdout)![1]!));
    expect(stateOf(output_dir).global_step).toBe(state.global_step);
  });
});
