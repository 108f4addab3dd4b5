import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { RepositoryListing } from "../data/repository.js";
import { ModelError } from "../errors.js";
import { writeFileAtomic } from "./atomicFile.js";

/** A token beside the model's vocabulary, as tokenizer.json lists it. */
export interface AddedTokenEntry {
  id: number;
  content: string;
  special: boolean;
  [field: string]: unknown;
}

/** The parts of tokenizer.json that are read here; the library reads the rest. */
export interface TokenizerJson {
  added_tokens: AddedTokenEntry[];
  model: { type?: string; vocab: Record<string, number>; merges?: (string | [string, string])[]; [field: string]: unknown };
  decoder?: { type?: string } | null;
  [field: string]: unknown;
}

/** tokenizer_config.json. */
export type TokenizerConfig = Record<string, unknown>;

/** Chat templates by name; the usual single one is `default`. */
export type ChatTemplates = Record<string, string>;

/** What a tokenizer directory holds. */
export interface TokenizerFiles {
  /** tokenizer.json as it was read, byte for byte, so that saving does not reformat it. */
  tokenizerText: string;
  tokenizer: TokenizerJson;
  config: TokenizerConfig;
  templates: ChatTemplates;
}

const TEMPLATE_DIRECTORY = "additional_chat_templates";

/**
 * Reads tokenizer.json, tokenizer_config.json, special_tokens_map.json (older layout, for tokens the config does not name),
 * chat_template.jinja and additional_chat_templates/*.jinja. A template file wins over the one in the config, as in transformers.
 * @throws ModelError `tokenizer_missing`, `tokenizer_malformed`
 */
export async function readTokenizerFiles(dir: string): Promise<TokenizerFiles> {
  const names = await listDirectory(dir);
  if (!names.includes("tokenizer.json")) throw missingError(dir, names);
  const tokenizerText = await readText(join(dir, "tokenizer.json"));
  const tokenizer = checkTokenizerJson(parseObject(tokenizerText, join(dir, "tokenizer.json")), join(dir, "tokenizer.json"));
  const config = names.includes("tokenizer_config.json") ? await readObject(join(dir, "tokenizer_config.json")) : {};
  if (names.includes("special_tokens_map.json")) {
    const map = await readObject(join(dir, "special_tokens_map.json"));
    for (const [name, token] of Object.entries(map)) config[name] ??= token;
  }
  addMissingTokens(tokenizer, config);
  const templates = templatesOfConfig(config["chat_template"], join(dir, "tokenizer_config.json"));
  if (names.includes("chat_template.jinja")) templates["default"] = await readText(join(dir, "chat_template.jinja"));
  if (names.includes(TEMPLATE_DIRECTORY)) {
    for (const file of (await readdir(join(dir, TEMPLATE_DIRECTORY))).filter((name) => name.endsWith(".jinja")).sort()) {
      templates[file.slice(0, -".jinja".length)] = await readText(join(dir, TEMPLATE_DIRECTORY, file));
    }
  }
  return { tokenizerText, tokenizer, config, templates };
}

/** What a repository must have, of all its files, for `readTokenizerFiles`. @throws ModelError `tokenizer_missing` */
export function selectTokenizerFiles({ where, files }: RepositoryListing): string[] {
  if (!files.includes("tokenizer.json")) throw missingError(where, files);
  const known = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];
  return files.filter((file) => known.includes(file) || (file.startsWith(`${TEMPLATE_DIRECTORY}/`) && file.endsWith(".jinja")));
}

function missingError(where: string, names: readonly string[]): ModelError {
  const slow = names.includes("vocab.json") || names.includes("tokenizer.model");
  const advice = slow
    ? "the directory has the older vocabulary files only: load and save it once with Python's AutoTokenizer"
    : "copy the file from the checkpoint's source";
  return new ModelError(
    "tokenizer_missing",
    `${where}: must hold tokenizer.json, got ${names.length === 0 ? "an empty directory" : names.join(", ")}; ${advice}`,
  );
}

/** Writes the directory that `readTokenizerFiles` reads, each file atomically, in the layout of transformers 5: templates as .jinja
 *  files, and no template in tokenizer_config.json. Template files of an earlier save that are no longer wanted are removed. */
export async function writeTokenizerFiles(dir: string, files: TokenizerFiles): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFileAtomic(join(dir, "tokenizer.json"), files.tokenizerText);
  const { chat_template: _, ...config } = files.config;
  await writeFileAtomic(join(dir, "tokenizer_config.json"), `${JSON.stringify(config, null, 2)}\n`);
  const { default: main, ...others } = files.templates;
  if (main === undefined) await rm(join(dir, "chat_template.jinja"), { force: true });
  else await writeFileAtomic(join(dir, "chat_template.jinja"), main);
  const directory = join(dir, TEMPLATE_DIRECTORY);
  if (Object.keys(others).length > 0) await mkdir(directory, { recursive: true });
  for (const [name, template] of Object.entries(others)) await writeFileAtomic(join(directory, `${name}.jinja`), template);
  const present = await readdir(directory).catch(() => [] as string[]);
  for (const file of present) {
    if (file.endsWith(".jinja") && !(file.slice(0, -".jinja".length) in others)) await rm(join(directory, file));
  }
}

