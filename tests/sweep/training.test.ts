import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { load_dataset } from "../../src/data/index.js";
import "../../src/hub/index.js";
import { AutoModelForCausalLM, LoraConfig, PeftModel } from "../../src/model/index.js";
import { readNotebook } from "../../src/notebook/index.js";
import { type SweepInput, SweepResult, openSweep, readSweepFile, sweep } from "../../src/sweep/index.js";
import { addSweepSection } from "../../src/hub/card/sweep.js";
import { AutoTokenizer } from "../../src/text/index.js";
import { DPOConfig, DPOTrainer, readRunManifest } from "../../src/train/index.js";

const BASE = resolve(import.meta.dirname, "../../datasets/tiny-qwen2-chat");
const DATA = resolve(import.meta.dirname, "../../datasets/truthy-dpo-mini");
const OPTIONS = { per_device_train_batch_size: 2, max_steps: 3, logging_steps: 1 };

let folder: string;
let result: SweepResult;
const input = (): SweepInput => ({
  ...{ base: BASE, data: DATA, method: "dpo", train_split: "train[:6]", test_split: "test[:4]", options: OPTIONS },
  // A learning rate below 0 is no option, and gradients times 1e38 are infinite.
  ...{ grid: { learning_rate: [1e-3, -1], lora_alpha: [16, 1e38], r: [2, 4] }, output_dir: join(folder, "sweep"), progress: false },
});

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "preflab-sweep-"));
  result = await sweep(input());
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a sweep of trainings", () => {
  test("bad options and numbers end one trial, with the reason", () => {
    expect(result.trials.map(({ state }) => state)).toEqual(["complete", "complete", "fail", "fail", "fail", "fail", "fail", "fail"]);
    expect(result.trials[2]!.reason).toMatch(/^DPOTrainer: step 1: the gradient norm must be finite/);
    expect(result.trials[4]!.reason).toBe("trial 4: learning_rate must be >= 0, got -1; the default is 1e-6");
  });

  test("a trial on the shared model is the run that a trainer makes alone, to the last bit", async () => {
    const model = await AutoModelForCausalLM.from_pretrained(BASE);
    const trainer = new DPOTrainer({
      model,
      args: new DPOConfig({
        ...{ per_device_train_batch_size: 2, max_steps: 3, logging_steps: 1 },
        learning_rate: 1e-3,
        output_dir: join(folder, "alone"),
        disable_tqdm: true,
      }),
      train_dataset: await load_dataset(DATA, { split: "train[:6]" }),
      eval_dataset: await load_dataset(DATA, { split: "test[:4]" }),
      processing_class: await AutoTokenizer.from_pretrained(BASE),
      peft_config: new LoraConfig({ r: 4, lora_alpha: 16 }),
    });
    await trainer.train();
    const { results } = trainer.manifest!;
    await trainer.dispose();
    // Trial 1 came after trial 0 on the same model.
    const manifest = await readRunManifest(join(folder, "sweep/trials/0001"));
    expect(manifest.results!.weights_sha256).toBe(results!.weights_sha256);
    expect(manifest.status).toBe("finished");
    expect((await readRunManifest(join(folder, "sweep/trials/0003"))).status).toBe("failed");
  });

  test("the best model is saved and loads; other weights are not kept", async () => {
    const best = result.best!;
    expect(best.value).toBe(Math.max(...result.trials.map(({ value }) => value ?? -1)));
    const base = await AutoModelForCausalLM.from_pretrained(BASE);
    const tuned = await PeftModel.from_pretrained(base, result.best_dir!);
    expect(tuned.peft_config.r).toBe(best.params["r"]);
    const kept = [0, 1].filter((number) => existsSync(join(folder, `sweep/trials/000${number}/adapter_model.safetensors`)));
    expect(kept).toEqual([best.number]);
    expect((await readRunManifest(result.best_dir!)).status).toBe("finished");
  });

  test("started again it runs nothing and finds the same table", async () => {
    const again = await sweep(input());
    expect(again.to_csv()).toBe(result.to_csv());
    expect(readFileSync(join(folder, "sweep/results.csv"), "utf8")).toBe(result.to_csv());
  });

  test("as a notebook cell, and as a section of the best model's card", async () => {
    const file = join(folder, "cell.ipynb");
    writeFileSync(file, JSON.stringify({ cells: [result.to_notebook_cell()], metadata: {}, nbformat: 4, nbformat_minor: 5 }));
    const { cells } = await readNotebook(file);
    expect(JSON.stringify(cells[0])).toContain("const result = await sweep({");
    expect(JSON.stringify(cells[0])).toContain("application/vnd.plotly.v1+json");
    const card = readFileSync(join(result.best_dir!, "README.md"), "utf8");
    expect(card.match(/### How the settings were chosen/g)).toHaveLength(1);
    expect(card).toContain("2 of 8 trials complete, 6 failed; maximize eval_rewards/accuracies.");
    // A second time replaces the first.
    expect(addSweepSection(card, result)).toBe(card);
  });

  test("the figure has one line a complete trial, and their curves", () => {
    const { data } = result.chart();
    const [lines, ...curves] = data as { type: string; dimensions?: { label: string; values: number[] }[]; name?: string; y?: number[] }[];
    expect(lines!.type).toBe("parcoords");
    expect(lines!.dimensions!.map(({ label }) => label)).toEqual(["r", "eval_rewards/accuracies"]);
    expect(curves.filter(({ type }) => type === "scatter").map(({ y }) => y!.length)).toEqual([3, 3]);
    expect(curves.find(({ type }) => type === "scatter")!.y![0]).toBeCloseTo(Math.log(2), 3);
  });
});

