/** A run that is resumed goes on as if it had never stopped: same log, same weights, same optimizer, byte for byte. */
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Random } from "../../src/random.js";
import type { DPOConfigInput, DPOTrainer } from "../../src/train/index.js";
import { preflab } from "../cli/command.js";
import { GOLDEN, TINY, goldenPairs, newFolder, smallLora, smallModel, smallTrainer, withTrainer } from "./tinyModel.js";

const LONG: DPOConfigInput = {
  max_steps: 7,
  per_device_train_batch_size: 2,
  gradient_accumulation_steps: 2,
  // Entries that begin before a checkpoint and end after it.
  logging_steps: 3,
  save_strategy: "steps",
  save_steps: 2,
  eval_strategy: "steps",
  eval_steps: 2,
  shuffle_dataset: true,
  disable_dropout: false,
  lr_scheduler_type: "cosine",
  warmup_steps: 2,
  weight_decay: 0.1,
};

interface Kind {
  weights: string;
  lora: boolean;
  more?: DPOConfigInput;
}

async function trainer(kind: Kind, args: DPOConfigInput): Promise<DPOTrainer> {
  return smallTrainer({
    model: await smallModel(),
    train_dataset: await goldenPairs([0, 1, 2, 3, 4, 5, 6]),
    eval_dataset: await goldenPairs([8, 9, 10]),
    ...(kind.lora ? { peft_config: smallLora({ lora_dropout: 0.2 }) } : {}),
    args: { ...LONG, ...kind.more, ...args },
  });
}

/** Trains, and returns the bytes that make a checkpoint. @param from checkpoint to resume from */
async function filesAfter(kind: Kind, output_dir: string, from?: string): Promise<Record<string, string>> {
  const run = await trainer(kind, { output_dir });
  try {
    expect(await run.train({ resume_from_checkpoint: from })).toMatchObject({ finished: true, global_step: 7 });
  } finally {
    await run.dispose();
  }
  const names = [kind.weights, "optimizer.safetensors", "loop_state.json", "trainer_state.json"];
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(output_dir, "checkpoint-7", name)).toString("base64")]));
}

describe.each<[string, Kind]>([
  ["all weights", { weights: "model.safetensors", lora: false }],
  [
    "TR-DPO, whose reference moves",
    { weights: "method_state.safetensors", lora: false, more: { sync_ref_model: true, ref_model_sync_steps: 3 } },
  ],
  [
    "8-bit AdamW and a schedule that follows the evaluations",
    {
      weights: "model.safetensors",
      lora: false,
      more: { optim: "adamw_8bit", lr_scheduler_type: "reduce_lr_on_plateau", lr_scheduler_kwargs: { patience: 0 }, warmup_steps: 0 },
    },
  ],
  ["LoRA with dropout", { weights: "adapter_model.safetensors", lora: true }],
])("%s", (_name, kind) => {
  it("resuming from any checkpoint gives the uninterrupted run's bytes", async () => {
    const whole = newFolder();
    const expected = await filesAfter(kind, whole);
    for (const step of [2, 4, 6]) {
      const output_dir = newFolder();
      const got = await filesAfter(kind, output_dir, join(whole, `checkpoint-${step}`));
      for (const [name, bytes] of Object.entries(expected)) expect(got[name] === bytes, `${name} from step ${step}`).toBe(true);
      const state = (folder: string): string => readFileSync(join(folder, "trainer_state.json"), "utf8").replaceAll(folder, "");
      expect(state(output_dir)).toBe(state(whole));
    }
  });
});

it("resume_from_checkpoint true takes the newest in output_dir; after a stop the run is completed", async () => {
  const kind: Kind = { weights: "adapter_model.safetensors", lora: true };
  const [whole, output_dir] = [newFolder(), newFolder()];
  const expected = await filesAfter(kind, whole);
  const first = await trainer(kind, { output_dir });
  first.add_callback({ on_step_end: ({ global_step }) => void (global_step === 5 && first.stop()) });
  expect(await first.train()).toMatchObject({ finished: false, global_step: 5 });
  await first.dispose();
  const second = await trainer(kind, { output_dir, resume_from_checkpoint: "true" });
  const steps: number[] = [];
  second.add_callback({ on_step_end: ({ global_step }) => void steps.push(global_step) });
  const { metrics } = await second.train();
  await second.dispose();
  expect(steps).toEqual([6, 7]);
  // The rate counts what this process did: two steps of two pairs twice, at the epoch's end one pair fewer.
  expect(Math.round(metrics["train_steps_per_second"]! * metrics["train_runtime"]!)).toBe(2);
  expect(readFileSync(join(output_dir, "checkpoint-7", kind.weights)).toString("base64")).toBe(expected[kind.weights]);
});

