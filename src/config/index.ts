export { cacheFolder } from "./cacheFolder.js";
export { defineOptions, noteOnce, OptionTable, unknownOption } from "./optionTable.js";
export type {
  CheckOptions,
  JsonObject,
  JsonValue,
  OptionEntries,
  OptionInput,
  OptionName,
  OptionSpec,
  OptionValues,
} from "./optionTable.js";
export { describeRule, describeValue } from "./optionValue.js";
export { parseFlags } from "./flags.js";
export type { ParsedFlags } from "./flags.js";
export { loadOptionFile } from "./optionFile.js";
export { formatHelp, formatMarkdown } from "./optionHelp.js";
