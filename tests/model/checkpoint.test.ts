import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { readFileTensor } from "../../src/compile/fileTensors.js";
import { openCheckpoint, type Checkpoint } from "../../src/model/checkpoint.js";
import { saveCheckpoint, type NamedTensor } from "../../src/model/checkpointWriter.js";
import { parseConfig } from "../../src/model/config.js";
import type { JsonObject } from "../../src/model/pythonJson.js";
import { readSafetensors } from "../../src/model/safetensors.js";
import { SafetensorsWriter } from "../../src/model/safetensorsWriter.js";
import { parameterShapes } from "../../src/model/shapes.js";
import { Random } from "../../src/random.js";

const golden = new URL("../golden/", import.meta.url).pathname;
let root: string;
let dir: string;
let count = 0;
beforeAll(() => void (root = mkdtempSync(join(tmpdir(), "preflab-checkpoint-"))));
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => void (dir = join(root, `case-${count++}`)));

/** All tensors of a checkpoint, in a seeded random order. */
function* tensorsOf(checkpoint: Checkpoint, seed = 4): Generator<NamedTensor> {
  for (const entry of new Random(seed).shuffle([...checkpoint.tensors.values()])) yield [entry.name, entry.shape, readFileTensor(entry)];
}

/** A folder with the golden config and weights changed by `change`. */
async function altered(
  change: (tensors: Map<string, { shape: number[]; values: Float32Array }>) => void,
  config: JsonObject = {},
): Promise<string> {
  const source = await openCheckpoint(join(golden, "tiny-qwen2"));
  const tensors = new Map([...tensorsOf(source)].map(([name, shape, values]) => [name, { shape: [...shape], values }]));
  change(tensors);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "config.json"), JSON.stringify({ ...source.config.raw, ...config }));
  const writer = await SafetensorsWriter.create(
    join(dir, "model.safetensors"),
    [...tensors].map(([name, { shape }]) => ({ name, shape, dtype: "F32" })),
  );
  for (const [name, { values }] of tensors) await writer.write(name, values);
  await writer.close();
  return dir;
}

