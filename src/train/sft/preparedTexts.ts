/** Rows → texts that are ready to run, packed if wanted. */
import { type Dataset, sftExamples } from "../../data/index.js";
import { describeOrigin } from "../../data/row.js";
import { DataError } from "../../errors.js";
import { type PreTrainedTokenizer, type TokenizedText, packRows, tokenizeSft } from "../../text/index.js";
import type { SFTOptions } from "../options/sftConfig.js";
import type { SequenceLayout } from "../sequence/sequenceInputs.js";
import { requireVocabulary } from "../sequence/vocabulary.js";
import { layoutText } from "../sequence/textLayout.js";

/** A row, or a packed row, that is ready to run. */
export interface PreparedText {
  /** Made at each look, as its program inputs are at each run: those of all rows at once would fill the memory. */
  readonly layout: SequenceLayout;
  /** All tokens. */
  readonly tokens: number;
  /** Label tokens: those that are predicted; at least 1. */
  readonly scored: number;
  /** For errors: file and row. */
  readonly origin: string;
}

export interface PreparedTexts {
  readonly texts: PreparedText[];
  /** What a user should read once: dropped rows, cut rows, prompts that are no token prefix. */
  readonly warnings: string[];
}

/** One sequence before it is laid out. */
interface Sequence {
  readonly ids: readonly number[];
  readonly labels: readonly number[];
  /** Lengths of the segments, which do not see each other. */
  readonly lengths: readonly number[];
  readonly origin: string;
}

/**
 * @param vocabulary rows of the model's embedding @param name of the data set, for errors
 * @throws DataError for rows that break the contract, or when no row is left
 * @throws ConfigError `vocabulary` if there are ids that the model does not have
 */
export function prepareTexts(
  dataset: Dataset,
  tokenizer: PreTrainedTokenizer,
  vocabulary: number,
  options: SFTOptions,
  name: string,
): PreparedTexts {
  const { packing, max_length, dataset_text_field } = options;
  const examples = sftExamples(dataset, { dataset_text_field });
  const { rows, dropped, warnings } = tokenizeSft(examples, tokenizer, { ...options, max_length: packing ? null : max_length });
  for (const row of rows) requireVocabulary([...row.input_ids, ...row.labels], vocabulary, describeOrigin(row));
  const packed = packing ? packSequences(rows, options) : { sequences: rows.map(ownSequence), warnings: [] };
  const texts = packed.sequences.filter(({ ids, labels, lengths }) => layoutText(ids, labels, lengths).sources.length > 0);
  const empty = packed.sequences.length - texts.length;
  if (texts.length === 0) {
    const why = dropped.length === 0 ? "none has a token to predict" : `all were dropped, the first because ${dropped[0]!.reason}`;
    throw new DataError(
      "no_rows",
      `SFTTrainer: ${name} needs at least one row, but of ${dataset.length} ${why}; check the rows and max_length`,
    );
  }
  const told = [...warnings, ...packed.warnings];
  if (empty > 0)
    told.push(
      `${empty} of ${packed.sequences.length} ${packing ? "packed rows" : "rows"} are left out because no token of theirs is to be predicted`,
    );
  return { texts: texts.map((text) => new LeanText(text)), warnings: told };
}

function ownSequence(row: TokenizedText): Sequence {
  return { ids: row.input_ids, labels: row.labels, lengths: [row.input_ids.length], origin: describeOrigin(row) };
}

/** Packed rows name all rows they are made of. */
function packSequences(
  rows: readonly TokenizedText[],
  { max_length, packing_strategy }: SFTOptions,
): { sequences: Sequence[]; warnings: string[] } {
  const how = { max_length: max_length!, packing_strategy };
  const packed = packRows(rows, how);
  // Packed a second time with the row's number in place of each id, the tokens tell whose they are.
  const owners = packRows(
    rows.map(({ input_ids, labels }, row) => ({ input_ids: input_ids.map(() => row), labels })),
    how,
  );
  const sequences = packed.rows.map(({ input_ids, labels, segments }, i) => ({
    ids: input_ids,
    labels,
    lengths: segments.map(({ length }) => length),
    origin: [...new Set(owners.rows[i]!.input_ids)].map((row) => describeOrigin(rows[row]!)).join(" + "),
  }));
  return { sequences, warnings: packed.warnings };
}

/** Keeps ids and labels only. */
class LeanText implements PreparedText {
  readonly #sequence: Sequence;
  readonly scored: number;

  constructor(sequence: Sequence) {
    this.#sequence = sequence;
    this.scored = this.layout.sources.length;
  }

  get layout(): SequenceLayout {
    return layoutText(this.#sequence.ids, this.#sequence.labels, this.#sequence.lengths);
  }

  get tokens(): number {
    return this.#sequence.ids.length;
  }

  get origin(): string {
    return this.#sequence.origin;
  }
}
