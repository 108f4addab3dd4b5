/** What an app can do, as one list of named functions that every front end calls in the same way. */
import { ConfigError } from "../errors.js";
import { checkValue, type NamedComponent } from "./component.js";

/** What a function is told beside its inputs. */
export interface CallContext {
  /** Aborted when the user presses stop or goes away, and when the time is up. */
  readonly signal: AbortSignal;
}

/** All outputs of a call so far, in order. */
export type Outputs = readonly unknown[];

export interface Endpoint {
  /** Name for clients, without a slash. */
  readonly name: string;
  readonly description: string;
  readonly inputs: readonly NamedComponent[];
  readonly outputs: readonly NamedComponent[];
  /** Does not wait in the queue: answers at once. */
  readonly immediate?: boolean;
  /** Yields the outputs as they grow; the last ones are the result. */
  run(values: readonly unknown[], context: CallContext): AsyncIterable<Outputs>;
}

/** A list, or an object by parameter name, → checked values in order. @throws ConfigError `app_input` */
export function readInputs({ name, inputs }: Endpoint, data: unknown): unknown[] {
  if (typeof data !== "object" || data === null)
    throw new ConfigError("app_input", `/${name}: data must be a list of ${inputs.length} values, or an object by name`);
  if (Array.isArray(data)) {
    if (data.length > inputs.length)
      throw new ConfigError("app_input", `/${name}: data must be at most ${inputs.length} values, got ${data.length}`);
    return inputs.map((component, i) => checkValue(`/${name}: ${component.name}`, component, data[i]));
  }
  const stranger = Object.keys(data).find((key) => !inputs.some((component) => component.name === key));
  if (stranger !== undefined)
    throw new ConfigError(
      "app_input",
      `/${name}: parameters are ${inputs.map((component) => component.name).join(", ")}, got ${JSON.stringify(stranger.slice(0, 80))}`,
    );
  return inputs.map((component) => checkValue(`/${name}: ${component.name}`, component, (data as Record<string, unknown>)[component.name]));
}

/** What a user's function may give: a value, a promise, or values one after the other, each in place of the one before. */
export type Answer<T> = T | Promise<T> | AsyncIterable<T> | Iterable<T>;

/** @param isWhole tells a value that happens to be iterable (a text, a list) from a generator */
export async function* answersOf<T>(answer: Answer<T>, signal: AbortSignal): AsyncGenerator<T> {
  const value = await (answer as Promise<T> | T);
  if (!isGenerator(value)) {
    yield value;
    return;
  }
  for await (const each of value as AsyncIterable<T>) {
    yield each;
    if (signal.aborted) return;
  }
}

/** Texts, lists and maps are iterable values; generators also have `next`. */
function isGenerator(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as { next?: unknown }).next === "function" &&
    (Symbol.asyncIterator in value || Symbol.iterator in value)
  );
}
