/**
 * Line charts as static SVG text: the form of a figure that every front end can show without a script.
 * Deliberately small: linear axes, lines with points, a legend. Plotly draws the rich form from the same panels.
 */
import { escapeHtml } from "../text/escapeHtml.js";
import { isolated } from "../text/writingDirection.js";

export interface LineSeries {
  name: string;
  x: number[];
  /** Same length as x. A value that is not finite breaks the line. */
  y: number[];
  dashed?: boolean;
}

export interface Panel {
  title: string;
  xTitle: string;
  yTitle: string;
  series: LineSeries[];
  /** Fixed limits of the y axis, as for a fraction: [0, 1]. Default: from the data. */
  yRange?: [number, number];
}

/** Plotly's own default colours, so that both forms of a figure agree. */
export const LINE_COLOURS = ["#636efa", "#ef553b", "#00cc96", "#ab63fa", "#ffa15a", "#19d3f3", "#ff6692", "#b6e880"] as const;

export const PANEL_WIDTH = 380;
export const PANEL_HEIGHT = 300;
const MARGIN = { left: 58, right: 14, top: 30, bottom: 44 };
const LEGEND_LINE = 16;

export function lineColour(at: number): string {
  return LINE_COLOURS[at % LINE_COLOURS.length]!;
}

function svgText(text: string): string {
  return escapeHtml(isolated(text));
}

/** Limits that hold every finite value, never empty. */
function extent(values: number[]): [number, number] {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return [0, 1];
  let low = Infinity;
  let high = -Infinity;
  for (const value of finite) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low === high) {
    const half = Math.abs(low) * 0.1 || 0.5;
    return [low - half, high + half];
  }
  return [low, high];
}

/** Round numbers (1, 2 or 5 times a power of ten) inside [low, high], at most about `count`. */
export function ticks(low: number, high: number, count = 5): number[] {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10) * power;
  const found: number[] = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) found.push(Number((at * step).toPrecision(12)));
  return found;
}

function tickLabel(value: number): string {
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(1) : String(Number(value.toPrecision(6)));
}

function panelSvg(panel: Panel, left: number, legendHeight: number): string {
  const width = PANEL_WIDTH - MARGIN.left - MARGIN.right;
  const height = PANEL_HEIGHT - MARGIN.top - MARGIN.bottom;
  const [xLow, xHigh] = extent(panel.series.flatMap((series) => series.x));
  let [yLow, yHigh] = panel.yRange ?? extent(panel.series.flatMap((series) => series.y));
  if (panel.yRange === undefined) {
    const pad = (yHigh - yLow) * 0.05;
    yLow -= pad;
    yHigh += pad;
  }
  const px = (x: number): string => (((x - xLow) / (xHigh - xLow)) * width).toFixed(1);
  const py = (y: number): string => (height - ((y - yLow) / (yHigh - yLow)) * height).toFixed(1);

  const grid = [
    ...ticks(yLow, yHigh).map(
      (value) =>
        `<line x1="0" x2="${width}" y1="${py(value)}" y2="${py(value)}" stroke="currentColor" stroke-opacity=".15"/><text x="-6" y="${py(value)}" dy=".32em" text-anchor="end">${tickLabel(value)}</text>`,
    ),
    ...ticks(xLow, xHigh).map(
      (value) =>
        `<line y1="0" y2="${height}" x1="${px(value)}" x2="${px(value)}" stroke="currentColor" stroke-opacity=".08"/><text x="${px(value)}" y="${height + 15}" text-anchor="middle">${tickLabel(value)}</text>`,
    ),
  ].join("");
  const lines = panel.series.map((series, at) => seriesSvg(series, lineColour(at), px, py)).join("");
  const legend = panel.series
    .map(
      (series, at) =>
        `<g transform="translate(0 ${PANEL_HEIGHT - MARGIN.top + 4 + at * LEGEND_LINE})"><line x1="0" x2="18" stroke="${lineColour(at)}" stroke-width="2"${series.dashed === true ? ' stroke-dasharray="4 3"' : ""}/><text x="24" dy=".32em">${svgText(series.name)}</text></g>`,
    )
    .join("");
  return `<g transform="translate(${left + MARGIN.left} ${MARGIN.top})"><text x="${width / 2}" y="-12" text-anchor="middle" font-size="14">${svgText(panel.title)}</text>${grid}<rect width="${width}" height="${height}" fill="none" stroke="currentColor" stroke-opacity=".35"/>${lines}<text x="${width / 2}" y="${height + 34}" text-anchor="middle">${svgText(panel.xTitle)}</text><text transform="translate(-46 ${height / 2}) rotate(-90)" text-anchor="middle">${svgText(panel.yTitle)}</text>${legendHeight > 0 ? legend : ""}</g>`;
}

function seriesSvg(series: LineSeries, colour: string, px: (x: number) => string, py: (y: number) => string): string {
  const paths: string[] = [];
  let pen = "M";
  let points = "";
  series.x.forEach((x, at) => {
    const y = series.y[at]!;
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      pen = "M";
      return;
    }
    paths.push(`${pen}${px(x)} ${py(y)}`);
    if (series.x.length <= 40) points += `<circle cx="${px(x)}" cy="${py(y)}" r="2.4"/>`;
    pen = "L";
  });
  const dash = series.dashed === true ? ' stroke-dasharray="5 4"' : "";
  return `<path d="${paths.join("")}" fill="none" stroke="${colour}" stroke-width="1.8"${dash}/><g fill="${colour}">${points}</g>`;
}

/** All panels side by side. Text takes the colour of its surroundings, so it reads on light and dark pages. */
export function lineChartSvg(panels: readonly Panel[], title: string): string {
  const most = Math.max(0, ...panels.map((panel) => panel.series.length));
  const legendHeight = most > 1 ? most * LEGEND_LINE + 8 : 0;
  const head = title === "" ? 0 : 26;
  const width = PANEL_WIDTH * Math.max(1, panels.length);
  const height = head + PANEL_HEIGHT + legendHeight;
  const heading = title === "" ? "" : `<text x="${width / 2}" y="18" text-anchor="middle" font-size="16">${svgText(title)}</text>`;
  const body = panels.map((panel, at) => panelSvg(panel, at * PANEL_WIDTH, legendHeight)).join("");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" style="max-width:100%;height:auto" font-family="system-ui,sans-serif" font-size="11" fill="currentColor" direction="ltr" role="img" aria-label="${escapeHtml(title || panels.map((panel) => panel.title).join(", "))}">${heading}<g transform="translate(0 ${head})">${body}</g></svg>`;
}
