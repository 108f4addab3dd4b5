/**
 * Figures of training runs. One figure goes out in three forms: Plotly JSON for front ends that draw it (VS Code, JupyterLab with the
 * extension, Preflab's own HTML), an SVG image as `text/html` for those that do not (JupyterLab as installed, nbconvert, GitHub), and
 * plain text. Plotly itself (4.5 MB) is never put into a notebook: it would be stored again with every figure.
 */
import { ConfigError, nearestName } from "../errors.js";
import { LINE_COLOURS, lineChartSvg, lineColour, PANEL_HEIGHT, type LineSeries, type Panel } from "./lineChart.js";
import { displaySymbol, type Displayable, type MimeBundle } from "./mime.js";
import { svgImage } from "../text/svgImage.js";
import { type PngOptions, svgPng } from "../text/svgPng.js";
import { isolated } from "../text/writingDirection.js";

export type { LineSeries, Panel } from "./lineChart.js";

export const PLOTLY_MIME = "application/vnd.plotly.v1+json";

export interface PlotlyTrace {
  type: "scatter";
  mode: "lines+markers" | "lines";
  name: string;
  x: number[];
  y: (number | null)[];
  xaxis: string;
  yaxis: string;
  line: { color: string; dash: "solid" | "dash" };
  legendgroup: string;
}

/** Line charts side by side, one panel each. */
export class Figure implements Displayable {
  readonly panels: readonly Panel[];
  readonly title: string;

  /** @throws ConfigError when a series has x and y of different length */
  constructor(panels: readonly Panel[], title = "") {
    for (const { series } of panels) {
      for (const { name, x, y } of series) {
        if (x.length !== y.length)
          throw new ConfigError(
            "figure_length",
            `Figure: x and y must be equally long, got ${x.length} and ${y.length} in ${JSON.stringify(name)}; give one y for each x`,
          );
      }
    }
    this.panels = panels;
    this.title = title;
  }

  /** Plotly's `data`: one scatter trace a series, on the axes of its panel. */
  get data(): PlotlyTrace[] {
    return this.panels.flatMap((panel, at) => {
      const axis = at === 0 ? "" : String(at + 1);
      return panel.series.map((series, index): PlotlyTrace => ({
        type: "scatter",
        mode: series.x.length > 200 ? "lines" : "lines+markers",
        name: isolated(series.name),
        x: series.x,
        y: series.y.map((value) => (Number.isFinite(value) ? value : null)), // JSON has no NaN
        xaxis: `x${axis}`,
        yaxis: `y${axis}`,
        line: { color: lineColour(index), dash: series.dashed === true ? "dash" : "solid" },
        legendgroup: panel.title,
      }));
    });
  }

  /** Plotly's `layout`: the panels share the width. */
  get layout(): Record<string, unknown> {
    const layout: Record<string, unknown> = {
      title: { text: isolated(this.title) },
      height: PANEL_HEIGHT + 120,
      hovermode: "x unified",
      legend: { orientation: "h", y: -0.25 },
      colorway: [...LINE_COLOURS],
    };
    const gap = 0.08;
    const width = (1 - gap * (this.panels.length - 1)) / Math.max(1, this.panels.length);
    const annotations: Record<string, unknown>[] = [];
    this.panels.forEach((panel, at) => {
      const axis = at === 0 ? "" : String(at + 1);
      const start = at * (width + gap);
      layout[`xaxis${axis}`] = { domain: [start, Math.min(1, start + width)], anchor: `y${axis}`, title: { text: isolated(panel.xTitle) } };
      layout[`yaxis${axis}`] = {
        anchor: `x${axis}`,
        title: { text: isolated(panel.yTitle) },
        ...(panel.yRange === undefined ? {} : { range: panel.yRange }),
      };
      annotations.push({
        text: isolated(panel.title),
        x: start + width / 2,
        y: 1.08,
        xref: "paper",
        yref: "paper",
        showarrow: false,
        font: { size: 14 },
      });
    });
    layout.annotations = annotations;
    return layout;
  }

  /** The figure as static SVG. */
  toSvg(): string {
    return lineChartSvg(this.panels, this.title);
  }

  /** The figure as the bytes of a PNG, for a file or a report. @throws ConfigError `png_scale` */
  async toPng(options: PngOptions = {}): Promise<Uint8Array> {
    return svgPng(this.toSvg(), options);
  }

  [displaySymbol](): MimeBundle {
    const lines = this.panels.flatMap((panel) => panel.series.map((series) => `${panel.title}: ${describeSeries(series)}`));
    return {
      [PLOTLY_MIME]: { data: this.data, layout: this.layout, config: { responsive: true } },
      "text/html": `<div class="preflab-figure">${svgImage(this.toSvg())}</div>`,
      "text/plain": [`Figure${this.title === "" ? "" : `: ${this.title}`}`, ...lines].join("\n"),
    };
  }
}

