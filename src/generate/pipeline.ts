/** transformers' text-generation pipeline: text or conversations in, generated texts or conversations out. */
import { type Message, ROLES, checkMessages } from "../data/index.js";
import { takeRepositoryOptions } from "../data/repository.js";
import { ConfigError } from "../errors.js";
import { AutoModelForCausalLM, CausalLM, type PretrainedModelOptions } from "../model/index.js";
import { AutoTokenizer, type PreTrainedTokenizer } from "../text/index.js";
import type { GenerateOptions } from "./generate.js";

/** Options of one call: those of `generate`, and two of the pipeline's own. */
export interface TextGenerationOptions extends GenerateOptions {
  /** Give the prompt back with the new text (a conversation with the answer as its last message); default true. */
  return_full_text?: boolean;
  /** Continue a conversation's last message instead of opening an answer; default true where that message is the assistant's. */
  continue_final_message?: boolean;
}

/** Default of a call where neither it nor the model's generation_config.json says otherwise, as in transformers 5. */
export const PIPELINE_DEFAULTS = { max_new_tokens: 256, do_sample: true, temperature: 0.7 } as const;

/** One continuation of a text, or of a conversation without its earlier messages. */
export interface GeneratedText {
  generated_text: string;
}
/** One continuation of a conversation. */
export interface GeneratedChat {
  generated_text: Message[];
}

type NewTextOnly = TextGenerationOptions & { return_full_text: false };

/**
 * Called with one text or conversation it returns a list of `num_return_sequences` results, with several a list of such lists.
 * Up to 8 at a time are generated together; with a streamer one after the other.
 */
export interface TextGenerationPipeline {
  (text: string, options?: TextGenerationOptions): Promise<GeneratedText[]>;
  (texts: readonly string[], options?: TextGenerationOptions): Promise<GeneratedText[][]>;
  (chat: readonly Message[], options: NewTextOnly): Promise<GeneratedText[]>;
  (chat: readonly Message[], options?: TextGenerationOptions): Promise<GeneratedChat[]>;
  (chats: readonly (readonly Message[])[], options: NewTextOnly): Promise<GeneratedText[][]>;
  (chats: readonly (readonly Message[])[], options?: TextGenerationOptions): Promise<GeneratedChat[][]>;
  readonly task: "text-generation";
  readonly model: CausalLM;
  readonly tokenizer: PreTrainedTokenizer;
  /** Frees the model, also one that was passed in. */
  dispose(): Promise<void>;
}

export interface PipelineOptions extends PretrainedModelOptions {
  /** Default: the one that lies beside the model's weights. */
  tokenizer?: PreTrainedTokenizer;
}

const LOADING_OPTIONS = ["engine", "device", "threads", "backend", "quantization_config", "dtype"] as const;

/**
 * A function that generates text with a model.
 * @param task "text-generation", the only one
 * @param model a model in memory, with or without an adapter, or what `AutoModelForCausalLM.from_pretrained` takes
 * @param options the tokenizer, and for a model that is to be loaded the options of `from_pretrained`
 * @throws ConfigError `pipeline_task`, `pipeline_model`, `option_unknown`; as the loaders
 */
export async function pipeline(
  task: "text-generation",
  model: CausalLM | string,
  options: PipelineOptions = {},
): Promise<TextGenerationPipeline> {
  if (task !== "text-generation")
    throw new ConfigError("pipeline_task", `pipeline: task must be "text-generation", got ${JSON.stringify(task)}; it is the only one`);
  if (typeof model !== "string" && !(model instanceof CausalLM))
    throw new ConfigError(
      "pipeline_model",
      `pipeline: model must be a model, a folder or a Hub id, got ${model === null ? "null" : typeof model}; pass what AutoModelForCausalLM.from_pretrained returned, or a path`,
    );
  const { tokenizer, ...loading } = options;
  const [repository] = takeRepositoryOptions("pipeline", loading, LOADING_OPTIONS);
  const [misplaced] = Object.keys(loading);
  if (typeof model !== "string" && misplaced !== undefined)
    throw new ConfigError(
      "option_conflict",
      `pipeline: ${misplaced} must come with the name of a model to load, got a model in memory; pass it to from_pretrained`,
    );
  const loaded = typeof model === "string" ? await AutoModelForCausalLM.from_pretrained(model, loading) : model;
  const words = tokenizer ?? (await AutoTokenizer.from_pretrained(loaded.name_or_path, repository));
  const call = (input: unknown, callOptions: TextGenerationOptions = {}): Promise<unknown> =>
    generateTexts(loaded, words, input, callOptions);
  return Object.assign(call, {
    task,
    model: loaded,
    tokenizer: words,
    dispose: () => loaded.dispose(),
  } as const) as TextGenerationPipeline;
}

