/** What a sweep varies: one dimension an option, as it is written in a cell or in a sweep file. */
import { type JsonValue, describeValue } from "../config/index.js";
import { ConfigError, nearestName } from "../errors.js";

/** A list is the same as `{ choice: […] }`. Both ends of a range can be reached. */
export type DimensionInput =
  | readonly JsonValue[]
  | { readonly choice: readonly JsonValue[] }
  | { readonly uniform: readonly [number, number] }
  | { readonly log_uniform: readonly [number, number] }
  | { readonly integer: readonly [number, number] }
  | { readonly log_integer: readonly [number, number] };

/** A value for each option. */
export type Params = Readonly<Record<string, JsonValue>>;

export type RangeKind = "uniform" | "log_uniform" | "integer" | "log_integer";

export type Dimension =
  | { readonly kind: "choice"; readonly values: readonly JsonValue[] }
  | { readonly kind: RangeKind; readonly low: number; readonly high: number };

export interface SearchSpace {
  readonly dimensions: ReadonlyMap<string, Dimension>;
}

const KINDS = ["choice", "uniform", "log_uniform", "integer", "log_integer"] as const;

/** Significant digits of a drawn number: enough to search, short enough to read and to type again. */
const DIGITS = 6;

/** @param where before messages @throws ConfigError `sweep_space` */
export function readSpace(input: Readonly<Record<string, DimensionInput>>, where: string): SearchSpace {
  const dimensions = new Map<string, Dimension>();
  for (const [name, given] of Object.entries(input)) dimensions.set(name, readDimension(name, given, where));
  return { dimensions };
}

/** Every dimension a list of values; a single value is a list of one. @throws ConfigError `sweep_space` */
export function readGrid(input: Readonly<Record<string, JsonValue | readonly JsonValue[]>>, where: string): SearchSpace {
  const dimensions = new Map<string, Dimension>();
  for (const [name, given] of Object.entries(input)) {
    const kind = isObject(given) ? Object.keys(given)[0] : undefined;
    if (kind !== undefined && (KINDS as readonly string[]).includes(kind))
      throw broken(where, `a grid's ${name} must be a list of values`, given, "put ranges under space");
    const values = Array.isArray(given) ? (given as readonly JsonValue[]) : [given as JsonValue];
    dimensions.set(name, readChoice(name, values, where));
  }
  return { dimensions };
}

function readDimension(name: string, given: DimensionInput, where: string): Dimension {
  if (Array.isArray(given)) return readChoice(name, given as readonly JsonValue[], where);
  const [kind, ...more] = isObject(given) ? Object.keys(given) : [];
  if (kind === undefined || more.length > 0 || !(KINDS as readonly string[]).includes(kind)) {
    const near = kind === undefined || more.length > 0 ? undefined : nearestName(kind, KINDS);
    const advice = near === undefined ? 'e.g. { "log_uniform": [1e-5, 1e-3] }' : `did you mean ${near}?`;
    throw broken(where, `${name} must be a list, or one of ${KINDS.join(", ")}`, given, advice);
  }
  const content = (given as Record<string, unknown>)[kind];
  if (kind === "choice") {
    if (!Array.isArray(content)) throw broken(where, `${name}: choice must be a list of values`, content, "write them in brackets");
    return readChoice(name, content as JsonValue[], where);
  }
  return readRange(name, kind as RangeKind, content, where);
}

function readChoice(name: string, values: readonly JsonValue[], where: string): Dimension {
  const texts = values.map((value) => JSON.stringify(value));
  if (values.length === 0 || new Set(texts).size !== texts.length)
    throw broken(where, `${name} must be at least one value, each once`, values, "leave out the repeated ones");
  return { kind: "choice", values: structuredClone(values) };
}

function readRange(name: string, kind: RangeKind, content: unknown, where: string): Dimension {
  const [low, high] = Array.isArray(content) ? (content as unknown[]) : [];
  const numbers =
    Array.isArray(content) && content.length === 2 && [low, high].every((end) => typeof end === "number" && Number.isFinite(end));
  if (!numbers || (low as number) >= (high as number))
    throw broken(where, `${name}: ${kind} must be two numbers, the lower first`, content, "e.g. [1, 10]");
  const log = kind.startsWith("log_");
  if (log && (low as number) <= 0) throw broken(where, `${name}: ${kind} must begin above 0`, content, "raise the lower end");
  if (kind.endsWith("integer") && ![low, high].every(Number.isSafeInteger))
    throw broken(where, `${name}: ${kind} must be whole numbers`, content, `or take ${log ? "log_uniform" : "uniform"}`);
  return { kind, low: low as number, high: high as number };
}

/** The value at a place of a dimension. @param u in [0, 1) */
export function valueAt(dimension: Dimension, u: number): JsonValue {
  if (dimension.kind === "choice") return structuredClone(dimension.values[Math.floor(u * dimension.values.length)]!);
  const { kind, low, high } = dimension;
  const between = (a: number, b: number): number => a + u * (b - a);
  const clamp = (value: number): number => Math.min(high, Math.max(low, value));
  switch (kind) {
    case "uniform":
      return clamp(Number(between(low, high).toPrecision(DIGITS)));
    case "log_uniform":
      return clamp(Number(Math.exp(between(Math.log(low), Math.log(high))).toPrecision(DIGITS)));
    case "integer":
      return clamp(low + Math.floor(u * (high - low + 1)));
    // Half a step beyond each end, so that the ends are as likely as their size says.
    case "log_integer":
      return clamp(Math.round(Math.exp(between(Math.log(low - 0.5), Math.log(high + 0.5)))));
  }
}

/** Whether a dimension can have this value. */
export function holds(dimension: Dimension, value: JsonValue): boolean {
  if (dimension.kind === "choice") return dimension.values.some((own) => JSON.stringify(own) === JSON.stringify(value));
  if (typeof value !== "number" || value < dimension.low || value > dimension.high) return false;
  return !dimension.kind.endsWith("integer") || Number.isInteger(value);
}

/** As it stands in a sweep file. */
export function dimensionJson(dimension: Dimension): JsonValue {
  if (dimension.kind === "choice") return [...dimension.values];
  return { [dimension.kind]: [dimension.low, dimension.high] };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function broken(where: string, rule: string, got: unknown, advice: string): ConfigError {
  return new ConfigError("sweep_space", `${where}: ${rule}, got ${describeValue(got)}; ${advice}`);
}
