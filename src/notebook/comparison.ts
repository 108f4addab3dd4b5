/** Does a notebook say the same when it is run again from the top? Compares the outputs that it holds with those of a new run. */
import type { CodeCell, Notebook, Output } from "./nbformat.js";
import { hasTag } from "./parameters.js";
import { currentEnvironment, readRunRecord, seedOf, sourceHash } from "./runRecord.js";

export interface CheckOptions {
  /** Numbers a (held) and b (new) are the same when |a − b| <= atol + rtol·|a|. Defaults 1e-5 and 1e-8, as in NumPy. */
  rtol?: number;
  atol?: number;
  /** What matches is left out of texts on both sides: times, paths. */
  ignore?: readonly RegExp[];
}

/**
 * `not_run`, `out_of_order` (it ran before a cell above it), `stale` (its source was changed after it ran), `output` (it says something
 * else now), `error` (it fails now, or no longer), `seed`. Those of `note` alone fail no check: `gap` and `environment`.
 */
export interface CheckFinding {
  kind: "not_run" | "out_of_order" | "stale" | "output" | "error" | "seed" | "gap" | "environment";
  note: boolean;
  /** Position among all cells, from 0; undefined for the notebook as a whole. */
  index?: number;
  id?: string;
  text: string;
}

/** Tags of nbval, which mean the same here. */
const IGNORE_TAGS = ["nbval-ignore-output", "nbval-skip", "skip-execution"];

const isCode = (cell: Notebook["cells"][number]): cell is CodeCell => cell.cell_type === "code" && cell.source.trim() !== "";

/** What the file itself tells: order, staleness, seed, environment. */
function inspectHistory(held: Notebook): CheckFinding[] {
  const cells = held.cells.flatMap((cell, index) => (isCode(cell) && !hasTag(cell, "skip-execution") ? [{ cell, index }] : []));
  if (cells.length > 0 && cells.every(({ cell }) => cell.execution_count === null && cell.outputs.length === 0))
    return [
      { kind: "not_run", note: false, text: "no cell has been run, so there is nothing to compare; run it and save it with its outputs" },
    ];
  const record = readRunRecord(held);
  const findings: CheckFinding[] = [];
  let latest: { count: number; index: number } | undefined;
  for (const { cell, index } of cells) {
    const place = { index, id: cell.id, note: false };
    const count = cell.execution_count;
    const source = record?.sources[cell.id];
    if (source !== undefined && source !== sourceHash(cell.source))
      findings.push({ ...place, kind: "stale", text: "its source was changed after it ran" });
    if (count === null) {
      findings.push({
        ...place,
        kind: cell.outputs.length > 0 ? "stale" : "not_run",
        text: cell.outputs.length > 0 ? "its outputs are of an earlier run" : "it was not run",
      });
      continue;
    }
    if (latest !== undefined && count <= latest.count)
      findings.push({
        ...place,
        kind: "out_of_order",
        text: `it ran as [${count}], before cell ${latest.index + 1} above it, which ran as [${latest.count}]`,
      });
    else if (count !== (latest?.count ?? 0) + 1 && findings.length === 0)
      findings.push({
        ...place,
        kind: "gap",
        note: true,
        text: `it ran as [${count}] after [${latest?.count ?? 0}]: cells were run again or deleted in between`,
      });
    if (latest === undefined || count > latest.count) latest = { count, index };
  }
  if (record === undefined) return findings;
  if (record.seed !== seedOf(held))
    findings.push({
      kind: "seed",
      note: false,
      text: `the outputs are of seed ${record.seed ?? "(none)"}, the notebook now sets ${seedOf(held) ?? "(none)"}`,
    });
  const now = currentEnvironment();
  for (const name of new Set([...Object.keys(record.environment), ...Object.keys(now)])) {
    const [then, present] = [record.environment[name] ?? "none", now[name] ?? "none"];
    if (then !== present) findings.push({ kind: "environment", note: true, text: `${name} was ${then}, is ${present}` });
  }
  return findings;
}

/** @param held as the file was @param fresh the same cells after a run from the top */
export function compareNotebooks(held: Notebook, fresh: Notebook, options: CheckOptions = {}): CheckFinding[] {
  const findings = inspectHistory(held);
  if (findings[0]?.kind === "not_run" && findings[0].index === undefined) return findings;
  for (const [index, cell] of held.cells.entries()) {
    const now = fresh.cells[index]!;
    if (!isCode(cell) || now.cell_type !== "code" || IGNORE_TAGS.some((tag) => hasTag(cell, tag))) continue;
    const place = { index, id: cell.id, note: false };
    if (now.execution_count === null) {
      findings.push({ ...place, kind: "not_run", text: "it could not be run again: a cell above it fails" });
      continue;
    }
    const [before, after] = [errorText(cell), errorText(now)];
    if (before !== after)
      findings.push({
        ...place,
        kind: "error",
        text: after === undefined ? `it failed with ${before}, and no longer does` : `it fails with ${after}`,
      });
    else if (cell.execution_count !== null || cell.outputs.length > 0) {
      const difference = compareOutputs(cell.outputs, now.outputs, options);
      if (difference !== undefined) findings.push({ ...place, kind: "output", text: difference });
    }
  }
  return findings;
}

