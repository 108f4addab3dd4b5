/** The assignment notebook as students get it, run on a model with random weights: every cell, every check, every output. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { PLOTLY_MIME } from "../../src/notebook/figures.js";
import { renderNotebookHtml } from "../../src/notebook/html.js";
import { readNotebook, type Notebook } from "../../src/notebook/nbformat.js";
import { runNotebook } from "../../src/notebook/runner.js";
import { requireClean, resultOf } from "./notebooks.js";
import { randomModel } from "./randomModel.js";

const PATH = resolve(import.meta.dirname, "../../notebooks/a5-dpo-assignment.ipynb");

describe("the file", () => {
  test("four tasks, each with an aim and a check cell; no outputs, the right kernel", async () => {
    const notebook = await readNotebook(PATH);
    const aims = notebook.cells.filter((cell) => cell.cell_type === "markdown" && /^## Task \d/.test(cell.source));
    expect(aims.map((cell) => /Task (\d)/.exec(cell.source)![1])).toEqual(["1", "2", "3", "4"]);
    expect(aims.every((cell) => cell.source.includes("**You learn:**"))).toBe(true);
    expect(notebook.cells.filter((cell) => /^check\d$/.test(cell.id))).toHaveLength(4);
    expect(notebook.cells.every((cell) => cell.cell_type !== "code" || (cell.outputs.length === 0 && cell.execution_count === null))).toBe(
      true,
    );
    expect(notebook.metadata).toMatchObject({ kernelspec: { name: "preflab" } });
  });
});

describe.each([false, true])("a run with use_lora %s", (use_lora) => {
  let notebook: Notebook;
  let output_dir: string;
  beforeAll(async () => {
    const model_name = await randomModel();
    output_dir = join(model_name, "..", "out");
    const parameters = {
      model_name,
      output_dir,
      use_lora,
      num_examples: 20,
      num_eval_examples: 8,
      num_judge_prompts: 15,
      num_epochs: [2],
      learning_rates: [use_lora ? 2e-3 : 4e-4],
      betas: use_lora ? [0.1] : [0.1, 0.5],
    };
    const result = await runNotebook(PATH, { parameters, env: { HF_HUB_OFFLINE: "1" } });
    expect(result.failed).toBeUndefined();
    notebook = result.notebook;
  }, 300_000);

  test("no cell writes to stderr, every code cell ran", () => {
    requireClean(notebook);
  });

  test("the ranked table has one row a trial, the curves have the numbers of the steps", () => {
    expect(resultOf(notebook, "rank")["text/html"]).toContain("ranked by eval_accuracy");
    const { data } = resultOf(notebook, "curves-best")[PLOTLY_MIME] as { data: { name: string; x: number[]; y: number[] }[] };
    const loss = data[0]!;
    expect(loss.x).toEqual([1, 2, 3, 4, 5, 6, 7, 8]); // 20 pairs in batches of 5, twice
    expect(loss.y[0]).toBeCloseTo(Math.log(2), 3);
    expect(data.map((trace) => trace.name)).toEqual(expect.arrayContaining(["chosen", "rejected", "margin"]));
    expect((resultOf(notebook, "curves-all")[PLOTLY_MIME] as { data: unknown[] }).data).toHaveLength(use_lora ? 1 : 2);
  });

  test("model and tokenizer are saved, and pushed to a local folder with a model card", () => {
    const saved = readdirSync(join(output_dir, "dpo_finetuned_model"));
    const weights = use_lora ? ["adapter_config.json", "adapter_model.safetensors"] : ["config.json", "model.safetensors"];
    expect(saved).toEqual(expect.arrayContaining([...weights, "tokenizer.json"]));
    expect(readdirSync(join(output_dir, "hub", "your-name", "dpo_finetuned_model"))).toEqual(
      expect.arrayContaining([...saved, "README.md"]),
    );
  });

  test("the results are written for others to compare", () => {
    const results = JSON.parse(readFileSync(join(output_dir, "results.json"), "utf8"));
    expect(results).toMatchObject({ pairs: 20, trials: use_lora ? 1 : 2, best: { batch_size: 5, epochs: 2 } });
    expect(results.answers).toHaveLength(6);
  });

  test("a judge compares unseen answers in both orders, and says what that is worth", () => {
    const saved = JSON.parse(readFileSync(join(output_dir, "judgements.json"), "utf8"));
    expect(saved.judgements).toHaveLength(30);
    for (const { verdict } of saved.judgements) expect(["Model A", "Model B", "Tie"]).toContain(verdict);
    expect(readFileSync(join(output_dir, "judgements.csv"), "utf8").split("\r\n")).toHaveLength(32);
    expect(resultOf(notebook, "judge-run")["text/html"]).toContain("win rate of tuned");
    const { judge } = JSON.parse(readFileSync(join(output_dir, "results.json"), "utf8"));
    expect(judge.conclusion).toMatch(judge.is_fit ? /^tuned wins/ : /^Nothing can be concluded/);
    expect(resultOf(notebook, "judge-meaning")["text/plain"]).toContain(judge.conclusion.slice(0, 40));
  });

  test("answers before and after are a table; the page has every figure", () => {
    expect(resultOf(notebook, "after")["text/html"]).toMatch(/>before<[\s\S]*>after</);
    const html = renderNotebookHtml(notebook);
    expect(html.match(/id="plot-\d+"/g)).toHaveLength(3);
    expect(html).not.toContain('class="code failed"');
  });
});
