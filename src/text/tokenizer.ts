import type { Message } from "../data/messages.js";
import { fetchRepository, type RepositoryOptions, takeRepositoryOptions } from "../data/repository.js";
import { ModelError } from "../errors.js";
import { chooseTemplate, renderTemplate, type ChatTemplateOptions } from "./chatTemplate.js";
import { makeTokenizer, type LibraryTokenizer } from "./libraryTokenizer.js";
import {
  readTokenizerFiles,
  selectTokenizerFiles,
  writeTokenizerFiles,
  type AddedTokenEntry,
  type TokenizerFiles,
  type TokenizerJson,
} from "./tokenizerFiles.js";

/** Options of `encode`. */
export interface EncodeOptions {
  /** Read special tokens' strings (`<|im_end|>`) as plain text instead of as tokens; default false. Use it for text from strangers. */
  split_special_tokens?: boolean;
  /** Let the tokenizer's post-processor add its start and end tokens; default true. Qwen2 has none. */
  add_special_tokens?: boolean;
}

/** Options of `decode`. */
export interface DecodeOptions {
  /** Leave special tokens out of the text; default false. */
  skip_special_tokens?: boolean;
}

/** Special tokens with a name of their own. */
const NAMED_TOKENS = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"] as const;
type NamedToken = (typeof NAMED_TOKENS)[number];

/**
 * Text ↔ token ids, and conversations → text, for byte-level BPE tokenizers in Hugging Face's format. The work is done by
 * `@huggingface/tokenizers`; this class adds what it lacks (decoding no ids, special strings as text, saving, chat templates) and
 * transformers' names.
 */
export class PreTrainedTokenizer {
  /** Where the tokenizer was loaded from, for messages. */
  readonly name_or_path: string;
  /** Size of the model's vocabulary without added tokens. */
  readonly vocab_size: number;
  /** Number of tokens with added ones, Python's `len(tokenizer)`. */
  readonly length: number;
  readonly #files: TokenizerFiles;
  readonly #tokenizer: LibraryTokenizer;
  readonly #addedTokens: AddedTokenEntry[];
  readonly #named: Partial<Record<NamedToken, string>> = {};
  #plainText: LibraryTokenizer | undefined;

