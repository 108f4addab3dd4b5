import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { plotlyFigure } from "../../src/notebook/index.js";
import { displaySymbol } from "../../src/notebook/mime.js";

const spec = { data: [{ type: "bar", name: "</script><b>", x: ["a"], y: [1] }], layout: { title: { text: "Wins" }, height: 300 } };

test("a figure goes out as Plotly JSON, as a page that requests nothing, and as text", () => {
  const bundle = plotlyFigure(spec)[displaySymbol]();
  expect(Object.keys(bundle)).toEqual(["application/vnd.plotly.v1+json", "text/html", "text/plain"]);
  expect(bundle["application/vnd.plotly.v1+json"]).toMatchObject(spec);
  expect(bundle["text/plain"]).toBe("Plotly figure: Wins\n</script><b>: bar");
  const html = String(bundle["text/html"]);
  expect(html).toMatch(/^<iframe sandbox="allow-scripts" title="figure" style="width:100%;height:320px;border:0" srcdoc="/);
  expect(html).not.toMatch(/ src=|https?:\/\//);
  const page = plotlyFigure(spec).toHtml();
  expect(page).not.toContain("</script><b>");
  const packed = /atob\("([^"]+)"\)/.exec(page)![1]!;
  expect(gunzipSync(Buffer.from(packed, "base64")).toString("utf8")).toContain("newPlot");
});

test("what is no figure is refused", () => {
  expect(() => plotlyFigure({ data: "bar" } as never)).toThrow(
    'plotlyFigure: data must be a list of traces, got string; pass { data: [{ type: "bar", x, y }], layout: {} }',
  );
  expect(() => plotlyFigure(undefined as never)).toThrow(expect.objectContaining({ code: "plotly_data" }));
});
