import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { ConfigError } from "../errors.js";

/** Reads a config file (.yaml, .yml or .json) that maps option names to values, as TRL's `--config` does. Nothing is checked here
 *  but the shape: one flat mapping. @throws ConfigError when the file is absent, malformed or no mapping */
export async function loadOptionFile(path: string): Promise<Record<string, unknown>> {
  const extension = extname(path).toLowerCase();
  if (![".yaml", ".yml", ".json"].includes(extension)) {
    throw new ConfigError("config_file", `--config must be a .yaml, .yml or .json file, got ${path}`);
  }
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new ConfigError("config_file", `--config ${path}: the file cannot be read; ${(error as Error).message}`, { cause: error });
  }
  const content = extension === ".json" ? parseJson(path, text) : await parseYaml(path, text);
  if (content === null) return {};
  if (typeof content !== "object" || Array.isArray(content)) {
    throw new ConfigError(
      "config_file",
      `${path}: must map option names to values, got ${Array.isArray(content) ? "a list" : typeof content}`,
    );
  }
  return content as Record<string, unknown>;
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConfigError("config_file", `${path}: must be JSON; ${(error as Error).message}`, { cause: error });
  }
}

async function parseYaml(path: string, text: string): Promise<unknown> {
  const { parse } = await import("yaml");
  try {
    return parse(text) as unknown;
  } catch (error) {
    throw new ConfigError("config_file", `${path}: must be YAML; ${(error as Error).message}`, { cause: error });
  }
}