describe("opening", () => {
  test("single file and shards, float32 and bfloat16", async () => {
    const full = await openCheckpoint(join(golden, "tiny-qwen2"));
    const sharded = await openCheckpoint(join(golden, "bf16"));
    expect([...full.tensors.keys()]).toEqual([...parameterShapes(full.config).keys()]);
    expect([...sharded.tensors.keys()]).toEqual([...full.tensors.keys()]);
    expect(full.generationConfig.eos_token_id).toEqual([702, 700]);
    for (const [name, entry] of full.tensors) {
      const exact = readFileTensor(entry);
      const rounded = readFileTensor(sharded.tensors.get(name)!);
      expect(rounded.every((value, i) => Math.abs(value - exact[i]!) <= Math.abs(exact[i]!) / 256)).toBe(true);
    }
  });

  test("every fault of the tensors in one error", async () => {
    const folder = await altered((tensors) => {
      tensors.delete("model.norm.weight");
      tensors.delete("model.layers.1.self_attn.q_proj.bias");
      tensors.set("model.layers.3.input_layernorm.weight", { shape: [64], values: new Float32Array(64) });
      tensors.set("model.layers.0.mlp.up_proj.weight", { shape: [64, 160], values: new Float32Array(10240) });
    });
    await expect(openCheckpoint(folder)).rejects.toMatchObject({
      code: "tensors_mismatch",
      message:
        `${folder}: the tensors must be exactly those of config.json, got ` +
        "2 missing: model.layers.1.self_attn.q_proj.bias [64], model.norm.weight [64]; " +
        "1 not expected: model.layers.3.input_layernorm.weight [64]; " +
        "1 of the wrong shape: model.layers.0.mlp.up_proj.weight must be [160, 64], got [64, 160]; " +
        "use the config.json that belongs to these weights, or fetch the checkpoint again",
    });
  });

  test("long lists are cut and counted", async () => {
    const folder = await altered(() => {}, { num_hidden_layers: 6, layer_types: null });
    const error = await openCheckpoint(folder).catch((cause: unknown) => cause as Error);
    // Three layers of twelve tensors.
    expect((error as Error).message).toContain("36 missing: model.layers.3.self_attn.q_proj.weight [64, 64], ");
    expect((error as Error).message).toContain(", and 26 more; use");
  });

  test("a format that is no float", async () => {
    const folder = await altered(() => {});
    const file = join(folder, "model.safetensors");
    const bytes = readFileSync(file);
    bytes.write("I32", bytes.indexOf('"F32"', bytes.indexOf("model.norm.weight")) + 1);
    writeFileSync(file, bytes);
    await expect(openCheckpoint(folder)).rejects.toThrow(
      "got 1 of the wrong format: model.norm.weight must be F32, F16 or BF16, got I32; use",
    );
  });

  test("a tied model whose file repeats the head", async () => {
    const folder = await altered((tensors) => tensors.set("lm_head.weight", { ...tensors.get("model.embed_tokens.weight")! }));
    const { tensors } = await openCheckpoint(folder);
    expect(tensors.has("lm_head.weight")).toBe(false);
  });

  test("a tied model whose file holds another head", async () => {
    const folder = await altered((tensors) => {
      const { shape, values } = tensors.get("model.embed_tokens.weight")!;
      const changed = values.slice();
      changed[200 * 64 + 3]! += 1e-3;
      tensors.set("lm_head.weight", { shape, values: changed });
    });
    await expect(openCheckpoint(folder)).rejects.toMatchObject({
      code: "tied_head_differs",
      message: `${folder}: lm_head.weight must equal model.embed_tokens.weight because tie_word_embeddings is true, got different numbers in row 200; set tie_word_embeddings to false in config.json if the head is meant`,
    });
    // Untied, the same file is right.
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as JsonObject;
    writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, tie_word_embeddings: false }));
    expect((await openCheckpoint(folder)).tensors.has("lm_head.weight")).toBe(true);
  });

  test("a tied model whose head has another shape", async () => {
    const folder = await altered((tensors) => tensors.set("lm_head.weight", { shape: [64, 736], values: new Float32Array(736 * 64) }));
    await expect(openCheckpoint(folder)).rejects.toThrow("got 1 not expected: lm_head.weight [64, 736]; use");
  });

  test("an untied model without a head", async () => {
    const folder = await altered(() => {}, { tie_word_embeddings: false });
    await expect(openCheckpoint(folder)).rejects.toThrow("got 1 missing: lm_head.weight [736, 64]; use");
  });

  test("folders that are no checkpoint", async () => {
    await expect(openCheckpoint(dir)).rejects.toMatchObject({
      code: "checkpoint_missing",
      message: `${dir}: the model folder must exist, got nothing there; check the path, or download the model first`,
    });
    const adapter = join(golden, "lora_init");
    await expect(openCheckpoint(adapter)).rejects.toThrow(
      `${adapter}: a model folder must hold config.json, got an adapter; open its base model and then PeftModel.from_pretrained(model, dir)`,
    );
    mkdirSync(dir);
    cpSync(join(golden, "tiny-qwen2/config.json"), join(dir, "config.json"));
    await expect(openCheckpoint(dir)).rejects.toThrow(
      `${dir}: the folder must hold model.safetensors or model.safetensors.index.json, got neither; check that the download is complete`,
    );
    writeFileSync(join(dir, "pytorch_model.bin"), "");
    await expect(openCheckpoint(dir)).rejects.toThrow(
      "got neither; convert pytorch_model.bin: in Python, AutoModelForCausalLM.from_pretrained(dir).save_pretrained(dir)",
    );
  });

  test("a truncated weights file", async () => {
    cpSync(join(golden, "tiny-qwen2"), dir, { recursive: true });
    const file = join(dir, "model.safetensors");
    writeFileSync(file, readFileSync(file).subarray(0, 500_000));
    await expect(openCheckpoint(dir)).rejects.toMatchObject({
      code: "safetensors_offsets",
      message: expect.stringMatching(
        /: tensor "model\.layers\.\d\.[\w.]+": data_offsets must rise within the 496112 bytes of data, got \[\d+, \d+\]; the file is cut short or damaged: fetch it again$/,
      ) as string,
    });
  });
});

