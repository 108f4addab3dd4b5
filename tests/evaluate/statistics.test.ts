import { describe, expect, test } from "vitest";
import { barChart, heatmap, histogram } from "../../src/evaluate/chart.js";
import { bootstrap, bootstrapMean, quantile, shareEstimate, signTest } from "../../src/evaluate/statistics.js";
import { csvText, numberText } from "../../src/evaluate/table.js";

describe("statistics", () => {
  test("the sign test is the exact binomial one", () => {
    // 2 · (C(10,0) + C(10,1) + C(10,2)) / 2¹⁰ = 2 · 56 / 1024.
    expect(signTest(8, 2)).toBeCloseTo(112 / 1024, 12);
    expect(signTest(2, 8)).toBeCloseTo(112 / 1024, 12);
    expect(signTest(5, 5)).toBe(1);
    expect(signTest(0, 0)).toBe(1);
    expect(signTest(1000, 1000)).toBe(1);
    expect(signTest(1200, 800)).toBeLessThan(1e-15);
  });

  test("quantiles interpolate as numpy's", () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(quantile([10, 20, 30, 40, 50], 0.95)).toBeCloseTo(48, 12);
    expect(quantile([7], 0.95)).toBe(7);
    expect(quantile([], 0.5)).toBeNaN();
  });

  test("a bootstrapped mean is as wide as the normal theory says", () => {
    const values = Array.from({ length: 400 }, (_, i) => (i * 37) % 101);
    const mean = values.reduce((a, b) => a + b) / 400;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 400);
    const { value, low, high } = bootstrapMean(values, 1, "test");
    expect(value).toBeCloseTo(mean, 12);
    expect((high - low) / (2 * 1.96 * (deviation / 20))).toBeGreaterThan(0.9);
    expect((high - low) / (2 * 1.96 * (deviation / 20))).toBeLessThan(1.1);
    expect(bootstrapMean(values, 1, "test")).toEqual({ value, low, high });
    expect(bootstrapMean(values, 1, "other").low).not.toBe(low);
  });

  test("resamples without a value are left out", () => {
    const { low, high } = bootstrap(2, (rows) => (rows.includes(0) ? rows.filter((row) => row === 0).length : NaN), 3, "test");
    expect([low, high]).toEqual([1, 2]);
  });

  test("Wilson's interval of 8 of 10", () => {
    const { value, low, high } = shareEstimate(8, 10);
    expect(value).toBe(0.8);
    // (0.8 + z²/20 ± z √(0.8·0.2/10 + z²/400)) / (1 + z²/10) with z = 1.96.
    expect(low).toBeCloseTo(0.49016, 4);
    expect(high).toBeCloseTo(0.94331, 4);
  });
});

describe("tables and charts", () => {
  test("CSV quotes what needs it", () => {
    expect(
      csvText([
        { a: 'x "y"\nz', b: null },
        { a: "1,2", b: 0.5 },
      ]),
    ).toBe('a,b\r\n"x ""y""\nz",\r\n"1,2",0.5\r\n');
  });

  test.each<[number, string]>([
    [3, "3"],
    [0.12345678, "0.1235"],
    [12.345678, "12.346"],
    [12345.678, "12345.7"],
    [0.00012346, "1.235e-4"],
  ])("%d reads %s", (value, text) => expect(numberText(value)).toBe(text));

  test("bars, heat maps and histograms carry Plotly data and SVG", () => {
    const bars = barChart(["a", "<b>"], [{ name: "x", values: [1, null], intervals: [{ low: 0.5, high: 1.5 }, null] }], {
      title: "T",
      y_title: "y",
    });
    expect(bars.data[0]).toMatchObject({ y: [1, null], error_y: { array: [0.5, null], arrayminus: [0.5, null] } });
    expect(bars.svg).toContain("&lt;b&gt;");
    expect(bars.text).toContain("x, <b>: no value");
    const map = heatmap(
      ["p", "q"],
      ["p", "q"],
      [
        [3, 1],
        [0, 2],
      ],
      { title: "T", x_title: "predicted", y_title: "truth" },
    );
    expect(map.data[0]).toMatchObject({
      type: "heatmap",
      z: [
        [3, 1],
        [0, 2],
      ],
    });
    expect(map.text).toContain("truth p: p 3, q 1");
    const counts = histogram([0, 0.1, 0.9, 1], { title: "T", x_title: "x" }, 2);
    expect(counts.data[0]).toMatchObject({ x: [0.25, 0.75], y: [2, 2] });
    expect(histogram([5, 5], { title: "T", x_title: "x" }).data[0]).toMatchObject({ y: [2] });
  });

  test("a series must have one value a category", () => {
    expect(() => barChart(["a"], [{ name: "x", values: [1, 2] }], { title: "T", y_title: "y" })).toThrow(
      'barChart: a series must have one value a category, got 2 values of "x" for 1 categories',
    );
  });
});
