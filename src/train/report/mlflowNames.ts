/** What MLflow accepts as names and values (mlflow/utils/validation.py). */

/** MAX_METRICS_PER_BATCH */
export const METRICS_PER_BATCH = 1000;
/** MAX_PARAMS_TAGS_PER_BATCH */
export const PARAMS_PER_BATCH = 100;
/** MAX_BATCH_LOG_REQUEST_SIZE is 1,000,000 bytes; the rest is for what goes around the values. */
export const BATCH_BYTES = 900_000;
/** MAX_PARAM_VAL_LENGTH since MLflow 2.10; older servers name their limit in the refusal. */
export const PARAM_LENGTH = 6000;
/** MAX_TAG_VAL_LENGTH */
export const TAG_LENGTH = 5000;
/** The column of run names in MLflow's database. */
export const RUN_NAME_LENGTH = 250;
/** MAX_ENTITY_KEY_LENGTH */
const KEY_LENGTH = 250;

/**
 * Names that MLflow takes: letters, digits, `_ - . / ` and space, and no path that means another (`/a`, `a//b`, `a/../b`). What it
 * refuses becomes `_`; two names that would become one are told apart by a number.
 */
export class MlflowNames {
  readonly #given = new Map<string, string>();
  readonly #taken = new Set<string>();

  of(name: string): string {
    const known = this.#given.get(name);
    if (known !== undefined) return known;
    const plain = acceptable(name);
    let unique = plain;
    for (let number = 2; this.#taken.has(unique); number++) unique = `${plain.slice(0, KEY_LENGTH - 8)}_${number}`;
    this.#taken.add(unique);
    this.#given.set(name, unique);
    return unique;
  }
}

function acceptable(name: string): string {
  const parts = name
    .replace(/[^0-9A-Za-z_\-. /]/g, "_")
    .split("/")
    .filter((part) => part !== "")
    .map((part) => (/^\.{1,2}$/.test(part) ? part.replaceAll(".", "_") : part));
  const path = parts.join("/").slice(0, KEY_LENGTH).replace(/\/+$/, "");
  return path === "" ? "_" : path;
}

/** NaN and infinities are no JSON numbers; protobuf's JSON, which the server reads, has words for them. */
export function metricValue(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

/** A value as text. @param length in characters; the rest is cut */
export function valueText(value: unknown, length: number): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "null");
  // By code points, as Python counts: half a surrogate pair is no text.
  return text.length <= length ? text : Array.from(text).slice(0, length).join("");
}

/** The limit that a server names when it refuses a value as too long, or undefined. */
export function namedLimit(message: string): number | undefined {
  const found = /length limit of (\d+)|maximum length of (\d+)/.exec(message);
  return found === null ? undefined : Number(found[1] ?? found[2]);
}

/** Groups of at most `most` items and about BATCH_BYTES of JSON. */
export function batches<T>(items: readonly T[], most: number): T[][] {
  const groups: T[][] = [];
  let bytes = 0;
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item)) + 1;
    const group = groups.at(-1);
    if (group === undefined || group.length === most || bytes + size > BATCH_BYTES) {
      groups.push([item]);
      bytes = size;
    } else {
      group.push(item);
      bytes += size;
    }
  }
  return groups;
}
