import { readFile } from "node:fs/promises";
import { parquetWriteBuffer } from "hyparquet-writer";
import { describe, expect, it } from "vitest";
import writeXlsxFile from "write-excel-file/node";
import { load_dataset } from "../../src/data/index.js";
import { Random } from "../../src/random.js";
import { fixture, useScratch } from "./fixtures.js";

const scratch = useScratch();

/** The rows that fixtures/make.py wrote. */
const ROWS = [
  { prompt: "Is ice warm?", chosen: " No, it is cold.", rejected: " Yes.", score: 0.5, id: 7, big: 2n ** 60n + 1n, ok: true, note: null },
  {
    prompt: "ما اسم هذه النبتة؟",
    chosen: " اسمها النعناع.",
    rejected: " لا أعرف 🍵.",
    score: -1.25,
    id: 8,
    big: 3,
    ok: false,
    note: "007",
  },
  { prompt: 'two\nlines, "quoted"', chosen: "  spaces  ", rejected: "", score: null, id: 9, big: null, ok: null, note: "" },
];
const COLUMNS = ["prompt", "chosen", "rejected", "score", "id", "big", "ok", "note"];

describe("files written by Python's datasets, pandas and openpyxl", () => {
  it("parquet", async () => {
    const dataset = await load_dataset(fixture("plain.parquet"));
    expect(dataset.column_names).toEqual(COLUMNS);
    expect(dataset.rows()).toEqual(ROWS);
  });

  it("parquet with zstd, by pandas, where integers beside nulls are floats", async () => {
    const rows = (await load_dataset(fixture("plain-zstd.parquet"))).rows();
    expect(rows).toEqual(ROWS.map((row) => ({ ...row, big: row.big === null ? null : Number(row.big) })));
  });

  it("parquet with lists of structs", async () => {
    const rows = (await load_dataset(fixture("chats.parquet"))).rows();
    expect(rows[0]).toEqual({
      prompt: [{ role: "user", content: "One?" }],
      chosen: [{ role: "assistant", content: "Two." }],
      rejected: [
        { role: "assistant", content: "None.", name: null },
        { role: "user", content: "No?", name: null },
        { role: "assistant", content: "", name: null },
      ],
    });
    expect(rows[1]!["rejected"]).toEqual([{ role: "assistant", content: "x", name: "n" }]);
  });

  it("jsonl", async () => {
    const dataset = await load_dataset(fixture("plain.jsonl"));
    expect(dataset.column_names).toEqual(COLUMNS);
    // JSON numbers are doubles.
    expect(dataset.rows()).toEqual(ROWS.map((row) => ({ ...row, big: row.big === null ? null : Number(row.big) })));
  });

  it("csv: all cells are text, an empty cell is null", async () => {
    const rows = (await load_dataset(fixture("text.csv"))).rows();
    expect(rows).toEqual(
      ROWS.map(({ prompt, chosen, rejected, note }) => ({ prompt, chosen, rejected: rejected || null, note: note || null })),
    );
  });

  it("xlsx: first sheet, spaces kept, blank lines skipped", async () => {
    const rows = (await load_dataset(fixture("book.xlsx"))).rows();
    expect(rows).toEqual(
      ROWS.map(({ prompt, chosen, rejected, score, ok }) => ({ prompt, chosen, rejected: rejected || null, score, ok })),
    );
    for (const sheet of ["other", 2]) expect((await load_dataset(fixture("book.xlsx"), { sheet })).rows()).toEqual([{ a: "007" }]);
    await expect(load_dataset(fixture("book.xlsx"), { sheet: "Pairs" })).rejects.toThrow('must have the sheet "Pairs", got pairs, other');
  });
});

