import { describe, expect, test } from "vitest";
import { classificationReport } from "../../src/evaluate/index.js";
import { ConfigError } from "../../src/errors.js";
import { balancedAccuracy, matthewsCorrelation } from "../../src/evaluate/classification/scores.js";
import { readGolden } from "../text/golden.js";

type Triple = [number | null, number | null, number | null];
interface ZeroDivisionCase {
  zero_division: 0 | 1 | null;
  classes: (number | null)[][];
  micro: Triple;
  macro: Triple;
  weighted: Triple;
  binary?: Record<string, Triple>;
  report: string;
  report_4: string;
}
interface Case {
  name: string;
  labels: string[];
  truth: string[];
  predicted: (string | null)[];
  accuracy: number;
  balanced_accuracy: number;
  matthews: number;
  confusion: number[][];
  by_zero_division: ZeroDivisionCase[];
}
const { cases } = readGolden<{ cases: Case[] }>("classification.json");

/** null is NaN in the golden file. */
function expectClose(got: number, expected: number | null): void {
  if (expected === null) expect(got).toBeNaN();
  else expect(got).toBeCloseTo(expected, 12);
}
const expectScores = ({ precision, recall, f1 }: { precision: number; recall: number; f1: number }, expected: Triple): void =>
  [precision, recall, f1].forEach((value, i) => expectClose(value, expected[i]!));

/** scikit-learn prints supports as 2.0 where not one prediction is right. */
const wholeSupports = (report: string): string => report.replace(/ (\d+)\.0$/gm, "   $1");

describe("scikit-learn's numbers", () => {
  test("there are many cases, degenerate ones among them", () => {
    expect(cases.length).toBe(49);
    expect(cases.filter(({ predicted }) => predicted.includes(null)).length).toBeGreaterThan(5);
  });

  test.each(cases)("$name", ({ labels, truth, predicted, by_zero_division, ...golden }) => {
    for (const { zero_division, ...expected } of by_zero_division) {
      const report = classificationReport(truth, predicted, { labels, zero_division: zero_division ?? NaN });
      expectClose(report.accuracy.value, golden.accuracy);
      expectClose(balancedAccuracy(report.confusion), golden.balanced_accuracy);
      expectClose(matthewsCorrelation(report.confusion), golden.matthews);
      expect(report.confusion.counts).toEqual(golden.confusion);
      report.classes.forEach((each, i) => {
        expectScores(each, expected.classes.slice(0, 3).map((column) => column[i]!) as Triple);
        expect(each.support).toBe(expected.classes[3]![i]);
      });
      expectScores(report.micro, expected.micro);
      expectScores(report.macro, expected.macro);
      expectScores(report.weighted, expected.weighted);
      for (const [pos_label, scores] of Object.entries(expected.binary ?? {})) {
        expectScores(classificationReport(truth, predicted, { labels, zero_division: zero_division ?? NaN, pos_label }).binary!, scores);
      }
      expect(report.toText()).toBe(wholeSupports(expected.report));
      expect(report.toText(4)).toBe(wholeSupports(expected.report_4));
    }
  });
});

describe("the report", () => {
  const truth = ["yes", "yes", "no", "no", "no", "yes"];
  const predicted = ["yes", "no", "no", null, "no", "yes"];

  test("unreadable answers count as wrong and are told", () => {
    const report = classificationReport(truth, predicted, { labels: ["no", "yes"], pos_label: "yes" });
    expect(report.unparsable).toBe(1);
    expect(report.accuracy.value).toBeCloseTo(4 / 6);
    expect(report.summary()[1]).toBe("1 answer of 6 could not be read as a label and counts as wrong.");
    expect(report.confusion.unparsable).toEqual([1, 0]);
    expect(report.confusionChart().data[0]).toMatchObject({
      x: ["no", "yes", "(unreadable)"],
      y: ["no", "yes"],
      z: [
        [2, 0, 1],
        [1, 2, 0],
      ],
    });
  });

  test("intervals hold the value and depend on the seed alone", () => {
    const make = (seed: number) => classificationReport(truth, predicted, { seed });
    const report = make(1);
    // Wilson, by hand: p = 4/6, n = 6, z = 1.96.
    expect(report.accuracy.low).toBeCloseTo(0.29999, 4);
    expect(report.accuracy.high).toBeCloseTo(0.90323, 4);
    for (const { value, low, high } of [report.macro_f1, report.matthews_correlation, report.balanced_accuracy]) {
      expect(low).toBeLessThan(value);
      expect(high).toBeGreaterThanOrEqual(value);
    }
    expect(make(1).macro_f1).toEqual(report.macro_f1);
    const many = (seed: number) =>
      classificationReport(
        Array.from({ length: 101 }, (_, i) => "ab"[i % 2]!),
        Array.from({ length: 101 }, (_, i) => "ab"[(i * i) % 3 === 0 ? 0 : 1]!),
        { seed },
      ).macro_f1;
    expect(many(2)).not.toEqual(many(1));
    expect(JSON.parse(JSON.stringify(report))).toMatchObject({ count: 6, macro_f1: report.macro_f1 });
  });

  test("rows make a data frame, and a notebook shows table and charts", async () => {
    const report = classificationReport(truth, predicted, { pos_label: "yes" });
    const frame = await report.to_dataframe();
    expect(frame.columns).toEqual(["label", "precision", "recall", "f1", "support"]);
    expect(frame.shape).toEqual([5, 5]);
    const display = Symbol.for("Jupyter.display");
    const bundle = (report as unknown as Record<symbol, () => Record<string, string>>)[display]!();
    expect(bundle["text/html"]).toContain("<table");
    expect(bundle["text/plain"]).toContain("Accuracy 66.7 % (95 % interval");
    const chart = (report.barChart() as unknown as Record<symbol, () => Record<string, unknown>>)[display]!();
    expect(Object.keys(chart)).toEqual(["application/vnd.plotly.v1+json", "text/html", "text/plain"]);
    expect(report.barChart().data[0]).toMatchObject({ type: "bar", x: ["accuracy", "precision", "recall", "F1"] });
    expect(report.metricRows().map(({ metric }) => metric)).toContain("F1 of yes");
  });

  test.each<[string, () => unknown, string, string]>([
    [
      "no rows",
      () => classificationReport([], []),
      "rows",
      "classificationReport: truth and predictions must be equally many and at least one, got 0 and 0",
    ],
    [
      "an unlisted label",
      () => classificationReport(["a"], ["b"], { labels: ["a", "c"] }),
      "labels",
      'classificationReport: a prediction must be one of a, c, got "b"; list every label, and give null for an answer that could not be read',
    ],
    [
      "a pos_label among three",
      () => classificationReport(["a", "b", "c"], ["a", "b", "c"], { pos_label: "a" }),
      "pos_label",
      'classificationReport: pos_label must be one of two labels, got "a" with a, b, c; leave it out for more',
    ],
    [
      "another zero_division",
      () => classificationReport(["a"], ["a"], { zero_division: 0.5 }),
      "option_range",
      "classificationReport: zero_division must be 0, 1 or NaN, got 0.5",
    ],
    [
      "a broken seed",
      () => classificationReport(["a"], ["a"], { seed: 0.5 }),
      "option_type",
      "classificationReport: seed must be an integer, got 0.5",
    ],
  ])("refuses %s", (_, make, code, message) => {
    let caught: unknown;
    try {
      make();
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(ConfigError);
    expect(caught).toMatchObject({ code, message });
  });
});
