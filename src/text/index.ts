/** Text ↔ token ids: tokenizer, chat template, streaming, and preference, SFT and KTO examples as ids. */
export { AutoTokenizer, PreTrainedTokenizer, type DecodeOptions, type EncodeOptions } from "./tokenizer.js";
export type { ChatTemplateOptions } from "./chatTemplate.js";
export { IncrementalDecoder, TextStreamer, type Streamer, type TextStreamerOptions } from "./streamer.js";
export {
  pairSequences,
  tokenizePreference,
  tokenizePreferences,
  type PreferenceTokenOptions,
  type TokenizedPair,
  type TokenizedPreferences,
} from "./preferenceTokens.js";
export type { DroppedRow, MaskedSequence } from "./tokenRows.js";
export { IGNORED_LABEL, tokenizeSft, type SftTokenOptions, type TokenizedText, type TokenizedTexts } from "./sftTokens.js";
export { ktoSequences, tokenizeKto, type KtoTokenOptions, type TokenizedKto, type TokenizedKtoRows } from "./ktoTokens.js";
export {
  PACKING_STRATEGIES,
  packRows,
  type PackedRow,
  type PackedRows,
  type PackedSegment,
  type PackingOptions,
  type PackingStrategy,
} from "./packing.js";
