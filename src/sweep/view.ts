/** The one figure of a sweep: what was tried (parallel coordinates), how it went (curves), and what mattered (bars). */
import type { JsonValue } from "../config/index.js";
import { Chart } from "../evaluate/chart.js";
import { numberText } from "../evaluate/table.js";
import { escapeHtml } from "../text/escapeHtml.js";
import type { TrialRecord } from "./ledger.js";
import { type Importance, importance } from "./ranking.js";
import type { Goal } from "./study.js";

export interface View {
  readonly title: string;
  readonly metric: string;
  readonly goal: Goal;
  /** Best first. */
  readonly ranked: readonly TrialRecord[];
  /** [step, value] of a trial's reports. */
  readonly reports: (number: number) => readonly (readonly [number, number])[];
}

/** More lines cannot be told apart. */
const MOST_LINES = 500;
const MOST_CURVES = 30;

/** One axis of the parallel coordinates. */
interface Axis {
  readonly label: string;
  readonly values: readonly number[];
  readonly ticks: readonly { readonly at: number; readonly text: string }[];
}

interface Curve {
  readonly name: string;
  readonly x: readonly number[];
  readonly y: readonly number[];
  readonly colour: string;
}

export function sweepChart(view: View): Chart {
  const complete = view.ranked.filter(({ state }) => state === "complete");
  const shown = complete.slice(0, MOST_LINES);
  const names = [...new Set(shown.flatMap(({ params }) => Object.keys(params)))];
  const varied = names.filter((name) => new Set(shown.map(({ params }) => JSON.stringify(params[name]))).size > 1);
  const axes = [
    ...varied.map((name) =>
      axisOf(
        name,
        shown.map(({ params }) => params[name] ?? null),
      ),
    ),
    axisOf(
      view.metric,
      shown.map(({ value }) => value),
    ),
  ];
  const [curves, curveTitle] = curvesOf(view, complete);
  const shares = importance(view.ranked);
  const values = shown.map(({ value }) => value!);
  return new Chart(
    [
      {
        type: "parcoords",
        domain: { x: [0, 1], y: [0.58, 1] },
        line: { color: values, colorscale: "Viridis", reversescale: view.goal === "minimize", showscale: false },
        dimensions: axes.map(({ label, values: own, ticks }) => ({
          label,
          values: own,
          tickvals: ticks.map(({ at }) => at),
          ticktext: ticks.map(({ text }) => text),
        })),
      },
      ...curves.map(({ name, x, y, colour }) => ({
        ...{ type: "scatter", mode: x.length > 1 ? "lines" : "markers", name, x, y, line: { color: colour }, showlegend: false },
        ...{ xaxis: "x", yaxis: "y" },
      })),
      {
        ...{ type: "bar", orientation: "h", name: "importance", x: shares.map(({ share }) => share), y: shares.map(({ name }) => name) },
        ...{ xaxis: "x2", yaxis: "y2", marker: { color: "#636efa" }, showlegend: false },
      },
    ],
    {
      title: { text: view.title },
      height: 640,
      xaxis: { domain: [0, 0.55], anchor: "y", title: { text: "step" } },
      yaxis: { domain: [0, 0.42], anchor: "x", title: { text: curveTitle } },
      xaxis2: { domain: [0.7, 1], anchor: "y2", range: [0, 1], title: { text: "share of variance" } },
      yaxis2: { domain: [0, 0.42], anchor: "x2", autorange: "reversed" },
    },
    svg(view.title, axes, shown.length, curves, curveTitle, shares),
    text(view, complete.length, shares),
  );
}

function axisOf(label: string, values: readonly JsonValue[]): Axis {
  const texts = values.map((value) =>
    typeof value === "string" ? value : typeof value === "number" ? numberText(value) : JSON.stringify(value),
  );
  const numbers = values.every((value): value is number => typeof value === "number");
  const different = [...new Set(texts)];
  if (!numbers || different.length <= 8) {
    // Levels at equal distances, in the order of their size.
    const order = numbers ? [...new Set(values)].sort((a, b) => a - b).map(numberText) : different.sort();
    const unique = [...new Set(order)];
    return { label, values: texts.map((value) => unique.indexOf(value)), ticks: unique.map((value, at) => ({ at, text: value })) };
  }
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const log = low > 0 && high / low > 30;
  const place = (value: number): number => (log ? Math.log10(value) : value);
  const ticks = Array.from({ length: 5 }, (_, i) => {
    const at = place(low) + (i / 4) * (place(high) - place(low));
    return { at, text: numberText(Number((log ? 10 ** at : at).toPrecision(3))) };
  });
  return { label, values: values.map(place), ticks };
}