async function listDirectory(dir: string): Promise<string[]> {
  const status = await stat(dir).catch(() => undefined);
  if (status === undefined || !status.isDirectory()) {
    throw new ModelError(
      "tokenizer_missing",
      `AutoTokenizer: must be given a directory with tokenizer.json, got "${dir}", which is ${status === undefined ? "not there" : "a file"}; check the path, or give a Hub id (owner/name)`,
    );
  }
  return (await readdir(dir)).filter((name) => !name.startsWith(".")).sort();
}

async function readText(file: string): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(file));
  } catch (error) {
    throw new ModelError("tokenizer_malformed", `${file}: must be readable UTF-8 text; ${(error as Error).message}`, { cause: error });
  }
}

async function readObject(file: string): Promise<Record<string, unknown>> {
  return parseObject(await readText(file), file);
}

function parseObject(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ModelError("tokenizer_malformed", `${file}: must be JSON; ${(error as Error).message}; fetch the file again`, {
      cause: error,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ModelError("tokenizer_malformed", `${file}: must hold a JSON object, got ${Array.isArray(value) ? "a list" : String(value)}`);
  }
  return value as Record<string, unknown>;
}

function checkTokenizerJson(content: Record<string, unknown>, file: string): TokenizerJson {
  const model = content["model"] as TokenizerJson["model"] | undefined;
  if (typeof model !== "object" || model === null || typeof model.vocab !== "object" || model.vocab === null) {
    throw new ModelError(
      "tokenizer_malformed",
      `${file}: must have a model with a vocabulary, got the fields ${Object.keys(content).join(", ")}`,
    );
  }
  if (model.type !== undefined && model.type !== "BPE") {
    throw new ModelError(
      "tokenizer_malformed",
      `${file}: the model must be BPE (Qwen2, GPT-2, Llama 3), got ${model.type}; other tokenizers are not checked against their reference here`,
    );
  }
  if (!Array.isArray(model.merges))
    throw new ModelError("tokenizer_malformed", `${file}: a BPE model must have a list of merges, got ${typeof model.merges}`);
  // The library drops text whose token is missing from the vocabulary; the Rust original refuses such a file, so refuse it too.
  const continuation = typeof model["continuing_subword_prefix"] === "string" ? model["continuing_subword_prefix"] : "";
  model.merges.forEach((merge, i) => {
    const [left, right] = typeof merge === "string" ? merge.split(" ", 2) : merge;
    for (const token of [left, right, `${left}${right?.slice(continuation.length)}`]) {
      if (token === undefined || !Object.hasOwn(model.vocab, token)) {
        throw new ModelError(
          "tokenizer_malformed",
          `${file}: merge ${i} must combine tokens of the vocabulary, got ${JSON.stringify(merge)}, which needs ${JSON.stringify(token)}; fetch the file again`,
        );
      }
    }
  });
  const added = content["added_tokens"] ?? [];
  if (
    !Array.isArray(added) ||
    added.some((token: Partial<AddedTokenEntry> | null) => typeof token?.content !== "string" || !Number.isInteger(token.id))
  ) {
    throw new ModelError("tokenizer_malformed", `${file}: added_tokens must be a list of {id, content, special}`);
  }
  return { ...content, added_tokens: added as AddedTokenEntry[], model };
}

/** Older checkpoints list tokens in the config's `added_tokens_decoder` that tokenizer.json may lack. */
function addMissingTokens(tokenizer: TokenizerJson, config: TokenizerConfig): void {
  const listed = config["added_tokens_decoder"];
  if (typeof listed !== "object" || listed === null) return;
  for (const [id, token] of Object.entries(listed as Record<string, { content: string; special?: boolean }>)) {
    if (tokenizer.added_tokens.some((known) => known.content === token.content)) continue;
    tokenizer.added_tokens = [...tokenizer.added_tokens, { ...token, id: Number(id), special: token.special ?? false }];
  }
}

function templatesOfConfig(entry: unknown, file: string): ChatTemplates {
  if (entry === undefined || entry === null) return {};
  if (typeof entry === "string") return { default: entry };
  if (
    Array.isArray(entry) &&
    entry.every(
      (each: { name?: unknown; template?: unknown } | null) => typeof each?.name === "string" && typeof each.template === "string",
    )
  ) {
    const named = entry as { name: string; template: string }[];
    // Names become file names on saving.
    const odd = named.find(({ name }) => !/^\w[\w.-]*$/.test(name));
    if (odd !== undefined)
      throw new ModelError(
        "tokenizer_malformed",
        `${file}: a chat template's name must be letters, digits, "_", "-" or ".", got ${JSON.stringify(odd.name)}`,
      );
    return Object.fromEntries(named.map(({ name, template }) => [name, template]));
  }
  throw new ModelError("tokenizer_malformed", `${file}: chat_template must be text or a list of {name, template}`);
}
