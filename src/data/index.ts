/** Readers, data sets, and the preference contract: files → rows → `{prompt, chosen, rejected}`. */
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
  preferenceExample,
  preferenceExamples,
  type ConversationalPreference,
  type PreferenceExample,
  type TextPreference,
} from "./preference.js";
