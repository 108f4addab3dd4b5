/** A model as a classifier: by the likelihood of the labels' words, or by the answer that it writes. */
import { ConfigError } from "../../errors.js";
import "../../generate/index.js";
import type { CausalLM } from "../../model/index.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import { CompletionScorer } from "../completionScores.js";
import { type Prompt, promptIds } from "../prompt.js";
import { EvaluationResult, type TableRow, plural } from "../table.js";
import { type Label, type LabelWords, labelList, parseLabel } from "./labels.js";
import { type ClassificationReport, type ClassificationReportOptions, classificationReport } from "./report.js";

/** `likelihood`: the label whose word is the likeliest completion. `generation`: the first label word in the greedy answer. */
export type ClassificationMethod = "likelihood" | "generation";

export interface ClassifyOptions {
  readonly model: CausalLM;
  readonly tokenizer: PreTrainedTokenizer;
  readonly prompts: readonly Prompt[];
  readonly labels: LabelWords;
  /** Default likelihood. */
  readonly method?: ClassificationMethod;
  /** Likelihood: divide a word's log-prob by its number of tokens; default false, the sum. Words of unequal length differ in it. */
  readonly length_normalised?: boolean;
  /** Likelihood: score the end token behind the word too, as a trained answer ends; default false. */
  readonly end_token?: boolean;
  /** Generation: most tokens of an answer; default 16. */
  readonly max_new_tokens?: number;
  /** After each prompt, with how many are done. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface ClassifiedRow {
  /** null: the answer holds no label word. */
  readonly predicted: string | null;
  /** Likelihood: log-prob of each label's best word, nats, a token with `length_normalised`. */
  readonly scores?: Readonly<Record<string, number>>;
  /** Likelihood: scores as shares that sum to 1. */
  readonly probabilities?: Readonly<Record<string, number>>;
  /** Generation: what the model wrote. */
  readonly answer?: string;
  /** Likelihood: whether another label scored exactly the same; the first label was taken. */
  readonly tied?: boolean;
}

/**
 * Predicts a label for each prompt. A prompt is text, continued as it stands (mind the space before the word), or messages.
 * @throws ConfigError `labels`, `option_range`, `option_conflict`, `empty_prompt`, `inference_only`; ModelError `eos_token_missing`
 */
export async function classify(options: ClassifyOptions): Promise<ClassifiedRow[]> {
  const labels = labelList("classify", options.labels);
  return options.method === "generation" ? byGeneration(options, labels) : byLikelihood(options, labels);
}

async function byLikelihood(options: ClassifyOptions, labels: readonly Label[]): Promise<ClassifiedRow[]> {
  const { model, tokenizer, prompts, length_normalised = false, end_token = false, onProgress } = options;
  if (options.max_new_tokens !== undefined)
    throw new ConfigError("option_conflict", "classify: max_new_tokens is for method generation, got it with likelihood; leave it out");
  const end = end_token ? endToken(tokenizer) : "";
  const words = labels.flatMap(({ words }) => words.map((word) => word + end));
  const scorer = await CompletionScorer.create({ model, tokenizer, where: "classify" });
  const rows: ClassifiedRow[] = [];
  try {
    for (const [row, prompt] of prompts.entries()) {
      const scored = (await scorer.score(prompt, words, `prompt ${row}`)).map(({ logp, tokens }) =>
        length_normalised ? logp / tokens : logp,
      );
      rows.push(likeliest(labels, scored));
      onProgress?.(rows.length, prompts.length);
    }
    return rows;
  } finally {
    await scorer.dispose();
  }
}

/** @param scored one a word, in the order of the labels */
function likeliest(labels: readonly Label[], scored: readonly number[]): ClassifiedRow {
  let begin = 0;
  const best = labels.map(({ words }) => Math.max(...scored.slice(begin, (begin += words.length))));
  const top = Math.max(...best);
  const shares = best.map((score) => Math.exp(score - top));
  const total = shares.reduce((sum, share) => sum + share, 0);
  const named = (values: readonly number[]): Record<string, number> =>
    Object.fromEntries(labels.map(({ name }, i) => [name, values[i]!] as const));
  return {
    predicted: labels[best.indexOf(top)]!.name,
    scores: named(best),
    probabilities: named(shares.map((share) => share / total)),
    tied: best.filter((score) => score === top).length > 1,
  };
}

