/** What a comparison prints and writes: tables as text, and a page with the curves. */
import { Figure, type Panel } from "../../src/notebook/index.js";
import { escapeHtml } from "../../src/text/escapeHtml.js";
import { htmlDocument } from "../../src/notebook/htmlDocument.js";
import type { LogEntry } from "../../src/train/index.js";
import { compareLogs, difference, type LogComparison } from "./differences.js";
import type { ComparedMethod } from "./rows.js";
import type { RunRecord } from "./runs.js";

export interface Comparison {
  readonly method: ComparedMethod;
  /** The command's line, e.g. "--method dpo --steps 3". */
  readonly command: string;
  /** What was compared: model, rows, threads. */
  readonly setting: Readonly<Record<string, string | number>>;
  readonly trl: RunRecord;
  readonly preflab: RunRecord;
}

interface TextTable {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Logged values of the step table, with the words of its columns. */
const SHOWN: Readonly<Record<ComparedMethod, readonly (readonly [name: string, words: string])[]>> = {
  dpo: [
    ["loss", "loss"],
    ["rewards/margins", "margin"],
    ["grad_norm", "grad norm"],
  ],
  kto: [
    ["loss", "loss"],
    ["rewards/margins", "margin"],
    ["grad_norm", "grad norm"],
  ],
  sft: [
    ["loss", "loss"],
    ["mean_token_accuracy", "accuracy"],
    ["grad_norm", "grad norm"],
  ],
};

const small = (value: number): string => (value === 0 ? "0" : value.toExponential(1));
const shown = (value: number | undefined): string => (value === undefined ? "-" : value.toFixed(6));

function stepTable({ method, trl, preflab }: Comparison): TextTable {
  const columns = SHOWN[method];
  return {
    title: "Step by step",
    head: ["step", ...columns.flatMap(([, words]) => [`TRL ${words}`, `Preflab ${words}`, "difference"])],
    rows: trl.log.map((left, i) => {
      const right = preflab.log[i]!;
      const cells = columns.flatMap(([name]) => {
        const [a, b] = [left[name], right[name]];
        return [shown(a), shown(b), a === undefined || b === undefined ? "-" : small(difference(a, b))];
      });
      return [String(left["step"]), ...cells];
    }),
  };
}

function differenceTable({ differences }: LogComparison): TextTable {
  return {
    title: "Largest difference of every logged value",
    head: ["value", "absolute", "relative", "at step"],
    rows: differences.map(({ name, absolute, relative, step }) => [
      name,
      small(absolute),
      small(relative),
      absolute === 0 ? "-" : String(step),
    ]),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function costTable({ trl, preflab }: Comparison): TextTable {
  const cells = (of: (run: RunRecord) => string): string[] => [of(trl), of(preflab)];
  return {
    title: "Cost",
    head: ["", "TRL", "Preflab"],
    rows: [
      ["a step, median", ...cells(({ step_seconds }) => `${median(step_seconds).toFixed(3)} s`)],
      ["train() in all", ...cells(({ train_seconds }) => `${train_seconds.toFixed(2)} s`)],
      ["peak memory", ...cells(({ peak_bytes }) => (peak_bytes === null ? "unknown" : `${(peak_bytes / 1e6).toFixed(0)} MB`))],
    ],
  };
}

function notes(logs: LogComparison, method: ComparedMethod): string[] {
  const reference =
    "A step of TRL's holds the reference's forward pass; Preflab computes the reference of all rows of the run before the first step, within train() in all";
  const one = (names: string[], who: string): string[] => (names.length === 0 ? [] : [`Logged by ${who} only: ${names.join(", ")}`]);
  return [...(method === "sft" ? [] : [reference]), ...one(logs.onlyTrl, "TRL"), ...one(logs.onlyPreflab, "Preflab")];
}

const pairsOf = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");

const lines = ({ setting, trl, preflab }: Comparison): string[] => [
  pairsOf(setting),
  `TRL: ${pairsOf(trl.versions)}`,
  `Preflab: ${pairsOf(preflab.versions)}`,
];

function formatTable({ title, head, rows }: TextTable): string {
  const widths = head.map((_, at) => Math.max(...[head, ...rows].map((row) => row[at]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, at) => (at === 0 && head[0] !== "step" ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join("  ");
  return [`${title}:`, line(head).trimEnd(), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)].join("\n");
}

/** The comparison as text. */
export function formatComparison(comparison: Comparison): string {
  const logs = compareLogs(comparison.trl.log, comparison.preflab.log);
  const tables = [stepTable(comparison), differenceTable(logs), costTable(comparison)].map(formatTable);
  return [lines(comparison).join("\n"), ...tables, ...notes(logs, comparison.method)].join("\n\n");
}

/** Both curves of each shown value, TRL's dashed so that one upon the other is seen. */
export function comparisonFigure({ method, trl, preflab }: Comparison): Figure {
  const curve = (log: readonly LogEntry[], name: string) => {
    const rows = log.filter((entry) => entry[name] !== undefined);
    return { x: rows.map((entry) => entry["step"]!), y: rows.map((entry) => entry[name]!) };
  };
  const panels = SHOWN[method].map(([name, words]): Panel => ({
    title: words,
    xTitle: "step",
    yTitle: name,
    series: [
      { name: "Preflab", ...curve(preflab.log, name) },
      { name: "TRL", ...curve(trl.log, name), dashed: true },
    ],
  }));
  return new Figure(panels);
}

function tableHtml({ title, head, rows }: TextTable): string {
  const row = (tag: string, cells: readonly string[]): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
  return `<h2>${escapeHtml(title)}</h2><table>${row("th", head)}${rows.map((cells) => row("td", cells)).join("")}</table>`;
}

/** The comparison as one page that needs no other file and no network. */
export function comparisonPage(comparison: Comparison): string {
  const logs = compareLogs(comparison.trl.log, comparison.preflab.log);
  const title = `${comparison.method.toUpperCase()}: TRL and Preflab`;
  const paragraphs = [`compare-with-trl ${comparison.command}`, ...lines(comparison), ...notes(logs, comparison.method)];
  const main = [
    `<h1>${escapeHtml(title)}</h1>`,
    comparisonFigure(comparison).toSvg(),
    ...paragraphs.map((text) => `<p>${escapeHtml(text)}</p>`),
    ...[differenceTable(logs), costTable(comparison), stepTable(comparison)].map(tableHtml),
  ];
  return htmlDocument(title, main.join("\n"));
}
