/** A classification report: scikit-learn's table and numbers, with intervals, and what could not be read. */
import { ConfigError } from "../../errors.js";
import { type Chart, barChart, heatmap } from "../chart.js";
import { type Estimate, bootstrap, requireSeed, shareEstimate } from "../statistics.js";
import { EvaluationResult, type TableRow, percentText, plural } from "../table.js";
import {
  type ClassScores,
  type Confusion,
  type Scores,
  type ZeroDivision,
  accuracyOf,
  balancedAccuracy,
  classScores,
  confusionOf,
  macroScores,
  matthewsCorrelation,
  microScores,
  weightedScores,
} from "./scores.js";

export interface ClassificationReportOptions {
  /** All labels, in the order of the report; default those of truth and predictions, sorted. */
  labels?: readonly string[];
  /** The label whose precision, recall and F1 are `binary`; for two labels. */
  pos_label?: string;
  /** The value of a quotient without a denominator: 0 (default), 1, or NaN, which leaves it out of averages. */
  zero_division?: ZeroDivision;
  /** Of the bootstrap intervals; default 42. */
  seed?: number;
}

/** Plain data of a report. */
export interface ClassificationNumbers {
  /** With Wilson's interval. Answers that could not be read count as wrong, here and everywhere. */
  readonly accuracy: Estimate;
  /** With bootstrap intervals over rows, as all that follow. */
  readonly balanced_accuracy: Estimate;
  readonly matthews_correlation: Estimate;
  readonly macro_f1: Estimate;
  readonly weighted_f1: Estimate;
  /** F1 of `pos_label`; undefined without it. */
  readonly binary_f1: Estimate | undefined;
  readonly micro: Scores;
  readonly macro: Scores;
  readonly weighted: Scores;
  /** Of `pos_label`; undefined without it. */
  readonly binary: Scores | undefined;
  readonly classes: readonly ClassScores[];
  /** [truth][prediction]; rows whose answer could not be read stand in `unparsable`, by true label. */
  readonly confusion: Confusion;
  readonly count: number;
  readonly unparsable: number;
}

export class ClassificationReport extends EvaluationResult implements ClassificationNumbers {
  readonly accuracy: Estimate;
  readonly micro: Scores;
  readonly macro: Scores;
  readonly weighted: Scores;
  readonly binary: Scores | undefined;
  readonly classes: readonly ClassScores[];
  readonly confusion: Confusion;
  readonly count: number;
  readonly unparsable: number;
  /** Bootstraps are made when they are first asked for. */
  readonly #estimates = new Map<string, Estimate>();
  readonly #estimate: (name: string, of: (confusion: Confusion) => number) => Estimate;
  readonly zero_division: ZeroDivision;
  readonly pos_label: string | undefined;

  /** Use `classificationReport`. */
  constructor(truth: readonly string[], predicted: readonly (string | null)[], options: ClassificationReportOptions = {}) {
    super();
    const { zero_division = 0, pos_label, seed = 42 } = options;
    if (!(zero_division === 0 || zero_division === 1 || Number.isNaN(zero_division)))
      throw new ConfigError("option_range", `classificationReport: zero_division must be 0, 1 or NaN, got ${String(zero_division)}`);
    const labels = options.labels ?? occurringLabels(truth, predicted);
    const confusion = confusionOf(truth, predicted, labels);
    if (pos_label !== undefined && (labels.length !== 2 || !labels.includes(pos_label)))
      throw new ConfigError(
        "pos_label",
        `classificationReport: pos_label must be one of two labels, got ${JSON.stringify(pos_label)} with ${labels.join(", ")}; leave it out for more`,
      );
    requireSeed("classificationReport", seed);
    this.#estimate = (name, of) => bootstrap(truth.length, resampled(truth, predicted, confusion, of), seed, name);
    this.zero_division = zero_division;
    this.pos_label = pos_label;
    this.confusion = confusion;
    this.count = truth.length;
    this.unparsable = predicted.filter((label) => label === null).length;
    this.accuracy = shareEstimate(Math.round(accuracyOf(confusion) * truth.length), truth.length);
    this.classes = classScores(confusion, zero_division);
    this.micro = microScores(confusion, zero_division);
    this.macro = macroScores(confusion, zero_division);
    this.weighted = weightedScores(confusion, zero_division);
    this.binary = pos_label === undefined ? undefined : positive(confusion, pos_label, zero_division);
  }

