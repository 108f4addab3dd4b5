/** The product's target table with what was measured. */
import type { Machine } from "../shared/machine.js";
import { median } from "../../scripts/compare/report.js";

export interface TableRow {
  readonly target: string;
  readonly goal: string;
  readonly measured: string;
  /** The other tool's measurement. */
  readonly other: string;
  /** null: not decided here. */
  readonly reached: boolean | null;
}

export interface Report {
  readonly rows: readonly TableRow[];
  readonly machine: Machine;
  /** Of Python's libraries; empty where none was found. */
  readonly versions: Readonly<Record<string, string>>;
  readonly threads: number;
  /** GFLOP/s of every plain sgemm that was measured. */
  readonly sgemm: readonly number[];
  /** ISO date. */
  readonly date: string;
  readonly command: string;
  /** What a reader of the table must know. */
  readonly notes: readonly string[];
}

/** The table in markdown, the machine below it. */
export function formatReport({ rows, machine, versions, threads, sgemm, date, command, notes }: Report): string {
  const reached = (row: TableRow): string => (row.reached === null ? "–" : row.reached ? "yes" : "no");
  const cells = rows.map((row) => [row.target, row.goal, row.measured, row.other, reached(row)]);
  const lines = [["target", "goal", "measured", "the other tool", "reached?"], Array<string>(5).fill("---"), ...cells];
  const table = lines.map((line) => `| ${line.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`);
  const libraries = Object.entries({ node: machine.node, "onnxruntime-node": machine["onnxruntime-node"], ...versions });
  const speed =
    sgemm.length === 0
      ? "plain sgemm not measured"
      : `plain sgemm ${median(sgemm).toFixed(0)} GFLOP/s (${Math.min(...sgemm).toFixed(0)} to ${Math.max(...sgemm).toFixed(0)} in ${sgemm.length} measurements)`;
  return [
    ...table,
    "",
    `Machine: ${machine.cpu}, ${machine.cores} cores, ${threads} threads used, ${machine.memory_gb.toFixed(0)} GB, ${machine.system}; ${speed}.`,
    `Versions: ${libraries.map(([name, version]) => `${name} ${version}`).join(", ")}. ${date}, \`${command}\`.`,
    ...notes.map((note) => `- ${note}`),
    "",
  ].join("\n");
}

/** `4.03 × (4.0 to 4.1)` */
export function formatTimes(values: readonly number[]): string {
  if (values.length === 0) return "–";
  const spread = values.length === 1 ? "" : ` (${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)})`;
  return `${median(values).toFixed(2)} ×${spread}`;
}
