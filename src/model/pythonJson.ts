/**
 * JSON as Python's `json.dumps(value, indent=2, sort_keys=True)` writes it, so that a config which passes through here unchanged
 * keeps its bytes, and a strict reader on the Python side still finds a float where it expects one (`1000000.0`, `1e-06`).
 */

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** Keys whose numbers are floats in Python, in Qwen2's, PEFT's and the generation config. JavaScript cannot tell 1.0 from 1. */
const FLOAT_KEYS: ReadonlySet<string> = new Set([
  "attention_dropout",
  "initializer_range",
  "lora_dropout",
  "min_p",
  "repetition_penalty",
  "rms_norm_eps",
  "rope_theta",
  "temperature",
  "top_p",
  "typical_p",
]);

/** The text of a config file: keys sorted by code point, two spaces, only ASCII, one newline at the end. */
export function formatPythonJson(value: JsonObject): string {
  return `${format(value, "", "")}\n`;
}

/** A float as Python's `repr` shows it: the shortest digits that read back equal, always with a point or an exponent. */
export function formatPythonFloat(value: number): string {
  const [digits, exponentText] = value.toExponential().split("e") as [string, string];
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 16) {
    const sign = exponent < 0 ? "-" : "+";
    return `${digits}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  // JavaScript, too, writes this range without an exponent; it only drops the point and the sign of zero.
  const plain = Object.is(value, -0) ? "-0" : String(value);
  return plain.includes(".") ? plain : `${plain}.0`;
}

function format(value: Json, indent: string, key: string): string {
  if (typeof value === "string") return quoteAscii(value);
  if (typeof value === "number") return !Number.isInteger(value) || FLOAT_KEYS.has(key) ? formatPythonFloat(value) : String(value);
  if (value === null || typeof value === "boolean") return String(value);
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[\n${value.map((item) => inner + format(item, inner, key)).join(",\n")}\n${indent}]`;
  }
  const keys = Object.keys(value).sort(compareCodePoints);
  if (keys.length === 0) return "{}";
  return `{\n${keys.map((name) => `${inner}${quoteAscii(name)}: ${format(value[name]!, inner, name)}`).join(",\n")}\n${indent}}`;
}

function quoteAscii(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function compareCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
