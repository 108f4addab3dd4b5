import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { plotTraining } from "../../src/notebook/figures.js";
import { renderNotebookHtml } from "../../src/notebook/html.js";
import { displaySymbol } from "../../src/notebook/mime.js";
import { formatNotebook, parseNotebook, type CodeCell, type Output } from "../../src/notebook/nbformat.js";
import { terminalText } from "../../src/notebook/terminalText.js";
import { code, markdown, notebookOf } from "./notebooks.js";

function withOutputs(source: string, ...outputs: Output[]): CodeCell {
  return { ...(code(source) as CodeCell), execution_count: 1, outputs };
}
const display = (data: Record<string, unknown>): Output => ({ output_type: "display_data", data, metadata: {} });
const figure = plotTraining([
  { step: 1, epoch: 1, loss: 0.6931, "rewards/chosen": 0, "rewards/rejected": 0, "rewards/margins": 0, "rewards/accuracies": 0 },
  { step: 2, epoch: 2, loss: 0.5, "rewards/chosen": 0.2, "rewards/rejected": -0.1, "rewards/margins": 0.3, "rewards/accuracies": 1 },
]);

describe("renderNotebookHtml", () => {
  test("formulas become MathML, inside a line and on lines of their own; money stays money", () => {
    const html = renderNotebookHtml(notebookOf(markdown("A prompt $x$ with $\\pi_\\theta$ costs $5 and $6.\n\n$$a = b$$\n\nAfter")));
    expect(html).toContain("A prompt <math><mi>x</mi></math> with <math><msub><mi>π</mi><mi>θ</mi></msub></math> costs $5 and $6.</p>");
    expect(html).toMatch(/<math display="block"[^>]*><mrow><mi>a<\/mi><mo>=<\/mo><mi>b<\/mi><\/mrow><\/math>/);
  });

  test("figures: Plotly is put in once, with the data of every figure", () => {
    const html = renderNotebookHtml(
      notebookOf(
        withOutputs("a", display({ ...figure[displaySymbol]() })),
        withOutputs("b", display({ "application/vnd.plotly.v1+json": { data: [{ y: [1, 2], name: "</script><b>" }], layout: {} } })),
      ),
    );
    const plots = JSON.parse(/<script type="application\/json" id="plots">(.*?)<\/script>/s.exec(html)![1]!) as {
      data: { name: string; y: number[] }[];
    }[];
    expect(plots[0]!.data.map((trace) => trace.name)).toEqual(["train", "chosen", "rejected", "margin", "train"]);
    expect(plots[0]!.data[0]!.y).toEqual([0.6931, 0.5]);
    expect(plots[1]!.data[0]!.name).toBe("</script><b>");
    expect(html.match(/id="plot-\d"/g)).toEqual(['id="plot-0"', 'id="plot-1"']);
    expect(html.match(/plotly\.js v\d/g)).toHaveLength(1);
    // What the browser will run: every script element must parse as a whole.
    for (const [, attributes, body] of html.matchAll(/<script([^>]*)>([\s\S]*?)<\/script>/g)) {
      if (!attributes!.includes("json")) expect(() => runInNewContext(`(function () {${body!}\n})`)).not.toThrow();
    }
  });

  test("without figures no script and no Plotly; nothing is fetched from anywhere", () => {
    const html = renderNotebookHtml(
      notebookOf(markdown("# A\n\n![far](https://example.org/x.png)"), withOutputs("1", display({ "text/plain": "1" }))),
    );
    expect(html).not.toContain("<script");
    expect(html).toContain('<a href="https://example.org/x.png">far</a>');
    expect(html).not.toMatch(/(src|href)="https?:[^"]*\.(js|css)|<img[^>]+src="http|@import|url\(http/);
    expect(html.length).toBeLessThan(20_000);
  });

  test("text outputs are escaped, in their own writing direction, as a terminal would show them", () => {
    const html = renderNotebookHtml(
      notebookOf(
        withOutputs(
          "x",
          { output_type: "stream", name: "stdout", text: "\u001b[31m 10%\u001b[0m<b>\r 20%\n" },
          { output_type: "error", ename: "E", evalue: "v", traceback: ["\u001b[1mE: <v>\u001b[0m", "    at cell[1].ts:1:1"] },
          display({ "text/plain": "'<i>'" }),
        ),
      ),
    );
    expect(html).toContain('<pre class="stream stdout" dir="auto"> 20%&lt;b&gt;\n</pre>');
    expect(html).toContain('<pre class="error" dir="auto">E: &lt;v&gt;\n    at cell[1].ts:1:1</pre>');
    expect(html).toContain('<pre dir="auto">&#39;&lt;i&gt;&#39;</pre>');
    expect(html).toContain('class="code failed"');
  });

  test("the richest form that a page can show is taken", () => {
    const shown = (data: Record<string, unknown>): string =>
      /<div class="output">([\s\S]*?)<\/div>\s*<\/div>/.exec(renderNotebookHtml(notebookOf(withOutputs("x", display(data)))))![1]!;
    expect(shown({ "text/html": "<table><tr><td>1</td></tr></table>", "text/plain": "1" })).toBe("<table><tr><td>1</td></tr></table>");
    expect(shown({ "image/png": "AAAA\n", "text/plain": "x" })).toBe('<img alt="" src="data:image/png;base64,AAAA">');
    expect(shown({ "image/svg+xml": "<svg/>", "text/plain": "x" })).toBe(
      `<img alt="" src="data:image/svg+xml;base64,${Buffer.from("<svg/>").toString("base64")}">`,
    );
    expect(shown({ "text/markdown": "**b**", "text/plain": "x" })).toContain("<strong>b</strong>");
    expect(shown({ "application/x-unknown": 1 })).toContain("no form of this output can be shown here: application/x-unknown");
  });

  test("markdown: blocks in their own direction, tables, code; pictures from attachments and files are put in", () => {
    const folder = mkdtempSync(join(tmpdir(), "preflab-html-"));
    writeFileSync(join(folder, "p q.png"), Uint8Array.of(1, 2, 3));
    const cell = {
      ...markdown(
        "# عنوان\n\nنص و `code`\n\n| a | b |\n|---|---|\n| 1 | ٢ |\n\n![file](p%20q.png) ![pasted](attachment:a.png) ![gone](gone.png)",
      ),
      attachments: { "a.png": { "image/png": "BBBB" } },
    };
    const html = renderNotebookHtml(notebookOf(cell as never), { baseDirectory: folder });
    expect(html).toContain('<h1 dir="auto">عنوان</h1>');
    expect(html).toContain("<title>عنوان</title>");
    expect(html).toContain('<td dir="auto">٢</td>');
    expect(html).toContain('<img src="data:image/png;base64,AQID" alt="file">');
    expect(html).toContain('<img src="data:image/png;base64,BBBB" alt="pasted">');
    expect(html).toContain('<a href="gone.png">gone</a>');
  });

  test("code is highlighted and escaped", () => {
    const html = renderNotebookHtml(notebookOf(withOutputs("const a: Map<string, number> = new Map(); // <note>")));
    expect(html).toContain('<span class="hljs-keyword">const</span>');
    expect(html).toContain("&lt;");
    expect(html).not.toContain("<note>");
  });
});