  get balanced_accuracy(): Estimate {
    return this.#once("balanced_accuracy", balancedAccuracy);
  }

  get matthews_correlation(): Estimate {
    return this.#once("matthews_correlation", matthewsCorrelation);
  }

  get macro_f1(): Estimate {
    return this.#once("macro_f1", (drawn) => macroScores(drawn, this.zero_division).f1);
  }

  get weighted_f1(): Estimate {
    return this.#once("weighted_f1", (drawn) => weightedScores(drawn, this.zero_division).f1);
  }

  get binary_f1(): Estimate | undefined {
    const label = this.pos_label;
    return label === undefined ? undefined : this.#once("binary_f1", (drawn) => positive(drawn, label, this.zero_division).f1);
  }

  #once(name: string, of: (confusion: Confusion) => number): Estimate {
    const known = this.#estimates.get(name) ?? this.#estimate(name, of);
    this.#estimates.set(name, known);
    return known;
  }

  /** All numbers as plain data. */
  toJSON(): ClassificationNumbers {
    const { accuracy, balanced_accuracy, matthews_correlation, macro_f1, weighted_f1, binary_f1 } = this;
    const { micro, macro, weighted, binary, classes, confusion, count, unparsable } = this;
    const estimates = { accuracy, balanced_accuracy, matthews_correlation, macro_f1, weighted_f1, binary_f1 };
    return { ...estimates, micro, macro, weighted, binary, classes, confusion, count, unparsable };
  }

  /** One row a label, then the averages. */
  rows(): TableRow[] {
    const row = (label: string, { precision, recall, f1 }: Scores, support: number): TableRow => ({
      label,
      precision,
      recall,
      f1,
      support,
    });
    return [
      ...this.classes.map((each) => row(each.label, each, each.support)),
      row("micro avg", this.micro, this.count),
      row("macro avg", this.macro, this.count),
      row("weighted avg", this.weighted, this.count),
    ];
  }

  /** The headline numbers as rows: metric, value, low, high of the 95 % interval. */
  metricRows(): TableRow[] {
    const estimates: [string, Estimate | undefined][] = [
      ["accuracy", this.accuracy],
      ["balanced accuracy", this.balanced_accuracy],
      ["Matthews correlation", this.matthews_correlation],
      [`F1 of ${this.pos_label}`, this.binary_f1],
      ["macro F1", this.macro_f1],
      ["weighted F1", this.weighted_f1],
    ];
    return estimates.flatMap(([metric, estimate]) => (estimate === undefined ? [] : [{ metric, ...estimate }]));
  }

  override summary(): string[] {
    const read =
      this.unparsable === 0
        ? []
        : [
            `${plural(this.unparsable, "answer")} of ${this.count} could not be read as a label and count${this.unparsable === 1 ? "s" : ""} as wrong.`,
          ];
    return [`Accuracy ${percentText(this.accuracy)} on ${plural(this.count, "row")}.`, ...read];
  }

  /** scikit-learn's `classification_report` as text. @param digits after the point, default 2 */
  toText(digits = 2): string {
    const width = Math.max("weighted avg".length, digits, ...this.classes.map(({ label }) => Array.from(label).length));
    const pad = (name: string): string => " ".repeat(Math.max(0, width - Array.from(name).length)) + name;
    const line = (name: string, cells: readonly string[], support: string): string =>
      `${pad(name)} ${[...cells, support].map((cell) => ` ${cell.padStart(9)}`).join("")}`;
    const scores = (name: string, { precision, recall, f1 }: Scores, support: number): string =>
      line(
        name,
        [precision, recall, f1].map((value) => pythonFixed(value, digits)),
        String(support),
      );
    const whole =
      this.unparsable === 0
        ? line("accuracy", ["", "", pythonFixed(this.accuracy.value, digits)], String(this.count))
        : scores("micro avg", this.micro, this.count);
    return [
      line("", ["precision", "recall", "f1-score"], "support"),
      "",
      ...this.classes.map((each) => scores(each.label, each, each.support)),
      "",
      whole,
      scores("macro avg", this.macro, this.count),
      scores("weighted avg", this.weighted, this.count),
      "",
    ].join("\n");
  }

  /** The confusion matrix as a heat map. */
  confusionChart(title = "Confusion matrix"): Chart {
    const { labels, counts, unparsable } = this.confusion;
    const more = this.unparsable > 0;
    const values = counts.map((line, i) => (more ? [...line, unparsable[i]!] : [...line]));
    return heatmap(more ? [...labels, "(unreadable)"] : labels, labels, values, { title, x_title: "predicted", y_title: "truth" });
  }

  /** Accuracy, precision, recall and F1 as bars: of `pos_label` where it is given, else macro averages. */
  barChart(title = "Classification"): Chart {
    return compareClassifications([{ name: this.pos_label ?? "macro average", report: this }], title);
  }
}