/** The metric over the steps where trials were judged on the way, else the training loss. */
function curvesOf({ ranked, reports, metric }: View, complete: readonly TrialRecord[]): [Curve[], string] {
  const some = [...complete.slice(0, MOST_CURVES - 5), ...ranked.filter(({ state }) => state === "pruned").slice(0, 5)];
  const reported = some.map((trial) => reports(trial.number));
  const useReports = reported.some((points) => points.length > 1);
  const points = useReports ? reported : some.map(({ facts }) => (facts["curve"] ?? []) as [number, number][]);
  const curves = some.map((trial, i): Curve => {
    const share = complete.length < 2 || trial.state !== "complete" ? 1 : i / Math.max(1, Math.min(complete.length, MOST_CURVES - 5) - 1);
    const colour = trial.state === "complete" ? `hsl(${Math.round(145 + 115 * share)} 65% 45%)` : "#999999";
    return {
      name: `trial ${trial.number}${trial.state === "pruned" ? " (pruned)" : ""}`,
      x: points[i]!.map(([step]) => step),
      y: points[i]!.map(([, value]) => value),
      colour,
    };
  });
  return [curves.filter(({ x }) => x.length > 0), useReports ? metric : "training loss"];
}

function text({ title, metric, ranked }: View, complete: number, shares: readonly Importance[]): string {
  const best = ranked[0];
  const lines = [title];
  if (best?.state === "complete")
    lines.push(`best ${metric} ${numberText(best.value!)}: trial ${best.number}, ${JSON.stringify(best.params)}`);
  if (shares.length > 0) lines.push(`share of variance: ${shares.map(({ name, share }) => `${name} ${share.toFixed(2)}`).join(", ")}`);
  return [...lines, `${complete} complete trials`].join("\n");
}

const SIZE = { width: 720, top: 34, lines: 210, gap: 70, curves: 170 };

/** The same for front ends without Plotly. */
function svg(
  title: string,
  axes: readonly Axis[],
  lines: number,
  curves: readonly Curve[],
  curveTitle: string,
  shares: readonly Importance[],
): string {
  const label = (x: number, y: number, content: string, anchor = "middle"): string =>
    `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escapeHtml(content)}</text>`;
  const x = (at: number): number => 60 + (at / Math.max(1, axes.length - 1)) * (SIZE.width - 130);
  const scaled = axes.map(({ values, ticks }) =>
    scale([...values, ...ticks.map(({ at }) => at)], SIZE.top + 20 + SIZE.lines, SIZE.top + 20),
  );
  const strokes = Array.from({ length: lines }, (_, i) => lines - 1 - i).map((i) => {
    const points = axes.map(({ values }, at) => `${x(at).toFixed(1)},${scaled[at]!(values[i]!).toFixed(1)}`).join(" ");
    const hue = Math.round(145 + 115 * (lines < 2 ? 0 : i / (lines - 1)));
    return `<polyline points="${points}" fill="none" stroke="hsl(${hue} 65% 45%)" stroke-opacity="${i === 0 ? 1 : 0.6}" stroke-width="${i === 0 ? 2.5 : 1}"/>`;
  });
  const frames = axes.flatMap(({ label: name, ticks }, at) => [
    `<line x1="${x(at)}" x2="${x(at)}" y1="${SIZE.top + 20}" y2="${SIZE.top + 20 + SIZE.lines}" stroke="currentColor" stroke-opacity=".5"/>`,
    label(x(at), SIZE.top + 10, name),
    ...ticks.map((tick) => label(x(at) + 5, scaled[at]!(tick.at) + 4, tick.text, "start")),
  ]);
  const top = SIZE.top + 20 + SIZE.lines + SIZE.gap;
  const toX = scale(
    curves.flatMap((curve) => curve.x),
    60,
    400,
  );
  const toY = scale(
    curves.flatMap((curve) => curve.y),
    top + SIZE.curves,
    top,
  );
  const drawn = [...curves]
    .reverse()
    .map(
      ({ x: xs, y: ys, colour }) =>
        `<polyline points="${xs.map((step, i) => `${toX(step).toFixed(1)},${toY(ys[i]!).toFixed(1)}`).join(" ")}" fill="none" stroke="${colour}"/>`,
    );
  const bars = shares.flatMap(({ name, share }, i) => [
    label(530, top + 22 + i * 22, name, "end"),
    `<rect x="536" y="${top + 10 + i * 22}" width="${(share * 140).toFixed(1)}" height="16" fill="#636efa"/>`,
    label(542 + share * 140, top + 22 + i * 22, share.toFixed(2), "start"),
  ]);
  const heads = [
    ...(curves.length > 0 ? [label(230, top - 12, `${curveTitle} by step`)] : []),
    ...(shares.length > 0 ? [label(600, top - 12, "share of variance")] : []),
  ];
  const height = Math.max(top + SIZE.curves, top + shares.length * 22) + 20;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${height}" width="${SIZE.width}" style="max-width:100%;height:auto" font-family="system-ui,sans-serif" font-size="11" fill="currentColor" role="img" aria-label="${escapeHtml(title)}">${label(SIZE.width / 2, 18, title)}${[...strokes, ...frames, ...heads, ...drawn, ...bars].join("")}</svg>`;
}

/** Values → pixels. */
function scale(values: readonly number[], from: number, to: number): (value: number) => number {
  const low = values.reduce((least, value) => Math.min(least, value), Infinity);
  const high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  return (value) => (high > low ? from + ((value - low) / (high - low)) * (to - from) : (from + to) / 2);
}
