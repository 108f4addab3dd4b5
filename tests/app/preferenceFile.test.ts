import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { load_dataset, preferenceExamples } from "../../src/data/index.js";
import { PreferenceFile } from "../../src/app/preferenceFile.js";
import type { Json } from "./apps.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "preflab-preferences-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const prompt = [{ role: "user", content: "Are you human?" }];
const rows = (path: string): Json[] =>
  readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

test("side by side, one vote is a pair; equal answers and repeated votes are none", async () => {
  const path = join(folder, "new", "pairs.jsonl");
  const file = new PreferenceFile(path);
  await file.open();
  expect(await file.vote({ prompt, answer: "No.", liked: true, other: "Yes." })).toEqual({
    added: 1,
    pairs: 1,
    note: "1 pair saved, 1 in all",
  });
  expect(await file.vote({ prompt, answer: "Yes.", liked: false, other: "No." })).toMatchObject({
    added: 0,
    note: "This pair is saved already",
  });
  expect(await file.vote({ prompt, answer: "No.", liked: true, other: "No." })).toMatchObject({
    added: 0,
    note: expect.stringMatching(/nothing to learn/),
  });
  expect(await file.vote({ prompt, answer: "Perhaps.", liked: false, other: "لا" })).toMatchObject({ added: 1, pairs: 2 });
  expect(rows(path)[1]).toEqual({
    prompt,
    chosen: [{ role: "assistant", content: "لا" }],
    rejected: [{ role: "assistant", content: "Perhaps." }],
  });
  const dataset = await load_dataset(path);
  expect(preferenceExamples(dataset)).toHaveLength(2);
});

test("one after the other, a liked and a disliked answer to the same prompt are a pair", async () => {
  const path = join(folder, "single.jsonl");
  const file = new PreferenceFile(path);
  expect(await file.vote({ prompt, answer: "A", liked: false, other: null })).toMatchObject({
    added: 0,
    note: expect.stringMatching(/^Noted/),
  });
  expect(await file.vote({ prompt: [{ role: "user", content: "Else?" }], answer: "B", liked: true, other: null })).toMatchObject({
    added: 0,
  });
  expect(await file.vote({ prompt, answer: "C", liked: false, other: null })).toMatchObject({ added: 0 });
  expect(await file.vote({ prompt, answer: "D", liked: true, other: null })).toMatchObject({ added: 2, pairs: 2 });
  // A change of mind takes the vote back; what is written stays.
  expect(await file.vote({ prompt, answer: "A", liked: true, other: null })).toMatchObject({ added: 1 });
  expect(rows(path).map(({ chosen, rejected }) => chosen[0].content + rejected[0].content)).toEqual(["DA", "DC", "AC"]);
});

test("goes on from what is there, also after a line without an end; other content is refused", async () => {
  const path = join(folder, "old.jsonl");
  const first = new PreferenceFile(path);
  await first.vote({ prompt, answer: "A", liked: true, other: "B" });
  writeFileSync(path, readFileSync(path, "utf8").trimEnd());
  const again = new PreferenceFile(path);
  const both = await Promise.all([
    again.vote({ prompt, answer: "A", liked: true, other: "B" }),
    again.vote({ prompt, answer: "C", liked: true, other: "B" }),
  ]);
  expect(both.map(({ added }) => added)).toEqual([0, 1]);
  expect(rows(path)).toHaveLength(2);
  writeFileSync(join(folder, "torn.jsonl"), '{"prompt": 1}\n');
  await expect(new PreferenceFile(join(folder, "torn.jsonl")).open()).rejects.toMatchObject({
    name: "DataError",
    message: expect.stringMatching(/torn\.jsonl row 0/),
  });
  writeFileSync(join(folder, "text.jsonl"), "hello");
  await expect(new PreferenceFile(join(folder, "text.jsonl")).open()).rejects.toMatchObject({ code: "data_json" });
});
