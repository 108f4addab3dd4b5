/** Rows → pairs that are ready to run. */
import { type Dataset, preferencePairs } from "../../data/index.js";
import { describeOrigin } from "../../data/row.js";
import { DataError } from "../../errors.js";
import { type PreTrainedTokenizer, type TokenizedPair, tokenizePreferences } from "../../text/index.js";
import type { DPOOptions } from "../options/dpoConfig.js";
import type { PreparedPair } from "./pairBatch.js";
import { requireVocabulary } from "../sequence/vocabulary.js";
import { NO_PARTS, type PairLayout, type PairParts, layoutPair } from "../sequence/pairLayout.js";

export interface PreparedData {
  readonly pairs: PreparedPair[];
  /** What a user should read once: dropped rows, cut rows, prompts that are no token prefix. */
  readonly warnings: string[];
}

/**
 * @param vocabulary rows of the model's embedding @param name of the data set, for errors
 * @param parts what the loss needs of a pair
 * @throws DataError for rows that break the contract, or when no row is left
 * @throws ConfigError `vocabulary` if the tokenizer makes ids that the model does not have
 */
export function preparePairs(
  dataset: Dataset,
  tokenizer: PreTrainedTokenizer,
  vocabulary: number,
  options: Pick<DPOOptions, "max_length" | "truncation_mode">,
  name: string,
  { prompt }: PairParts = NO_PARTS,
  where = "DPOTrainer",
): PreparedData {
  const { max_length, truncation_mode } = options;
  const { pairs, dropped, warnings } = tokenizePreferences(preferencePairs(dataset), tokenizer, { max_length, truncation_mode });
  if (pairs.length === 0) {
    const why =
      dropped.length === 0 ? "the data set is empty" : `all ${dropped.length} rows were dropped, the first because ${dropped[0]!.reason}`;
    throw new DataError("no_rows", `${where}: ${name} needs at least one pair, but ${why}; check the filter and max_length`);
  }
  const prepared = pairs.map((pair) => {
    const origin = describeOrigin(pair);
    requireVocabulary(layoutPair(pair, prompt).ids, vocabulary, origin);
    return new LeanPair(pair, prompt, origin);
  });
  return { pairs: prepared, warnings };
}

/** Keeps the ids only, a tenth of its layout. */
class LeanPair implements PreparedPair {
  constructor(
    private readonly pair: TokenizedPair,
    private readonly prompt: boolean,
    readonly origin: string,
  ) {}

  get layout(): PairLayout {
    return layoutPair(this.pair, this.prompt);
  }
}
