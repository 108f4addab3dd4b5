/** Perplexity: how surprised a model is by texts, weighted by tokens. */
import { Dataset, sftExamples } from "../../data/index.js";
import { describeOrigin } from "../../data/row.js";
import { ConfigError, DataError } from "../../errors.js";
import type { CausalLM } from "../../model/index.js";
import { type PreTrainedTokenizer, tokenizeSft } from "../../text/index.js";
import { layoutText } from "../../train/sequence/textLayout.js";
import { requireVocabulary } from "../../train/sequence/vocabulary.js";
import { type Estimate, bootstrap, requireSeed } from "../statistics.js";
import { EvaluationResult, type TableRow, numberText, plural } from "../table.js";
import { TokenScorer } from "../tokenLogps.js";

export interface PerplexityOptions {
  readonly model: CausalLM;
  readonly tokenizer: PreTrainedTokenizer;
  /** Texts as they stand. Give either texts or a data set. */
  readonly texts?: readonly string[];
  /** Rows as for SFTTrainer: `text`, `prompt` and `completion`, `messages`, or token ids. */
  readonly dataset?: Dataset;
  /** Score completions only; default null: completions only where rows have prompts, as SFTTrainer learns. */
  readonly completion_only_loss?: boolean | null;
  /** Score the assistant's turns of conversations only; default false. */
  readonly assistant_only_loss?: boolean;
  /** The column of plain-text rows; default "text". */
  readonly dataset_text_field?: string;
  /** Longer rows are cut; default 1024. */
  readonly max_length?: number | null;
  /** Of the bootstrap interval; default 42. */
  readonly seed?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface ScoredText {
  readonly origin: string;
  /** Summed over the scored tokens, nats. */
  readonly logp: number;
  readonly tokens: number;
}

export class PerplexityResult extends EvaluationResult {
  /** exp of the mean negative log-prob a token, all texts' tokens together; the interval by resampling texts. */
  readonly perplexity: Estimate;
  /** Nats a token. */
  readonly mean_nll: number;
  /** Scored tokens. */
  readonly tokens: number;

  constructor(
    readonly texts: readonly ScoredText[],
    readonly warnings: readonly string[],
    seed: number,
  ) {
    super();
    const nll = (rows: Int32Array): number => {
      let [logp, tokens] = [0, 0];
      for (const row of rows) {
        logp += texts[row]!.logp;
        tokens += texts[row]!.tokens;
      }
      return -logp / tokens;
    };
    this.perplexity = bootstrap(texts.length, (rows) => Math.exp(nll(rows)), seed, "perplexity");
    this.mean_nll = nll(Int32Array.from(texts, (_, i) => i));
    this.tokens = texts.reduce((sum, { tokens }) => sum + tokens, 0);
  }

  override summary(): string[] {
    const { value, low, high } = this.perplexity;
    const interval = `95 % interval ${numberText(low)} to ${numberText(high)}`;
    return [
      `Perplexity ${numberText(value)} a token (${interval}) over ${plural(this.tokens, "token")} of ${plural(this.texts.length, "text")}. Only models with one tokenizer can be compared by it.`,
      ...this.warnings.map((warning) => `Note: ${warning}.`),
    ];
  }

  override rows(): TableRow[] {
    const { perplexity, mean_nll, tokens, texts } = this;
    return [
      { metric: "perplexity", ...perplexity },
      { metric: "mean negative log-prob, nats a token", value: mean_nll, low: Math.log(perplexity.low), high: Math.log(perplexity.high) },
      { metric: "tokens", value: tokens, low: null, high: null },
      { metric: "texts", value: texts.length, low: null, high: null },
    ];
  }

  /** One row a text, with its own perplexity. */
  textRows(): TableRow[] {
    return this.texts.map((text) => ({ ...text, perplexity: Math.exp(-text.logp / text.tokens) }));
  }
}

/**
 * Token-weighted perplexity of texts, or of completions only. Texts get the end token behind them and a first token has nothing to
 * predict it, both as in training; texts given as `texts` are scored without an end token.
 * @throws ConfigError `option_conflict`, `option_type`, `vocabulary`, `inference_only`; DataError as SFTTrainer, `no_rows`
 */
export async function perplexity(options: PerplexityOptions): Promise<PerplexityResult> {
  const { model, seed = 42, onProgress } = options;
  requireSeed("perplexity", seed);
  const { rows, warnings } = tokenRows(options);
  for (const { ids, origin } of rows) requireVocabulary(ids, model.config.vocab_size, origin);
  const laid = rows.map(({ ids, labels, origin }) => ({ layout: layoutText(ids, labels, [ids.length]), origin }));
  const scored = laid.filter(({ layout }) => layout.sources.length > 0);
  const empty = laid.length - scored.length;
  if (empty > 0) warnings.push(`${empty} of ${laid.length} rows are left out because no token of theirs is to be predicted`);
  if (scored.length === 0)
    throw new DataError("no_rows", `perplexity: there must be at least one text of two tokens, got ${plural(rows.length, "row")} without`);
  const scorer = await TokenScorer.create(model, "perplexity");
  try {
    const texts: ScoredText[] = [];
    for (const each of scored) {
      const logps = await scorer.logps(each);
      texts.push({ origin: each.origin, logp: logps.reduce((sum, logp) => sum + logp, 0), tokens: logps.length });
      onProgress?.(texts.length, scored.length);
    }
    return new PerplexityResult(texts, warnings, seed);
  } finally {
    await scorer.dispose();
  }
}

interface TokenRow {
  readonly ids: readonly number[];
  readonly labels: readonly number[];
  readonly origin: string;
}

function tokenRows(options: PerplexityOptions): { rows: TokenRow[]; warnings: string[] } {
  const { tokenizer, texts, dataset, max_length = 1024, completion_only_loss, assistant_only_loss, dataset_text_field } = options;
  if ((texts === undefined) === (dataset === undefined))
    throw new ConfigError(
      "option_conflict",
      `perplexity: either texts or a dataset must be given, got ${texts === undefined ? "neither" : "both"}`,
    );
  // Rows of token ids are scored as they are, without an end token.
  const given = dataset ?? Dataset.from_rows(texts!.map((text) => ({ input_ids: tokenizer.encode(text) })));
  const examples = sftExamples(given, { dataset_text_field });
  const { rows, warnings } = tokenizeSft(examples, tokenizer, { max_length, completion_only_loss, assistant_only_loss });
  return {
    rows: rows.map((row) => ({ ids: row.input_ids, labels: row.labels, origin: describeOrigin(row) })),
    warnings: [...warnings],
  };
}