type Prompt = string | readonly Message[];

async function generateTexts(
  model: CausalLM,
  tokenizer: PreTrainedTokenizer,
  input: unknown,
  options: TextGenerationOptions,
): Promise<unknown> {
  const { return_full_text = true, continue_final_message, ...given } = options;
  const { prompts, isBatch } = readPrompts(input);
  const encoded = prompts.map((prompt) => encodePrompt(tokenizer, prompt, continue_final_message));
  const generation = withDefaults(model, given);
  const { num_return_sequences: copies = 1 } = generation;
  // One text goes in as such: a batch of one would take the same way, and a streamer needs this one.
  const sequences =
    encoded.length === 1 && copies === 1 ? [await model.generate(encoded[0]!, generation)] : await model.generate(encoded, generation);
  const results = prompts.map((prompt, i) =>
    sequences.slice(i * copies, (i + 1) * copies).map((ids) => {
      const text = tokenizer.decode(ids.slice(encoded[i]!.length), { skip_special_tokens: true });
      return { generated_text: return_full_text ? append(prompt, text, continue_final_message) : text };
    }),
  );
  return isBatch ? results : results[0]!;
}

/** @throws ConfigError `pipeline_input`; DataError for what are no messages */
function readPrompts(input: unknown): { prompts: Prompt[]; isBatch: boolean } {
  if (typeof input === "string") return { prompts: [input], isBatch: false };
  if (Array.isArray(input) && input.length > 0) {
    const items = input as unknown[];
    if (items.every((item) => typeof item === "string")) return { prompts: items, isBatch: true };
    if (items.every((item) => Array.isArray(item)))
      return { prompts: items.map((chat, i) => checkMessages(chat, "chat", { row: i })), isBatch: true };
    if (items.every((item) => typeof item === "object" && item !== null && !Array.isArray(item)))
      return { prompts: [checkMessages(items, "chat", { row: 0 })], isBatch: false };
  }
  const got = Array.isArray(input) ? (input.length === 0 ? "an empty list" : "a list of several kinds") : typeof input;
  throw new ConfigError(
    "pipeline_input",
    `pipeline: the input must be a text, a conversation, or a list of either, got ${got}; a message is { role, content } with a role of ${ROLES.join(", ")}`,
  );
}

function continues(chat: readonly Message[], asked: boolean | undefined): boolean {
  return asked ?? chat.at(-1)!.role === "assistant";
}

function encodePrompt(tokenizer: PreTrainedTokenizer, prompt: Prompt, asked: boolean | undefined): number[] {
  if (typeof prompt === "string") return tokenizer.encode(prompt);
  const continue_final_message = continues(prompt, asked);
  return tokenizer.apply_chat_template(prompt, { add_generation_prompt: !continue_final_message, continue_final_message });
}

function append(prompt: Prompt, text: string, asked: boolean | undefined): string | Message[] {
  if (typeof prompt === "string") return prompt + text;
  if (!continues(prompt, asked)) return [...prompt, { role: "assistant", content: text }];
  const last = prompt.at(-1)!;
  return [...prompt.slice(0, -1), { ...last, content: `${last.content ?? ""}${text}` }];
}

/** The call's options come first, then the model's own, then the pipeline's. A stated `max_length` leaves no room for a default number of
 *  new tokens (transformers warns there, and takes the number of new tokens). */
function withDefaults(model: CausalLM, given: GenerateOptions): GenerateOptions {
  const own = model.generation_config;
  const open = Object.entries(PIPELINE_DEFAULTS).filter(([name]) => {
    const key = name as keyof typeof PIPELINE_DEFAULTS;
    if (key === "max_new_tokens" && (given.max_length ?? own.max_length) !== undefined) return false;
    return given[key] === undefined && own[key] === undefined;
  });
  return { ...Object.fromEntries(open), ...given };
}