function errorText(cell: CodeCell): string | undefined {
  const error = cell.outputs.find((output) => output.output_type === "error");
  return error === undefined ? undefined : `${error.ename}: ${error.evalue}`;
}

/** What is compared of the outputs: one text a stream, then each shown value. */
interface Shown {
  what: string;
  value: unknown;
}

function shown(outputs: readonly Output[]): Shown[] {
  const streams = (["stdout", "stderr"] as const).flatMap((name): Shown[] => {
    const text = outputs.flatMap((output) => (output.output_type === "stream" && output.name === name ? [output.text] : [])).join("");
    return text === "" ? [] : [{ what: name, value: text }];
  });
  const values = outputs.flatMap((output): Shown[] =>
    output.output_type === "display_data" || output.output_type === "execute_result"
      ? Object.entries(output.data)
          // Pixels differ by fonts and libraries; the texts and the JSON beside them tell the same.
          .filter(([mime]) => !mime.startsWith("image/") && mime !== "application/pdf")
          .map(([mime, value]) => ({ what: mime, value }))
      : [],
  );
  return [...streams, ...values];
}

function compareOutputs(held: readonly Output[], fresh: readonly Output[], options: CheckOptions): string | undefined {
  const [before, after] = [shown(held), shown(fresh)];
  const kinds = (list: readonly Shown[]): string => list.map(({ what }) => what).join(", ") || "nothing";
  if (kinds(before) !== kinds(after)) return `it showed ${kinds(before)}, now ${kinds(after)}`;
  for (const [at, { what, value }] of before.entries()) {
    const difference = compareValues(value, after[at]!.value, options);
    if (difference !== undefined) return `${what}: ${difference}`;
  }
  return undefined;
}

function isNear(a: number, b: number, options: CheckOptions): boolean {
  if (Object.is(a, b) || a === b) return true;
  return Math.abs(a - b) <= (options.atol ?? 1e-8) + (options.rtol ?? 1e-5) * Math.abs(a);
}

/** The first difference in words, or undefined. */
function compareValues(held: unknown, fresh: unknown, options: CheckOptions): string | undefined {
  if (typeof held === "number" && typeof fresh === "number") return isNear(held, fresh, options) ? undefined : `was ${held}, is ${fresh}`;
  if (typeof held === "string" && typeof fresh === "string") return compareTexts(held, fresh, options);
  if (typeof held !== "object" || held === null || typeof fresh !== "object" || fresh === null)
    return held === fresh ? undefined : `was ${JSON.stringify(held)}, is ${JSON.stringify(fresh)}`;
  const [before, after] = [held as Record<string, unknown>, fresh as Record<string, unknown>];
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const difference = compareValues(before[name], after[name], options);
    if (difference !== undefined) return `${name}: ${difference}`;
  }
  return undefined;
}

const NUMBER = /(?<![\p{L}\p{N}_.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\p{L}\p{N}_])/gu;

/** Line by line: the words must be the same, the numbers near. */
export function compareTexts(held: string, fresh: string, options: CheckOptions): string | undefined {
  const clean = (text: string): string[] => (options.ignore ?? []).reduce((rest, pattern) => rest.replace(pattern, ""), text).split("\n");
  const [before, after] = [clean(held), clean(fresh)];
  for (let at = 0; at < Math.max(before.length, after.length); at++) {
    const [a, b] = [before[at] ?? "", after[at] ?? ""];
    if (a === b) continue;
    const numbers = [a, b].map((line) => (line.match(NUMBER) ?? []).map(Number)) as [number[], number[]];
    const words = [a, b].map((line) => line.replace(NUMBER, "0"));
    const near = numbers[0].length === numbers[1].length && numbers[0].every((number, i) => isNear(number, numbers[1][i]!, options));
    if (words[0] !== words[1] || !near) return `line ${at + 1} was ${quoted(a)}, is ${quoted(b)}`;
  }
  return undefined;
}

function quoted(line: string): string {
  return JSON.stringify(line.length > 120 ? `${line.slice(0, 119)}…` : line);
}