describe("index of shards", () => {
  const index = () => join(dir, "model.safetensors.index.json");
  const change = (edit: (map: Record<string, unknown>) => unknown) => {
    cpSync(join(golden, "bf16"), dir, { recursive: true });
    const json = JSON.parse(readFileSync(index(), "utf8")) as { weight_map: Record<string, unknown> };
    writeFileSync(index(), JSON.stringify({ weight_map: edit(json.weight_map) }));
  };
  const [first, second] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

  test("a shard is missing", async () => {
    change((map) => map);
    rmSync(join(dir, second));
    await expect(openCheckpoint(dir)).rejects.toMatchObject({
      code: "index_shard_missing",
      message: `${index()}: every shard must be there, got 1 of 2 missing: ${second}; complete the download`,
    });
  });

  test("a tensor is in another shard than the index says, or in none, or unlisted", async () => {
    change((map) => ({ ...map, "model.norm.weight": first }));
    await expect(openCheckpoint(dir)).rejects.toThrow(
      `got model.norm.weight in ${second}, listed in ${first}; the shards belong to different saves`,
    );
    change((map) => ({ ...map, "lm_head.weight": first }));
    await expect(openCheckpoint(dir)).rejects.toThrow(`got no lm_head.weight in ${first} (1 such); the shards belong to different saves`);
    change((map) => Object.fromEntries(Object.entries(map).filter(([name]) => name !== "model.norm.weight")));
    await expect(openCheckpoint(dir)).rejects.toThrow(`got model.norm.weight in ${second}, not in the index;`);
  });

  test.each(["../secret.safetensors", "/etc/passwd", "a\\b.safetensors", "", "..", ".hidden", 3])(
    "refuses the file name %j",
    async (name) => {
      change((map) => ({ ...map, "model.norm.weight": name }));
      await expect(openCheckpoint(dir)).rejects.toMatchObject({
        code: "index_value",
        message: `${index()}: weight_map must name a file in the same folder for each tensor, got ${JSON.stringify(name)} for model.norm.weight; repair the file or fetch it again`,
      });
    },
  );

  test("no map", async () => {
    change(() => ["a"]);
    await expect(openCheckpoint(dir)).rejects.toThrow(
      `${index()}: weight_map must be an object of file names, got ["a"]; repair the file or fetch it again`,
    );
  });
});

