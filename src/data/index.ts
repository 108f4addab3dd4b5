/** Readers, data sets, and the contracts: files → rows → preference, SFT and KTO examples. */
export { load_dataset, type LoadDatasetOptions } from "./load.js";
export type { RepositoryOptions, TransferListener, TransferProgress } from "./repository.js";
export { Dataset } from "./dataset.js";
export type { DataFrame, DataFrameLike, FromDataFrameOptions } from "./dataframe.js";
export type { Row, RowOrigin } from "./row.js";
export type { ReaderOptions } from "./reader.js";
export { characterLength, filterByLength, type LengthFilter } from "./length.js";
export { ROLES, checkMessages, type Message } from "./messages.js";
export {
  isConversational,
  isTokenPreference,
  preferenceExample,
  preferenceExamples,
  preferencePairs,
  type ConversationalPreference,
  type PreferenceExample,
  type PreferencePair,
  type TextPreference,
} from "./preference.js";
export type { ConversationalCompletion, TextCompletion } from "./completion.js";
export type { TemplateFields } from "./templateFields.js";
export {
  sftExample,
  sftExamples,
  type MessagesExample,
  type PromptCompletionExample,
  type SftExample,
  type SftExampleOptions,
  type SftKind,
  type TextExample,
} from "./sft.js";
export type { TokenPreference, TokensExample } from "./tokenRow.js";
export { ktoExample, ktoExamples, unpairExamples, type KtoExample } from "./kto.js";
