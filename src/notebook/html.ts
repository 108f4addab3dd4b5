/**
 * A notebook as one HTML file that needs nothing else: no network, no other file. Plotly is put in once when a figure needs it.
 * Outputs of type text/html and HTML inside markdown are trusted as in Jupyter: render only notebooks that you would run.
 */
import hljs from "highlight.js/lib/core";
import typescript from "highlight.js/lib/languages/typescript";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { escapeHtml } from "../text/escapeHtml.js";
import { PLOTLY_MIME } from "./figures.js";
import { htmlDocument } from "./htmlDocument.js";
import { renderMarkdown } from "./markdown.js";
import type { MimeBundle } from "./mime.js";
import type { Cell, CodeCell, Notebook, Output } from "./nbformat.js";
import { hasTag } from "./parameters.js";
import { terminalText } from "./terminalText.js";

hljs.registerLanguage("typescript", typescript);
const require = createRequire(import.meta.url);

export interface HtmlOptions {
  /** Title of the page. Default: the first heading of the notebook, else "Notebook". */
  title?: string;
  /** Folder that relative picture paths start from; without it such pictures are shown as links. */
  baseDirectory?: string;
}

/** Text for a script element: no `</script>` can end it early. */
function scriptJson(value: unknown): string {
  return JSON.stringify(value).replace(/</g, "\\u003c");
}

class Page {
  readonly #plots: unknown[] = [];
  readonly #options: HtmlOptions;

  constructor(options: HtmlOptions) {
    this.#options = options;
  }

  cell(cell: Cell): string {
    if (cell.cell_type === "markdown")
      return `<section class="markdown" id="${escapeHtml(cell.id)}">${renderMarkdown(cell.source, { ...(this.#options.baseDirectory === undefined ? {} : { baseDirectory: this.#options.baseDirectory }), attachments: cell.attachments ?? {} })}</section>`;
    if (cell.cell_type === "raw")
      return `<section class="raw" id="${escapeHtml(cell.id)}"><pre dir="auto">${escapeHtml(cell.source)}</pre></section>`;
    return this.#code(cell as CodeCell);
  }

  #code(cell: CodeCell): string {
    const count = cell.execution_count === null ? " " : String(cell.execution_count);
    const code = hljs.highlight(cell.source, { language: "typescript" }).value;
    const failed = cell.outputs.some((output) => output.output_type === "error");
    const kind = ["code", ...(failed ? ["failed"] : []), ...(hasTag(cell, "injected-parameters") ? ["injected"] : [])].join(" ");
    const outputs = cell.outputs.map((output) => this.#output(output)).join("");
    return `<section class="${kind}" id="${escapeHtml(cell.id)}"><div class="count">[${count}]</div><div class="body"><pre class="source" dir="ltr"><code>${code}</code></pre>${outputs}</div></section>`;
  }

  #output(output: Output): string {
    switch (output.output_type) {
      case "stream":
        return `<pre class="stream ${output.name}" dir="auto">${escapeHtml(terminalText(output.text))}</pre>`;
      case "error":
        return `<pre class="error" dir="auto">${escapeHtml(terminalText(output.traceback.length > 0 ? output.traceback.join("\n") : `${output.ename}: ${output.evalue}`))}</pre>`;
      default:
        return `<div class="output">${this.#bundle(output.data)}</div>`;
    }
  }

  /** The richest form that a page without a kernel can show. */
  #bundle(data: MimeBundle): string {
    const text = (mime: string): string | undefined => (typeof data[mime] === "string" ? (data[mime] as string) : undefined);
    if (data[PLOTLY_MIME] !== undefined) {
      this.#plots.push(data[PLOTLY_MIME]);
      return `<div class="plot" id="plot-${this.#plots.length - 1}"></div>`;
    }
    const html = text("text/html");
    if (html !== undefined) return html;
    const svg = text("image/svg+xml");
    if (svg !== undefined) return `<img alt="" src="data:image/svg+xml;base64,${Buffer.from(svg).toString("base64")}">`;
    for (const mime of ["image/png", "image/jpeg", "image/gif", "image/webp"]) {
      const image = text(mime);
      if (image !== undefined) return `<img alt="" src="data:${mime};base64,${image.replace(/\s/g, "")}">`;
    }
    const markdown = text("text/markdown");
    if (markdown !== undefined) return renderMarkdown(markdown, { attachments: {} });
    const plain = text("text/plain") ?? text("text/latex");
    if (plain !== undefined) return `<pre dir="auto">${escapeHtml(terminalText(plain))}</pre>`;
    return `<pre class="unknown">${escapeHtml(`no form of this output can be shown here: ${Object.keys(data).join(", ")}`)}</pre>`;
  }

  scripts(): string {
    if (this.#plots.length === 0) return "";
    const plotly = readFileSync(require.resolve("plotly.js-dist-min/plotly.min.js"), "utf8").replace(/<\/script/gi, "<\\/script");
    return `<script>${plotly}</script><script type="application/json" id="plots">${scriptJson(this.#plots)}</script><script>${DRAW_PLOTS}</script>`;
  }
}

const DRAW_PLOTS = `JSON.parse(document.getElementById("plots").textContent).forEach((plot, at) => {
  Plotly.newPlot("plot-" + at, plot.data, plot.layout ?? {}, { responsive: true, displaylogo: false, ...(plot.config ?? {}) });
});`;

function firstHeading(notebook: Notebook): string | undefined {
  for (const cell of notebook.cells) {
    const match = cell.cell_type === "markdown" ? /^#{1,6}\s+(.+)$/m.exec(cell.source) : null;
    if (match !== null) return match[1]!.replace(/[*_`]/g, "").trim();
  }
  return undefined;
}

/** Cells as parts of a page: their HTML, and the scripts that draw their plots, which go behind it. */
export function renderCells(cells: readonly Cell[], options: HtmlOptions = {}): { html: string; scripts: string } {
  const page = new Page(options);
  const html = cells.map((cell) => page.cell(cell)).join("\n");
  return { html, scripts: page.scripts() };
}

export function renderNotebookHtml(notebook: Notebook, options: HtmlOptions = {}): string {
  const title = options.title ?? firstHeading(notebook) ?? "Notebook";
  const { html, scripts } = renderCells(notebook.cells, options);
  return htmlDocument(title, html, scripts);
}
