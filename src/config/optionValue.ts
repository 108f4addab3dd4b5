import { ConfigError } from "../errors.js";
import type { CheckOptions, JsonValue, OptionSpec } from "./optionTable.js";

/** Checks one value against its option and returns it, a list option always as a fresh array.
 *  @throws ConfigError `where: name must be RULE, got VALUE; the default is …` */
export function requireOptionValue(name: string, spec: OptionSpec, value: unknown, options: CheckOptions): unknown {
  if (value === null && spec.nullable) return null;
  if (typeof value === "function" && spec.function) return value;
  if (spec.type === "pair") {
    if (Array.isArray(value) && value.every(isPair)) return value.map((pair) => [...pair]);
    throw broken("option_type", name, "a list of [name, value] pairs", value, spec, options);
  }
  if (!spec.list) {
    requireSingle(name, spec, value, options);
    return spec.type === "json" ? structuredClone(value) : value;
  }
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  const mayBeEmpty = Array.isArray(spec.default) && spec.default.length === 0;
  if (values.length === 0 && !mayBeEmpty) throw broken("option_range", name, "at least one value", value, spec, options);
  for (const item of values) requireSingle(name, spec, item, options);
  return [...values];
}

/** The rule an option's value obeys, worded to follow "must be": "an integer >= 1", "one of linear, cosine". */
export function describeRule(spec: OptionSpec): string {
  if (spec.rule !== undefined) return spec.rule.text;
  if (spec.type === "boolean") return "true or false";
  if (spec.type === "string") return spec.choices === undefined ? "a string" : `one of ${spec.choices.join(", ")}`;
  if (spec.type === "pair") return "NAME VALUE";
  if (spec.type === "json") return "a JSON object";
  const range = describeRange(spec);
  return [spec.type === "integer" ? "an integer" : "a number", range].filter((part) => part !== "").join(" ");
}

/** A value as it is shown in a message: quoted strings, short lists. */
export function describeValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3) return value.toExponential();
  if (typeof value === "number" || typeof value === "boolean" || value === null || value === undefined) return String(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return `function ${value.name === "" ? "(anonymous)" : value.name}`;
  if (Array.isArray(value)) return `[${value.map(describeValue).join(", ")}]`;
  return Object.prototype.toString.call(value) === "[object Object]" ? JSON.stringify(value) : Object.prototype.toString.call(value);
}

function requireSingle(name: string, spec: OptionSpec, value: unknown, options: CheckOptions): void {
  const type = { integer: "number", json: "object" }[spec.type as string] ?? spec.type;
  if (typeof value !== type || (spec.type === "json" && !isJsonObject(value)))
    throw broken("option_type", name, describeRule(spec), value, spec, options);
  if (spec.type === "number" || spec.type === "integer") {
    const number = value as number;
    if (!Number.isFinite(number) || (spec.type === "integer" && !Number.isSafeInteger(number))) {
      throw broken("option_type", name, describeRule(spec), value, spec, options);
    }
    const inRange =
      (spec.min === undefined || number >= spec.min) &&
      (spec.exclusiveMin === undefined || number > spec.exclusiveMin) &&
      (spec.max === undefined || number <= spec.max) &&
      (spec.exclusiveMax === undefined || number < spec.exclusiveMax);
    if (!inRange) throw broken("option_range", name, describeRange(spec), value, spec, options);
  }
  if (spec.type === "string" && Object.hasOwn(spec.refusedChoices ?? {}, value as string)) {
    const reason = spec.refusedChoices![value as string]!;
    throw new ConfigError(
      "option_refused",
      `${options.where}: ${options.prefix ?? ""}${name} ${describeValue(value)} is not offered; ${reason}`,
    );
  }
  if (spec.type === "string" && spec.choices !== undefined && !spec.choices.includes(value as string)) {
    throw broken("option_choice", name, describeRule(spec), value, spec, options);
  }
  if (spec.rule !== undefined && !spec.rule.accepts(value as never)) {
    throw broken("option_range", name, spec.rule.text, value, spec, options);
  }
}

function describeRange(spec: OptionSpec): string {
  if (spec.type !== "number" && spec.type !== "integer") return "";
  const parts = [
    spec.min === undefined ? "" : `>= ${spec.min}`,
    spec.exclusiveMin === undefined ? "" : `> ${spec.exclusiveMin}`,
    spec.max === undefined ? "" : `<= ${spec.max}`,
    spec.exclusiveMax === undefined ? "" : `< ${spec.exclusiveMax}`,
  ];
  return parts.filter((part) => part !== "").join(" and ");
}

function broken(code: string, name: string, rule: string, value: unknown, spec: OptionSpec, options: CheckOptions): ConfigError {
  const nullable = spec.nullable ? " or null" : "";
  const advice = spec.required || spec.type === "pair" ? "" : `; the default is ${describeValue(spec.default ?? null)}`;
  return new ConfigError(
    code,
    `${options.where}: ${options.prefix ?? ""}${name} must be ${rule}${nullable}, got ${describeValue(value)}${advice}`,
  );
}

function isPair(value: unknown): value is [string, string] {
  return Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "string");
}

function isJsonObject(value: unknown): boolean {
  return isPlainObject(value) && isJson(value);
}

function isJson(value: unknown): value is JsonValue {
  if (value === null || typeof value === "string" || typeof value === "boolean") return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (Array.isArray(value)) return value.every(isJson);
  return isPlainObject(value) && Object.values(value).every(isJson);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