describe("what a sweep refuses before it trains", () => {
  const refused = async (more: Partial<SweepInput>): Promise<string> => {
    const error = await openSweep({ ...input(), output_dir: join(folder, "refused"), ...more }).then(
      () => new Error("nothing was refused"),
      (thrown: unknown) => thrown as Error,
    );
    return error.message;
  };
  test("unknown options, a fixed option that is varied, the sweep's own", async () => {
    expect(await refused({ grid: { learning_rat: [1] } })).toBe("sweep: unknown option learning_rat; did you mean learning_rate?");
    expect(await refused({ grid: { max_steps: [1, 2] } })).toBe(
      "sweep: max_steps must be varied or fixed, got both; take it out of options",
    );
    expect(await refused({ options: { output_dir: "x" } })).toContain("every trial has a folder of its own");
    expect(await refused({ grid: undefined })).toContain("one of grid and space must be given, got none");
    expect(await refused({ base: undefined })).toContain("base must be given");
  });
});

describe("an instructor's file", () => {
  const write = (name: string, text: string): string => {
    const file = join(folder, name);
    writeFileSync(file, text);
    return file;
  };
  const INSTRUCTOR = `
base: ${BASE}
data: ${DATA}
grid: { learning_rate: [1.0e-4], beta: [0.1] }
options: { max_steps: 2 }
students: { learning_rate: { min: 1.0e-6, max: 1.0e-2 }, r: [4, 8], trials: 6 }
`;
  const student = (text: string): Promise<unknown> =>
    readSweepFile(write("student.yaml", `extends: instructor.yaml\n${text}`)).catch((error: unknown) => (error as Error).message);

  test("leaves open what it says, and fixes the rest", async () => {
    write("instructor.yaml", INSTRUCTOR);
    expect(await student("grid: { learning_rate: [1.0e-3, 2.0e-3], r: [4] }")).toMatchObject({
      base: BASE,
      options: { max_steps: 2 },
      grid: { learning_rate: [1e-3, 2e-3], beta: [0.1], r: [4] },
      space: null,
    });
    expect(await student("grid: { beta: [0.5] }")).toContain("beta is fixed by");
    expect(await student("grid: { learning_rate: [1] }")).toContain("learning_rate must be >= 0.000001 and <= 0.01 by");
    expect(await student("grid: { r: [16] }")).toContain("r must be one of 4, 8 by");
    expect(await student("options: { max_steps: 100 }")).toContain("options is fixed by");
    expect(await student("budget: { trials: 7 }")).toContain("budget.trials must be <= 6");
    expect(await student("space: { learning_rate: { log_uniform: [1.0e-5, 1] } }")).toContain("got 1");
  });
});
