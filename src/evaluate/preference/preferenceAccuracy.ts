/** Whether a model finds the chosen answers likelier than the rejected ones, alone and beside a reference. */
import type { Dataset } from "../../data/index.js";
import { ConfigError } from "../../errors.js";
import type { CausalLM } from "../../model/index.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import { scoredTokens } from "../../train/sequence/pairLayout.js";
import { preparePairs } from "../../train/dpo/preparedData.js";
import { type Chart, histogram } from "../chart.js";
import { type Estimate, bootstrapMean, quantile, requireSeed, shareEstimate } from "../statistics.js";
import { EvaluationResult, type TableRow, percentText, plural } from "../table.js";
import { type PairValues, pairLogps } from "./pairScores.js";

export interface PreferenceAccuracyOptions {
  readonly model: CausalLM;
  /** What the model is compared with, e.g. what DPO trained against; default none. For an adapter, its `base`. */
  readonly reference?: CausalLM | undefined;
  readonly tokenizer: PreTrainedTokenizer;
  /** Preference pairs, as for DPOTrainer. */
  readonly dataset: Dataset;
  /** As in DPOConfig; default 1024. */
  readonly max_length?: number | null;
  readonly truncation_mode?: "keep_start" | "keep_end";
  /** Of the bootstrap intervals; default 42. */
  readonly seed?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/** A pair's log-probs in nats, summed over the tokens of each completion; end tokens count, as in training. */
export interface ScoredPair {
  /** File and row. */
  readonly origin: string;
  readonly chosen_logps: number;
  readonly rejected_logps: number;
  readonly chosen_tokens: number;
  readonly rejected_tokens: number;
  /** null without a reference. */
  readonly reference_chosen_logps: number | null;
  readonly reference_rejected_logps: number | null;
}

/** What a margin is taken of. */
export type MarginKind = "summed" | "per_token" | "summed_against_reference" | "per_token_against_reference";

export interface MarginSummary {
  readonly kind: MarginKind;
  /** Share of pairs with a margin above 0; a tie counts as wrong, as in TRL. */
  readonly accuracy: Estimate;
  /** Margins that are exactly 0. */
  readonly ties: number;
  /** Chosen minus rejected, in nats; one a pair, in the order of `pairs`. Against a reference they are DPO's rewards at beta 1. */
  readonly margins: readonly number[];
  readonly mean: Estimate;
  readonly quantiles: { readonly p5: number; readonly p25: number; readonly p50: number; readonly p75: number; readonly p95: number };
}

export class PreferenceResult extends EvaluationResult {
  /** summed, per_token, and with a reference both against it. */
  readonly margins: readonly MarginSummary[];

  constructor(
    readonly pairs: readonly ScoredPair[],
    /** What a user should read once: dropped and cut rows. */
    readonly warnings: readonly string[],
    seed: number,
  ) {
    super();
    const referenced = pairs.every(({ reference_chosen_logps }) => reference_chosen_logps !== null);
    const kinds: MarginKind[] = ["summed", "per_token"];
    if (referenced) kinds.push("summed_against_reference", "per_token_against_reference");
    this.margins = kinds.map((kind) => summarise(kind, pairs, seed));
  }

  /** @throws ConfigError `margin` for a kind that was not computed */
  margin(kind: MarginKind): MarginSummary {
    const found = this.margins.find((each) => each.kind === kind);
    if (found !== undefined) return found;
    throw new ConfigError(
      "margin",
      `PreferenceResult: the margin must be one of ${this.margins.map((each) => each.kind).join(", ")}, got ${kind}; pass a reference for margins against it`,
    );
  }

  override summary(): string[] {
    const { accuracy, kind } = this.margins.at(-2)!;
    return [
      `The chosen answer is likelier (${NAMES[kind]}) in ${percentText(accuracy)} of ${plural(this.pairs.length, "pair")}.`,
      ...this.warnings.map((warning) => `Note: ${warning}.`),
    ];
  }

