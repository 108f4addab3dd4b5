import { isFloatDtype } from "../compile/fileTensors.js";
import { ModelError } from "../errors.js";
import type { TensorEntry } from "./safetensors.js";

/** Lines a message lists of each kind of fault. */
const MOST_LISTED = 10;

/** Requires a checkpoint to hold exactly the expected tensors, of the expected shapes, in a float format.
 *  @param expected name → shape
 *  @param advice what to do, after the list
 *  @throws ModelError `tensors_mismatch`, one for all faults together: missing, extra, misshapen and unreadable tensors by name */
export function requireTensors(
  where: string,
  expected: ReadonlyMap<string, readonly number[]>,
  found: ReadonlyMap<string, TensorEntry>,
  advice: string,
): void {
  const missing: string[] = [];
  const misshapen: string[] = [];
  const unreadable: string[] = [];
  for (const [name, shape] of expected) {
    const entry = found.get(name);
    if (entry === undefined) {
      missing.push(`${name} ${list(shape)}`);
      continue;
    }
    if (entry.shape.length !== shape.length || entry.shape.some((size, axis) => size !== shape[axis])) {
      misshapen.push(`${name} must be ${list(shape)}, got ${list(entry.shape)}`);
    }
    if (!isFloatDtype(entry.dtype)) unreadable.push(`${name} must be F32, F16 or BF16, got ${entry.dtype}`);
  }
  const extra = [...found.keys()].filter((name) => !expected.has(name)).map((name) => `${name} ${list(found.get(name)!.shape)}`);
  const faults = [
    describe("missing", missing),
    describe("not expected", extra),
    describe("of the wrong shape", misshapen),
    describe("of the wrong format", unreadable),
  ];
  const told = faults.filter((fault) => fault !== "");
  if (told.length === 0) return;
  throw new ModelError("tensors_mismatch", `${where}: the tensors must be exactly those of config.json, got ${told.join("; ")}; ${advice}`);
}

function describe(kind: string, items: readonly string[]): string {
  if (items.length === 0) return "";
  const more = items.length > MOST_LISTED ? `, and ${items.length - MOST_LISTED} more` : "";
  return `${items.length} ${kind}: ${items.slice(0, MOST_LISTED).join(", ")}${more}`;
}

function list(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}
