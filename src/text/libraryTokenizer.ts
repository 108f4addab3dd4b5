import * as library from "@huggingface/tokenizers";
import type { TokenizerConfig, TokenizerJson } from "./tokenizerFiles.js";

/** The part of `@huggingface/tokenizers` that is used. Written out because the package's own types do not resolve under nodenext. */
export interface LibraryTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  /** Throws for an empty list. */
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  /** Vocabulary and merges: the large part, which two tokenizers may share. */
  model: unknown;
}

/** @throws the library's Error when it does not know a component of tokenizer.json */
export function makeTokenizer(tokenizer: TokenizerJson, config: TokenizerConfig): LibraryTokenizer {
  const { Tokenizer } = library as unknown as { Tokenizer: new (tokenizer: object, config: object) => LibraryTokenizer };
  return new Tokenizer(tokenizer, config);
}
