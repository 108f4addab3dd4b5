/**
 * Bars and heat maps in the three forms of src/notebook/figures.ts: Plotly JSON, static SVG, plain text. Plotly itself is not put into
 * the notebook.
 */
import { ConfigError } from "../errors.js";
import { escapeHtml } from "../text/escapeHtml.js";
import { svgImage } from "../text/svgImage.js";
import { type PngOptions, svgPng } from "../text/svgPng.js";
import { type Shown, displaySymbol, numberText } from "./table.js";

const PLOTLY_MIME = "application/vnd.plotly.v1+json";
/** Plotly's own default colours. */
const COLOURS = ["#636efa", "#ef553b", "#00cc96", "#ab63fa", "#ffa15a", "#19d3f3", "#ff6692", "#b6e880"];

/** A Plotly trace or layout; its field names are Plotly's. */
export type PlotlyObject = Readonly<Record<string, unknown>>;

/** A figure that a notebook shows. */
export class Chart {
  /** @param data Plotly's traces @param layout Plotly's @param svg the same as an SVG document @param text the same in words */
  constructor(
    readonly data: readonly PlotlyObject[],
    readonly layout: PlotlyObject,
    readonly svg: string,
    readonly text: string,
  ) {}

  /** The chart as the bytes of a PNG, for a file or a report. @throws ConfigError `png_scale` */
  async toPng(options: PngOptions = {}): Promise<Uint8Array> {
    return svgPng(this.svg, options);
  }

  [displaySymbol](): Shown {
    return {
      [PLOTLY_MIME]: { data: this.data, layout: this.layout, config: { responsive: true } },
      "text/html": `<div class="preflab-figure">${svgImage(this.svg)}</div>`,
      "text/plain": this.text,
    };
  }
}

export interface BarSeries {
  readonly name: string;
  /** One value a category; null where there is none. */
  readonly values: readonly (number | null)[];
  /** Ends of each bar's interval. */
  readonly intervals?: readonly ({ readonly low: number; readonly high: number } | null)[];
}

export interface BarOptions {
  readonly title: string;
  readonly y_title: string;
  /** Limits of the y axis; default from 0 to the largest value. */
  readonly y_range?: readonly [number, number];
}

/** Grouped bars. @throws ConfigError `figure_length` when a series has not one value a category */
export function barChart(categories: readonly string[], series: readonly BarSeries[], { title, y_title, y_range }: BarOptions): Chart {
  for (const { name, values } of series) {
    if (values.length !== categories.length)
      throw new ConfigError(
        "figure_length",
        `barChart: a series must have one value a category, got ${values.length} values of ${JSON.stringify(name)} for ${categories.length} categories`,
      );
  }
  const shown = (value: number | null | undefined): number | null =>
    value === null || value === undefined || !Number.isFinite(value) ? null : value;
  const data = series.map(({ name, values, intervals }, i) => ({
    type: "bar",
    name,
    x: categories,
    y: values.map(shown), // JSON has no NaN
    marker: { color: COLOURS[i % COLOURS.length] },
    ...(intervals === undefined
      ? {}
      : {
          error_y: {
            type: "data",
            symmetric: false,
            array: values.map((value, k) => (value === null ? null : shown((intervals[k]?.high ?? NaN) - value))),
            arrayminus: values.map((value, k) => (value === null ? null : shown(value - (intervals[k]?.low ?? NaN)))),
          },
        }),
  }));
  const layout = {
    title: { text: title },
    barmode: "group",
    yaxis: { title: { text: y_title }, ...(y_range === undefined ? {} : { range: y_range }) },
    legend: { orientation: "h", y: -0.2 },
  };
  const lines = series.flatMap(({ name, values }) =>
    values.map((value, i) => `${name}, ${categories[i]}: ${shown(value) === null ? "no value" : numberText(value!)}`),
  );
  return new Chart(data, layout, barSvg(categories, series, title, y_range), [title, ...lines].join("\n"));
}

const PLOT = { width: 520, height: 260, left: 56, top: 34, bottom: 64 };

function barSvg(categories: readonly string[], series: readonly BarSeries[], title: string, range?: readonly [number, number]): string {
  const finite = series.flatMap(({ values, intervals }) => [...values, ...(intervals ?? []).map((interval) => interval?.high ?? null)]);
  const numbers = finite.filter((value): value is number => value !== null && Number.isFinite(value));
  const low = range?.[0] ?? Math.min(0, ...numbers);
  const high = range?.[1] ?? Math.max(0, ...numbers);
  const top = high > low ? high : low + 1;
  const y = (value: number): number => PLOT.height * (1 - (Math.min(top, Math.max(low, value)) - low) / (top - low));
  const group = PLOT.width / Math.max(1, categories.length);
  const bar = (group * 0.8) / Math.max(1, series.length);
  const bars = series.flatMap(({ values, intervals }, s) =>
    values.map((value, c) => {
      if (value === null || !Number.isFinite(value)) return "";
      const x = c * group + group * 0.1 + s * bar;
      const [from, to] = [y(Math.max(0, low)), y(value)];
      const interval = intervals?.[c];
      const middle = (x + bar / 2).toFixed(1);
      const whisker =
        interval === null || interval === undefined
          ? ""
          : `<line x1="${middle}" x2="${middle}" y1="${y(interval.low).toFixed(1)}" y2="${y(interval.high).toFixed(1)}" stroke="currentColor" stroke-width="1.5"/>`;
      return `<rect x="${x.toFixed(1)}" y="${Math.min(from, to).toFixed(1)}" width="${(bar * 0.94).toFixed(1)}" height="${Math.abs(from - to).toFixed(1)}" fill="${COLOURS[s % COLOURS.length]}"/>${whisker}`;
    }),
  );
  const marks = [low, low + (top - low) / 2, top].map(
    (value) =>
      `<line x1="0" x2="${PLOT.width}" y1="${y(value)}" y2="${y(value)}" stroke="currentColor" stroke-opacity=".15"/><text x="-6" y="${y(value)}" dy=".32em" text-anchor="end">${numberText(Number(value.toPrecision(3)))}</text>`,
  );
  const names = categories.map(
    (name, i) => `<text x="${((i + 0.5) * group).toFixed(1)}" y="${PLOT.height + 16}" text-anchor="middle">${escapeHtml(name)}</text>`,
  );
  const legend = series.map(
    ({ name }, i) =>
      `<g transform="translate(${i * 120} ${PLOT.height + 36})"><rect width="12" height="12" fill="${COLOURS[i % COLOURS.length]}"/><text x="17" y="10">${escapeHtml(name)}</text></g>`,
  );
  return frame(title, [...marks, ...bars, ...names, ...(series.length > 1 ? legend : [])].join(""), PLOT.width, PLOT.height);
}