it("a longer max_steps goes on after the end of a run", async () => {
  const output_dir = newFolder();
  const kind: Kind = { weights: "adapter_model.safetensors", lora: true };
  await filesAfter(kind, output_dir);
  const more = await trainer(kind, { output_dir, max_steps: 9 });
  expect(await more.train({ resume_from_checkpoint: true })).toMatchObject({ finished: true, global_step: 9 });
  expect(more.state.log_history.map(({ step }) => step)).toContain(9);
  await more.dispose();
});

describe("what cannot be resumed is refused before any work", () => {
  async function refusal(change: (folder: string) => void, args: DPOConfigInput = {}): Promise<string> {
    const source = newFolder();
    await withTrainer({ peft_config: smallLora(), args: { output_dir: source, save_strategy: "steps", save_steps: 2 } }, (run) =>
      run.train(),
    );
    const folder = newFolder();
    cpSync(join(source, "checkpoint-2"), folder, { recursive: true });
    change(folder);
    const error: unknown = await withTrainer({ peft_config: smallLora(), args }, (run) =>
      run.train({ resume_from_checkpoint: folder }).catch((reason: unknown) => reason),
    );
    expect(error).toMatchObject({ code: "resume_from_checkpoint" });
    return (error as Error).message.replaceAll(folder, "DIR");
  }

  it("a folder that is no checkpoint, or was saved without its optimizer", async () => {
    expect(await refusal((folder) => rmSync(folder, { recursive: true }))).toBe(
      "DPOTrainer: resume_from_checkpoint must be a folder with trainer_state.json, got DIR; pass a checkpoint-STEP folder of the run",
    );
    expect(await refusal((folder) => rmSync(join(folder, "optimizer.safetensors")))).toBe(
      "DPOTrainer: cannot resume from DIR: it must hold optimizer.safetensors, got none; it was saved with save_only_model, or by another program",
    );
  });

  it("damaged state", async () => {
    expect(await refusal((folder) => writeFileSync(join(folder, "trainer_state.json"), "{"))).toMatch(
      /^DIR\/trainer_state.json: must be JSON; .*; resume from an older checkpoint$/,
    );
  });

  it("options that would make it another run, and a run that is shorter", async () => {
    expect(await refusal(() => undefined, { seed: 1 })).toBe(
      "DPOTrainer: cannot resume from DIR: seed must be as in the run it belongs to, 42, got 1",
    );
    expect(await refusal(() => undefined, { max_steps: 1 })).toBe(
      "DPOTrainer: cannot resume from DIR: it is at step 2, got a run of 1 steps; raise max_steps",
    );
  });

  it("true without a checkpoint", async () => {
    await withTrainer({}, async (run) => {
      await expect(run.train({ resume_from_checkpoint: true })).rejects.toMatchObject({
        code: "resume_from_checkpoint",
        message: expect.stringContaining("needs a checkpoint in output_dir, got none") as string,
      });
    });
  });
});

it("a process killed with -9 again and again ends with the bytes of an undisturbed run", { timeout: 240_000 }, async () => {
  const flags = (output_dir: string): string[] => [
    ...["dpo", "--model_name_or_path", TINY, "--dataset_name", `${GOLDEN}/pairs.jsonl`, "--output_dir", output_dir],
    ..."--threads 1 --per_device_train_batch_size 1 --max_steps 40 --logging_steps 1 --save_steps 1 --save_total_limit 2".split(" "),
    ..."--learning_rate 1e-3 --use_peft --lora_target_modules q_proj v_proj --lora_dropout 0.1 --no_disable_dropout".split(" "),
  ];
  const [whole, broken] = [newFolder(), newFolder()];
  expect(await preflab(flags(whole))).toMatchObject({ code: 0 });
  const random = new Random(5).fork("kills");
  let [kills, resume] = [0, false];
  for (let done = false; !done && kills < 20;) {
    const saves = 1 + random.integer(8);
    let timer: NodeJS.Timeout | undefined;
    const more = resume ? ["--resume_from_checkpoint", "true"] : [];
    const result = await preflab([...flags(broken), ...more], {
      onOutput(stdout, child) {
        if (stdout.split("saved ").length > saves) timer ??= setTimeout(() => child.kill("SIGKILL"), random.integer(80));
      },
    });
    done = result.code === 0;
    if (!done) expect(result.signal, result.stderr).toBe("SIGKILL");
    kills += done ? 0 : 1;
    resume = true;
  }
  expect(kills).toBeGreaterThanOrEqual(3);
  const bytes = (folder: string, name: string): string => readFileSync(join(folder, "checkpoint-40", name)).toString("base64");
  for (const name of ["adapter_model.safetensors", "optimizer.safetensors", "loop_state.json", "trainer_state.json"])
    expect(bytes(broken, name) === bytes(whole, name), name).toBe(true);
});
