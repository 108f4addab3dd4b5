import { ConfigError, nearestName } from "../errors.js";
import { describeValue, requireOptionValue } from "./optionValue.js";

/**
 * One options table is the single source of a command or a config class. The same entries give
 *   - the TypeScript type of the options (`OptionValues`, `OptionInput`),
 *   - the check of a plain object (`OptionTable.check`, `.resolve`),
 *   - command-line flags (flags.ts), config files (optionFile.ts), help and documentation (optionHelp.ts),
 *   - the JSON that is saved beside a run.
 * An entry is an option, or a name that is no longer one: `removed` names are accepted with a note, `refused` names are errors
 * that say why. Anything else is an error that names the nearest known option.
 */
interface OptionBase {
  /** One or two sentences for people; ends without a full stop. */
  help: string;
  /** What the number counts or measures: "tokens", "pairs", "nats". */
  unit?: string;
  /** Other names for the same option. */
  aliases?: readonly string[];
  /** Several values; one value is accepted as a list of one. */
  list?: true;
  /** `null` is a value. */
  nullable?: true;
  /** Has no default and must be given. */
  required?: true;
  /** A function may be given in code (never from the command line or a file). */
  function?: true;
  /** How default or meaning differ from those of the Python option of this name, and why; ends without a full stop. */
  differs?: string;
  /** A rule beyond type and range, worded to follow "must be". */
  rule?: { text: string; accepts(value: never): boolean };
}

export interface NumberOption extends OptionBase {
  type: "number" | "integer";
  default?: number | null | readonly number[];
  min?: number;
  /** Greater than, not equal. */
  exclusiveMin?: number;
  max?: number;
  exclusiveMax?: number;
}

export interface BooleanOption extends OptionBase {
  type: "boolean";
  default?: boolean | null;
}

export interface StringOption extends OptionBase {
  type: "string";
  default?: string | null | readonly string[];
  choices?: readonly string[];
  /** Values that people will try but that are not offered: each is an error with its reason. */
  refusedChoices?: Readonly<Record<string, string>>;
}

/** What JSON can hold. */
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;
export interface JsonObject {
  [name: string]: JsonValue;
}

/** An object of names and values: as it is in code and files, JSON text on the command line. */
export interface JsonOption extends OptionBase {
  type: "json";
  default?: Readonly<JsonObject> | null;
  /** A list would be split at commas. */
  list?: never;
}

/** NAME VALUE pairs, for flags that repeat: `-p NAME VALUE`. Always a list. */
export interface PairOption extends OptionBase {
  type: "pair";
  default: readonly (readonly [string, string])[];
}

export type OptionSpec = (NumberOption | BooleanOption | StringOption | PairOption | JsonOption) & {
  /** One-letter flag, without the dash. */
  short?: string;
  /** The flag takes one value each time it is given: `--prompt A --prompt B`. Without it a list takes all values that follow. */
  repeat?: true;
  /** The value's name in help, e.g. "DIR". */
  placeholder?: string;
};

/** A name that used to be an option, or means nothing here: it is accepted, has no effect, and its note is told once. */
export interface RemovedOption {
  removed: string;
  /** Values that ask for nothing, so there is nothing to tell; default null and false. */
  off?: readonly unknown[];
}

/** A name that people will try but that is not offered: an error with this reason. */
export interface RefusedOption {
  refused: string;
  /** Values that ask for nothing and are accepted; default null and false. */
  off?: readonly unknown[];
}

export type OptionEntry = OptionSpec | RemovedOption | RefusedOption;
export type OptionEntries = Readonly<Record<string, OptionEntry>>;

type AnyFunction = (...args: never[]) => unknown;
type Single<S> = S extends { choices: readonly (infer C)[] }
  ? C
  : S extends { type: "number" | "integer" }
    ? number
    : S extends { type: "boolean" }
      ? boolean
      : S extends { type: "pair" }
        ? [string, string]
        : S extends { type: "json" }
          ? JsonObject
          : string;
type Whole<S> = S extends { list: true } | { type: "pair" } ? Single<S>[] : Single<S>;
type WithNull<S, V> = S extends { nullable: true } ? V | null : V;
type WithFunction<S, V> = S extends { function: true } ? V | AnyFunction : V;

/** Names of real options, without the removed and the refused. */
export type OptionName<T> = { [K in keyof T]: T[K] extends { type: string } ? K : never }[keyof T] & string;
/** All options with their values. */
export type OptionValues<T> = { [K in OptionName<T>]: WithFunction<T[K], WithNull<T[K], Whole<T[K]>>> };
/** What a caller may pass: every option optional (required ones are checked at run time), one value for a list of one. */
export type OptionInput<T> = { [K in OptionName<T>]?: WithFunction<T[K], WithNull<T[K], Whole<T[K]> | Single<T[K]>>> };

export interface CheckOptions {
  /** First part of every message, e.g. "DPOConfig" or "preflab dpo". */
  where: string;
  /** Put before names in messages; "--" for flags. */
  prefix?: string;
  /** Receives one note for each removed name. Default: printed once per process with console.info. */
  onNote?: (note: string) => void;
}

/** Makes a table. Throws ConfigError at once when a default breaks its own rule. */
export function defineOptions<const T extends OptionEntries>(title: string, entries: T): OptionTable<T> {
  return new OptionTable(title, entries);
}