describe("json", () => {
  it.each([
    [
      "a list of objects",
      '\uFEFF[{"a": 1}, {"b": "x"}]',
      {},
      [
        { a: 1, b: null },
        { a: null, b: "x" },
      ],
    ],
    [
      "columns",
      '{"a": [1, 2], "b": ["x", null]}',
      {},
      [
        { a: 1, b: "x" },
        { a: 2, b: null },
      ],
    ],
    ["JSON Lines under the name .json", '{"a": 1}\n\n{"a": 2}\n', {}, [{ a: 1 }, { a: 2 }]],
    ["rows under a field", '{"version": 1, "data": [{"a": 1}]}', { field: "data" }, [{ a: 1 }]],
  ])("reads %s", async (title, content, options, rows) => {
    expect((await load_dataset(await scratch.write(`${title}.json`, content), options)).rows()).toEqual(rows);
  });

  it.each([
    ["empty", "  \n", /must hold a list of rows, got an empty file/],
    ["broken", '[{"a": "a long text"},\n{"a": },\n{"a": "another long text"}]', /must be JSON; .*\(line 2\); fetch or write it again/s],
    ["truncated", '[{"a": "a long text"},\n{"a": "x"},\n{"a": "anoth', /must be JSON; .*\(line 3.*\); fetch or write it again/s],
    ["open", '[{"a": "a long text"},\n{"a": 3},\n', /must be JSON; .*\(line 3\); fetch or write it again/s],
    ["number", "42", /must hold a list of rows, got a number \(42\); write a list of objects/],
    ["row", "[1]", /row 0: a row must be an object, got a number \(1\)/],
    [
      "nested",
      '{"version": 1, "data": [{"a": 1}]}',
      /got an object with the fields version, data; pass { field: "data" } if the rows are there/,
    ],
    ["uneven", '{"a": [1], "b": []}', /columns must have one length, got 1 values in a and 0 in b/],
    ["lines", '{"a": 1}\n{"a": \n', /row 1: line 2 must be one JSON object/],
  ])("refuses %s", async (title, content, message) => {
    const loading = load_dataset(await scratch.write(`bad-${title}.json`, content));
    await expect(loading).rejects.toThrow(message);
    await expect(loading).rejects.toMatchObject({ name: "DataError", code: "data_malformed" });
  });

  it("names the fields when the wanted one is missing", async () => {
    await expect(load_dataset(await scratch.write("field.json", '{"rows": []}'), { field: "data" })).rejects.toThrow(
      'must have the field "data", got the fields rows',
    );
  });
});

describe("jsonl", () => {
  it("splits at line feeds only, over chunk borders, with or without a last one", async () => {
    // U+2028 is a line break to many tools, but plain text in JSON.
    const texts = Array.from({ length: 3000 }, (_, i) => `line ${i} \u2028 ${"ش".repeat(i % 50)}`);
    const file = await scratch.write("long.jsonl", texts.map((text) => JSON.stringify({ text })).join("\r\n"));
    expect((await load_dataset(file)).column("text")).toEqual(texts);
  });

  it.each([
    ["a broken line", '{"a": 1}\n\n{"a": "x}\n{"a": 3}\n', /bad.jsonl row 1: line 3 must be one JSON object; /],
    ["a line that is no object", '{"a": 1}\n[1]\n', /row 1: line 2 must be one JSON object, got a list$/],
    ["a JSON list", '[\n{"a": 1}\n]', /line 1 must be one JSON object; .*; if the file is one JSON list, name it .json/],
    ["a truncated last line", '{"a": 1}\n{"a": "hal', /row 1: line 2 must be one JSON object/],
  ])("refuses %s with its line number", async (_, content, message) => {
    const loading = load_dataset(await scratch.write("bad.jsonl", content));
    await expect(loading).rejects.toThrow(message);
    await expect(loading).rejects.toMatchObject({ code: "data_malformed" });
  });

  it("refuses bytes that are no UTF-8, with the line", async () => {
    const bytes = Buffer.concat([Buffer.from('{"a": 1}\n{"a": "'), Buffer.from([0xe9]), Buffer.from('"}\n')]);
    const loading = load_dataset(await scratch.write("latin.jsonl", bytes));
    await expect(loading).rejects.toThrow(/latin.jsonl row 1: line 2: text must be UTF-8/);
    await expect(loading).rejects.toMatchObject({ code: "data_encoding", row: 1 });
  });
});