  /** One row a kind of margin. */
  override rows(): TableRow[] {
    return this.margins.map(({ kind, accuracy, ties, mean, quantiles }) => ({
      margin: NAMES[kind],
      accuracy: accuracy.value,
      accuracy_low: accuracy.low,
      accuracy_high: accuracy.high,
      ties,
      mean: mean.value,
      mean_low: mean.low,
      mean_high: mean.high,
      ...quantiles,
    }));
  }

  /** One row a pair. */
  pairRows(): TableRow[] {
    return this.pairs.map((pair, i) => ({
      ...pair,
      ...Object.fromEntries(this.margins.map(({ kind, margins }) => [`margin_${kind}`, margins[i]!])),
    }));
  }

  /** The distribution of the margins. @param kind default the summed one, against the reference where there is one */
  marginChart(kind: MarginKind = this.margins.at(-2)!.kind): Chart {
    return histogram(this.margin(kind).margins, { title: `Margins, ${NAMES[kind]}`, x_title: "log-prob of chosen minus rejected, nats" });
  }
}

const NAMES: Readonly<Record<MarginKind, string>> = {
  summed: "log-probs summed",
  per_token: "log-probs per token",
  summed_against_reference: "log-probs summed, against the reference",
  per_token_against_reference: "log-probs per token, against the reference",
};

/**
 * Preference accuracy by log-prob. Pairs are tokenised, cut and laid out as DPOTrainer does it.
 * @throws DataError, ConfigError as DPOTrainer; EngineError `logps_not_finite`
 */
export async function preferenceAccuracy(options: PreferenceAccuracyOptions): Promise<PreferenceResult> {
  const where = "preferenceAccuracy";
  const { model, reference, tokenizer, dataset, max_length = 1024, truncation_mode = "keep_start", seed = 42, onProgress } = options;
  requireSeed(where, seed);
  const vocabulary = Math.min(model.config.vocab_size, reference?.config.vocab_size ?? Infinity);
  const cut = { max_length, truncation_mode };
  const { pairs, warnings } = preparePairs(dataset, tokenizer, vocabulary, cut, "dataset", undefined, where);
  const total = pairs.length * (reference === undefined ? 1 : 2);
  const logps = await pairLogps(model, pairs, where, (done) => onProgress?.(done, total));
  const references = reference && (await pairLogps(reference, pairs, where, (done) => onProgress?.(pairs.length + done, total)));
  const scored = pairs.map(({ layout, origin }, i): ScoredPair => {
    const tokens = scoredTokens(layout);
    return {
      origin,
      chosen_logps: logps[i]!.chosen,
      rejected_logps: logps[i]!.rejected,
      chosen_tokens: tokens.chosen,
      rejected_tokens: tokens.rejected,
      reference_chosen_logps: references?.[i]!.chosen ?? null,
      reference_rejected_logps: references?.[i]!.rejected ?? null,
    };
  });
  return new PreferenceResult(scored, warnings, seed);
}

function summarise(kind: MarginKind, pairs: readonly ScoredPair[], seed: number): MarginSummary {
  const margins = pairs.map((pair) => {
    const { chosen, rejected } = sidesOf(kind, pair);
    return chosen - rejected;
  });
  const at = (q: number): number => quantile(margins, q);
  return {
    kind,
    accuracy: shareEstimate(margins.filter((margin) => margin > 0).length, margins.length),
    ties: margins.filter((margin) => margin === 0).length,
    margins,
    mean: bootstrapMean(margins, seed, `margins/${kind}`),
    quantiles: { p5: at(0.05), p25: at(0.25), p50: at(0.5), p75: at(0.75), p95: at(0.95) },
  };
}

function sidesOf(kind: MarginKind, pair: ScoredPair): PairValues {
  const referenced = kind === "summed_against_reference" || kind === "per_token_against_reference";
  const perToken = kind === "per_token" || kind === "per_token_against_reference";
  const side = (logps: number, reference: number | null, tokens: number): number =>
    // A completion without a scored token, behind an empty prompt, has log-prob 0.
    (logps - (referenced ? reference! : 0)) / (perToken ? Math.max(1, tokens) : 1);
  return {
    chosen: side(pair.chosen_logps, pair.reference_chosen_logps, pair.chosen_tokens),
    rejected: side(pair.rejected_logps, pair.reference_rejected_logps, pair.rejected_tokens),
  };
}
