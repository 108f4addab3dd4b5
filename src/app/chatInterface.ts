/** A chat as an app, as Gradio's `ChatInterface`: a function that answers, or a model, or a model beside the one it was made from. */
import type { JsonValue } from "../config/index.js";
import type { Message } from "../data/index.js";
import { ConfigError, DataError } from "../errors.js";
import { type CausalLM, PeftModel } from "../model/index.js";
import type { PreTrainedTokenizer } from "../text/index.js";
import { App, type AppDescription, type AppOptions } from "./app.js";
import {
  type ChatEngine,
  type ChatSettings,
  modelResponder,
  readMessages,
  type ReplyEnd,
  type Responder,
  sideBySide,
  withSystem,
} from "./chat.js";
import { type Component, type ComponentSpec, defaultValue, type NamedComponent, nameComponents } from "./component.js";
import { type Answer, answersOf, type Endpoint, type Outputs } from "./endpoint.js";
import { PreferenceFile } from "./preferenceFile.js";

export interface ChatInterfaceOptions extends AppOptions {
  /** Gets the message, the messages before it, the additional inputs and `{ signal }`; gives the answer, or a generator that gives it as it grows. */
  fn?: (message: string, history: readonly Message[], ...more: never[]) => Answer<string>;
  /** Instead of `fn`. */
  model?: CausalLM;
  tokenizer?: PreTrainedTokenizer;
  /** Answers beside `model`; "base" is the model without its adapter. */
  compare_with?: CausalLM | "base";
  /** More inputs for `fn`; a model has its own. */
  additional_inputs?: ComponentSpec | readonly ComponentSpec[];
  /** Begins every conversation. */
  system_message?: string;
  examples?: readonly string[];
  /** A jsonl file that gets a preference pair for likes and dislikes: training data for DPOTrainer. Without it there are no such buttons. */
  preferences_file?: string;
  /** What clients call it; default "chat". */
  api_name?: string;
}

export class ChatInterface extends App {
  readonly endpoints: readonly Endpoint[];
  readonly preferences: PreferenceFile | undefined;
  readonly #chat: ChatEngine;
  readonly #examples: readonly (readonly JsonValue[])[];

  /** @throws ConfigError `app_chat`, `app_component`, and for queue options */
  constructor(options: ChatInterfaceOptions) {
    const {
      fn,
      model,
      tokenizer,
      compare_with,
      additional_inputs,
      system_message = null,
      examples = [],
      preferences_file,
      api_name = "chat",
      title,
      description,
      ...queue
    } = options;
    super("ChatInterface", { title: title ?? "Chat", description }, queue, model === undefined ? 1 : 4);
    checkChoice(options);
    const settings =
      model === undefined ? nameComponents("ChatInterface: additional_inputs", additional_inputs ?? []) : modelSettings(model);
    const defaults = Object.fromEntries(settings.map((component) => [component.name, defaultValue(component)]));
    const responders = fn !== undefined ? [functionResponder(fn, settings)] : modelResponders(model!, tokenizer!, compare_with);
    this.#chat = { responders, defaults: { ...MODEL_DEFAULTS, ...defaults }, system: system_message };
    this.#examples = examples.map((example) => [example]);
    this.preferences = preferences_file === undefined ? undefined : new PreferenceFile(preferences_file);
    const inputs = nameComponents("ChatInterface: inputs", [MESSAGE, HISTORY, ...settings]);
    const outputs = nameComponents(
      "ChatInterface: outputs",
      responders.map(({ name }) => ({ type: "textbox", label: name })),
    );
    const chat: Endpoint = {
      name: api_name,
      description: description ?? "",
      inputs,
      outputs,
      run: ([message, history, ...more], { signal }) => this.#answer(message as string, history, more, settings, signal),
    };
    this.endpoints = this.preferences === undefined ? [chat] : [chat, voteEndpoint(this.preferences, system_message)];
  }

  override get chat(): ChatEngine {
    return this.#chat;
  }