describe("terminalText", () => {
  test.each([
    ["a\rb", "b"],
    ["50%\r100%\nnext", "100%\nnext"],
    ["long line\rshort", "shortline"],
    ["ab\bc", "ac"],
    ["crlf\r\n", "crlf\n"],
    ["\u001b[1;31mred\u001b[0m\u001b[K", "red"],
    ["\u001b]8;;http://x\u0007link\u001b]8;;\u0007", "link"],
  ])("%j → %j", (text, shown) => expect(terminalText(text)).toBe(shown));
});

describe("notebook files", () => {
  test("reading and writing again gives the same bytes as Jupyter's layout", () => {
    const file = `${JSON.stringify({ cells: [{ cell_type: "code", id: "a", metadata: {}, source: ["x\n", "y"], outputs: [{ output_type: "display_data", data: { "text/html": ["<b>\n", "</b>"], "application/json": { a: ["1", "2"] } }, metadata: {} }], execution_count: 3 }], metadata: { k: 1 }, nbformat: 4, nbformat_minor: 5 }, undefined, 1)}\n`;
    const notebook = parseNotebook(file, "f");
    expect(notebook.cells[0]!.source).toBe("x\ny");
    expect(JSON.parse(formatNotebook(notebook))).toEqual(JSON.parse(file));
  });

  test("cells without an id, or with the same, get one of their own", () => {
    const cell = { cell_type: "markdown", metadata: {}, source: "t" };
    const notebook = parseNotebook(
      JSON.stringify({ cells: [cell, { ...cell, id: "a" }, { ...cell, id: "a" }], metadata: {}, nbformat: 4, nbformat_minor: 2 }),
      "f",
    );
    expect(notebook.cells.map(({ id }) => id)).toEqual(["cell-1", "a", "a-copy"]);
    expect(notebook.nbformat_minor).toBe(5);
  });

  test("an unknown kind of cell is refused with its place", () => {
    expect(() => parseNotebook(JSON.stringify({ cells: [{ cell_type: "heading", source: "t" }], nbformat: 4 }), "f.ipynb")).toThrow(
      'f.ipynb: notebook: cell_type must be code, markdown or raw, got "heading" in cell 1',
    );
  });
});