describe("csv", () => {
  it("tells an empty cell from empty text in quotes, and skips blank lines", async () => {
    const file = await scratch.write("empty.csv", '\uFEFFprompt,chosen\n,""\n\n"a ""b""\nc", d \n');
    expect((await load_dataset(file)).rows()).toEqual([
      { prompt: null, chosen: "" },
      { prompt: 'a "b"\nc', chosen: " d " },
    ]);
  });

  it("reads tabs for .tsv and any delimiter asked for", async () => {
    expect((await load_dataset(await scratch.write("t.tsv", "a\tb\n1,5\t2\n"))).rows()).toEqual([{ a: "1,5", b: "2" }]);
    expect((await load_dataset(await scratch.write("s.csv", "a;b\n1,5;2\n"), { delimiter: ";" })).rows()).toEqual([{ a: "1,5", b: "2" }]);
  });

  it("parses columns of conversations written as JSON text", async () => {
    const cell = (value: unknown): string => `"${JSON.stringify(value).replaceAll('"', '""')}"`;
    const turns = [{ role: "user", content: "One, two?" }];
    const file = await scratch.write("chat.csv", `prompt,note\n${cell(turns)},"[1]"\n,x\n`);
    expect((await load_dataset(file)).rows()).toEqual([
      { prompt: turns, note: "[1]" },
      { prompt: null, note: "x" },
    ]);
    const bad = await scratch.write("chat-bad.csv", `prompt\n${cell(turns)}\nOne?\n`);
    await expect(load_dataset(bad)).rejects.toThrow(
      /chat-bad.csv row 1: prompt must hold messages as JSON text, as its first cell does, got "One\?"/,
    );
  });

  it.each([
    ["empty", "", "data_malformed", /must start with a header line of column names, got an empty file/],
    ["short", "a,b\n1,2\n3\n", "data_malformed", /short.csv row 1: must be CSV; .*; put quotes around cells that contain the delimiter/],
    ["quote", 'a,b\n1,"2\n', "data_malformed", /must be CSV; .*; close the quote/],
    ["semicolons", "a;b\n1;2\n", "data_malformed", /the header is one column, "a;b", that contains ";"; pass { delimiter: ";" }/],
    ["repeated", "a,a\n1,2\n", "data_columns", /column names must differ, got "a" twice \(columns 1 and 2\); rename one/],
    ["nameless", "a,\n1,2\n", "data_columns", /column 2 must have a name in the header line, got an empty cell/],
  ])("refuses %s", async (title, content, code, message) => {
    const loading = load_dataset(await scratch.write(`${title}.csv`, content));
    await expect(loading).rejects.toThrow(message);
    await expect(loading).rejects.toMatchObject({ name: "DataError", code });
  });

  it("refuses a file in an older encoding", async () => {
    const loading = load_dataset(await scratch.write("windows.csv", Buffer.from([0x61, 0x0a, 0xe3, 0xc7, 0x0a])));
    await expect(loading).rejects.toThrow(
      /text must be UTF-8, got other bytes; save the file again as UTF-8 \(in a spreadsheet: "CSV UTF-8"\)/,
    );
  });
});

