import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Dataset, load_dataset } from "../../src/data/index.js";
import type { TransferProgress } from "../../src/data/repository.js";
import { DatasetCard, ModelCard, downloadRepository, upload_folder } from "../../src/hub/index.js";
import { AutoModelForCausalLM, LoraConfig, type PeftModel, get_peft_model } from "../../src/model/index.js";
import { TestHub } from "./testHub.js";
import { failure, useHub } from "./useHub.js";

const scene = useHub();
const TINY = new URL("../golden/tiny-qwen2", import.meta.url).pathname;
const quiet = { progress: false } as const;
const login = () => vi.stubEnv("HF_TOKEN", "hf_good");
const silence = () => vi.spyOn(console, "log").mockReturnValue();

/** A folder with these files. */
function folderOf(files: Record<string, string | Buffer>): string {
  const folder = mkdtempSync(join(scene.root, "folder-"));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(folder, path, ".."), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}

describe("create_pr", () => {
  let adapter: PeftModel;
  beforeAll(async () => {
    adapter = get_peft_model(
      await AutoModelForCausalLM.from_pretrained(TINY, { engine: "eager", backend: "cpu" }),
      new LoraConfig({ r: 2 }),
    );
  });
  afterAll(() => adapter.dispose());

  test("proposes an adapter in somebody else's repository, which stays as it is", async () => {
    await scene.hub.commit("model", "carol/shared", { "README.md": "hers" });
    login();
    const options = { ...quiet, create_pr: true, commit_message: "My adapter", commit_description: "Trained at home" };
    const { url, pr_url, commit } = await adapter.push_to_hub("carol/shared", options);
    expect([url, pr_url]).toEqual([`${scene.hub.url}/carol/shared`, `${scene.hub.url}/carol/shared/discussions/1`]);
    expect(await scene.hub.head("model", "carol/shared")).toEqual({ "README.md": "hers" });
    expect(Object.keys(await scene.hub.head("model", "carol/shared", "refs/pr/1"))).toEqual(
      expect.arrayContaining(["README.md", "adapter_config.json", "adapter_model.safetensors"]),
    );
    expect((await scene.hub.commits("model", "carol/shared", "refs/pr/1")).at(-1)).toMatchObject({
      hash: commit,
      title: "My adapter",
      description: "Trained at home",
    });
    expect(await failure(adapter.push_to_hub("carol/shared", { ...quiet, local_dir: join(scene.root, "kept") }))).toMatchObject({
      code: "hub_forbidden",
    });
  });
});

describe("push_to_hub of a data set", () => {
  const rows = [
    { prompt: "a", chosen: "über", rejected: "", extra: { n: [1, null, true] } },
    { prompt: "b\n", chosen: "x", rejected: "y", extra: null },
  ];

  test("is read back as it was, split by split, and keeps the card", async () => {
    login();
    const { url } = await Dataset.from_rows(rows).push_to_hub("alice/pairs", { ...quiet, private: true });
    expect(url).toBe(`${scene.hub.url}/datasets/alice/pairs`);
    expect(await scene.hub.isPrivate("dataset", "alice/pairs")).toBe(true);
    expect(Object.keys(await scene.hub.head("dataset", "alice/pairs")).sort()).toEqual([
      ".gitattributes",
      "README.md",
      "data/train-00000-of-00001.jsonl",
    ]);
    await Dataset.from_rows(rows.slice(0, 1)).push_to_hub("alice/pairs", { ...quiet, split: "test" });
    await scene.hub.commit("dataset", "alice/pairs", { "README.md": "mine", "data/train-00001-of-00002.jsonl": "{}\n" });
    await Dataset.from_rows(rows).push_to_hub("pairs", quiet);
    expect((await load_dataset("alice/pairs", quiet)).rows()).toEqual(rows);
    expect((await load_dataset("alice/pairs", { ...quiet, split: "test" })).rows()).toEqual(rows.slice(0, 1));
    expect((await scene.hub.head("dataset", "alice/pairs"))["README.md"]).toBe("mine");
  });

  test("keeps large integers and refuses what JSON cannot hold", async () => {
    silence();
    const local_dir = join(scene.root, "out");
    const big = Dataset.from_rows([{ id: 2n ** 60n, at: new Date(0) }]);
    expect(await big.push_to_hub("alice/big", { local_dir })).toMatchObject({ directory: local_dir, url: null });
    expect(readFileSync(join(local_dir, "data/train-00000-of-00001.jsonl"), "utf8")).toBe(
      '{"id":1152921504606846976,"at":"1970-01-01T00:00:00.000Z"}\n',
    );
    for (const value of [NaN, new Uint8Array(2), () => 1]) {
      const error = await failure(Dataset.from_rows([{ ok: 1 }, { value }], { file: "x.jsonl" }).push_to_hub("alice/big", { local_dir }));
      expect(error).toMatchObject({ name: "DataError", code: "data_type" });
      expect(error.message).toMatch(/^x.jsonl row 1: push_to_hub: JSON must be able to hold the value, got /);
    }
    expect(await failure(big.push_to_hub("alice/big", { split: "val" }))).toMatchObject({ name: "ConfigError", code: "split" });
    expect(await failure(big.push_to_hub("alice/big", { splt: "x" } as object))).toMatchObject({ code: "option_unknown" });
  });
});