export interface HeatmapOptions {
  readonly title: string;
  readonly x_title: string;
  readonly y_title: string;
}

/** A matrix of counts. @param values one row a y label, from the top */
export function heatmap(
  x: readonly string[],
  y: readonly string[],
  values: readonly (readonly number[])[],
  { title, x_title, y_title }: HeatmapOptions,
): Chart {
  const most = Math.max(1, ...values.flat());
  const data = [{ type: "heatmap", x, y, z: values, colorscale: "Blues", showscale: true, text: values, texttemplate: "%{text}" }];
  const layout = {
    title: { text: title },
    xaxis: { title: { text: x_title }, type: "category" },
    yaxis: { title: { text: y_title }, type: "category", autorange: "reversed" },
  };
  const size = Math.min(70, 420 / Math.max(1, x.length));
  const cells = values.flatMap((line, i) =>
    line.map((value, k) => {
      const share = value / most;
      const at = `translate(${k * size} ${i * size})`;
      return `<g transform="${at}"><rect width="${size}" height="${size}" fill="#08519c" fill-opacity="${(0.06 + 0.94 * share).toFixed(3)}"/><text x="${size / 2}" y="${size / 2}" dy=".32em" text-anchor="middle" fill="${share > 0.5 ? "#fff" : "currentColor"}">${value}</text></g>`;
    }),
  );
  const [width, height] = [size * x.length, size * y.length];
  const columns = x.map((name, k) => `<text x="${(k + 0.5) * size}" y="${height + 16}" text-anchor="middle">${escapeHtml(name)}</text>`);
  const lines = y.map((name, i) => `<text x="-6" y="${(i + 0.5) * size}" dy=".32em" text-anchor="end">${escapeHtml(name)}</text>`);
  const titles = `<text x="${width / 2}" y="${height + 38}" text-anchor="middle">${escapeHtml(`${x_title} →, ${y_title} ↓`)}</text>`;
  const text = [title, ...values.map((line, i) => `${y_title} ${y[i]}: ${line.map((value, k) => `${x[k]} ${value}`).join(", ")}`)];
  return new Chart(data, layout, frame(title, [...cells, ...columns, ...lines, titles].join(""), width, height, 110), text.join("\n"));
}

/** How many values fall into each of some bins of equal width. @param values finite, at least one */
export function histogram(values: readonly number[], { title, x_title }: { title: string; x_title: string }, bins = 20): Chart {
  const low = values.reduce((least, value) => Math.min(least, value), Infinity);
  const high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  const width = high > low ? (high - low) / bins : 1;
  const counts = new Array<number>(high > low ? bins : 1).fill(0);
  for (const value of values) counts[Math.min(counts.length - 1, Math.floor((value - low) / width))]! += 1;
  const middles = counts.map((_, i) => low + (i + 0.5) * width);
  const data = [{ type: "bar", name: x_title, x: middles, y: counts, width, marker: { color: COLOURS[0] } }];
  const layout = { title: { text: title }, xaxis: { title: { text: x_title } }, yaxis: { title: { text: "rows" } }, bargap: 0.02 };
  const labels = middles.map((middle, i) => (i % Math.ceil(counts.length / 6) === 0 ? numberText(Number(middle.toPrecision(3))) : ""));
  const svg = barSvg(labels, [{ name: x_title, values: counts }], title);
  const text = [title, ...counts.map((count, i) => `${x_title} ${numberText(Number(middles[i]!.toPrecision(4)))}: ${count}`)];
  return new Chart(data, layout, svg, text.join("\n"));
}

/** Text takes the colour of its surroundings, so it reads on light and dark pages. */
function frame(title: string, body: string, width: number, height: number, left = PLOT.left): string {
  const [fullWidth, fullHeight] = [width + left + 20, height + PLOT.top + PLOT.bottom];
  const heading = `<text x="${fullWidth / 2}" y="18" text-anchor="middle" font-size="15">${escapeHtml(title)}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${fullWidth} ${fullHeight}" width="${fullWidth}" style="max-width:100%;height:auto" font-family="system-ui,sans-serif" font-size="11" fill="currentColor" role="img" aria-label="${escapeHtml(title)}">${heading}<g transform="translate(${left} ${PLOT.top})">${body}</g></svg>`;
}
