/** Arabic and Hebrew in tables and figures. */
import { describe, expect, test } from "vitest";
import { lineFigure } from "../../src/notebook/figures.js";
import { displaySymbol } from "../../src/notebook/mime.js";
import { htmlTable, rankedTable } from "../../src/notebook/tables.js";

const question = "ما رأيك في أهمية التعليم؟";

describe("tables", () => {
  const rows = [
    { method: "DPO", question, answer: "DPO يقول إن التعليم مهم", tokens: 7 },
    { method: "KTO", question: "Why?", answer: "12", tokens: 1 },
  ];

  test("each cell runs its own way, in a table whose columns keep their order", () => {
    const html = rankedTable(rows, { by: "tokens" })[displaySymbol]() as Record<string, string>;
    const directions = [...html["text/html"]!.matchAll(/<td dir="(\w+)"[^>]*>([^<]*)</g)].map(([, direction, text]) => [text, direction]);
    expect(directions).toEqual([
      ["DPO", "ltr"],
      [question, "rtl"],
      ["DPO يقول إن التعليم مهم", "rtl"],
      ["KTO", "ltr"],
      ["Why?", "ltr"],
      ["12", "auto"],
    ]);
    expect(html["text/html"]).toContain('<table class="preflab-table" dir="ltr"');
  });

  test("a table with Arabic headings begins at the right, with its caption", () => {
    const html = htmlTable({ columns: ["السؤال", "الجواب"], rows: [["ما؟", 1]], index: ["أول"], caption: "جدول الأجوبة" })[
      "text/html"
    ] as string;
    expect(html).toContain('<table class="preflab-table" dir="rtl"');
    expect(html).toContain('<caption dir="rtl"');
    expect([...html.matchAll(/<th dir="(\w+)"/g)].map(([, direction]) => direction)).toEqual(["auto", "rtl", "rtl", "rtl"]);
  });

  test("plain text: Arabic cells are isolated, so that columns do not change places, and padding counts letters alone", () => {
    const text = htmlTable({ columns: ["a", "b", "c"], rows: [["قط", "كلب", "x"]] })["text/plain"];
    expect(text).toBe("a   b    c\n\u2067قط\u2069  \u2067كلب\u2069  x");
  });
});

test("figures: Arabic titles and names are isolated in SVG and in Plotly's JSON; Latin ones are as they were", () => {
  const figure = lineFigure(
    [
      { name: "المكافأة", y: [1, 2] },
      { name: "loss", y: [2, 1] },
    ],
    { title: "منحنى DPO التدريب", x_title: "خطوة" },
  );
  const svg = figure.toSvg();
  for (const label of ["المكافأة", "منحنى DPO التدريب", "خطوة"]) expect(svg).toContain(`>\u2067${label}\u2069</text>`);
  expect(svg).toContain(">loss</text>");
  expect(svg).toContain('direction="ltr"');
  expect(figure.data.map(({ name }) => name)).toEqual(["\u2067المكافأة\u2069", "loss"]);
  expect(figure.layout).toMatchObject({ xaxis: { title: { text: "\u2067خطوة\u2069" } } });
});
