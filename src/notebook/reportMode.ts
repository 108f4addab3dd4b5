import type { Notebook } from "./nbformat.js";

/** Marks the code of every cell as hidden, as JupyterLab (`jupyter.source_hidden`) and papermill (`inputHidden`) do. */
export function hideSources(notebook: Notebook): Notebook {
  const cells = notebook.cells.map((cell) => {
    if (cell.cell_type !== "code") return cell;
    const jupyter = { ...(cell.metadata["jupyter"] as object | undefined), source_hidden: true };
    return { ...cell, metadata: { ...cell.metadata, jupyter, inputHidden: true } };
  });
  return { ...notebook, cells };
}