describe("a card", () => {
  const content = "---\ntags: [dpo]\nyes: no\n---\n# Mine\n";

  test("is pushed, loaded and saved", async () => {
    login();
    const card = new ModelCard(content);
    expect([card.data, card.text]).toEqual([{ tags: ["dpo"], true: false }, "# Mine\n"]);
    await card.push_to_hub("alice/tiny", quiet);
    expect((await scene.hub.head("model", "alice/tiny"))["README.md"]).toBe(content);
    expect((await ModelCard.load("alice/tiny", quiet)).content).toBe(content);
    await new DatasetCard(content).push_to_hub("alice/tiny", { ...quiet, create_pr: true });
    expect((await scene.hub.head("dataset", "alice/tiny", "refs/pr/1"))["README.md"]).toBe(content);
    await card.save(join(scene.root, "new/card.md"));
    expect((await DatasetCard.load(join(scene.root, "new/card.md"))).content).toBe(content);
    expect(await failure(new ModelCard("---\na: [\n---\n").push_to_hub("alice/tiny", quiet))).toMatchObject({ code: "hub_card" });
    expect(await failure(ModelCard.load(join(scene.root, "none.md")))).toMatchObject({ code: "hub_card" });
  });
});

describe("upload_folder", () => {
  test("commits exactly what lies there, links by what they lead to, without checkpoints and hidden files", async () => {
    login();
    const weights = Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 256));
    const folder = folderOf({
      "adapter_model.safetensors": weights,
      "a/b.json": "{}",
      "empty.txt": "",
      ".env": "x",
      "checkpoint-5/w.bin": "x",
      "x.log": "l",
    });
    symlinkSync(join(folder, "a/b.json"), join(folder, "linked.json"));
    const { commit, url } = await upload_folder("alice/run", folder, { ...quiet, ignore_patterns: ["*.log"] });
    expect(url).toBe(`${scene.hub.url}/alice/run`);
    const { ".gitattributes": _, ...files } = await scene.hub.head("model", "alice/run");
    expect(files).toEqual({
      "adapter_model.safetensors": weights.toString("latin1"),
      "a/b.json": "{}",
      "linked.json": "{}",
      "empty.txt": "",
    });
    expect((await scene.hub.commits("model", "alice/run")).at(-1)!.hash).toBe(commit);
    expect(await failure(upload_folder("alice/run", join(scene.root, "none")))).toMatchObject({ code: "folder_path" });
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect(await failure(upload_folder("alice/run", folder))).toMatchObject({ code: "hub_offline" });
    vi.stubEnv("HF_HUB_OFFLINE", undefined);
    expect(await failure(upload_folder("alice/run", folder, { token: false }))).toMatchObject({ code: "hub_token_missing" });
  });

  test("tells the bytes of one large file as they leave, also in parts", async () => {
    login();
    const hub = await TestHub.start(join(scene.root, "parts"), { limits: { partSize: 3_000_000 } });
    vi.stubEnv("HF_ENDPOINT", hub.url);
    try {
      const weights = Buffer.alloc(8_000_000, 7);
      for (const folder of [folderOf({ "w.safetensors": weights.subarray(0, 2_500_000) }), folderOf({ "w.safetensors": weights })]) {
        const told: TransferProgress[] = [];
        await upload_folder("alice/run", folder, { progress: (event) => void told.push(event) });
        const done = told.map(({ done_bytes }) => done_bytes);
        expect(done.at(-1)).toBe(told[0]!.total_bytes);
        expect(done.every((bytes, i) => bytes >= (done[i - 1] ?? 0) && bytes <= told[0]!.total_bytes)).toBe(true);
      }
      expect((await hub.head("model", "alice/run"))["w.safetensors"] === weights.toString("latin1")).toBe(true);
      expect(hub.seen.filter(({ path }) => /^\/lfs\/.*part=/.test(path)).length).toBe(3);
    } finally {
      await hub.stop();
    }
  });

  test("goes on when parts of it fail, also when the hub is too busy for the commit, and commits once", async () => {
    login();
    scene.hub.fail({ match: /^\/lfs\//, dropRequestAfter: 1 });
    scene.hub.fail({ match: /commit\/main/, status: 429, headers: { "retry-after": "1" } });
    await upload_folder("alice/run", folderOf({ "w.safetensors": Buffer.alloc(300_000, 1), "a.txt": "a" }), quiet);
    expect((await scene.hub.commits("model", "alice/run")).length).toBe(2);
  });

  test("whose answer is lost can be repeated: the same files, sent once", async () => {
    login();
    const folder = folderOf({ "w.safetensors": Buffer.alloc(300_000, 1), "a.txt": "a" });
    scene.hub.fail({ match: /commit\/main/, dropAnswer: true });
    expect(await failure(upload_folder("alice/run", folder, quiet))).toMatchObject({ code: "hub_unreachable" });
    scene.hub.takeSeen();
    await upload_folder("alice/run", folder, quiet);
    expect(scene.hub.takeSeen().filter((path) => path.startsWith("PUT"))).toEqual([]);
    expect(Object.keys(await scene.hub.head("model", "alice/run")).sort()).toEqual([".gitattributes", "a.txt", "w.safetensors"]);
  });

  test("too large for the hub says so", async () => {
    login();
    const hub = await TestHub.start(join(scene.root, "small"), { limits: { largestFile: 1000 } });
    vi.stubEnv("HF_ENDPOINT", hub.url);
    try {
      expect(await failure(upload_folder("alice/run", folderOf({ "w.safetensors": Buffer.alloc(2000) }), quiet))).toMatchObject({
        code: "hub_too_large",
        message: expect.stringMatching(/^Hub alice\/run: the files must be within the Hub's limits, got 413/),
      });
      expect(Object.keys(await hub.head("model", "alice/run"))).toEqual([".gitattributes"]);
    } finally {
      await hub.stop();
    }
  });
});

describe("the token", () => {
  // Of a form that only its own value gives away.
  const SECRET = "hf_very-secret.value";

  test("is in no message, cause, output, cache or folder, whatever a server says", async () => {
    vi.stubEnv("HF_TOKEN", SECRET);
    scene.hub.addUser("dave", SECRET);
    const printed: string[] = [];
    for (const name of ["log", "warn", "error"] as const)
      vi.spyOn(console, name).mockImplementation((...texts) => void printed.push(texts.map(String).join(" ")));
    vi.spyOn(process.stdout, "write").mockImplementation((text) => printed.push(String(text)) > 0);
    const errors: Error[] = [];
    const folder = folderOf({ "w.safetensors": Buffer.alloc(3000), "a.txt": "a" });
    for (const match of [/create/, /preupload/, /batch/, /^\/lfs\//, /commit\/main/])
      for (const fault of [
        { status: 403, answer: `{"error":"Bearer ${SECRET} may not"}` },
        { status: 400, headers: { "x-error-message": `Authorization: Bearer ${SECRET}` } },
      ]) {
        scene.hub.fail({ match, ...fault });
        errors.push(await failure(upload_folder("dave/run", folder)));
      }
    // Somebody else's, which this process does not know.
    scene.hub.fail({ match: /create/, status: 400, answer: '{"error":"hf_somebodyelses1234567 may not"}' });
    expect((await failure(upload_folder("dave/run", folder))).message).toContain("got 400 (hf_… may not)");
    scene.hub.fail({ match: /revision/, status: 404, answer: `{"error":"${SECRET}"}` });
    errors.push(await failure(downloadRepository("dave/run", { kind: "model", select: ({ files }) => files })));
    await upload_folder("dave/run", folder);
    await downloadRepository("dave/run", { kind: "model", select: ({ files }) => files });
    await Dataset.from_rows([{ a: 1 }]).push_to_hub("dave/rows");
    vi.restoreAllMocks();
    expect(errors.length).toBe(11);
    for (const error of errors) {
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(SECRET);
      expect(error.message).toMatch(/hf_…|got 40\d/);
    }
    expect(printed.join("\n")).toContain("uploaded");
    expect(printed.join("\n")).not.toContain(SECRET);
    const everywhere = [scene.cache, join(scene.root, "server")];
    for (const top of everywhere)
      for (const entry of readdirSync(top, { recursive: true, withFileTypes: true }))
        if (entry.isFile()) expect(readFileSync(join(entry.parentPath, entry.name), "latin1")).not.toContain(SECRET);
  });

  test("in a file stops the push before anything is sent", async () => {
    vi.stubEnv("HF_TOKEN", SECRET);
    const error = await failure(upload_folder("dave/run", folderOf({ "a/config.json": `{"env": "${SECRET}"}` })));
    expect(error).toMatchObject({ name: "HubError", code: "hub_token_in_file" });
    expect(error.message).toMatch(/^Hub dave\/run: no file may hold the access token, got it in a\/config.json; remove it there/);
    expect(error.message).not.toContain(SECRET);
    expect(scene.hub.seen).toEqual([]);
  });

  test("or a password in HF_ENDPOINT is refused and not shown", async () => {
    for (const endpoint of [`http://alice:${SECRET}@localhost`, SECRET, `ftp://${SECRET}@x`]) {
      vi.stubEnv("HF_ENDPOINT", endpoint);
      const error = await failure(downloadRepository("a/b", { kind: "model", select: () => [] }));
      expect(error).toMatchObject({ code: "hub_endpoint" });
      expect(error.message).not.toContain(SECRET);
    }
  });

  test("of a push that was killed leaves no folder behind for good", async () => {
    login();
    const abandoned = join(tmpdir(), "preflab-push-4194305-abc");
    mkdirSync(abandoned, { recursive: true });
    try {
      await Dataset.from_rows([{ a: 1 }]).push_to_hub("alice/rows", quiet);
      expect(readdirSync(tmpdir()).filter((name) => name.startsWith("preflab-push-4194305"))).toEqual([]);
    } finally {
      rmSync(abandoned, { recursive: true, force: true });
    }
  });
});
