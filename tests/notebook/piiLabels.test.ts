/** The notebook about sensitive labels, with fewer labels and steps than as it stands: every cell, every check, every output. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PLOTLY_MIME } from "../../src/notebook/figures.js";
import { renderNotebookHtml } from "../../src/notebook/html.js";
import { readNotebook, type CodeCell, type Notebook } from "../../src/notebook/nbformat.js";
import { runNotebook } from "../../src/notebook/runner.js";

const PATH = resolve(import.meta.dirname, "../../notebooks/pii-sft-dpo.ipynb");

describe("the file", () => {
  test("five tasks, each with an aim and a check cell; no outputs, the right kernel", async () => {
    const notebook = await readNotebook(PATH);
    const aims = notebook.cells.filter((cell) => cell.cell_type === "markdown" && /^## Task \d/.test(cell.source));
    expect(aims.map((cell) => /Task (\d)/.exec(cell.source)![1])).toEqual(["1", "2", "3", "4", "5"]);
    expect(aims.every((cell) => cell.source.includes("**You learn:**"))).toBe(true);
    expect(notebook.cells.filter((cell) => /^check\d$/.test(cell.id))).toHaveLength(5);
    const code = notebook.cells.filter((cell) => cell.cell_type === "code");
    expect(code.filter((cell) => cell.outputs.length > 0 || cell.execution_count !== null)).toEqual([]);
    expect(notebook.metadata).toMatchObject({ kernelspec: { name: "preflab" } });
  });
});

describe("a short run", () => {
  let notebook: Notebook;
  let output_dir: string;
  beforeAll(async () => {
    output_dir = mkdtempSync(join(tmpdir(), "preflab-pii-"));
    const parameters = {
      output_dir,
      num_train_rows: 40,
      num_eval_rows: 8,
      num_test_rows: 48,
      sft_epochs: 2,
      // So few steps must be large to raise the margins above the noise of the dropout.
      dpo_learning_rate: 2e-3,
      dpo_epochs: 3,
      eval_steps: 20,
    };
    const result = await runNotebook(PATH, { parameters, env: { HF_HUB_OFFLINE: "1" } });
    expect(result.failed).toBeUndefined();
    notebook = result.notebook;
  }, 300_000);
  afterAll(() => rmSync(output_dir, { recursive: true }));

  const cell = (id: string): CodeCell => notebook.cells.find((candidate) => candidate.id === id) as CodeCell;
  const result = (id: string): Record<string, unknown> => {
    const last = cell(id).outputs.at(-1);
    if (last?.output_type !== "execute_result") throw new Error(`cell ${id} has no result: ${JSON.stringify(cell(id).outputs)}`);
    return last.data;
  };
  const figure = (data: Record<string, unknown>) => data[PLOTLY_MIME] as { data: Record<string, unknown>[] };

  test("every code cell ran, in order", () => {
    const cells = notebook.cells.filter((candidate) => candidate.cell_type === "code");
    expect(cells.map(({ execution_count }) => execution_count)).toEqual(cells.map((_, at) => at + 1));
  });

  test("the curves have the numbers of the steps", () => {
    const [loss, evaluated] = figure(result("sft")).data as { x: number[]; y: number[] }[];
    expect(loss!.x).toEqual([10, 20, 30, 40]); // 40 labels in batches of 2, twice
    expect(evaluated!.x).toEqual([20, 40]);
    const dpo = figure(result("dpo")).data as { name: string; y: number[] }[];
    expect(dpo[0]!.y[0]).toBeCloseTo(Math.log(2), 1);
    expect(dpo.map(({ name }) => name)).toEqual(expect.arrayContaining(["chosen", "rejected", "margin"]));
  });

  test("bars of three models and the baseline with intervals, and a confusion matrix of all test labels for each", () => {
    const bars = figure(result("bars")).data as { name: string; y: number[]; error_y: { array: (number | null)[] } }[];
    expect(bars.map(({ name }) => name)).toEqual(["original", "SFT", "DPO", "letters (baseline)"]);
    for (const { y, error_y } of bars) {
      expect(y).toHaveLength(4);
      expect(error_y.array.filter((width) => Number.isFinite(width))).toHaveLength(4);
      expect(error_y.array[0]).toBeGreaterThan(0);
    }
    const matrices = cell("confusion").outputs.flatMap((output) => (output.output_type === "display_data" ? [output.data] : []));
    expect(matrices).toHaveLength(3);
    for (const data of matrices) {
      const [{ z }] = figure(data).data as [{ z: number[][] }];
      expect(z.flat().reduce((a, b) => a + b)).toBe(48);
    }
  });

  test("the last cell writes what the tables show", () => {
    const results = JSON.parse(readFileSync(join(output_dir, "results.json"), "utf8"));
    expect(results.labels).toEqual({ train: 40, eval: 8, test: 48 });
    expect(results.models.map(({ name }: { name: string }) => name)).toEqual(["original", "SFT", "DPO", "letters (baseline)"]);
    for (const { accuracy, confusion } of results.models) {
      expect(accuracy.value).toBeCloseTo((confusion[0][0] + confusion[1][1]) / 48, 12);
      expect(accuracy.low).toBeLessThan(accuracy.value);
      expect(accuracy.high).toBeGreaterThan(accuracy.value);
    }
    const [original, sft] = results.models;
    expect(results.gains[0].gain).toBeCloseTo(sft.accuracy.value - original.accuracy.value, 12);
    expect(results.samples).toHaveLength(8);
    for (const folder of ["sft", "sft/checkpoint-20", "sft/checkpoint-40", "dpo"])
      expect(existsSync(join(output_dir, folder, "adapter_model.safetensors")), folder).toBe(true);
  });

  test("the page has every figure", () => {
    const html = renderNotebookHtml(notebook);
    expect(html.match(/id="plot-\d+"/g)).toHaveLength(6);
    expect(html).not.toContain('class="code failed"');
  });
});