async function byGeneration(options: ClassifyOptions, labels: readonly Label[]): Promise<ClassifiedRow[]> {
  const { model, tokenizer, prompts, max_new_tokens = 16, onProgress } = options;
  for (const name of ["length_normalised", "end_token"] as const) {
    if (options[name] !== undefined)
      throw new ConfigError("option_conflict", `classify: ${name} is for method likelihood, got it with generation; leave it out`);
  }
  const rows: ClassifiedRow[] = [];
  // As many as `generate` advances at once.
  const AT_ONCE = 8;
  for (let begin = 0; begin < prompts.length; begin += AT_ONCE) {
    const ids = prompts.slice(begin, begin + AT_ONCE).map((prompt) => promptIds(prompt, tokenizer));
    const whole = await model.generate(ids, { max_new_tokens, do_sample: false, repetition_penalty: 1 });
    whole.forEach((all, i) => {
      const answer = tokenizer.decode(all.slice(ids[i]!.length), { skip_special_tokens: true });
      rows.push({ predicted: parseLabel(answer, labels), answer });
    });
    onProgress?.(rows.length, prompts.length);
  }
  return rows;
}

function endToken(tokenizer: PreTrainedTokenizer): string {
  if (tokenizer.eos_token !== null) return tokenizer.eos_token;
  throw new ConfigError("option_conflict", "classify: end_token needs a tokenizer with an end token, got none; set tokenizer.eos_token");
}

export interface EvaluateClassificationOptions extends ClassifyOptions, Omit<ClassificationReportOptions, "labels"> {
  /** The true label of each prompt. */
  readonly truth: readonly string[];
}

/** A model's predictions beside the truth. */
export class ClassificationResult extends EvaluationResult {
  /** @param report of predictions against the truth @param predictions one a prompt @param how the method in words */
  constructor(
    readonly report: ClassificationReport,
    readonly predictions: readonly ClassifiedRow[],
    readonly truth: readonly string[],
    readonly how: string,
  ) {
    super();
  }

  override summary(): string[] {
    const tied = this.predictions.filter(({ tied }) => tied === true).length;
    const ties = tied === 0 ? [] : [`${plural(tied, "row")} had labels that scored the same; the first was taken.`];
    return [...this.report.summary(), this.how, ...ties];
  }

  override rows(): TableRow[] {
    return this.report.rows();
  }

  /** One row a prompt: truth, prediction, and scores or answer. */
  predictionRows(): TableRow[] {
    return this.predictions.map(({ predicted, scores, answer }, row) => ({
      row,
      truth: this.truth[row]!,
      predicted,
      ...(answer === undefined ? {} : { answer }),
      ...Object.fromEntries(Object.entries(scores ?? {}).map(([label, score]) => [`score ${label}`, score])),
    }));
  }

  override toString(): string {
    return [...this.summary(), "", this.report.toText()].join("\n");
  }
}

/** Classifies and compares with the truth. @throws as `classify` and `classificationReport` */
export async function evaluateClassification(options: EvaluateClassificationOptions): Promise<ClassificationResult> {
  const { truth, pos_label, zero_division, seed, ...how } = options;
  const labels = labelList("evaluateClassification", options.labels).map(({ name }) => name);
  // Checks truth and options before the model works.
  classificationReport(
    truth,
    options.prompts.map(() => null),
    { labels, pos_label, zero_division, seed },
  );
  const predictions = await classify(how);
  const report = classificationReport(
    truth,
    predictions.map(({ predicted }) => predicted),
    { labels, pos_label, zero_division, seed },
  );
  return new ClassificationResult(report, predictions, truth, describeMethod(options));
}

function describeMethod({ method, length_normalised = false, end_token = false, max_new_tokens = 16 }: ClassifyOptions): string {
  if (method === "generation") return `Predicted by the first label word in the greedy answer of at most ${max_new_tokens} tokens.`;
  return `Predicted by the likeliest label word, log-probs ${length_normalised ? "per token" : "summed"}${end_token ? ", end token included" : ""}.`;
}
