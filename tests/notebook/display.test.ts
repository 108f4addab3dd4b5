import { DataFrame, Series } from "danfojs-node";
import * as tf from "@tensorflow/tfjs";
import { afterEach, describe, expect, test, vi } from "vitest";
import { display, input, setNotebookHost, toMimeBundle } from "../../src/notebook/display.js";
import { displaySymbol } from "../../src/notebook/mime.js";
import { htmlTable, rankedTable } from "../../src/notebook/tables.js";

afterEach(() => {
  setNotebookHost(undefined);
  vi.restoreAllMocks();
});

describe("toMimeBundle", () => {
  test("plain values as util.inspect shows them", () => {
    expect(toMimeBundle({ a: [1, { b: null }] })).toEqual({ "text/plain": "{ a: [ 1, { b: null } ] }" });
    expect(toMimeBundle(null)).toEqual({ "text/plain": "null" });
    expect(toMimeBundle("é")).toEqual({ "text/plain": "'é'" });
  });

  test("tensors: shape, type, first values; after disposal too", async () => {
    const tensor = tf.tensor2d([
      [1, 2.5],
      [NaN, -4],
    ]);
    expect(await toMimeBundle(tensor)).toEqual({
      "text/plain": "Tensor [2, 2] float32\nmin -4, max 2.5000, mean -0.16667, std 2.7789, 1 not finite\n[1, 2.5000, NaN, -4]",
    });
    tensor.dispose();
    expect(await toMimeBundle(tensor)).toEqual({ "text/plain": "Tensor [2, 2] float32 (disposed)" });
    expect(await toMimeBundle(tf.scalar(3, "int32"))).toEqual({ "text/plain": "Tensor [] int32\n[3]" });
  });

  test("frames and series with missing values, long texts and many rows", async () => {
    const frame = (await toMimeBundle(
      new DataFrame(Array.from({ length: 100 }, (_, i) => ({ id: i, text: i === 0 ? "y".repeat(400) : null }))),
    )) as Record<string, string>;
    expect(frame["text/html"]).toContain("… 80 more rows …");
    expect(frame["text/html"]).toContain(`${"y".repeat(299)}…`);
    expect(frame["text/html"]!.match(/<tr>/g)).toHaveLength(1 + 20 + 1);
    expect(frame["text/plain"]).toContain("DataFrame: 100 rows × 2 columns");
    const series = (await toMimeBundle(new Series([1, null, 3]))) as Record<string, string>;
    expect(series["text/plain"]).toMatch(/Series: 3 rows$/);
  });
});

describe("display", () => {
  test("through the kernel: the first showing makes a place, the handle fills it again", async () => {
    const shown: unknown[] = [];
    const awaited: Promise<unknown>[] = [];
    setNotebookHost({
      display: (data, options) => shown.push([data, options]),
      clearOutput: () => undefined,
      input: () => Promise.resolve("typed"),
      waitFor: (work) => awaited.push(work),
      interruptSignal: () => new AbortController().signal,
      comms: undefined as never,
    });
    const handle = await display({ [displaySymbol]: async () => ({ "text/html": "1" }) }, { display_id: "place" });
    await handle.update(2);
    expect(shown).toEqual([
      [{ "text/html": "1" }, { display_id: "place", update: false }],
      [{ "text/plain": "2" }, { display_id: "place", update: true }],
    ]);
    expect(awaited).toHaveLength(2);
    expect(await input("?")).toBe("typed");
  });

  test("in a plain program it prints, and input says where it works", async () => {
    const written: string[] = [];
    vi.spyOn(process.stdout, "write").mockImplementation((text) => (written.push(String(text)), true));
    await display([1, 2]);
    expect(written).toEqual(["[ 1, 2 ]\n"]);
    await expect(input("?")).rejects.toThrow("input: must run in a notebook cell");
  });
});

describe("tables", () => {
  test("ranks by a column, missing and non-finite values last, ties in their order", () => {
    const rows = [
      { lr: 1, acc: 0.5 },
      { lr: 2, acc: NaN },
      { lr: 3, acc: 0.9 },
      { lr: 4, acc: 0.5 },
      { lr: 5 } as { lr: number; acc: number },
    ];
    expect(rankedTable(rows, { by: "acc" }).rows.map((row) => row.lr)).toEqual([3, 1, 4, 2, 5]);
    expect(rankedTable(rows, { by: "acc", ascending: true }).rows.map((row) => row.lr)).toEqual([1, 4, 3, 2, 5]);
    expect(rankedTable(rows, { by: "acc" }).best).toEqual({ lr: 3, acc: 0.9 });
  });

  test("shows ranks, and markup in data as text", () => {
    const bundle = rankedTable(
      [
        { name: "<a>", loss: 0.25 },
        { name: "b", loss: 0.125 },
      ],
      { by: "loss", ascending: true },
    )[displaySymbol]() as Record<string, string>;
    expect(bundle["text/html"]).toContain('<th dir="auto" style="text-align:start">2</th><td dir="ltr"');
    expect(bundle["text/html"]).toContain("&lt;a&gt;");
    expect(bundle["text/plain"]).toBe("   name  loss\n1  b     0.125\n2  <a>   0.25\nranked by loss");
  });

  test("an unknown column and an empty table are errors where they matter", () => {
    expect(() => rankedTable([{ loss: 1 }], { by: "los" as "loss" })).toThrow(
      "rankedTable: by must be one of loss, got los; did you mean loss?",
    );
    expect(() => rankedTable([] as { loss: number }[], { by: "loss" }).best).toThrow("rankedTable: best needs at least one row");
  });

  test("numbers: whole, short, tiny and huge", () => {
    expect(
      htmlTable({ columns: ["n"], rows: [[3], [0.0004], [0.123456], [1e-5], [0.0001234567], [12345678.9], [Infinity], [true]] })[
        "text/plain"
      ],
    ).toBe("n\n3\n0.0004\n0.1235\n0.00001\n1.235e-4\n1.235e+7\nInfinity\ntrue");
  });
});
