/** Small notebooks for tests. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { formatNotebook, type Cell, type CodeCell, type Notebook } from "../../src/notebook/nbformat.js";

export function code(source: string, tags: string[] = [], id = `c${nextId++}`): Cell {
  return { cell_type: "code", id, source, metadata: tags.length > 0 ? { tags } : {}, outputs: [], execution_count: null };
}
let nextId = 0;

export function markdown(source: string): Cell {
  return { cell_type: "markdown", id: `m${nextId++}`, source, metadata: {} };
}

export function notebookOf(...cells: Cell[]): Notebook {
  return {
    cells,
    metadata: { kernelspec: { name: "preflab", display_name: "TypeScript (Preflab)", language: "typescript" } },
    nbformat: 4,
    nbformat_minor: 5,
  };
}

export async function writeTemporary(notebook: Notebook): Promise<{ path: string; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), "preflab-notebook-"));
  const path = join(folder, "in.ipynb");
  await writeFile(path, formatNotebook(notebook));
  return { path, folder };
}

function codeCell(notebook: Notebook, id: string): CodeCell {
  const cell = notebook.cells.find((candidate) => candidate.id === id);
  if (cell?.cell_type !== "code") throw new Error(`no code cell ${id}`);
  return cell;
}

/** MIME bundle of a cell's last value. */
export function resultOf(notebook: Notebook, id: string): Record<string, unknown> {
  const { outputs } = codeCell(notebook, id);
  const last = outputs.at(-1);
  if (last?.output_type !== "execute_result") throw new Error(`cell ${id} has no result: ${JSON.stringify(outputs)}`);
  return last.data;
}

/** What a cell printed. */
export function streamOf(notebook: Notebook, id: string): string {
  return codeCell(notebook, id)
    .outputs.flatMap((output) => (output.output_type === "stream" && output.name === "stdout" ? [output.text] : []))
    .join("");
}

/** Every code cell ran, in order, and none wrote to stderr. */
export function requireClean(notebook: Notebook): void {
  const cells = notebook.cells.filter((cell) => cell.cell_type === "code");
  const complaints = cells.flatMap((cell) => cell.outputs).filter((output) => output.output_type === "stream" && output.name === "stderr");
  expect(complaints).toEqual([]);
  expect(cells.map((cell) => cell.execution_count)).toEqual(cells.map((_, at) => at + 1));
}
