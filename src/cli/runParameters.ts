import { readFile } from "node:fs/promises";
import { ConfigError } from "../errors.js";

/** Parameters as papermill's flags give them, in papermill's order: each may override the ones before. */
export interface ParameterFlags {
  /** YAML in Base64. */
  parameters_base64: readonly string[];
  /** YAML or JSON files. */
  parameters_file: readonly string[];
  /** YAML texts. */
  parameters_yaml: readonly string[];
  /** JSON where it is JSON, else text. */
  parameters: readonly (readonly [string, string])[];
  /** Text. */
  parameters_raw: readonly (readonly [string, string])[];
}

/** @throws ConfigError `parameters` for what cannot be read, or is no mapping of names */
export async function readParameters(where: string, flags: ParameterFlags): Promise<Record<string, unknown>> {
  const { parse } = await import("yaml");
  const found: Record<string, unknown> = {};
  const take = (text: string, from: string): void => {
    let values: unknown;
    try {
      values = parse(text);
    } catch (cause) {
      throw new ConfigError(
        "parameters",
        `${where}: ${from} must be YAML or JSON, got text that does not parse; ${(cause as Error).message}`,
        { cause },
      );
    }
    if (values === null) return;
    if (typeof values !== "object" || Array.isArray(values))
      throw new ConfigError("parameters", `${where}: ${from} must map names to values, got ${JSON.stringify(values)}; write NAME: VALUE`);
    Object.assign(found, values);
  };
  for (const text of flags.parameters_base64) {
    if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text))
      throw new ConfigError(
        "parameters",
        `${where}: --parameters_base64 must be Base64, got ${text.slice(0, 40)}; encode YAML with base64`,
      );
    take(Buffer.from(text, "base64").toString("utf8"), "--parameters_base64");
  }
  for (const path of flags.parameters_file) {
    const text = await readFile(path, "utf8").catch((cause: unknown) => {
      throw new ConfigError("parameters", `${where}: --parameters_file must be a readable file, got ${path}; ${(cause as Error).message}`, {
        cause,
      });
    });
    take(text, path);
  }
  for (const text of flags.parameters_yaml) take(text, "--parameters_yaml");
  const { parseParameter } = await import("../notebook/index.js");
  for (const [name, value] of flags.parameters) found[name] = parseParameter(value);
  for (const [name, value] of flags.parameters_raw) found[name] = value;
  return found;
}
