/**
 * Precision, recall, F1 and their averages from a confusion matrix, as scikit-learn 1.9 defines them. A prediction that could not be
 * read counts as a wrong one: it is in no label's predictions, and its row stays in the truth's support.
 */
import { ConfigError } from "../../errors.js";

/** What a quotient without a denominator is: 0, 1, or NaN, which leaves the label out of averages. The compiler cannot tell NaN from other numbers. */
export type ZeroDivision = number;

/** Counts of rows: truth by prediction. */
export interface Confusion {
  readonly labels: readonly string[];
  /** [truth][prediction], in the order of `labels`. */
  readonly counts: readonly (readonly number[])[];
  /** Rows of each true label whose prediction could not be read. */
  readonly unparsable: readonly number[];
}

export interface Scores {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

export interface ClassScores extends Scores {
  readonly label: string;
  /** Rows whose true label it is. */
  readonly support: number;
}

/**
 * @param truth labels, one a row
 * @param predicted one a row; null for one that could not be read
 * @param labels all that may occur, in the order of the report
 * @throws ConfigError `labels` for a label that is not listed, `rows` when there is no row or the two differ in number
 */
export function confusionOf(truth: readonly string[], predicted: readonly (string | null)[], labels: readonly string[]): Confusion {
  if (truth.length !== predicted.length || truth.length === 0)
    throw new ConfigError(
      "rows",
      `classificationReport: truth and predictions must be equally many and at least one, got ${truth.length} and ${predicted.length}`,
    );
  const places = new Map(labels.map((label, i) => [label, i]));
  if (places.size !== labels.length || labels.length === 0)
    throw new ConfigError("labels", `classificationReport: labels must be different and at least one, got ${JSON.stringify(labels)}`);
  const place = (label: string, what: string): number => {
    const at = places.get(label);
    if (at !== undefined) return at;
    throw new ConfigError(
      "labels",
      `classificationReport: ${what} must be one of ${labels.join(", ")}, got ${JSON.stringify(label)}; list every label, and give null for an answer that could not be read`,
    );
  };
  const counts = labels.map(() => labels.map(() => 0));
  const unparsable = labels.map(() => 0);
  truth.forEach((label, row) => {
    const prediction = predicted[row]!;
    const at = place(label, "a true label");
    if (prediction === null) unparsable[at]! += 1;
    else counts[at]![place(prediction, "a prediction")]! += 1;
  });
  return { labels, counts, unparsable };
}

/** Rows of each true label. */
function supports({ counts, unparsable }: Confusion): number[] {
  return counts.map((line, i) => sum(line) + unparsable[i]!);
}

function predictions({ counts, labels }: Confusion): number[] {
  return labels.map((_, k) => sum(counts.map((line) => line[k]!)));
}

function hits({ counts }: Confusion): number[] {
  return counts.map((line, i) => line[i]!);
}

function scoresOf(hit: number, predicted: number, support: number, zero: ZeroDivision): Scores {
  const quotient = (part: number, whole: number): number => (whole === 0 ? zero : part / whole);
  return { precision: quotient(hit, predicted), recall: quotient(hit, support), f1: quotient(2 * hit, predicted + support) };
}

/** One entry a label, in the order of the labels. */
export function classScores(confusion: Confusion, zero: ZeroDivision): ClassScores[] {
  const [hit, predicted, support] = [hits(confusion), predictions(confusion), supports(confusion)];
  return confusion.labels.map((label, i) => ({
    label,
    ...scoresOf(hit[i]!, predicted[i]!, support[i]!, zero),
    support: support[i]!,
  }));
}

/** All labels' counts together. Without unreadable answers all three equal the accuracy. */
export function microScores(confusion: Confusion, zero: ZeroDivision): Scores {
  return scoresOf(sum(hits(confusion)), sum(predictions(confusion)), sum(supports(confusion)), zero);
}

/** The plain mean over labels. */
export function macroScores(confusion: Confusion, zero: ZeroDivision): Scores {
  return averageScores(classScores(confusion, zero), () => 1);
}

/** The mean over labels, weighted by support. */
export function weightedScores(confusion: Confusion, zero: ZeroDivision): Scores {
  return averageScores(classScores(confusion, zero), ({ support }) => support);
}

function averageScores(classes: readonly ClassScores[], weight: (each: ClassScores) => number): Scores {
  const average = (of: (each: ClassScores) => number): number => {
    const defined = classes.filter((each) => !Number.isNaN(of(each)));
    const total = sum(defined.map(weight));
    // scikit-learn: when no weight is left, the plain mean.
    const weights = total === 0 ? defined.map(() => 1) : defined.map(weight);
    return sum(defined.map((each, i) => of(each) * weights[i]!)) / sum(weights);
  };
  return { precision: average((each) => each.precision), recall: average((each) => each.recall), f1: average((each) => each.f1) };
}

/** Share of rows with the right prediction. */
export function accuracyOf(confusion: Confusion): number {
  return sum(hits(confusion)) / sum(supports(confusion));
}

/** Mean recall over the labels that occur as truth. */
export function balancedAccuracy(confusion: Confusion): number {
  const occurring = classScores(confusion, 0).filter(({ support }) => support > 0);
  return sum(occurring.map(({ recall }) => recall)) / occurring.length;
}

/** Matthews' correlation for any number of classes (Gorodkin 2004); 0 when truth or predictions are all one. Unreadable answers are a
 *  class of their own. */
export function matthewsCorrelation(confusion: Confusion): number {
  const support = supports(confusion);
  const predicted = [...predictions(confusion), sum(confusion.unparsable)];
  const rows = sum(support);
  const dot = (a: readonly number[], b: readonly number[]): number => sum(a.map((value, i) => value * b[i]!));
  const covariance = sum(hits(confusion)) * rows - dot(support, predicted);
  const product = (rows ** 2 - dot(predicted, predicted)) * (rows ** 2 - dot(support, support));
  return product === 0 ? 0 : covariance / Math.sqrt(product);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