  /** Use `AutoTokenizer.from_pretrained`. @throws ModelError `tokenizer_malformed` */
  constructor(files: TokenizerFiles, name_or_path: string) {
    this.#files = files;
    this.name_or_path = name_or_path;
    this.vocab_size = Object.keys(files.tokenizer.model.vocab).length;
    for (const name of NAMED_TOKENS) {
      const token = tokenText(files.config[name]);
      if (token !== undefined) this.#named[name] = token;
    }
    this.#addedTokens = withNamedTokens(files.tokenizer, this.#named, name_or_path);
    try {
      this.#tokenizer = makeTokenizer({ ...files.tokenizer, added_tokens: this.#addedTokens }, files.config);
    } catch (error) {
      throw new ModelError("tokenizer_malformed", `${name_or_path}: tokenizer.json cannot be used; ${(error as Error).message}`, {
        cause: error,
      });
    }
    this.length = new Set([...Object.keys(files.tokenizer.model.vocab), ...this.#addedTokens.map((token) => token.content)]).size;
  }

  /** Text → ids. @throws ModelError `tokenizer_input` for what is not well-formed text */
  encode(text: string, options: EncodeOptions = {}): number[] {
    if (typeof text !== "string")
      throw new ModelError(
        "tokenizer_input",
        `encode: the input must be text, got ${Array.isArray(text) ? "a list (use apply_chat_template for messages)" : typeof text}`,
      );
    if (/\p{Surrogate}/u.test(text))
      throw new ModelError(
        "tokenizer_input",
        "encode: the text must be well-formed Unicode, got half a surrogate pair; a character was cut in two",
      );
    const tokenizer = options.split_special_tokens === true ? this.#withoutSpecialTokens() : this.#tokenizer;
    return tokenizer.encode(text, { add_special_tokens: options.add_special_tokens ?? true }).ids;
  }

  /** Ids → text. Ids without a token (padding rows of the embedding) give no text; bytes that are no UTF-8 give U+FFFD.
   *  @throws ModelError `tokenizer_input` for an id that is no integer >= 0 */
  decode(ids: Iterable<number | bigint>, options: DecodeOptions = {}): string {
    const list = Array.from(ids, Number);
    for (const id of list) {
      if (!Number.isInteger(id) || id < 0) throw new ModelError("tokenizer_input", `decode: ids must be integers >= 0, got ${id}`);
    }
    // The library throws for an empty list.
    if (list.length === 0) return "";
    // clean_up_tokenization_spaces would corrupt byte-level BPE text; transformers 5 ignores it there too.
    return this.#tokenizer.decode(list, { skip_special_tokens: options.skip_special_tokens ?? false, clean_up_tokenization_spaces: false });
  }

  /** Text → token strings (in the byte-level alphabet: "Ġ" is a space). */
  tokenize(text: string): string[] {
    return this.encode(text).map((id) => this.convert_ids_to_tokens(id)!);
  }

  /** The id of a token string, or undefined. */
  convert_tokens_to_ids(token: string): number | undefined {
    return this.#tokenizer.token_to_id(token);
  }

  /** The token string of an id, or undefined. */
  convert_ids_to_tokens(id: number): string | undefined {
    return this.#tokenizer.id_to_token(id);
  }

  apply_chat_template(messages: readonly Message[], options: ChatTemplateOptions & { tokenize: false }): string;
  apply_chat_template(messages: readonly Message[], options?: ChatTemplateOptions & { tokenize?: true }): number[];
  /** A conversation as ids, or with `tokenize: false` as text.
   *  @throws ModelError `chat_template_missing`, `chat_template_failed`; ConfigError for an unknown option */
  apply_chat_template(messages: readonly Message[], options: ChatTemplateOptions = {}): number[] | string {
    const text = renderTemplate(this.get_chat_template(options), messages, options, this.special_tokens_map);
    return options.tokenize === false ? text : this.encode(text, { add_special_tokens: false });
  }

  /** The chat template that `apply_chat_template` uses with these options. @throws ModelError `chat_template_missing` */
  get_chat_template(options: Pick<ChatTemplateOptions, "chat_template" | "tools"> = {}): string {
    return chooseTemplate(this.#files.templates, options, this.name_or_path);
  }

  /** The default chat template (Jinja), or null. May be set. */
  get chat_template(): string | null {
    return this.#files.templates["default"] ?? null;
  }
  set chat_template(template: string | null) {
    if (template === null) delete this.#files.templates["default"];
    else this.#files.templates["default"] = template;
  }

  /** The end token, appended to plain-text completions; null if there is none. May be set to a token of the vocabulary. */
  get eos_token(): string | null {
    return this.#named.eos_token ?? null;
  }
  set eos_token(token: string) {
    this.#setNamed("eos_token", token);
  }

  /** Id of the end token, or null. */
  get eos_token_id(): number | null {
    return this.#idOf("eos_token");
  }

  /** The padding token, or null. May be set to a token of the vocabulary. */
  get pad_token(): string | null {
    return this.#named.pad_token ?? null;
  }
  set pad_token(token: string) {
    this.#setNamed("pad_token", token);
  }

  /** Id of the padding token, or null. */
  get pad_token_id(): number | null {
    return this.#idOf("pad_token");
  }

  /** The start token, or null (Qwen2 has none). */
  get bos_token(): string | null {
    return this.#named.bos_token ?? null;
  }

  /** Id of the start token, or null. */
  get bos_token_id(): number | null {
    return this.#idOf("bos_token");
  }

  /** Special tokens by name, as chat templates see them. */
  get special_tokens_map(): Record<string, string> {
    return { ...this.#named };
  }

  /** Ids of all special tokens, ascending. */
  get all_special_ids(): number[] {
    return this.#addedTokens
      .filter((token) => token.special)
      .map((token) => token.id)
      .sort((a, b) => a - b);
  }

  /** The longest input the checkpoint states, in tokens; Infinity when it states none. */
  get model_max_length(): number {
    const stated = this.#files.config["model_max_length"];
    return typeof stated === "number" && stated < 1e15 ? stated : Infinity;
  }

  /** Whether texts of parts join to the text of the whole, so that a stream may forget what it has shown (byte-level decoders). */
  get decodesByParts(): boolean {
    return this.#files.tokenizer.decoder?.type === "ByteLevel";
  }

  /** How many bytes of text each id stands for; their sum is that of `decode(ids)`.
   *  @throws ModelError `tokenizer_unsupported` for tokenizers that are not byte-level */
  byteLengths(ids: readonly number[]): number[] {
    if (!this.decodesByParts)
      throw new ModelError(
        "tokenizer_unsupported",
        `${this.name_or_path}: the places of tokens in their text need a byte-level tokenizer, got decoder ${this.#files.tokenizer.decoder?.type ?? "none"}`,
      );
    const added = new Map(this.#addedTokens.map((token) => [token.id, Buffer.byteLength(token.content)]));
    // Each character of the byte-level alphabet is one byte.
    return ids.map((id) => added.get(id) ?? this.convert_ids_to_tokens(id)?.length ?? 0);
  }

  /** Writes tokenizer.json (unchanged), tokenizer_config.json and the chat templates, each atomically; Python's transformers loads it. */
  async save_pretrained(dir: string): Promise<void> {
    await writeTokenizerFiles(dir, { ...this.#files, config: { ...this.#files.config, ...this.#named } });
  }

  #idOf(name: NamedToken): number | null {
    const token = this.#named[name];
    return token === undefined ? null : this.#tokenizer.token_to_id(token)!;
  }

  #setNamed(name: NamedToken, token: string): void {
    if (this.#tokenizer.token_to_id(token) === undefined) {
      throw new ModelError(
        "tokenizer_input",
        `${name} must be a token of the vocabulary, got ${JSON.stringify(token)}; the special tokens are ${this.#addedTokens.map((each) => each.content).join(", ")}`,
      );
    }
    this.#named[name] = token;
  }

  /** The same tokenizer with no special tokens to recognise. It shares the vocabulary, which is the large part. */
  #withoutSpecialTokens(): LibraryTokenizer {
    if (this.#plainText === undefined) {
      const added = this.#addedTokens.filter((token) => !token.special);
      const model = { ...this.#files.tokenizer.model, vocab: {}, merges: [] };
      this.#plainText = makeTokenizer({ ...this.#files.tokenizer, model, added_tokens: added }, this.#files.config);
      this.#plainText.model = this.#tokenizer.model;
    }
    return this.#plainText;
  }
}

/** Loads tokenizers. */
export class AutoTokenizer {
  /** The tokenizer of a checkpoint directory (tokenizer.json, tokenizer_config.json, chat_template.jinja), or of a repository on the
   *  Hugging Face Hub (`owner/name`, when no such path exists).
   *  @throws ModelError `tokenizer_missing`, `tokenizer_malformed`; HubError */
  static async from_pretrained(pathOrId: string, options: RepositoryOptions = {}): Promise<PreTrainedTokenizer> {
    const where = "AutoTokenizer.from_pretrained";
    const [repository] = takeRepositoryOptions(where, options, []);
    const fetched = await fetchRepository(where, pathOrId, { kind: "model", select: selectTokenizerFiles }, repository);
    return new PreTrainedTokenizer(await readTokenizerFiles(fetched?.dir ?? pathOrId), pathOrId);
  }
}

/** A token in the config is text, or an object with its text in `content`. */
function tokenText(entry: unknown): string | undefined {
  if (typeof entry === "string") return entry;
  const content = (entry as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}

/** Tokens that the config names are special even where tokenizer.json does not say so (transformers adds them on loading). */
function withNamedTokens(tokenizer: TokenizerJson, named: Partial<Record<NamedToken, string>>, where: string): AddedTokenEntry[] {
  const added = tokenizer.added_tokens.map((token) => ({ ...token }));
  for (const [name, content] of Object.entries(named)) {
    const known = added.find((token) => token.content === content);
    if (known !== undefined) {
      known.special = true;
      continue;
    }
    const id = tokenizer.model.vocab[content];
    if (id === undefined) {
      throw new ModelError(
        "tokenizer_malformed",
        `${where}: ${name} must be in the vocabulary, got ${JSON.stringify(content)}; fetch tokenizer.json and tokenizer_config.json of the same version`,
      );
    }
    added.push({ id, content, special: true, normalized: false, single_word: false, lstrip: false, rstrip: false });
  }
  return added;
}