  describe(): AppDescription {
    const [{ name, inputs, outputs }, vote] = this.endpoints as [Endpoint, Endpoint?];
    const { title, description } = this;
    return { kind: "chat", title, description, call: name, inputs, outputs, examples: this.#examples, vote: vote?.name ?? null };
  }

  override async prepare(): Promise<void> {
    await this.preferences?.open();
  }

  async *#answer(
    message: string,
    history: unknown,
    more: readonly unknown[],
    components: readonly NamedComponent[],
    signal: AbortSignal,
  ): AsyncGenerator<Outputs> {
    const { responders, defaults } = this.#chat;
    const messages = withSystem(this.#chat.system, [...readMessages(history, "history"), { role: "user", content: message }]);
    const settings = { ...defaults, ...Object.fromEntries(components.map(({ name }, i) => [name, more[i]])) };
    yield* sideBySide(responders.map((responder) => responder.reply(messages, settings, signal)));
  }
}

const MESSAGE: Component = { type: "textbox", label: "Message", name: "message", lines: 2, placeholder: "Ask something" };
const HISTORY: Component = { type: "json", label: "History", name: "history", value: [], info: "Messages before, each {role, content}" };

/** What a function's chat tells OpenAI's clients; a model has its own. */
const MODEL_DEFAULTS: ChatSettings = { temperature: 0, top_p: 1, max_new_tokens: 128, repetition_penalty: 1, seed: 42 };

/** The sliders, at the model's own defaults. */
function modelSettings({ generation_config: config, config: { max_position_embeddings: room } }: CausalLM): NamedComponent[] {
  const within = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
  const temperature = config.do_sample === true ? within(config.temperature ?? 1, 0, 2) : 0;
  const longest = Math.min(room, 4096);
  return nameComponents("ChatInterface: settings", [
    {
      type: "slider",
      label: "Temperature",
      name: "temperature",
      minimum: 0,
      maximum: 2,
      step: 0.05,
      value: temperature,
      info: "0: always the likeliest word; higher: more varied",
    },
    {
      type: "slider",
      label: "Top p",
      name: "top_p",
      minimum: 0.05,
      maximum: 1,
      step: 0.05,
      value: within(config.top_p ?? 1, 0.05, 1),
      info: "Draw from the likeliest words that make up this share; only with a temperature",
    },
    {
      type: "slider",
      label: "Most new tokens",
      name: "max_new_tokens",
      minimum: 1,
      maximum: longest,
      step: 1,
      value: within(config.max_new_tokens ?? MODEL_DEFAULTS.max_new_tokens, 1, longest),
    },
    {
      type: "slider",
      label: "Repetition penalty",
      name: "repetition_penalty",
      minimum: 1,
      maximum: 2,
      step: 0.05,
      value: within(config.repetition_penalty ?? 1, 1, 2),
      info: "Above 1: words that occurred become less likely",
    },
    { type: "number", label: "Seed", name: "seed", minimum: 0, step: 1, value: 42, info: "Equal seeds give equal answers" },
  ]);
}

function checkChoice({ fn, model, tokenizer, compare_with, additional_inputs }: ChatInterfaceOptions): void {
  const refuse = (rule: string): ConfigError => new ConfigError("app_chat", `ChatInterface: ${rule}`);
  if ((fn === undefined) === (model === undefined))
    throw refuse(`either fn or model must be given, got ${fn === undefined ? "neither" : "both"}`);
  if (model !== undefined && tokenizer === undefined) throw refuse("a model needs its tokenizer, got none");
  if (model !== undefined && additional_inputs !== undefined)
    throw refuse("a model has its own settings, got additional_inputs; they are for fn");
  if (model === undefined && compare_with !== undefined) throw refuse("compare_with needs a model, got fn");
  if (compare_with === "base" && !(model instanceof PeftModel))
    throw refuse('compare_with: "base" needs a model with an adapter, got one without; give the other model itself');
}

function modelResponders(model: CausalLM, tokenizer: PreTrainedTokenizer, compare_with: CausalLM | "base" | undefined): Responder[] {
  const isAdapter = compare_with === "base";
  const other = isAdapter ? (model as PeftModel).disable_adapter() : compare_with;
  if (other === undefined) return [modelResponder("model", model, tokenizer)];
  return [modelResponder("tuned", model, tokenizer), modelResponder("base", other, tokenizer)];
}

function functionResponder(fn: NonNullable<ChatInterfaceOptions["fn"]>, components: readonly NamedComponent[]): Responder {
  const call = fn as (...inputs: unknown[]) => Answer<string>;
  return {
    name: "answer",
    async *reply(messages, settings, signal): AsyncGenerator<string, ReplyEnd> {
      const more = components.map(({ name }) => (settings as unknown as Record<string, unknown>)[name]);
      const last = messages.at(-1)!;
      for await (const text of answersOf(call(last.content, messages.slice(0, -1), ...more, { signal }), signal)) {
        if (typeof text !== "string") throw new ConfigError("app_output", `ChatInterface: fn must give text, got ${typeof text}`);
        yield text;
      }
      return { finish_reason: "stop" };
    },
  };
}

/** Pairs have the system message that the answers were made with. */
function voteEndpoint(file: PreferenceFile, system: string | null): Endpoint {
  const specs: Component[] = [
    { type: "json", name: "prompt", label: "Prompt", info: "The messages up to the question" },
    { type: "textbox", name: "answer", label: "Answer", max_length: 200_000 },
    { type: "checkbox", name: "liked", label: "Liked" },
    { type: "json", name: "other", label: "Other answer", value: null, info: "The answer beside it, if there was one" },
  ];
  return {
    name: "vote",
    description: "Likes or dislikes an answer; pairs go to the preferences file",
    inputs: nameComponents("vote", specs),
    outputs: nameComponents("vote", { type: "json", name: "result" }),
    immediate: true,
    async *run([prompt, answer, liked, other]): AsyncGenerator<Outputs> {
      const messages = withSystem(system, readMessages(prompt, "prompt"));
      if (messages.at(-1)?.role !== "user") throw new DataError("data_role", "prompt must end with a message of the user");
      if (other !== null && typeof other !== "string") throw new DataError("data_type", "other must be text or null");
      yield [await file.vote({ prompt: messages, answer: answer as string, liked: liked as boolean, other })];
    },
  };
}