describe("saving", () => {
  test("a golden folder comes back byte for byte", async () => {
    const source = await openCheckpoint(join(golden, "tiny-qwen2"));
    await saveCheckpoint(dir, source.config, source.generationConfig, tensorsOf(source));
    expect(readdirSync(dir).sort()).toEqual(["config.json", "generation_config.json", "model.safetensors"]);
    for (const file of readdirSync(dir))
      expect(readFileSync(join(dir, file)).equals(readFileSync(join(golden, "tiny-qwen2", file))), file).toBe(true);
  });

  test("the golden bfloat16 shards come back byte for byte, in whatever order the tensors come", async () => {
    const source = await openCheckpoint(join(golden, "tiny-qwen2"));
    const { config } = await openCheckpoint(join(golden, "bf16"));
    // Between the first shard's 201,344 bytes and those with the next tensor.
    const options = { dtype: "bfloat16", maxShardBytes: 210_000 } as const;
    for (const seed of [1, 2]) {
      await saveCheckpoint(dir, config, source.generationConfig, tensorsOf(source, seed), options);
      const files = readdirSync(dir).sort();
      expect(files).toEqual([
        "config.json",
        "generation_config.json",
        ...["1", "2"].map((i) => `model-0000${i}-of-00002.safetensors`),
        "model.safetensors.index.json",
      ]);
      for (const file of files) expect(readFileSync(join(dir, file)).equals(readFileSync(join(golden, "bf16", file))), file).toBe(true);
    }
    expect((await openCheckpoint(dir)).config.dtype).toBe("bfloat16");
  });

  test("shards take the layers by number", async () => {
    const { config: tiny, generationConfig } = await openCheckpoint(join(golden, "tiny-qwen2"));
    const sizes = {
      num_hidden_layers: 11,
      hidden_size: 8,
      intermediate_size: 8,
      num_attention_heads: 1,
      num_key_value_heads: 1,
      vocab_size: 8,
    };
    const config = parseConfig({ ...tiny.raw, ...sizes, layer_types: null, tie_word_embeddings: false }, "x");
    const tensors = [...parameterShapes(config)].map(([name, shape]): NamedTensor => [
      name,
      shape,
      new Float32Array(shape.reduce((a, b) => a * b)),
    ]);
    await saveCheckpoint(dir, config, generationConfig, tensors, { maxShardBytes: 4000 });
    const order = readdirSync(dir)
      .filter((name) => name.startsWith("model-"))
      .sort()
      .flatMap((name) => [...readSafetensors(join(dir, name)).tensors.keys()]);
    expect(order[0]).toBe("lm_head.weight");
    const layers = order.filter((name) => name.endsWith("input_layernorm.weight")).map((name) => name.split(".")[2]);
    expect(layers).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
  });

  test("a tensor larger than the limit has a file of its own", async () => {
    const source = await openCheckpoint(join(golden, "tiny-qwen2"));
    await saveCheckpoint(dir, source.config, source.generationConfig, tensorsOf(source), { dtype: "float16", maxShardBytes: 90_000 });
    const first = readSafetensors(join(dir, readdirSync(dir).filter((name) => name.startsWith("model-00001"))[0]!));
    expect([...first.tensors.keys()]).toEqual(["model.embed_tokens.weight"]);
    const saved = await openCheckpoint(dir);
    for (const [name, entry] of source.tensors) {
      const exact = readFileTensor(entry);
      expect(
        readFileTensor(saved.tensors.get(name)!).every(
          (value, i) => Math.abs(value - exact[i]!) <= Math.max(Math.abs(exact[i]!) / 2048, 2 ** -25),
        ),
      ).toBe(true);
    }
  });

  test("over an older save: its weights files go, everything else stays", async () => {
    const source = await openCheckpoint(join(golden, "tiny-qwen2"));
    await saveCheckpoint(dir, source.config, source.generationConfig, tensorsOf(source), { maxShardBytes: 200_000 });
    mkdirSync(join(dir, "checkpoint-10"));
    for (const file of ["notes.txt", "checkpoint-10/model.safetensors", "tokenizer.json"]) writeFileSync(join(dir, file), "mine");
    expect(readdirSync(dir).filter((name) => name.startsWith("model-")).length).toBe(4);
    await saveCheckpoint(dir, source.config, source.generationConfig, tensorsOf(source), {
      alsoWrite: async (folder) => writeFileSync(join(folder, "tokenizer.json"), "new"),
    });
    expect(readdirSync(dir).sort()).toEqual([
      "checkpoint-10",
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "notes.txt",
      "tokenizer.json",
    ]);
    expect(readFileSync(join(dir, "tokenizer.json"), "utf8")).toBe("new");
    expect(readFileSync(join(dir, "checkpoint-10/model.safetensors"), "utf8")).toBe("mine");
    await openCheckpoint(dir);
  });

  test("into the folder it is read from, and through a link", async () => {
    cpSync(join(golden, "tiny-qwen2"), dir, { recursive: true });
    const link = `${dir}-link`;
    symlinkSync(dir, link);
    const source = await openCheckpoint(link);
    await saveCheckpoint(link, source.config, source.generationConfig, tensorsOf(source));
    expect(readFileSync(join(dir, "model.safetensors")).equals(readFileSync(join(golden, "tiny-qwen2/model.safetensors")))).toBe(true);
  });

  test("what does not fit is refused, and nothing is left behind", async () => {
    const source = await openCheckpoint(join(golden, "tiny-qwen2"));
    const save = (tensors: Iterable<NamedTensor> | AsyncIterable<NamedTensor>, options = {}) =>
      saveCheckpoint(dir, source.config, source.generationConfig, tensors, options);
    const all = [...tensorsOf(source)];
    const norm = all.findIndex(([name]) => name === "model.norm.weight");
    await expect(save(all.filter((_, i) => i !== norm))).rejects.toMatchObject({
      code: "tensors_missing",
      message: expect.stringContaining("got none for model.norm.weight; write them before close") as string,
    });
    await expect(save([...all, ["lm_head.weight", [736, 64], new Float32Array(736 * 64)]])).rejects.toMatchObject({
      code: "tensor_unknown",
      message: "saveCheckpoint: a tensor must be a parameter of the config, got lm_head.weight; check the model",
    });
    await expect(save(all.map(([name, shape, values], i) => [name, i === norm ? [8, 8] : shape, values] as const))).rejects.toMatchObject({
      code: "tensor_size",
      message: "saveCheckpoint: model.norm.weight must be [64] by the config, got [8, 8]; check the model",
    });
    await expect(
      save(
        all.map(([name, shape, values], i) => [name, shape, i === norm ? values.map(() => 1e6) : values] as const),
        { dtype: "float16" },
      ),
    ).rejects.toMatchObject({ code: "float16_overflow" });
    await expect(save(all, { maxShardBytes: 0 })).rejects.toThrow(
      "saveCheckpoint: maxShardBytes must be > 0, got 0; leave it out for one file",
    );
    async function* broken(): AsyncGenerator<NamedTensor> {
      yield* all.slice(0, 5);
      throw new Error("the worker died");
    }
    await expect(save(broken())).rejects.toThrow("the worker died");
    expect(readdirSync(root).filter((name) => name.includes(`case-${count - 1}`))).toEqual([]);
  });

  test("the target is a file", async () => {
    writeFileSync(dir, "");
    const config = parseConfig(JSON.parse(readFileSync(join(golden, "tiny-qwen2/config.json"), "utf8")) as JsonObject, "x");
    const source = await openCheckpoint(join(golden, "tiny-qwen2"));
    await expect(saveCheckpoint(dir, config, source.generationConfig, tensorsOf(source))).rejects.toMatchObject({
      code: "folder_is_file",
      message: `${dir}: the place to save to must be a folder or be free, got a file; choose another name`,
    });
  });
});
