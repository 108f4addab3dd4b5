/** Training methods side by side, in measured numbers only: what was not measured is said to be so, and nothing else can stand there. */
import { ConfigError } from "../../errors.js";
import { type Chart, barChart } from "../chart.js";
import { ClassificationResult } from "../classification/classify.js";
import { PerplexityResult } from "../language/perplexity.js";
import { PreferenceResult } from "../preference/preferenceAccuracy.js";
import { EvaluationResult, type TableRow, plural } from "../table.js";
import { InferenceMeasurement } from "./inference.js";
import { EFFICIENCY_FORMULA, TrainingMeasurement } from "./training.js";

export interface MethodEntry {
  readonly name: string;
  /** Of `measureTraining`. */
  readonly training?: TrainingMeasurement;
  /** Of `measureInference`. */
  readonly inference?: InferenceMeasurement;
  /** Of `evaluateClassification`. */
  readonly classification?: ClassificationResult;
  /** Of `preferenceAccuracy`. */
  readonly preference?: PreferenceResult;
  /** Of `perplexity`. */
  readonly perplexity?: PerplexityResult;
}

export const NOT_MEASURED = "not measured";
type Measure = number | typeof NOT_MEASURED;

/** Fewer steps tell little about a method. */
const FEW_STEPS = 10;

/** Columns with what they are read from; those of `always` are there even where no method has them. */
const COLUMNS: readonly {
  readonly name: string;
  readonly always: boolean;
  readonly of: (entry: MethodEntry) => number | null | undefined;
}[] = [
  { name: "training_seconds", always: true, of: ({ training }) => training?.seconds },
  { name: "samples_per_second", always: true, of: ({ training }) => training?.samples_per_second },
  { name: "final_loss", always: true, of: ({ training }) => training?.final_loss },
  { name: "loss_reduction", always: true, of: ({ training }) => training?.loss_reduction },
  { name: "efficiency_score", always: true, of: ({ training }) => training?.efficiency_score },
  { name: "latency_mean_ms", always: true, of: ({ inference }) => inference?.mean_ms },
  { name: "latency_median_ms", always: true, of: ({ inference }) => inference?.median_ms },
  { name: "latency_p95_ms", always: true, of: ({ inference }) => inference?.p95_ms },
  { name: "inferences_per_second", always: true, of: ({ inference }) => inference?.inferences_per_second },
  { name: "tokens_per_second", always: true, of: ({ inference }) => inference?.tokens_per_second },
  { name: "classification_accuracy", always: false, of: ({ classification }) => classification?.report.accuracy.value },
  { name: "preference_accuracy", always: false, of: ({ preference }) => preference?.margin("summed").accuracy.value },
  { name: "perplexity", always: false, of: ({ perplexity }) => perplexity?.perplexity.value },
];

export class MethodComparison extends EvaluationResult {
  readonly entries: readonly MethodEntry[];

  /** Use `compareMethods`. */
  constructor(entries: readonly MethodEntry[]) {
    super();
    this.entries = entries;
  }

  override summary(): string[] {
    const lines = [
      `${plural(this.entries.length, "method")}, measured numbers only. ${EFFICIENCY_FORMULA}. Losses of different methods are different quantities: compare neither them nor the score across methods.`,
    ];
    const settings = new Set(this.entries.flatMap(({ inference }) => (inference === undefined ? [] : [describeRuns(inference)])));
    if (settings.size === 1) lines.push(`Latency: ${[...settings][0]}.`);
    if (settings.size > 1) lines.push(`Latencies were measured in different ways and cannot be compared: ${[...settings].join("; ")}.`);
    const short = this.entries.filter(({ training }) => training !== undefined && training.steps < FEW_STEPS);
    for (const { name, training } of short)
      lines.push(`${name} was trained for ${plural(training!.steps, "step")} only: its numbers tell little.`);
    return lines;
  }

  /** One row a method. What was not measured is the text "not measured". */
  override rows(): TableRow[] {
    const columns = COLUMNS.filter(({ always, of }) => always || this.entries.some((entry) => of(entry) !== undefined));
    return this.entries.map((entry) => ({
      method: entry.name,
      ...Object.fromEntries(columns.map(({ name, of }) => [name, measureOf(of(entry))])),
    }));
  }

  /** One column as bars; methods without a measurement have none.
   *  @throws ConfigError `column` for a name that is no column, or one that no method was measured for */
  chart(column = "efficiency_score"): Chart {
    const found = COLUMNS.find(({ name }) => name === column);
    const values = this.entries.map((entry) => found?.of(entry) ?? null);
    if (values.every((value) => value === null))
      throw new ConfigError(
        "column",
        `MethodComparison: the column must be a measured one of ${COLUMNS.map(({ name }) => name).join(", ")}, got ${column}; measure it first`,
      );
    return barChart(
      this.entries.map(({ name }) => name),
      [{ name: column, values }],
      { title: column, y_title: column },
    );
  }
}

function measureOf(value: number | null | undefined): Measure {
  return value === null || value === undefined || !Number.isFinite(value) ? NOT_MEASURED : value;
}

function describeRuns({ runs, max_new_tokens, prompts, prompt_tokens }: InferenceMeasurement): string {
  return `${runs} runs over ${plural(prompts, "prompt")} of ${Number(prompt_tokens.toFixed(1))} tokens in the mean, ${plural(max_new_tokens, "new token")} each, one run after the other`;
}

/**
 * A table of methods: training time, samples/s, losses, efficiency score, latency, throughput, and what was evaluated.
 * @throws ConfigError `not_measured` for a number that no measurement of this package made; `names`
 */
export function compareMethods(entries: readonly MethodEntry[]): MethodComparison {
  const names = entries.map(({ name }) => name);
  if (entries.length === 0 || new Set(names).size !== names.length)
    throw new ConfigError("names", `compareMethods: methods must have different names and be at least one, got ${JSON.stringify(names)}`);
  for (const { name, training, inference, classification, preference, perplexity } of entries) {
    const checks: readonly [string, unknown, (value: unknown) => boolean, string][] = [
      ["training", training, (value) => TrainingMeasurement.is(value), "measureTraining(trainer)"],
      ["inference", inference, (value) => InferenceMeasurement.is(value), "measureInference({ … })"],
      ["classification", classification, (value) => value instanceof ClassificationResult, "evaluateClassification({ … })"],
      ["preference", preference, (value) => value instanceof PreferenceResult, "preferenceAccuracy({ … })"],
      ["perplexity", perplexity, (value) => value instanceof PerplexityResult, "perplexity({ … })"],
    ];
    for (const [what, value, isMeasured, how] of checks) {
      if (value === undefined || isMeasured(value)) continue;
      throw new ConfigError(
        "not_measured",
        `compareMethods: ${what} of ${name} must be measured, got numbers of another origin; pass the result of ${how}`,
      );
    }
  }
  return new MethodComparison([...entries]);
}
