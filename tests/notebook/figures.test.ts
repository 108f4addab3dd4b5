import { describe, expect, test } from "vitest";
import { compareRuns, Figure, lineFigure, PLOTLY_MIME, plotTraining } from "../../src/notebook/figures.js";
import { lineChartSvg, PANEL_HEIGHT, ticks } from "../../src/notebook/lineChart.js";
import { displaySymbol } from "../../src/notebook/mime.js";

const history = [
  {
    step: 10,
    epoch: 0.5,
    loss: 0.69,
    "rewards/chosen": 0.01,
    "rewards/rejected": 0,
    "rewards/margins": 0.01,
    "rewards/accuracies": 0.5,
    learning_rate: 1e-6,
  },
  { step: 20, epoch: 1, loss: 0.5, "rewards/chosen": 0.2, "rewards/rejected": -0.3, "rewards/margins": 0.5, "rewards/accuracies": 1 },
  { step: 20, epoch: 1, eval_loss: 0.55, "eval_rewards/accuracies": 0.75 },
  { step: 20, epoch: 1, train_runtime: 3, train_loss: 0.6 },
];

describe("plotTraining", () => {
  test("loss, rewards and accuracy in three panels on their own axes, evaluation dashed", () => {
    const figure = plotTraining(history, { title: "Run" });
    expect(figure.panels.map((panel) => [panel.title, panel.series.map((series) => series.name)])).toEqual([
      ["Loss", ["train", "eval"]],
      ["Rewards", ["chosen", "rejected", "margin"]],
      ["Reward accuracy", ["train", "eval"]],
    ]);
    const margin = figure.data.find((trace) => trace.name === "margin")!;
    expect(margin).toMatchObject({ type: "scatter", x: [10, 20], y: [0.01, 0.5], xaxis: "x2", yaxis: "y2" });
    expect(figure.data.filter((trace) => trace.line.dash === "dash").map((trace) => trace.y)).toEqual([[0.55], [0.75]]);
    const { xaxis, xaxis2, xaxis3, yaxis3 } = figure.layout as Record<string, { domain: [number, number]; range?: number[] }>;
    expect(xaxis!.domain[1]).toBeLessThan(xaxis2!.domain[0]);
    expect(xaxis2!.domain[1]).toBeLessThan(xaxis3!.domain[0]);
    expect(xaxis3!.domain[1]).toBeCloseTo(1, 10);
    expect(yaxis3!.range).toEqual([-0.05, 1.05]);
  });

  test("one bundle: Plotly JSON, static HTML without scripts, text", () => {
    const bundle = plotTraining(history)[displaySymbol]() as Record<string, string>;
    expect(Object.keys(bundle)).toEqual([PLOTLY_MIME, "text/html", "text/plain"]);
    expect(bundle["text/html"]).toMatch(/<img alt="[^"]+" style="[^"]*" src="data:image\/svg\+xml;base64,/);
    expect(bundle["text/html"]).not.toContain("<script");
    expect(bundle["text/html"]!.length).toBeLessThan(20_000);
    expect(bundle["text/plain"]).toContain("Loss: train, 2 points, 0.6900 → 0.5000 at x = 20");
    expect(JSON.parse(JSON.stringify(bundle[PLOTLY_MIME]))).toEqual(bundle[PLOTLY_MIME]); // nothing that JSON loses
  });

  test("a history without metrics is refused", () => {
    expect(() => plotTraining([{ step: 1, train_runtime: 2 }])).toThrow(
      "plotTraining: the history must hold rows with step and loss, got 1 rows",
    );
  });
});

describe("static charts", () => {
  test("points lie where the axes say", () => {
    // Panel: width 380 − 58 − 14 = 308, height 300 − 30 − 44 = 226. x from 0 to 10; y fixed to [0, 4].
    const svg = lineChartSvg(
      [{ title: "t", xTitle: "x", yTitle: "y", yRange: [0, 4], series: [{ name: "s", x: [0, 5, 10], y: [0, 4, 1] }] }],
      "",
    );
    expect(svg).toContain('d="M0.0 226.0L154.0 0.0L308.0 169.5"');
    expect(svg).toContain(`viewBox="0 0 380 ${PANEL_HEIGHT}"`);
  });

  test("values that are not finite break the line; constants and single points still have axes", () => {
    const path = (y: number[]): string => / d="([^"]*)"/.exec(lineFigure([{ name: "a", y }]).toSvg())![1]!;
    expect(path([1, NaN, 2, 3]).match(/M/g)).toHaveLength(2);
    expect(path([5, 5])).toMatch(/^M0\.0 113\.0L308\.0 113\.0$/); // in the middle of 226
    expect(path([5])).not.toContain("NaN");
    expect(lineFigure([{ name: "a", y: [1, NaN] }]).data[0]!.y).toEqual([1, null]);
    expect(lineFigure([{ name: "none", y: [] }]).toSvg()).not.toContain("NaN");
  });

  test("names are escaped", () => {
    expect(
      lineFigure(
        [
          { name: "<b>&", y: [1, 2] },
          { name: "b", y: [1, 2] },
        ],
        { title: '"q"' },
      ).toSvg(),
    ).toContain("&lt;b&gt;&amp;");
  });

  test("ticks are round numbers inside the limits", () => {
    expect(ticks(0, 1)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(ticks(-0.37, 0.71)).toEqual([0, 0.5]);
    expect(ticks(0, 7e-6)).toEqual([0, 2e-6, 4e-6, 6e-6]);
    expect(ticks(100, 108)).toEqual([100, 102, 104, 106, 108]);
  });
});

test("compareRuns draws one metric of several runs, and names the nearest metric when there is none", () => {
  const runs = [
    { name: "beta 0.1", history },
    { name: "beta 0.5", history: [{ step: 1, loss: 2 }] },
  ];
  expect(compareRuns(runs).panels[0]!.series).toEqual([
    { name: "beta 0.1", x: [10, 20], y: [0.69, 0.5] },
    { name: "beta 0.5", x: [1], y: [2] },
  ]);
  expect(() => compareRuns(runs, "rewards/margin")).toThrow("did you mean rewards/margins?");
});

test("a series needs one y for each x", () => {
  expect(() => new Figure([{ title: "t", xTitle: "", yTitle: "", series: [{ name: "s", x: [1, 2], y: [1] }] }])).toThrow(
    'Figure: x and y must be equally long, got 2 and 1 in "s"',
  );
});
