/** The quick-start notebook as students get it, run on a model with random weights. */
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readNotebook, type Notebook } from "../../src/notebook/nbformat.js";
import { runNotebook } from "../../src/notebook/runner.js";
import { requireClean, resultOf, streamOf } from "./notebooks.js";
import { randomModel } from "./randomModel.js";

const PATH = resolve(import.meta.dirname, "../../notebooks/dpo-quickstart.ipynb");

test("the file has no outputs, and one cell of parameters", async () => {
  const notebook = await readNotebook(PATH);
  expect(notebook.cells.every((cell) => cell.cell_type !== "code" || (cell.outputs.length === 0 && cell.execution_count === null))).toBe(
    true,
  );
  expect(notebook.cells.filter((cell) => cell.metadata.tags?.includes("parameters"))).toHaveLength(1);
});

describe("a run", () => {
  let notebook: Notebook;
  let output_dir: string;
  beforeAll(async () => {
    const model_name = await randomModel();
    output_dir = join(model_name, "..", "out");
    const parameters = { model_name, output_dir, num_examples: 16, num_epochs: 2, max_new_tokens: 12 };
    const result = await runNotebook(PATH, { parameters, env: { HF_HUB_OFFLINE: "1" } });
    expect(result.failed).toBeUndefined();
    notebook = result.notebook;
  }, 300_000);

  test("every code cell ran, none wrote to stderr", () => requireClean(notebook));

  test("the card that is shown is the one beside the adapter", () => {
    expect(readdirSync(join(output_dir, "hub", "your-name", "dpo_model"))).toEqual(
      expect.arrayContaining(["README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json"]),
    );
    expect(streamOf(notebook, "card")).toMatch(/^---\n[\s\S]*# dpo_model\n[\s\S]*dpo[\s\S]*rewards\/margins/i);
  });

  test("the answers of the batch are a table, the stream is what was printed", () => {
    expect(resultOf(notebook, "batch")["text/html"]).toMatch(/time machine[\s\S]*Are you a human being/);
    expect(streamOf(notebook, "stream").length).toBeGreaterThan(0);
    expect(streamOf(notebook, "check-pipeline").match(/✓/g)).toHaveLength(6);
  });
});
