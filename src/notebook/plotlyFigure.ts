/**
 * Any Plotly figure, given as Plotly's own JSON. It goes out in three forms: JSON for front ends that draw it, a page of its own with Plotly
 * inside for those that run scripts but do not know Plotly, and text. The page holds Plotly once, compressed: 1.9 MB a figure. `Figure` is
 * lighter where lines are enough.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import { ConfigError } from "../errors.js";
import { PLOTLY_MIME } from "./figures.js";
import { displaySymbol, type Displayable, type MimeBundle } from "./mime.js";

const require = createRequire(import.meta.url);

export interface PlotlySpec {
  data: readonly Readonly<Record<string, unknown>>[];
  layout?: Readonly<Record<string, unknown>>;
  config?: Readonly<Record<string, unknown>>;
}

let packed: string | undefined;

/** plotly.min.js, compressed, in base64. Read when the first figure is shown. */
function packedPlotly(): string {
  return (packed ??= gzipSync(readFileSync(require.resolve("plotly.js-dist-min/plotly.min.js")), { level: 9 }).toString("base64"));
}

export class PlotlyFigure implements Displayable {
  readonly spec: PlotlySpec;

  constructor(spec: PlotlySpec) {
    this.spec = spec;
  }

  /** An HTML page that draws the figure and requests nothing. */
  toHtml(): string {
    const json = JSON.stringify(this.#json()).replace(/</g, "\\u003c");
    // A frame of its own: two versions of Plotly on one page would fight over one global name.
    const page = `<!doctype html><meta charset="utf-8"><body style="margin:0"><div id="plot"></div><script type="application/json" id="spec">${json}</script><script>(async () => {
const bytes = Uint8Array.from(atob("${packedPlotly()}"), (c) => c.charCodeAt(0));
const code = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
(0, eval)(code);
const { data, layout, config } = JSON.parse(document.getElementById("spec").textContent);
Plotly.newPlot("plot", data, layout, config);
})();</script></body>`;
    return page;
  }

  #json(): { data: unknown; layout: Record<string, unknown>; config: Record<string, unknown> } {
    return { data: this.spec.data, layout: { ...this.spec.layout }, config: { responsive: true, displaylogo: false, ...this.spec.config } };
  }

  #height(): number {
    const height = this.spec.layout?.["height"];
    return typeof height === "number" && height > 0 ? height : 450;
  }

  [displaySymbol](): MimeBundle {
    const { title } = this.spec.layout ?? {};
    const named = typeof title === "string" ? title : (title as { text?: unknown } | undefined)?.text;
    const traces = this.spec.data.map(({ type = "scatter", name }, at) => `${String(name ?? `trace ${at}`)}: ${String(type)}`);
    const source = this.toHtml().replace(/&/g, "&amp;").replace(/"/g, "&quot;");
    return {
      [PLOTLY_MIME]: this.#json(),
      "text/html": `<iframe sandbox="allow-scripts" title="figure" style="width:100%;height:${this.#height() + 20}px;border:0" srcdoc="${source}"></iframe>`,
      "text/plain": [`Plotly figure${typeof named === "string" ? `: ${named}` : ""}`, ...traces].join("\n"),
    };
  }
}

/**
 * Shows a figure given as Plotly JSON.
 * @throws ConfigError `plotly_data` when `data` is not a list of traces, or JSON cannot hold it
 */
export function plotlyFigure(spec: PlotlySpec): PlotlyFigure {
  const data: unknown = (spec as Partial<PlotlySpec> | undefined)?.data;
  if (!Array.isArray(data) || data.some((trace) => typeof trace !== "object" || trace === null))
    throw new ConfigError(
      "plotly_data",
      `plotlyFigure: data must be a list of traces, got ${typeof data}; pass { data: [{ type: "bar", x, y }], layout: {} }`,
    );
  return new PlotlyFigure(spec);
}
