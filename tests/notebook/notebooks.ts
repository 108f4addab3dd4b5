/** Small notebooks for tests. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatNotebook, type Cell, type Notebook } from "../../src/notebook/nbformat.js";

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
