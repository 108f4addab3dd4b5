/** A sweep in a cell: table and figure fill up in place, and stay as they are at the end. */
import { expect, test } from "vitest";
import { PLOTLY_MIME } from "../../src/notebook/figures.js";
import { type CodeCell } from "../../src/notebook/nbformat.js";
import { runNotebook } from "../../src/notebook/runner.js";
import { code, notebookOf, writeTemporary } from "./notebooks.js";

test("twelve trials: one table, one figure, and the result as the cell's value", async () => {
  const { path } = await writeTemporary(
    notebookOf(
      code(`import { sweep } from "preflab";
const result = await sweep({
  objective: async (trial) => {
    await new Promise((resolve) => setTimeout(resolve, 150));
    if (trial.params.r === 16 && trial.params.beta === 0.5) throw new Error("too wild");
    return Number(trial.params.learning_rate) * Number(trial.params.r);
  },
  grid: { learning_rate: [1e-4, 1e-3], beta: [0.1, 0.5], r: [4, 8, 16] },
  metric: "score",
  output_dir: "sweep",
});
result`),
      code(`result.best.params`),
    ),
  );
  const { failed, notebook } = await runNotebook(path);
  expect(failed).toBeUndefined();
  const [cell, best] = notebook.cells as [CodeCell, CodeCell];
  const outputs = cell.outputs.map((output) => ("data" in output ? output.data : output));
  // The displays were updated in place: one table and one figure, with all trials; then the value.
  expect(outputs.length).toBe(3);
  const [table, figure, value] = outputs as [Record<string, string>, Record<string, unknown>, Record<string, string>];
  expect(table["text/html"]).toContain("too wild");
  expect(table["text/html"]!.match(/<tr>/g)!.length).toBe(13);
  expect((figure[PLOTLY_MIME] as { data: { type: string }[] }).data[0]!.type).toBe("parcoords");
  expect(value["text/plain"]).toBe(table["text/plain"]);
  expect(JSON.stringify(best.outputs)).toContain("0.001");
});