/**
 * Compares true and predicted labels.
 * @param predicted null for an answer that could not be read; it counts as wrong and is reported
 * @throws ConfigError `rows`, `labels`, `pos_label`, `option_range`, `option_type`
 */
export function classificationReport(
  truth: readonly string[],
  predicted: readonly (string | null)[],
  options: ClassificationReportOptions = {},
): ClassificationReport {
  return new ClassificationReport(truth, predicted, options);
}

/** Accuracy, precision, recall and F1 of several models side by side. All reports must be of the same rows to be comparable. */
export function compareClassifications(
  entries: readonly { readonly name: string; readonly report: ClassificationReport }[],
  title = "Classification",
): Chart {
  const series = entries.map(({ name, report }) => {
    const { precision, recall, f1 } = report.binary ?? report.macro;
    return {
      name,
      values: [report.accuracy.value, precision, recall, f1],
      intervals: [report.accuracy, null, null, report.binary_f1 ?? report.macro_f1],
    };
  });
  return barChart(["accuracy", "precision", "recall", "F1"], series, { title, y_title: "share", y_range: [0, 1] });
}

function positive(confusion: Confusion, label: string, zero: ZeroDivision): Scores {
  const { precision, recall, f1 } = classScores(confusion, zero)[confusion.labels.indexOf(label)]!;
  return { precision, recall, f1 };
}

/** A statistic of resampled rows: only the confusion matrix is counted anew. */
function resampled(
  truth: readonly string[],
  predicted: readonly (string | null)[],
  { labels }: Confusion,
  of: (confusion: Confusion) => number,
): (rows: Int32Array) => number {
  const places = new Map(labels.map((label, i) => [label, i]));
  const size = labels.length + 1;
  const cells = truth.map((label, row) => {
    const prediction = predicted[row]!;
    return places.get(label)! * size + (prediction === null ? labels.length : places.get(prediction)!);
  });
  return (rows) => {
    const counted = new Float64Array(labels.length * size);
    for (const row of rows) counted[cells[row]!]! += 1;
    const line = (i: number): number[] => Array.from(counted.subarray(i * size, (i + 1) * size));
    const lines = labels.map((_, i) => line(i));
    return of({ labels, counts: lines.map((each) => each.slice(0, -1)), unparsable: lines.map((each) => each.at(-1)!) });
  };
}

/** Sorted by code point, as Python sorts. */
function occurringLabels(truth: readonly string[], predicted: readonly (string | null)[]): string[] {
  const labels = new Set([...truth, ...predicted.filter((label) => label !== null)]);
  return [...labels].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Python's fixed-point format: as `toFixed`, but a half is rounded to the even digit. */
function pythonFixed(value: number, digits: number): string {
  if (Number.isNaN(value)) return "nan";
  const scaled = value * 10 ** digits;
  const isHalf = Number.isInteger(value * 2 ** (digits + 1)) && scaled - Math.floor(scaled) === 0.5;
  if (!isHalf) return value.toFixed(digits);
  const even = 2 * Math.round(scaled / 2);
  return (even / 10 ** digits).toFixed(digits);
}