export class OptionTable<const T extends OptionEntries = OptionEntries> {
  /** Real options in table order. */
  readonly specs: ReadonlyMap<string, OptionSpec>;
  readonly #aliases = new Map<string, string>();

  constructor(
    /** Heading in help and documentation. */
    readonly title: string,
    readonly entries: T,
  ) {
    const specs = new Map<string, OptionSpec>();
    for (const [name, entry] of Object.entries(entries)) {
      if (!isSpec(entry)) continue;
      specs.set(name, entry);
      for (const alias of entry.aliases ?? []) this.#aliases.set(alias, name);
      if (!entry.required) requireOptionValue(name, entry, defaultOf(entry), { where: `default in ${title}` });
    }
    this.specs = specs;
  }

  /** The names of real options and their aliases: what an error about an unknown name suggests. */
  get knownNames(): string[] {
    return [...this.specs.keys(), ...this.#aliases.keys()];
  }

  /** The option behind a name or alias, or undefined. */
  canonicalName(name: string): string | undefined {
    return this.specs.has(name) ? name : this.#aliases.get(name);
  }

  defaults(): OptionValues<T> {
    const values: Record<string, unknown> = {};
    for (const [name, spec] of this.specs) if (!spec.required) values[name] = defaultOf(spec);
    return values as OptionValues<T>;
  }

  /** Checks what is given, without filling in defaults. `undefined` counts as not given.
   *  @throws ConfigError for an unknown or refused name, a wrong type, a value out of range, an option given under two names */
  check(input: Readonly<Record<string, unknown>>, options: CheckOptions): Partial<OptionValues<T>> {
    const prefix = options.prefix ?? "";
    const values: Record<string, unknown> = {};
    for (const [given, value] of Object.entries(input)) {
      if (value === undefined) continue;
      const name = this.canonicalName(given);
      if (name === undefined) {
        this.#explainUnknown(given, value, options);
        continue;
      }
      if (name in values) {
        throw new ConfigError(
          "option_given_twice",
          `${options.where}: ${prefix}${name} must be given once, got it also as ${prefix}${given}`,
        );
      }
      values[name] = requireOptionValue(name, this.specs.get(name)!, value, options);
    }
    return values as Partial<OptionValues<T>>;
  }

  /** Checks what is given and fills in the defaults. @throws ConfigError as `check`, and when a required option is absent */
  resolve(input: Readonly<Record<string, unknown>>, options: CheckOptions): OptionValues<T> {
    const given: Record<string, unknown> = this.check(input, options);
    for (const [name, spec] of this.specs) {
      if (spec.required && given[name] === undefined) {
        throw new ConfigError("option_missing", `${options.where}: ${options.prefix ?? ""}${name} must be given; ${spec.help}`);
      }
    }
    const filled: Record<string, unknown> = this.defaults();
    return { ...filled, ...given } as OptionValues<T>;
  }

  /** Values as plain JSON, in table order. A function becomes `"function NAME"`, which `check` refuses to read back. */
  toJson(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
    const json: Record<string, unknown> = {};
    for (const name of this.specs.keys()) {
      const value = values[name];
      if (value === undefined) continue;
      json[name] = typeof value === "function" ? `function ${value.name === "" ? "(anonymous)" : value.name}` : structuredClone(value);
    }
    return json;
  }

  /** Throws for an unknown or refused name; tells the note of a removed one. */
  #explainUnknown(given: string, value: unknown, options: CheckOptions): void {
    const prefix = options.prefix ?? "";
    const entry = Object.hasOwn(this.entries, given) ? this.entries[given] : undefined;
    if (entry !== undefined && !isSpec(entry) && isOff(entry, value)) return;
    if (entry !== undefined && "removed" in entry) {
      (options.onNote ?? noteOnce)(`${options.where}: ${prefix}${given} has no effect; ${entry.removed}`);
      return;
    }
    if (entry !== undefined && "refused" in entry) {
      throw new ConfigError("option_refused", `${options.where}: ${prefix}${given} is not offered; ${entry.refused}`);
    }
    throw unknownOption(given, this.knownNames, options);
  }
}

/** The error for a name that no table knows. @param shown the name as the user typed it */
export function unknownOption(given: string, known: readonly string[], options: CheckOptions, shown?: string): ConfigError {
  const prefix = options.prefix ?? "";
  const nearest = nearestName(given, known);
  const hint = nearest === undefined ? `known: ${known.map((name) => prefix + name).join(", ")}` : `did you mean ${prefix}${nearest}?`;
  return new ConfigError("option_unknown", `${options.where}: unknown option ${shown ?? prefix + given}; ${hint}`);
}

export function isSpec(entry: OptionEntry): entry is OptionSpec {
  return "type" in entry;
}

/** Whether a value of an option that is not offered asks for nothing. */
function isOff({ off = [null, false] }: RemovedOption | RefusedOption, value: unknown): boolean {
  return off.some((nothing) => JSON.stringify(nothing) === JSON.stringify(value));
}

function defaultOf(spec: OptionSpec): unknown {
  if (spec.default === undefined) {
    if (spec.nullable) return null;
    throw new ConfigError(
      "option_table",
      `options table: an option without a default must be nullable or required, got ${describeValue(spec.help)}`,
    );
  }
  return structuredClone(spec.default);
}

const toldNotes = new Set<string>();

/** The default channel of notes: a grid that makes the same config forty times says it once. */
export function noteOnce(note: string): void {
  if (toldNotes.has(note)) return;
  toldNotes.add(note);
  console.info(note);
}