describe("parquet", () => {
  it("reads what hyparquet-writer writes", async () => {
    const buffer = parquetWriteBuffer({
      columnData: [
        { name: "a", data: ["x", "ش"] },
        { name: "n", data: [1, 2], type: "INT32" },
      ],
    });
    expect((await load_dataset(await scratch.write("own.parquet", new Uint8Array(buffer)))).rows()).toEqual([
      { a: "x", n: 1 },
      { a: "ش", n: 2 },
    ]);
  });

  it("refuses a file cut at any place", async () => {
    const whole = await readFile(fixture("plain.parquet"));
    for (const length of [0, 3, 8, 100, 1000, whole.length - 5, whole.length - 1]) {
      const loading = load_dataset(await scratch.write("cut.parquet", whole.subarray(0, length)));
      await expect(loading, `${length} bytes`).rejects.toThrow(/cut.parquet: must be a whole Parquet file; .*; download or write it again/);
      await expect(loading).rejects.toMatchObject({ name: "DataError", code: "data_malformed" });
    }
  });

  it("never fails otherwise than with a DataError on damaged bytes", async () => {
    const whole = await readFile(fixture("plain.parquet"));
    const random = new Random(3);
    let refused = 0;
    for (let round = 0; round < 150; round++) {
      const bytes = Buffer.from(whole);
      // Half of the damage hits the footer, where the offsets and sizes are.
      const from = round % 2 === 0 ? 0 : bytes.length - 1200;
      for (let hit = 0; hit < 3; hit++) bytes[from + random.integer(bytes.length - from)] = random.integer(256);
      const error = await load_dataset(await scratch.write("damaged.parquet", bytes)).then(
        () => undefined,
        (reason: unknown) => reason as Error,
      );
      if (error === undefined) continue;
      refused += 1;
      expect(error).toMatchObject({ name: "DataError" });
    }
    expect(refused).toBeGreaterThan(20);
  });
});

describe("xlsx", () => {
  it("reads types, conversations as JSON text, and rich text", async () => {
    const turns = [{ role: "user", content: "One?" }];
    const bytes = await writeXlsxFile([
      ["prompt", "n", "when"],
      [JSON.stringify(turns), 1.5, new Date(Date.UTC(2020, 0, 2))].map((value) =>
        value instanceof Date ? { value, type: Date, format: "yyyy-mm-dd" } : { value },
      ),
    ] as never).toBuffer();
    expect((await load_dataset(await scratch.write("types.xlsx", bytes))).rows()).toEqual([
      { prompt: turns, n: 1.5, when: new Date(Date.UTC(2020, 0, 2)) },
    ]);
  });

  it.each([
    ["text", Buffer.from("prompt,chosen\n"), /must be a whole .xlsx workbook; .*; save it again as .xlsx/],
    ["nothing", Buffer.alloc(0), /must be a whole .xlsx workbook/],
    ["zeros", Buffer.alloc(2000), /must be a whole .xlsx workbook/],
  ])("refuses %s", async (title, content, message) => {
    const loading = load_dataset(await scratch.write(`${title}.xlsx`, content));
    await expect(loading).rejects.toThrow(message);
    await expect(loading).rejects.toMatchObject({ name: "DataError", code: "data_malformed" });
  });

  it("refuses a file cut at any place", async () => {
    const whole = await readFile(fixture("book.xlsx"));
    for (const length of [10, 500, 2000, whole.length - 30]) {
      await expect(load_dataset(await scratch.write("cut.xlsx", whole.subarray(0, length))), `${length} bytes`).rejects.toMatchObject({
        name: "DataError",
        code: "data_malformed",
      });
    }
  });

  it("refuses an empty sheet and a column without a name", async () => {
    const empty = await writeXlsxFile([[]] as never).toBuffer();
    await expect(load_dataset(await scratch.write("empty.xlsx", empty))).rejects.toThrow(
      /must start with a line of column names, got an empty sheet/,
    );
    const nameless = await writeXlsxFile(
      [
        ["a", null],
        [1, 2],
      ].map((line) => line.map((value) => (value === null ? null : { value }))) as never,
    ).toBuffer();
    await expect(load_dataset(await scratch.write("nameless.xlsx", nameless))).rejects.toThrow(
      /column 2 must have a name in the header line, got an empty cell/,
    );
  });
});
