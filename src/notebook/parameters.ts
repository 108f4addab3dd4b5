/** Parameters as papermill does them: a cell tagged `parameters` holds defaults, a new cell after it holds what a run wants. */
import { ConfigError, nearestName } from "../errors.js";
import type { CodeCell, Notebook } from "./nbformat.js";

export type Parameters = Readonly<Record<string, unknown>>;

interface Declaration {
  keyword: string;
  /** `: type`, or nothing. */
  annotation: string;
}

const tagsOf = (cell: { metadata: { tags?: unknown } }): string[] =>
  Array.isArray(cell.metadata.tags) ? (cell.metadata.tags as string[]) : [];

export function hasTag(cell: { metadata: { tags?: unknown } }, tag: string): boolean {
  return tagsOf(cell).includes(tag);
}

/** Variables that the cell declares at the start of a line. */
function declarations(source: string): Map<string, Declaration> {
  const found = new Map<string, Declaration>();
  for (const match of source.matchAll(/^(const|let|var)\s+([\p{L}_$][\p{L}\p{N}_$]*)\s*(:[^=\n]+?)?\s*=/gmu)) {
    found.set(match[2]!, { keyword: match[1]!, annotation: match[3] ?? "" });
  }
  return found;
}

/** TypeScript for a value of JSON, and for the numbers that JSON lacks. */
function literal(name: string, value: unknown): string {
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined)
    throw new ConfigError(
      "parameter_value",
      `parameters: ${name} must be a value of JSON, got ${typeof value}; pass text, a number, true, false, null, a list or an object`,
    );
  return text;
}

/**
 * Puts a cell tagged `injected-parameters` after the cell tagged `parameters`; one of an earlier run is replaced.
 * Names keep the keyword and type of their default.
 * @param undeclared values for names that the notebook need not declare, and for which it needs no such cell
 * @throws ConfigError when the notebook has no such cell, or it does not declare a name
 */
export function injectParameters(notebook: Notebook, parameters: Parameters, undeclared: Parameters = {}): Notebook {
  const names = Object.keys(parameters);
  if (names.length === 0 && Object.keys(undeclared).length === 0) return notebook;
  const cells = notebook.cells.filter((cell) => !hasTag(cell, "injected-parameters"));
  const at = cells.findIndex((cell) => cell.cell_type === "code" && hasTag(cell, "parameters"));
  if (at < 0 && names.length > 0)
    throw new ConfigError(
      "parameters_cell",
      `parameters: the notebook must have a code cell tagged "parameters", got none; tag the cell that declares ${names.join(", ")}`,
    );
  const known = declarations(cells[at]?.source ?? "");
  const lines = names.map((name) => {
    const declaration = known.get(name);
    if (declaration === undefined) {
      const near = nearestName(name, [...known.keys()]);
      throw new ConfigError(
        "parameter_name",
        `parameters: names must be declared in the cell tagged "parameters", got ${name}; ${near === undefined ? `known are ${[...known.keys()].join(", ") || "none"}` : `did you mean ${near}?`}`,
      );
    }
    return `${declaration.keyword} ${name}${declaration.annotation} = ${literal(name, parameters[name])};`;
  });
  for (const [name, value] of Object.entries(undeclared)) lines.push(`const ${name} = ${literal(name, value)};`);
  const ids = new Set(cells.map((cell) => cell.id));
  let id = "injected-parameters";
  while (ids.has(id)) id += "-new";
  const injected: CodeCell = {
    cell_type: "code",
    id,
    source: ["// Parameters of this run", ...lines].join("\n"),
    metadata: { tags: ["injected-parameters"] },
    execution_count: null,
    outputs: [],
  };
  return { ...notebook, cells: [...cells.slice(0, at + 1), injected, ...cells.slice(at + 1)] };
}

/** What a notebook's cells tagged `parameters` and `injected-parameters` set `name` to, as its source says it; undefined when they do not. */
export function declaredValue(notebook: Notebook, name: string): string | undefined {
  let value: string | undefined;
  for (const cell of notebook.cells) {
    if (cell.cell_type !== "code" || !(hasTag(cell, "parameters") || hasTag(cell, "injected-parameters"))) continue;
    const match = new RegExp(`^(?:const|let|var)\\s+${name}\\s*(?::[^=\\n]+?)?\\s*=\\s*([^;\\n]+)`, "m").exec(cell.source);
    if (match !== null) value = match[1]!.replace(/\s*\/\/.*$/, "").trim();
  }
  return value;
}

const PYTHON_WORDS: Readonly<Record<string, unknown>> = { True: true, False: false, None: null };

/** A value typed in a shell: JSON where it is JSON (`3`, `true`, `[1e-4]`), papermill's `True`, `False` and `None`, else the text itself. */
export function parseParameter(text: string): unknown {
  if (Object.hasOwn(PYTHON_WORDS, text)) return PYTHON_WORDS[text];
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
