/** Training curves of a card: an SVG beside it, and a short table for who cannot see it. */
import type { LogEntry } from "../../train/index.js";
import { brief, table } from "./markdown.js";

export const CURVES_FILE = "training_curves.svg";

/** What is drawn, each with its evaluation's values in the same panel, if it was logged. */
const PANELS: readonly (readonly [name: string, title: string])[] = [
  ["loss", "Loss"],
  ["rewards/margins", "Reward margin"],
  ["rewards/accuracies", "Reward accuracy"],
  ["mean_token_accuracy", "Token accuracy"],
  ["grad_norm", "Gradient norm"],
];
const WIDTH = 360;
const HEIGHT = 220;
const MARGIN = { left: 56, right: 12, top: 28, bottom: 30 };
const COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd"];
const TABLE_ROWS = 12;

interface Line {
  readonly name: string;
  readonly points: readonly (readonly [step: number, value: number])[];
}

/** The lines of a metric: of training, and of every evaluation set. */
function linesOf(log: readonly LogEntry[], name: string): Line[] {
  const names = [...new Set(log.flatMap((entry) => Object.keys(entry)))].filter(
    (key) => key === name || (key.startsWith("eval_") && (key === `eval_${name}` || key.endsWith(`_${name}`)) && !isLonger(key, name)),
  );
  return names
    .map((key) => ({
      name: key,
      points: log.filter((entry) => Number.isFinite(entry[key])).map((entry) => [entry["step"]!, entry[key]!] as const),
    }))
    .filter(({ points }) => points.length > 0);
}

/** `eval_nll_loss` is no evaluation set named nll. */
function isLonger(key: string, name: string): boolean {
  return name === "loss" && /(nll|aux)_loss$/.test(key);
}

/** @returns undefined where fewer than two points of anything were logged */
export function curvesSvg(log: readonly LogEntry[]): string | undefined {
  const panels = PANELS.map(([name, title]) => ({ title, lines: linesOf(log, name) })).filter(({ lines }) =>
    lines.some(({ points }) => points.length > 1),
  );
  if (panels.length === 0) return undefined;
  const columns = Math.min(2, panels.length);
  const [width, height] = [columns * WIDTH, Math.ceil(panels.length / columns) * HEIGHT];
  const drawn = panels.map(
    ({ title, lines }, i) =>
      `<g transform="translate(${(i % columns) * WIDTH} ${Math.floor(i / columns) * HEIGHT})">${panel(title, lines)}</g>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="11">`,
    `<title>Training curves</title><rect width="${width}" height="${height}" fill="#fff"/>`,
    ...drawn,
    "</svg>\n",
  ].join("\n");
}

function panel(title: string, lines: readonly Line[]): string {
  const points = lines.flatMap((line) => line.points);
  const [left, right] = [MARGIN.left, WIDTH - MARGIN.right];
  const [top, bottom] = [MARGIN.top, HEIGHT - MARGIN.bottom];
  const xRange = range(points.map(([step]) => step));
  const yRange = range(points.map(([, value]) => value));
  const x = scale(xRange, [left, right]);
  const y = scale(yRange, [bottom, top]);
  const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => yRange[0] + part * (yRange[1] - yRange[0]));
  const paths = lines.map(({ points: own }, i) => {
    const colour = COLOURS[i % COLOURS.length]!;
    const path = own.map(([step, value]) => `${round(x(step))},${round(y(value))}`);
    const dots =
      own.length > 40
        ? ""
        : path.map((at) => `<circle cx="${at.split(",")[0]}" cy="${at.split(",")[1]}" r="2" fill="${colour}"/>`).join("");
    return `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${path.join(" ")}"/>${dots}`;
  });
  const legend =
    lines.length < 2 ? [] : lines.map(({ name }, i) => `<tspan fill="${COLOURS[i % COLOURS.length]!}"> ${escape(name)}</tspan>`);
  return [
    `<text x="${left}" y="18" font-weight="bold" fill="#222">${escape(title)}${legend.join("")}</text>`,
    ...grid.map(
      (value) =>
        `<line x1="${left}" x2="${right}" y1="${round(y(value))}" y2="${round(y(value))}" stroke="#ddd"/><text x="${left - 4}" y="${round(y(value) + 4)}" text-anchor="end" fill="#555">${short(value)}</text>`,
    ),
    ...xRange.map(
      (step, i) =>
        `<text x="${i === 0 ? left : right}" y="${bottom + 18}" text-anchor="${i === 0 ? "start" : "end"}" fill="#555">step ${Math.round(step)}</text>`,
    ),
    ...paths,
  ].join("");
}

/** Limits that hold every value, never empty. */
function range(values: readonly number[]): [number, number] {
  const low = values.reduce((least, value) => Math.min(least, value), Infinity);
  const high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  if (low < high) return [low, high];
  const half = Math.abs(low) * 0.1 || 0.5;
  return [low - half, high + half];
}

function scale([low, high]: readonly [number, number], [from, to]: readonly [number, number]): (value: number) => number {
  return (value) => from + ((value - low) / (high - low)) * (to - from);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** At most twelve of the logged steps, the first and the last among them; undefined where nothing was logged. */
export function curvesTable(log: readonly LogEntry[]): string | undefined {
  const names = ["loss", "eval_loss", "rewards/margins", "rewards/accuracies", "mean_token_accuracy", "grad_norm"].filter((name) =>
    log.some((entry) => Number.isFinite(entry[name])),
  );
  const steps = [...new Set(log.filter((entry) => names.some((name) => entry[name] !== undefined)).map((entry) => entry["step"]!))].sort(
    (a, b) => a - b,
  );
  if (steps.length === 0) return undefined;
  const count = Math.min(TABLE_ROWS, steps.length);
  const chosen = Array.from({ length: count }, (_, i) => steps[count === 1 ? 0 : Math.round((i * (steps.length - 1)) / (count - 1))]!);
  const rows = chosen.map((step) => {
    const all = Object.assign({}, ...log.filter((entry) => entry["step"] === step)) as LogEntry;
    return [String(step), ...names.map((name) => (all[name] === undefined ? "" : brief(all[name])))];
  });
  return table(["step", ...names], rows);
}
