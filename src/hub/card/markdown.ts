/** Pieces of Markdown that cannot break out of their place. */

export function table(head: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map((row) => line(row.map(cell)))].join("\n");
}

function cell(value: unknown): string {
  const text =
    typeof value === "number"
      ? brief(value)
      : Array.isArray(value)
        ? value.join(", ")
        : isObject(value)
          ? JSON.stringify(value)
          : String(value);
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

export function brief(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
}

/** A text of any content as a block. */
export function quote(text: string): string {
  return text
    .split("\n")
    .map((line) => `> ${line.replaceAll("<", "&lt;").replace(/^([#>*+-]|\d+\.)/, "\\$1")}`)
    .join("\n");
}
