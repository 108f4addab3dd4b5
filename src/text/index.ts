/** Text ↔ token ids: tokenizer, chat template, streaming, and preference examples as ids. */
export { AutoTokenizer, PreTrainedTokenizer, type DecodeOptions, type EncodeOptions } from "./tokenizer.js";
export type { ChatTemplateOptions } from "./chatTemplate.js";
export { IncrementalDecoder, TextStreamer, type Streamer, type TextStreamerOptions } from "./streamer.js";
export {
  pairSequences,
  tokenizePreference,
  tokenizePreferences,
  type DroppedRow,
  type MaskedSequence,
  type PreferenceTokenOptions,
  type TokenizedPair,
  type TokenizedPreferences,
} from "./preferenceTokens.js";
