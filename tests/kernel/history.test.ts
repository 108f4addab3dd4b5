import { expect, test } from "vitest";
import { History, matchesGlob } from "../../kernel-ext/history.js";

const history = new History();
["let a = 1;", "a + 1", "let b = 2;", "a + 1"].forEach((input, at) => history.add(at + 1, input));
history.setOutput(2, "2");
history.setOutput(4, "2");

test("tail gives the last n, with outputs where they are asked for", () => {
  expect(history.answer({ hist_access_type: "tail", n: 2 })).toEqual([
    [0, 3, "let b = 2;"],
    [0, 4, "a + 1"],
  ]);
  expect(history.answer({ hist_access_type: "tail", n: 2, output: true })).toEqual([
    [0, 3, ["let b = 2;", null]],
    [0, 4, ["a + 1", "2"]],
  ]);
  expect(history.answer({ hist_access_type: "tail", n: 0 })).toEqual([]);
});

test("range gives cells of this session from start, without stop; there are no earlier sessions", () => {
  expect(history.answer({ hist_access_type: "range", session: 0, start: 2, stop: 4 }).map((row) => row[1])).toEqual([2, 3]);
  expect(history.answer({ hist_access_type: "range", session: -1, start: 0, stop: 4 })).toEqual([]);
});

test("search takes a glob, and drops repetitions when asked to", () => {
  const search = (rest: object): unknown[] => history.answer({ hist_access_type: "search", ...rest }).map((row) => row[1]);
  expect(search({ pattern: "let*" })).toEqual([1, 3]);
  expect(search({ pattern: "a ? 1" })).toEqual([2, 4]);
  expect(search({ pattern: "a ? 1", unique: true })).toEqual([4]);
  expect(search({ pattern: "*", n: 1 })).toEqual([4]);
});

test("globs match whole texts, regular expressions mean nothing in them, and many stars are quick", () => {
  expect(matchesGlob("a.b", "a.b")).toBe(true);
  expect(matchesGlob("axb", "a.b")).toBe(false);
  expect(matchesGlob("abcab", "*ab")).toBe(true);
  expect(matchesGlob("abc", "*b")).toBe(false);
  expect(matchesGlob("", "**")).toBe(true);
  expect(matchesGlob("a\nb", "a*b")).toBe(true);
  expect(matchesGlob("a".repeat(20_000), `${"*a".repeat(12)}*b`)).toBe(false);
});
