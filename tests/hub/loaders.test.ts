import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readFileTensor } from "../../src/compile/fileTensors.js";
import { load_dataset } from "../../src/data/index.js";
import { isRepositoryId } from "../../src/data/repository.js";
import "../../src/hub/index.js";
import { AutoModelForCausalLM, PeftModel, openCheckpoint, saveCheckpoint } from "../../src/model/index.js";
import { AutoTokenizer } from "../../src/text/index.js";
import { failure, useHub } from "./useHub.js";

const scene = useHub();
const GOLDEN = new URL("../golden/", import.meta.url).pathname;
const TINY = join(GOLDEN, "tiny-qwen2");
const quiet = { progress: false } as const;

/** The files of a folder as they would be committed. */
const folder = (dir: string) =>
  Object.fromEntries(
    readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => [name, readFileSync(join(dir, name))]),
  );
const fetched = () => scene.hub.takeSeen().flatMap((path) => /resolve\/[0-9a-f]{40}\/(.*)/.exec(path)?.[1] ?? []);

describe("from_pretrained of an id", () => {
  const clutter = {
    "README.md": "# x",
    "onnx/model.onnx": "x",
    "pytorch_model.bin": "x",
    "vocab.json": "{}",
    "original/consolidated.safetensors": "x",
  };

  test("fetches the model's files, then the tokenizer's, and no others", async () => {
    await scene.hub.commit("model", "org/tiny", { ...folder(TINY), ...clutter });
    const model = await AutoModelForCausalLM.from_pretrained("org/tiny", { engine: "eager", backend: "cpu", ...quiet });
    expect(fetched()).toEqual(["config.json", "generation_config.json", "model.safetensors"]);
    expect(model.name_or_path).toBe("org/tiny");
    const local = await AutoModelForCausalLM.from_pretrained(TINY);
    expect(model.config).toEqual(local.config);
    const name = "model.embed_tokens.weight";
    const engine = await model.load();
    const golden = await openCheckpoint(TINY);
    expect((await engine.fetch(name)).data).toEqual(readFileTensor(golden.tensors.get(name)!));
    const tokenizer = await AutoTokenizer.from_pretrained("org/tiny", quiet);
    expect(fetched()).toEqual(["tokenizer.json", "tokenizer_config.json"]);
    const same = await AutoTokenizer.from_pretrained(TINY);
    expect(tokenizer.encode("Hello, مرحبا")).toEqual(same.encode("Hello, مرحبا"));
    expect(tokenizer.chat_template).toBe(same.chat_template);
    await model.dispose();
  });

  test("fetches the shards that the index names", async () => {
    const golden = await openCheckpoint(TINY);
    const tensors = [...golden.tensors.values()].map((entry) => [entry.name, entry.shape, readFileTensor(entry)] as const);
    await saveCheckpoint(join(scene.root, "sharded"), golden.config, golden.generationConfig, tensors, { maxShardBytes: 150_000 });
    await scene.hub.commit("model", "org/sharded", { ...folder(join(scene.root, "sharded")), "other.safetensors": "x" });
    const model = await AutoModelForCausalLM.from_pretrained("org/sharded", quiet);
    expect(model.checkpoint.tensors.size).toBe(golden.tensors.size);
    const shards = readdirSync(join(scene.root, "sharded")).filter((name) => name.endsWith(".safetensors"));
    expect(shards.length).toBeGreaterThan(2);
    expect(fetched().sort()).toEqual(["config.json", "generation_config.json", "model.safetensors.index.json", ...shards].sort());
  });

  test("opens an adapter, and tells an adapter from a model", async () => {
    await scene.hub.commit("model", "org/tiny", folder(TINY));
    await scene.hub.commit("model", "org/lora", { ...folder(join(GOLDEN, "lora_final")), "training_args.bin": "x" });
    const base = await AutoModelForCausalLM.from_pretrained("org/tiny", quiet);
    scene.hub.takeSeen();
    const model = await PeftModel.from_pretrained(base, "org/lora", quiet);
    expect(model.wasLoaded).toBe(true);
    expect(fetched()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    expect(await failure(AutoModelForCausalLM.from_pretrained("org/lora", quiet))).toMatchObject({
      name: "ModelError",
      code: "checkpoint_missing",
      message: expect.stringMatching(/^org\/lora: a model must have config.json, .*it is an adapter: open its base model, then PeftModel/),
    });
    expect(await failure(PeftModel.from_pretrained(base, "org/tiny", quiet))).toMatchObject({
      code: "adapter_missing",
      message: expect.stringMatching(/it is a full model/),
    });
  });

  test("refuses options it does not know", async () => {
    const wrong = { revison: "v1" } as object;
    for (const loading of [
      AutoModelForCausalLM.from_pretrained(TINY, wrong),
      AutoTokenizer.from_pretrained(TINY, wrong),
      load_dataset(TINY, wrong),
    ]) {
      expect(await failure(loading)).toMatchObject({
        name: "ConfigError",
        code: "option_unknown",
        message: expect.stringMatching(/unknown option revison; did you mean revision\?$/),
      });
    }
  });

  test("says what a repository lacks before it fetches anything", async () => {
    await scene.hub.commit("model", "org/pickled", { "config.json": "{}", "pytorch_model.bin": "x" });
    expect(await failure(AutoModelForCausalLM.from_pretrained("org/pickled", quiet))).toMatchObject({
      code: "checkpoint_missing",
      message:
        "org/pickled: a model must have model.safetensors or model.safetensors.index.json, got pytorch_model.bin; choose a repository or a revision with safetensors",
    });
    expect(await failure(AutoTokenizer.from_pretrained("org/pickled", quiet))).toMatchObject({ code: "tokenizer_missing" });
    expect(fetched()).toEqual([]);
    for (const index of ["{", "{}", '{"weight_map": {"a": 1}}', '{"weight_map": null}']) {
      await scene.hub.commit("model", "org/index", { "config.json": "{}", "model.safetensors.index.json": index });
      expect(await failure(AutoModelForCausalLM.from_pretrained("org/index", quiet))).toMatchObject({ code: "index_value" });
    }
    await scene.hub.commit("model", "org/index", { "model.safetensors.index.json": '{"weight_map": {"a": "../../x"}}' });
    expect(await failure(AutoModelForCausalLM.from_pretrained("org/index", quiet))).toMatchObject({
      code: "hub_not_found",
      message: expect.stringMatching(/the file must exist, got ..\/..\/x/),
    });
  });
});

describe("a name", () => {
  test("that exists here is a path", async () => {
    cpSync(TINY, join(scene.root, "org/tiny"), { recursive: true });
    const before = process.cwd();
    process.chdir(scene.root);
    try {
      const model = await AutoModelForCausalLM.from_pretrained("org/tiny");
      expect(model.checkpoint.dir).toBe("org/tiny");
      expect(scene.hub.seen).toEqual([]);
      expect(await failure(AutoModelForCausalLM.from_pretrained("org/tiny", { revision: "main" }))).toMatchObject({
        name: "ConfigError",
        code: "revision_of_path",
        message: expect.stringMatching(/revision is for Hub ids, got "main" with the local path org\/tiny/),
      });
    } finally {
      process.chdir(before);
    }
  });

  test("that looks like an id but is a mistyped path is told apart", async () => {
    mkdirSync(join(scene.root, "runs/my-model"), { recursive: true });
    const before = process.cwd();
    process.chdir(scene.root);
    try {
      const error = await failure(AutoModelForCausalLM.from_pretrained("runs/my-modle"));
      expect(error).toMatchObject({ name: "HubError", code: "hub_repository" });
      expect(error.message).toMatch(
        /^Hub runs\/my-modle: must exist at .*There is a local folder runs, but no my-modle in it; did you mean runs\/my-model\?$/,
      );
    } finally {
      process.chdir(before);
    }
  });

  test("that is neither path nor id is one clear error, without a request", async () => {
    for (const name of ["./nowhere/model", "/nowhere/model", "nowhere", "a/b/c", "nowhere/model.safetensors"]) {
      expect(await failure(AutoModelForCausalLM.from_pretrained(name))).toMatchObject({ code: "checkpoint_missing" });
      expect(await failure(AutoTokenizer.from_pretrained(name))).toMatchObject({ code: "tokenizer_missing" });
    }
    expect(await failure(load_dataset("nowhere/pairs.jsonl"))).toMatchObject({
      code: "data_not_found",
      message: expect.stringMatching(/or a Hub id \(owner\/name\)/),
    });
    expect(scene.hub.seen).toEqual([]);
  });

  test.each([
    ["Qwen/Qwen2-0.5B-Instruct", true],
    ["jondurbin/truthy-dpo-v0.1", true],
    ["a/_b", true],
    ["gpt2", false],
    ["a/b/c", false],
    ["a/", false],
    ["./a", false],
    ["a/..b", false],
    ["a/b--c", false],
    ["a/b.git", false],
    ["a/-b", false],
    ["a/b.", false],
    ["a b/c", false],
    [`a/${"b".repeat(96)}`, false],
  ])("%s: is an id: %s", (name, is) => expect(isRepositoryId(name)).toBe(is));
});

describe("load_dataset of an id", () => {
  const rows = (...from: string[]) => from.map((name) => `{"from": "${name}"}\n`).join("");
  const column = async (id: string, options = {}) => (await load_dataset(id, { ...quiet, ...options })).column("from");

  test("fetches the files of one split in one format", async () => {
    await scene.hub.commit("dataset", "org/pairs", {
      "data/train-00000-of-00002.jsonl": rows("a"),
      "data/train-00001-of-00002.jsonl": rows("b"),
      "data/test-00000-of-00001.jsonl": rows("t"),
      "train.csv": "from\ncsv\n",
      ".hidden/train.jsonl": rows("h"),
    });
    expect(await column("org/pairs")).toEqual(["a", "b"]);
    expect(fetched()).toEqual(["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl"]);
    expect(await column("org/pairs", { split: "test" })).toEqual(["t"]);
    expect(await column("org/pairs", { split: "train[1:]" })).toEqual(["b"]);
    const dataset = await load_dataset("org/pairs", quiet);
    expect(dataset.origin(0).file).toMatch(/datasets--org--pairs\/snapshots\/[0-9a-f]{40}\/data\/train-00000-of-00002.jsonl$/);
    scene.hub.takeSeen();
    expect(await failure(column("org/pairs", { split: "dev" }))).toMatchObject({
      name: "DataError",
      code: "data_split",
      message: 'datasets/org/pairs: must hold the split validation, got test, train; pass { split: "test" }',
    });
    expect(fetched()).toEqual([]);
  });

  const card = (configs: string) => `---\nlicense: mit\nconfigs:\n${configs}\n---\n# Pairs\n`;
  const many = card(`
- config_name: en
  data_files:
  - split: train
    path: en/part-*.jsonl
  - split: test
    path: ["en/extra.jsonl", "en/last.jsonl"]
- config_name: ar
  data_files: "ar/**/*.jsonl"
- config_name: fr
  data_dir: fr`);
  const parts = {
    "en/part-0.jsonl": rows("0"),
    "en/part-1.jsonl": rows("1"),
    "en/extra.jsonl": rows("e"),
    "en/last.jsonl": rows("l"),
    "ar/x/y.jsonl": rows("ar"),
    "fr/train.jsonl": rows("fr"),
    "fr/test.jsonl": rows("frt"),
  };

  test("follows the configurations of its README", async () => {
    await scene.hub.commit("dataset", "org/many", { "README.md": many, ...parts });
    expect(await failure(column("org/many"))).toMatchObject({
      code: "data_config",
      message: 'datasets/org/many: one configuration must be chosen, got 3: en, ar, fr; pass { name: "en" }',
    });
    expect(await column("org/many", { name: "en" })).toEqual(["0", "1"]);
    expect(await column("org/many", { name: "en", split: "test" })).toEqual(["e", "l"]);
    expect(await column("org/many", { name: "ar" })).toEqual(["ar"]);
    expect(await column("org/many", { name: "fr" })).toEqual(["fr"]);
    expect(await failure(column("org/many", { name: "a" }))).toMatchObject({
      code: "data_config",
      message: expect.stringMatching(/must have the configuration a, got others; did you mean ar\?/),
    });
    expect(await failure(column("org/many", { name: "ar", split: "test" }))).toMatchObject({ code: "data_split" });
    await scene.hub.commit("dataset", "org/many", { "README.md": many.replace("config_name: ar", "config_name: ar\n  default: true") });
    expect(await column("org/many")).toEqual(["ar"]);
  });

  test.each([
    ["one pattern", "- config_name: default\n  data_files: b.jsonl", ["b"]],
    ["a list", "- data_files: [b.jsonl, a.jsonl]", ["a", "b"]],
    ["an object", "- config_name: default\n  data_files: {train: '[!b].jsonl', val: b.jsonl}", ["a"]],
  ])("understands data_files as %s", async (_, configs, expected) => {
    await scene.hub.commit("dataset", "org/forms", { "README.md": card(configs), "a.jsonl": rows("a"), "b.jsonl": rows("b") });
    expect(await column("org/forms")).toEqual(expected);
  });

  test("refuses what it cannot read or what is not whole", async () => {
    const cases: [Record<string, string>, string, RegExp, object?][] = [
      [
        { "README.md": card("- data_files: '*.arrow'"), "x.arrow": "" },
        "data_file_type",
        /must be one of .parquet, .* got x.arrow; convert it/,
      ],
      [
        { "README.md": card("- data_files: gone.jsonl"), "x.jsonl": "" },
        "data_not_found",
        /the files that its README names, got none for gone.jsonl among 2 files/,
      ],
      [{ "README.md": card("- : ["), "x.jsonl": "" }, "data_config", /README.md must begin with valid YAML/],
      [{ "load.py": "" }, "data_not_found", /it is made by a script: .* pass { revision: "refs\/convert\/parquet" }/],
      [
        { "train-00001-of-00003.jsonl": rows("a") },
        "data_incomplete",
        /all 3 files train-\*-of-00003.jsonl must be there, got 1; fetch the rest/,
      ],
      [{ "x.jsonl": rows("a") }, "data_config", /must have the configuration en, got none of that name/, { name: "en" }],
    ];
    for (const [files, code, message, options] of cases) {
      await scene.hub.clear();
      await scene.hub.commit("dataset", "org/odd", files);
      expect(await failure(column("org/odd", options))).toMatchObject({ name: "DataError", code, message: expect.stringMatching(message) });
    }
  });

  test("takes a configuration's folder in the Hub's own conversion to parquet", async () => {
    await scene.hub.commit("dataset", "org/script", { "load.py": "" });
    await scene.hub.commit(
      "dataset",
      "org/script",
      { "en/train/0000.jsonl": rows("en"), "ar/train/0000.jsonl": rows("ar") },
      { branch: "refs/convert/parquet", remove: ["load.py"] },
    );
    expect(await column("org/script", { revision: "refs/convert/parquet", name: "ar" })).toEqual(["ar"]);
  });

  test("reads the same from a folder with such a README, and refuses name with a file", async () => {
    for (const [path, text] of Object.entries({ "README.md": many, ...parts })) {
      mkdirSync(join(scene.root, "local", path, ".."), { recursive: true });
      writeFileSync(join(scene.root, "local", path), text);
    }
    expect(await column(join(scene.root, "local"), { name: "en", split: "test" })).toEqual(["e", "l"]);
    expect(await failure(load_dataset(join(scene.root, "local/en/last.jsonl"), { name: "en" }))).toMatchObject({ code: "option_unused" });
  });

  test("keeps a model and a data set of one name apart", async () => {
    await scene.hub.commit("model", "org/both", { "x.jsonl": rows("model") });
    await scene.hub.commit("dataset", "org/both", { "x.jsonl": rows("dataset") });
    expect(await column("org/both")).toEqual(["dataset"]);
  });
});
