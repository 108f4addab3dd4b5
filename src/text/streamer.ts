import type { PreTrainedTokenizer } from "./tokenizer.js";

/** The replacement character: what the decoder gives for bytes that are no UTF-8, among them the beginning of a character. */
const REPLACEMENT = "\uFFFD";

/**
 * Ids one by one → text, never half a character: one token may hold a part of an emoji or of an Arabic letter. The pieces joined,
 * with `flush()` at the end, are exactly `tokenizer.decode` of all ids.
 *
 * Only the very end of a text can be an unfinished character, and the decoder shows it as exactly one replacement character. So one
 * such character at the end waits for the next token; everything before it is final.
 */
export class IncrementalDecoder {
  readonly #tokenizer: PreTrainedTokenizer;
  readonly #skipSpecialTokens: boolean;
  #ids: number[] = [];
  /** Length of the part of decode(#ids) that was returned already. */
  #returned = 0;

  /** @param options.skip_special_tokens leave special tokens out; default true */
  constructor(tokenizer: PreTrainedTokenizer, options: { skip_special_tokens?: boolean } = {}) {
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = options.skip_special_tokens ?? true;
  }

  /** Adds one id and returns the text that became final, perhaps "". */
  push(id: number): string {
    this.#ids.push(id);
    const text = this.#decode();
    const isWhole = !text.endsWith(REPLACEMENT);
    const final = isWhole ? text : text.slice(0, -1);
    const piece = final.slice(this.#returned);
    this.#returned = final.length;
    if (isWhole && this.#tokenizer.decodesByParts) this.#reset();
    return piece;
  }

  /** The text still held back (an unfinished character as U+FFFD); then starts anew. */
  flush(): string {
    const piece = this.#decode().slice(this.#returned);
    this.#reset();
    return piece;
  }

  #decode(): string {
    return this.#tokenizer.decode(this.#ids, { skip_special_tokens: this.#skipSpecialTokens });
  }

  #reset(): void {
    this.#ids = [];
    this.#returned = 0;
  }
}

/** Options of `TextStreamer`. */
export interface TextStreamerOptions {
  /** Leave out the first `put`, which holds the prompt; default false. */
  skip_prompt?: boolean;
  /** Leave out special tokens; default true. */
  skip_special_tokens?: boolean;
  /** Gets each piece of text; default writes it to stdout. */
  callback_function?: (text: string) => void;
  /** Gets the ids of each `put` that is shown. */
  token_callback_function?: (ids: readonly number[]) => void;
}

/** What `generate` needs of a streamer: the prompt's ids first, then the new ids as they come, then the end. */
export interface Streamer {
  put(ids: readonly number[]): void;
  end(): void;
}

/** Shows a text while it is generated, whole characters at a time. */
export class TextStreamer implements Streamer {
  readonly #decoder: IncrementalDecoder;
  readonly #show: (text: string) => void;
  readonly #showTokens: ((ids: readonly number[]) => void) | undefined;
  readonly #skipPrompt: boolean;
  #isPrompt = true;

  constructor(tokenizer: PreTrainedTokenizer, options: TextStreamerOptions = {}) {
    this.#decoder = new IncrementalDecoder(tokenizer, options);
    this.#skipPrompt = options.skip_prompt ?? false;
    this.#show = options.callback_function ?? ((text) => void process.stdout.write(text));
    this.#showTokens = options.token_callback_function;
  }

  /** Takes the prompt's ids at the first call, new ids afterwards. */
  put(ids: readonly number[]): void {
    const skip = this.#isPrompt && this.#skipPrompt;
    this.#isPrompt = false;
    if (skip) return;
    this.#showTokens?.(ids);
    const text = ids.map((id) => this.#decoder.push(id)).join("");
    if (text !== "") this.#show(text);
  }

  /** Shows what is left and makes the streamer ready for the next prompt. */
  end(): void {
    const text = this.#decoder.flush();
    if (text !== "") this.#show(text);
    this.#isPrompt = true;
  }
}
