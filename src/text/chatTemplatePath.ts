import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, ModelError } from "../errors.js";
import { isPlainObject } from "../data/row.js";
import type { PreTrainedTokenizer } from "./tokenizer.js";

/**
 * Gives a tokenizer another chat template, as TRL's `chat_template_path` does.
 * @param path a `.jinja` or `.j2` file; or a folder of another tokenizer, whose end token is taken too
 * @throws ConfigError `chat_template_path` when the path is neither, the folder has no template, or it has added tokens that the
 *   tokenizer lacks (the model's embedding would have to grow); ModelError `tokenizer_malformed`
 */
export function takeChatTemplate(tokenizer: PreTrainedTokenizer, path: string): void {
  if (!existsSync(path))
    refuse(
      `must be a .jinja or .j2 file or a tokenizer's folder, got ${path}, which is not there; for one on the Hub set tokenizer.chat_template = (await AutoTokenizer.from_pretrained(id)).chat_template`,
    );
  if (!statSync(path).isDirectory()) {
    if (!/\.(jinja|j2)$/.test(path)) refuse(`must be a .jinja or .j2 file or a tokenizer's folder, got ${path}; rename the file`);
    tokenizer.chat_template = readFileSync(path, "utf8");
    return;
  }
  const config = readJson(join(path, "tokenizer_config.json"));
  const file = join(path, "chat_template.jinja");
  const template = existsSync(file) ? readFileSync(file, "utf8") : config["chat_template"];
  if (typeof template !== "string") refuse(`must hold a chat template, got ${path} without chat_template.jinja; pass a .jinja file`);
  const added = addedTokens(path, config);
  const missing = added.filter((token) => tokenizer.convert_tokens_to_ids(token) === undefined);
  if (missing.length > 0)
    refuse(
      `must need no tokens that the model lacks, got ${missing.slice(0, 5).join(", ")} in ${path}; pass a .jinja file that does without them`,
    );
  tokenizer.chat_template = template;
  const eos = textOf(config["eos_token"]);
  if (eos !== undefined) tokenizer.eos_token = eos;
}

function refuse(rule: string): never {
  throw new ConfigError("chat_template_path", `chat_template_path: ${rule}`);
}

function addedTokens(path: string, config: Record<string, unknown>): string[] {
  const listed = readJson(join(path, "tokenizer.json"))["added_tokens"];
  const older = config["added_tokens_decoder"];
  const entries: unknown[] = [
    ...(Array.isArray(listed) ? (listed as unknown[]) : []),
    ...(isPlainObject(older) ? Object.values(older) : []),
  ];
  return [...new Set(entries.map(textOf).filter((token) => token !== undefined))];
}

/** A token as text, or as an object with its content. */
function textOf(token: unknown): string | undefined {
  if (typeof token === "string") return token;
  return isPlainObject(token) && typeof token["content"] === "string" ? token["content"] : undefined;
}

/** An object; empty when the file is not there. */
function readJson(file: string): Record<string, unknown> {
  if (!existsSync(file)) return {};
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (isPlainObject(value)) return value;
  } catch (error) {
    throw new ModelError("tokenizer_malformed", `${file}: must be JSON; ${(error as Error).message}`, { cause: error });
  }
  throw new ModelError("tokenizer_malformed", `${file}: must be a JSON object`);
}
