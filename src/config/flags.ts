import { ConfigError } from "../errors.js";
import type { CheckOptions, OptionSpec, OptionTable } from "./optionTable.js";
import { unknownOption } from "./optionTable.js";
import { describeRule, describeValue } from "./optionValue.js";

/** What a command line holds: options by canonical name, and the words that belong to no flag. */
export interface ParsedFlags {
  values: Record<string, unknown>;
  positionals: string[];
}

/**
 * Reads a command line against one or more tables, the way Python's argparse and HfArgumentParser do:
 * `--name value`, `--name=value`, `--a-name` for `--a_name`; booleans `--flag`, `--flag false`, `--no_flag`; lists take every word up
 * to the next flag, and split at commas; an object is one word of JSON; `null` or `none` for an option that may be null; `--` ends the
 * flags; the last of two wins.
 * Texts are turned into the option's type here; ranges and choices are checked by the table afterwards.
 * @param options `prefix` is not used: messages name the flag as the user typed it
 * @throws ConfigError for an unknown flag, a missing or ill-typed value
 */
export function parseFlags(tables: readonly OptionTable[], argv: readonly string[], options: CheckOptions): ParsedFlags {
  const values: Record<string, unknown> = {};
  const positionals: string[] = [];
  for (let i = 0; i < argv.length;) {
    const word = argv[i++]!;
    if (word === "--") {
      positionals.push(...argv.slice(i));
      break;
    }
    if (!isFlag(word)) {
      positionals.push(word);
      continue;
    }
    const { flag, inline } = splitFlag(word);
    const { name, spec, negated } = findOption(tables, flag, options);
    if (spec === undefined) {
      // Not offered: the table tells why, unless the value asks for nothing.
      const words = inline === undefined ? [] : [inline];
      while (inline === undefined && i < argv.length && !isFlag(argv[i]!)) words.push(argv[i++]!);
      values[name] = negated ? false : plainValue(words);
      continue;
    }
    if (negated && inline !== undefined) {
      throw new ConfigError("option_type", `${options.where}: ${flag} takes no value, got ${describeValue(inline)}`);
    }
    const words = inline === undefined ? takeWords(spec, negated, argv, i) : [inline];
    if (inline === undefined) i += words.length;
    const value = negated ? false : readValue(spec, flag, words, options);
    const before = (values[name] as unknown[] | undefined) ?? [];
    if (spec.type === "pair") values[name] = [...before, value];
    else if (spec.repeat) values[name] = [...before, ...(value as unknown[])];
    else values[name] = value;
  }
  return { values, positionals };
}

/** `-1` and `-1e-3` are numbers, `-` is a word, everything else that starts with a dash is a flag. */
function isFlag(word: string): boolean {
  return word.length > 1 && word.startsWith("-") && !/^-\.?\d/.test(word);
}

/** The value of a flag without a type, as YAML would read it. */
function plainValue(words: readonly string[]): unknown {
  if (words.length === 0) return true;
  if (words.length > 1) return [...words];
  const [word] = words as [string];
  if (/^(null|none)$/i.test(word)) return null;
  if (/^(true|false)$/i.test(word)) return word.toLowerCase() === "true";
  return readNumber(word) ?? word;
}

function splitFlag(word: string): { flag: string; inline: string | undefined } {
  const equals = word.indexOf("=");
  return equals === -1 ? { flag: word, inline: undefined } : { flag: word.slice(0, equals), inline: word.slice(equals + 1) };
}

/** `spec` is undefined for a removed option. */
function findOption(
  tables: readonly OptionTable[],
  flag: string,
  options: CheckOptions,
): { name: string; spec: OptionSpec | undefined; negated: boolean } {
  if (!flag.startsWith("--")) {
    for (const table of tables) {
      for (const [name, spec] of table.specs)
        if (spec.short !== undefined && flag === `-${spec.short}`) return { name, spec, negated: false };
    }
    throw unknownOption(flag.slice(1), allNames(tables), { where: options.where, prefix: "--" }, flag);
  }
  const typed = flag.slice(2);
  const underscored = typed.replaceAll("-", "_");
  for (const table of tables) {
    for (const candidate of [typed, underscored]) {
      const name = table.canonicalName(candidate);
      if (name !== undefined) return { name, spec: table.specs.get(name)!, negated: false };
      const entry = Object.hasOwn(table.entries, candidate) ? table.entries[candidate] : undefined;
      if (entry !== undefined) return { name: candidate, spec: undefined, negated: false };
    }
    if (underscored.startsWith("no_")) {
      const name = table.canonicalName(underscored.slice(3));
      const spec = name === undefined ? undefined : table.specs.get(name);
      if (spec?.type === "boolean") return { name: name!, spec, negated: true };
      if (spec === undefined && Object.hasOwn(table.entries, underscored.slice(3)))
        return { name: underscored.slice(3), spec: undefined, negated: true };
    }
  }
  throw unknownOption(underscored, allNames(tables), { where: options.where, prefix: "--" }, flag);
}

function allNames(tables: readonly OptionTable[]): string[] {
  return tables.flatMap((table) => table.knownNames);
}

/** The words after a flag that are its values. */
function takeWords(spec: OptionSpec, negated: boolean, argv: readonly string[], start: number): string[] {
  if (negated) return [];
  if (spec.type === "boolean") {
    const next = argv[start];
    return next !== undefined && readBoolean(next) !== undefined ? [next] : [];
  }
  // A repeated string takes its word whatever it looks like: a prompt may begin with a dash.
  if (spec.repeat) return argv.slice(start, start + 1);
  if (spec.type === "pair") return argv.slice(start, start + 2);
  const limit = spec.list ? argv.length : Math.min(argv.length, start + 1);
  let end = start;
  while (end < limit && !isFlag(argv[end]!)) end++;
  return argv.slice(start, end);
}

function readValue(spec: OptionSpec, flag: string, words: readonly string[], options: CheckOptions): unknown {
  if (spec.type === "boolean" && words.length === 0) return true;
  if (spec.type === "pair") {
    if (words.length === 2) return words;
    throw new ConfigError("option_type", `${options.where}: ${flag} must be followed by NAME VALUE, got ${words.length} of the two`);
  }
  if (words.length === 0)
    throw new ConfigError("option_type", `${options.where}: ${flag} must be followed by ${describeRule(spec)}, got nothing`);
  if (spec.nullable && words.length === 1 && /^(null|none)$/i.test(words[0]!)) return null;
  if (!spec.list) return readWord(spec, flag, words[0]!, options);
  const parts = spec.repeat ? words : words.flatMap((word) => word.split(",")).filter((part) => part !== "");
  return parts.map((part) => readWord(spec, flag, part, options));
}

function readWord(spec: OptionSpec, flag: string, word: string, options: CheckOptions): unknown {
  if (spec.type === "string") return word;
  const value = spec.type === "boolean" ? readBoolean(word) : spec.type === "json" ? readObject(word) : readNumber(word);
  if (value !== undefined) return value;
  const advice = spec.required ? "" : `; the default is ${describeValue(spec.default ?? null)}`;
  throw new ConfigError("option_type", `${options.where}: ${flag} must be ${describeRule(spec)}, got ${describeValue(word)}${advice}`);
}

function readBoolean(word: string): boolean | undefined {
  const text = word.toLowerCase();
  if (["true", "yes", "1"].includes(text)) return true;
  if (["false", "no", "0"].includes(text)) return false;
  return undefined;
}

function readObject(word: string): object | undefined {
  try {
    const value: unknown = JSON.parse(word);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function readNumber(word: string): number | undefined {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(word) ? Number(word) : undefined;
}
