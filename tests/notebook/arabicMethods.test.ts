/** The notebook of Arabic methods as students get it, run on a model with random weights. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { PLOTLY_MIME } from "../../src/notebook/figures.js";
import { readNotebook, type Notebook } from "../../src/notebook/nbformat.js";
import { runNotebook } from "../../src/notebook/runner.js";
import { requireClean, resultOf, streamOf } from "./notebooks.js";
import { randomModel } from "./randomModel.js";

const PATH = resolve(import.meta.dirname, "../../notebooks/arabic-qwen-methods.ipynb");

test("the file has no outputs, and one cell of parameters", async () => {
  const notebook = await readNotebook(PATH);
  expect(notebook.cells.every((cell) => cell.cell_type !== "code" || (cell.outputs.length === 0 && cell.execution_count === null))).toBe(
    true,
  );
  expect(notebook.cells.filter((cell) => cell.metadata.tags?.includes("parameters"))).toHaveLength(1);
});

describe("a run with LoRA", () => {
  let notebook: Notebook;
  let output_dir: string;
  beforeAll(async () => {
    const model_name = await randomModel();
    output_dir = join(model_name, "..", "out");
    const parameters = {
      model_name,
      output_dir,
      use_lora: true,
      num_examples: 16,
      num_epochs: 2,
      sft_learning_rate: 4e-3,
      dpo_learning_rate: 4e-3,
      kto_learning_rate: 4e-3,
      inference_runs: 4,
      max_new_tokens: 4,
    };
    const result = await runNotebook(PATH, { parameters, env: { HF_HUB_OFFLINE: "1" } });
    expect(result.failed).toBeUndefined();
    notebook = result.notebook;
  }, 300_000);

  test("every code cell ran, none wrote to stderr", () => requireClean(notebook));

  test("Arabic cells run from right to left", () => {
    const html = resultOf(notebook, "load")["text/html"] as string;
    expect(html.match(/<td dir="rtl"/g)!.length).toBe(18); // 6 rows of prompt, chosen, rejected
    expect(resultOf(notebook, "usage-plain")["text/html"]).toMatch(/<td dir="rtl"[^>]*>ما رأيك في أهمية التعليم؟/);
  });

  test("the table holds measured numbers, and says what was not measured", () => {
    const rows = JSON.parse(readFileSync(join(output_dir, "comparison.json"), "utf8")) as Record<string, number | string>[];
    expect(rows.map(({ method }) => method)).toEqual(["base", "SFT", "DPO", "KTO"]);
    expect(rows.map(({ training_seconds }) => typeof training_seconds)).toEqual(["string", "number", "number", "number"]);
    for (const row of rows.slice(1)) {
      for (const [name, value] of Object.entries(row)) if (name !== "method") expect([name, value]).toEqual([name, expect.any(Number)]);
      expect(row["inferences_per_second"]).toBeCloseTo((row["tokens_per_second"] as number) / 4, 6);
    }
    expect(resultOf(notebook, "table")["text/html"]).toContain("efficiency_score = ");
    expect(resultOf(notebook, "refuse")["text/plain"]).toMatch(/training of the card must be measured/);
  });

  test("curves of three methods; three adapters are saved and answer", () => {
    const { data } = resultOf(notebook, "curves")[PLOTLY_MIME] as { data: { name: string; x: number[] }[] };
    expect(data.map(({ name }) => name)).toEqual(["SFT", "DPO", "KTO"]);
    for (const method of ["SFT", "DPO", "KTO"]) expect(readdirSync(join(output_dir, method))).toContain("adapter_model.safetensors");
    expect(resultOf(notebook, "answers")["text/html"]).toMatch(/>base<[\s\S]*>SFT<[\s\S]*>DPO<[\s\S]*>KTO</);
    expect(streamOf(notebook, "card")).toMatch(/17 times[\s\S]*e\^30/);
  });
});