function describeSeries({ name, x, y }: LineSeries): string {
  const finite = y.filter(Number.isFinite);
  if (finite.length === 0) return `${name}, no values`;
  const first = finite[0]!.toPrecision(4);
  const last = finite.at(-1)!.toPrecision(4);
  return `${name}, ${finite.length} points, ${first} → ${last} at x = ${x.at(-1)}`;
}

export interface LineFigureOptions {
  title?: string;
  x_title?: string;
  y_title?: string;
  /** Fixed limits of the y axis. Default: from the data. */
  y_range?: [number, number];
}

/** One chart with one or more lines. `x` left out: 1, 2, 3, … */
export function lineFigure(
  series: readonly { name: string; x?: number[]; y: number[]; dashed?: boolean }[],
  options: LineFigureOptions = {},
): Figure {
  const { title = "", x_title = "", y_title = "", y_range } = options;
  const lines = series.map(({ name, x, y, dashed }): LineSeries => ({
    name,
    x: x ?? y.map((_, at) => at + 1),
    y,
    ...(dashed === undefined ? {} : { dashed }),
  }));
  return new Figure([{ title, xTitle: x_title, yTitle: y_title, series: lines, ...(y_range === undefined ? {} : { yRange: y_range }) }]);
}

/** One row of `trainer.state.log_history`, in the HF Trainer's format. */
export type LogRow = Readonly<Record<string, unknown>>;

interface MetricPanel {
  title: string;
  yTitle: string;
  metrics: readonly (readonly [string, string])[];
  yRange?: [number, number];
}

const TRAINING_PANELS: readonly MetricPanel[] = [
  { title: "Loss", yTitle: "loss", metrics: [["loss", "train"]] },
  {
    title: "Rewards",
    yTitle: "beta × log-ratio",
    metrics: [
      ["rewards/chosen", "chosen"],
      ["rewards/rejected", "rejected"],
      ["rewards/margins", "margin"],
    ],
  },
  { title: "Reward accuracy", yTitle: "fraction of pairs", metrics: [["rewards/accuracies", "train"]], yRange: [0, 1] },
];

function series(history: readonly LogRow[], key: string, name: string, dashed: boolean): LineSeries[] {
  const rows = history.filter((row) => typeof row[key] === "number" && typeof row.step === "number");
  return rows.length === 0
    ? []
    : [{ name, x: rows.map((row) => row.step as number), y: rows.map((row) => row[key] as number), ...(dashed ? { dashed } : {}) }];
}

/**
 * Loss, rewards and reward accuracy over the optimizer steps of one run. Evaluation metrics (`eval_…`) are dashed.
 * @param history `trainer.state.log_history`
 * @throws ConfigError when no row has a step with one of these metrics
 */
export function plotTraining(history: readonly LogRow[], options: { title?: string } = {}): Figure {
  const panels: Panel[] = [];
  for (const { title, yTitle, metrics, yRange } of TRAINING_PANELS) {
    const lines = metrics.flatMap(([key, name]) => [
      ...series(history, key, name, false),
      ...series(history, `eval_${key}`, name === "train" ? "eval" : `${name} (eval)`, true),
    ]);
    // Limits a little wider than [0, 1], or points at 0 and 1 lie on the frame.
    if (lines.length > 0)
      panels.push({
        title,
        xTitle: "step",
        yTitle,
        series: lines,
        ...(yRange === undefined ? {} : { yRange: [yRange[0] - 0.05, yRange[1] + 0.05] as [number, number] }),
      });
  }
  if (panels.length === 0)
    throw new ConfigError(
      "figure_history",
      `plotTraining: the history must hold rows with step and loss, got ${history.length} rows; pass trainer.state.log_history after train()`,
    );
  return new Figure(panels, options.title ?? "");
}

/**
 * One metric of several runs in one chart, to compare trials.
 * @throws ConfigError when no run has the metric, with the nearest known name
 */
export function compareRuns(
  runs: readonly { name: string; history: readonly LogRow[] }[],
  metric = "loss",
  options: { title?: string } = {},
): Figure {
  const lines = runs.flatMap(({ name, history }) => series(history, metric, name, false));
  if (lines.length === 0) {
    const known = [...new Set(runs.flatMap((run) => run.history.flatMap((row) => Object.keys(row))))];
    const near = nearestName(metric, known);
    throw new ConfigError(
      "figure_metric",
      `compareRuns: metric must be in a history, got ${metric}; ${near === undefined ? `known are ${known.join(", ") || "none"}` : `did you mean ${near}?`}`,
    );
  }
  return new Figure([{ title: options.title ?? metric, xTitle: "step", yTitle: metric, series: lines }]);
}
