/** Notebook files, nbformat 4.5. In memory a source is one string; on disk it is a list of lines, as Jupyter writes it. */
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DataError } from "../errors.js";
import type { MimeBundle } from "./mime.js";

export type Output =
  | { output_type: "stream"; name: "stdout" | "stderr"; text: string }
  | { output_type: "display_data"; data: MimeBundle; metadata: Record<string, unknown> }
  | { output_type: "execute_result"; data: MimeBundle; metadata: Record<string, unknown>; execution_count: number }
  | { output_type: "error"; ename: string; evalue: string; traceback: string[] };

interface CellBase {
  id: string;
  source: string;
  metadata: Record<string, unknown> & { tags?: string[] };
}
export interface CodeCell extends CellBase {
  cell_type: "code";
  execution_count: number | null;
  outputs: Output[];
}
export interface TextCell extends CellBase {
  cell_type: "markdown" | "raw";
  /** File name → MIME type → base64: pictures pasted into the text. */
  attachments?: Record<string, Record<string, string>>;
}
export type Cell = CodeCell | TextCell;

export interface Notebook {
  cells: Cell[];
  metadata: Record<string, unknown>;
  nbformat: 4;
  nbformat_minor: number;
}

const joined = (text: unknown): string => (Array.isArray(text) ? text.join("") : String(text ?? ""));

/** Text → lines that keep their ends. */
function lines(text: string): string[] {
  return text === "" ? [] : text.split(/(?<=\n)/);
}

const isText = (mime: string): boolean => mime.startsWith("text/") || mime === "application/javascript" || mime === "image/svg+xml";

function mapBundle(bundle: MimeBundle, convert: (content: unknown, mime: string) => unknown): MimeBundle {
  return Object.fromEntries(Object.entries(bundle).map(([mime, content]) => [mime, convert(content, mime)]));
}

function readOutput(output: Output): Output {
  if (output.output_type === "stream") return { ...output, text: joined(output.text) };
  if (output.output_type === "error") return output;
  return {
    ...output,
    data: mapBundle(output.data, (content) =>
      Array.isArray(content) && content.every((line) => typeof line === "string") ? content.join("") : content,
    ),
  };
}

/** @param file only for messages. @throws DataError when the text is no notebook of format 4 */
export function parseNotebook(text: string, file: string): Notebook {
  let raw: Partial<Notebook>;
  try {
    raw = JSON.parse(text) as Partial<Notebook>;
  } catch (cause) {
    throw new DataError(
      "notebook_json",
      "notebook: must be JSON, got text that does not parse; open and save it in Jupyter",
      { file },
      { cause },
    );
  }
  if (raw === null || typeof raw !== "object" || raw.nbformat !== 4 || !Array.isArray(raw.cells)) {
    throw new DataError(
      "notebook_format",
      `notebook: must have nbformat 4 and cells, got nbformat ${JSON.stringify(raw?.nbformat)}; convert it with \`jupyter nbconvert --to notebook\``,
      { file },
    );
  }
  const ids = new Set<string>();
  const cells = raw.cells.map((cell, at): Cell => {
    if (!["code", "markdown", "raw"].includes(cell?.cell_type)) {
      throw new DataError(
        "notebook_cell",
        `notebook: cell_type must be code, markdown or raw, got ${JSON.stringify(cell?.cell_type)} in cell ${at + 1}; repair or remove the cell`,
        { file },
      );
    }
    // Formats before 4.5 have no ids, and copying files by hand doubles them.
    let id = typeof cell.id === "string" && cell.id !== "" ? cell.id : `cell-${at + 1}`;
    while (ids.has(id)) id += "-copy";
    ids.add(id);
    const base = { ...cell, id, source: joined(cell.source), metadata: cell.metadata ?? {} };
    return cell.cell_type === "code"
      ? { ...base, cell_type: "code", execution_count: cell.execution_count ?? null, outputs: (cell.outputs ?? []).map(readOutput) }
      : (base as TextCell);
  });
  return { cells, metadata: raw.metadata ?? {}, nbformat: 4, nbformat_minor: Math.max(5, raw.nbformat_minor ?? 5) };
}

/** @throws DataError when the file cannot be read or is no notebook */
export async function readNotebook(path: string): Promise<Notebook> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new DataError(
      "notebook_read",
      `notebook: must be a readable file, got ${(cause as NodeJS.ErrnoException).code ?? "an error"}; check the path`,
      { file: path },
      { cause },
    );
  }
  return parseNotebook(text, path);
}

function writeOutput(output: Output): unknown {
  if (output.output_type === "stream") return { ...output, text: lines(output.text) };
  if (output.output_type === "error") return output;
  return {
    ...output,
    data: mapBundle(output.data, (content, mime) => (typeof content === "string" && isText(mime) ? lines(content) : content)),
  };
}

/** The file's text: one space of indentation and a final newline, as Jupyter writes it. */
export function formatNotebook(notebook: Notebook): string {
  const cells = notebook.cells.map((cell) => ({
    ...cell,
    source: lines(cell.source),
    ...(cell.cell_type === "code" ? { outputs: cell.outputs.map(writeOutput) } : {}),
  }));
  return `${JSON.stringify({ ...notebook, cells }, undefined, 1)}\n`;
}

/** Writes beside the target and renames, so that a reader never sees half a file. */
export async function writeAtomically(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const draft = join(dirname(path), `.${process.pid}-${nextDraft++}.tmp`);
  try {
    await writeFile(draft, text);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}
let nextDraft = 0;

export function writeNotebook(path: string, notebook: Notebook): Promise<void> {
  return writeAtomically(path, formatNotebook(notebook));
}
