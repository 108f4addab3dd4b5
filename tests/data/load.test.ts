import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { load_dataset } from "../../src/data/index.js";
import { useScratch } from "./fixtures.js";

const scratch = useScratch();

/** Makes a directory of files; each .jsonl holds one row `{"from": name}`, other files the given text. */
async function tree(name: string, files: readonly (string | readonly [string, string])[]): Promise<string> {
  for (const file of files) {
    const [path, content] = typeof file === "string" ? [file, `{"from": "${file}"}\n`] : file;
    await mkdir(dirname(join(scratch.path(name), path)), { recursive: true });
    await writeFile(join(scratch.path(name), path), content);
  }
  return scratch.path(name);
}

describe("load_dataset of a directory", () => {
  it("takes the split that names and folders tell", async () => {
    const dir = await tree("splits", ["train.jsonl", "dev/part-0.jsonl", "en-test.jsonl", "README.md", ".hidden/train.jsonl"]);
    expect((await load_dataset(dir)).column("from")).toEqual(["train.jsonl"]);
    expect((await load_dataset(dir, { split: "validation" })).column("from")).toEqual(["dev/part-0.jsonl"]);
    expect((await load_dataset(dir, { split: "val" })).column("from")).toEqual(["dev/part-0.jsonl"]);
    expect((await load_dataset(dir, { split: "test" })).column("from")).toEqual(["en-test.jsonl"]);
  });

  it("joins shards in order and keeps splits with names of their own apart", async () => {
    const dir = await tree("shards", [
      "data/train_prefs-00001-of-00002.jsonl",
      "data/train_prefs-00000-of-00002.jsonl",
      "data/train_sft-00000-of-00001.jsonl",
    ]);
    const dataset = await load_dataset(dir, { split: "train_prefs" });
    expect(dataset.column("from")).toEqual(["data/train_prefs-00000-of-00002.jsonl", "data/train_prefs-00001-of-00002.jsonl"]);
    expect(dataset.origin(1)).toEqual({ file: join(dir, "data/train_prefs-00001-of-00002.jsonl"), row: 0 });
    await expect(load_dataset(dir)).rejects.toThrow('must hold the split train, got train_prefs, train_sft; pass { split: "train_prefs" }');
  });

  it("takes files without a split as train, and one format of the same rows", async () => {
    const dir = await tree("formats", ["english.jsonl", "arabic.jsonl", ["english.csv", "from\ncsv\n"], ["dataset_info.json", "{}"]]);
    expect((await load_dataset(dir)).column("from")).toEqual(["arabic.jsonl", "english.jsonl"]);
    await expect(load_dataset(dir, { split: "test" })).rejects.toMatchObject({ name: "DataError", code: "data_split" });
  });

  it("unites the columns of files, missing values null", async () => {
    const dir = await tree("columns", [
      ["a.jsonl", '{"x": 1}'],
      ["b.jsonl", '{"y": 2}'],
    ]);
    expect((await load_dataset(dir)).rows()).toEqual([
      { x: 1, y: null },
      { x: null, y: 2 },
    ]);
  });

  it("follows links, each directory once, and skips those that lead nowhere", async () => {
    const dir = await tree("links", ["real/blob"]);
    await symlink(join(dir, "real/blob"), join(dir, "linked.jsonl"));
    await symlink(dir, join(dir, "real/loop"));
    await symlink(join(dir, "gone"), join(dir, "gone.jsonl"));
    expect((await load_dataset(dir)).column("from")).toEqual(["real/blob"]);
  });

  it("says what it looked for", async () => {
    const dir = await tree("none", ["README.md", "data-00000-of-00001.arrow"]);
    await expect(load_dataset(dir)).rejects.toThrow(
      /none: must hold data files \(.parquet, .jsonl, .json, .csv, .tsv, .xlsx\), got none among 2 files; .arrow files come from save_to_disk/,
    );
  });
});

describe("load_dataset of a path", () => {
  it("reads a file whose name tells a split by default and by that name", async () => {
    const dir = await tree("one", ["test.jsonl"]);
    expect((await load_dataset(join(dir, "test.jsonl"))).length).toBe(1);
    expect((await load_dataset(join(dir, "test.jsonl"), { split: "test" })).length).toBe(1);
    await expect(load_dataset(join(dir, "test.jsonl"), { split: "validation" })).rejects.toThrow(
      "must hold the split validation, got a file of the split test",
    );
  });

  it.each([
    ["train[:3]", [0, 1, 2]],
    ["train[8:]", [8, 9]],
    ["train[-2:]", [8, 9]],
    ["train[10%:30%]", [1, 2]],
    ["train[5:100]", [5, 6, 7, 8, 9]],
    ["train[7:3]", []],
  ])("takes the part %s", async (split, rows) => {
    const file = await scratch.write("ten.jsonl", Array.from({ length: 10 }, (_, i) => `{"i": ${i}}`).join("\n"));
    const part = await load_dataset(file, { split });
    expect(part.column("i")).toEqual(rows);
    expect(rows.map((_, i) => part.origin(i).row)).toEqual(rows);
  });

  it("refuses a part that is none", async () => {
    await expect(load_dataset("x", { split: "train[3]" })).rejects.toMatchObject({ name: "ConfigError", code: "split_syntax" });
    await expect(load_dataset("x", { split: "train[:200%]" })).rejects.toThrow("a split's percentage must lie in -100..100, got 200%");
  });

  it("says what was tried for a path that is not there", async () => {
    const dir = await tree("near", ["pairs.jsonl"]);
    const loading = load_dataset(join(dir, "pair.jsonl"));
    await expect(loading).rejects.toMatchObject({ name: "DataError", code: "data_not_found" });
    await expect(loading).rejects.toThrow(
      `must be a file or a directory, got "${join(dir, "pair.jsonl")}" (tried the path ${join(dir, "pair.jsonl")}: nothing is there); did you mean ${join(dir, "pairs.jsonl")}?`,
    );
    // This file imports only src/data; tests/hub fetches ids.
    await expect(load_dataset("jondurbin/truthy-dpo-v0.1")).rejects.toMatchObject({ name: "HubError", code: "hub_not_loaded" });
  });

  it("refuses unknown types and options", async () => {
    const file = await scratch.write("rows.txt", "x");
    await expect(load_dataset(file)).rejects.toThrow(/must be one of .parquet, .*, got .txt; convert or rename it/);
    await expect(load_dataset(file, { spilt: "train" } as object)).rejects.toThrow(
      "load_dataset: unknown option spilt; did you mean split?",
    );
    const json = await scratch.write("rows.jsonl", "{}");
    await expect(load_dataset(json, { delimiter: ";" })).rejects.toThrow(
      /delimiter is for .csv, .tsv files, got it with .*rows.jsonl; leave it out/,
    );
  });
});
