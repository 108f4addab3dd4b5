import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AutoTokenizer, type PreTrainedTokenizer } from "../../src/text/index.js";
import { goldenPath, readGolden } from "./golden.js";

interface TokenizerCases {
  vocab_size_without_special: number;
  vocab_size_with_special: number;
  special_ids: Record<string, number>;
  eos_token: string;
  pad_token: string;
  cases: {
    text: string;
    ids: number[];
    tokens: string[];
    ids_specials_as_text: number[];
    decoded: string;
    decoded_skip_special: string;
    decoded_specials_as_text: string;
  }[];
}

const golden = readGolden<TokenizerCases>("tokenizer_cases.json");
let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "preflab-tokenizer-"));
});
afterAll(async () => {
  await rm(scratch, { recursive: true });
});

async function copyOf(name: string, as: string): Promise<string> {
  const dir = join(scratch, as);
  await cp(goldenPath(name), dir, { recursive: true, filter: (source) => !source.endsWith(".safetensors") });
  return dir;
}

/** tiny-qwen2: merges as pairs; bf16: the older layout, merges as strings; policy: template in a file of its own. */
describe.each(["tiny-qwen2", "bf16", "policy"])("tokenizer of %s equals the Python reference", (name) => {
  let tokenizer: PreTrainedTokenizer;
  beforeAll(async () => {
    tokenizer = await AutoTokenizer.from_pretrained(goldenPath(name));
  });

  it("has the reference's vocabulary and special tokens", () => {
    expect(tokenizer.vocab_size).toBe(golden.vocab_size_without_special);
    expect(tokenizer.length).toBe(golden.vocab_size_with_special);
    expect(tokenizer.eos_token).toBe(golden.eos_token);
    expect(tokenizer.pad_token).toBe(golden.pad_token);
    expect(tokenizer.eos_token_id).toBe(golden.special_ids[golden.eos_token]);
    expect(tokenizer.pad_token_id).toBe(golden.special_ids[golden.pad_token]);
    expect(tokenizer.bos_token).toBeNull();
    expect(tokenizer.bos_token_id).toBeNull();
    expect(tokenizer.all_special_ids).toEqual(Object.values(golden.special_ids).sort((a, b) => a - b));
    expect(tokenizer.model_max_length).toBe(512);
  });

  it("covers 40 cases", () => expect(golden.cases).toHaveLength(40));

  it.each(golden.cases.map((each) => [JSON.stringify(each.text), each] as const))("%s", (_, each) => {
    expect(tokenizer.encode(each.text)).toEqual(each.ids);
    expect(tokenizer.tokenize(each.text)).toEqual(each.tokens);
    expect(tokenizer.encode(each.text, { split_special_tokens: true })).toEqual(each.ids_specials_as_text);
    expect(tokenizer.decode(each.ids)).toBe(each.decoded);
    expect(tokenizer.decode(each.ids, { skip_special_tokens: true })).toBe(each.decoded_skip_special);
    expect(tokenizer.decode(each.ids_specials_as_text)).toBe(each.decoded_specials_as_text);
  });
});

describe("tokenizer", () => {
  let tokenizer: PreTrainedTokenizer;
  beforeAll(async () => {
    tokenizer = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
  });

  it("decodes ids of any iterable, and rows of the embedding without a token as no text", () => {
    const ids = tokenizer.encode("Is ice warm?");
    expect(tokenizer.decode(Int32Array.from(ids))).toBe("Is ice warm?");
    expect(tokenizer.decode(BigInt64Array.from(ids, BigInt))).toBe("Is ice warm?");
    expect(tokenizer.decode([...ids, 735])).toBe("Is ice warm?");
    expect(() => tokenizer.decode([1.5])).toThrow("decode: ids must be integers >= 0, got 1.5");
    expect(() => tokenizer.decode([-1])).toThrow(expect.objectContaining({ code: "tokenizer_input" }));
  });

  it("tells how many bytes each id stands for, special tokens and parts of characters included", () => {
    const text = "Tea 🍵 في<|im_end|>\n";
    const ids = tokenizer.encode(text);
    const bytes = tokenizer.byteLengths(ids);
    expect(bytes).toHaveLength(ids.length);
    expect(bytes.reduce((sum, length) => sum + length)).toBe(Buffer.byteLength(text));
    expect(bytes.at(-2)).toBe("<|im_end|>".length);
    expect(tokenizer.byteLengths([735])).toEqual([0]);
  });

  it("refuses what is not well-formed text", () => {
    expect(() => tokenizer.encode(["a"] as unknown as string)).toThrow(
      "encode: the input must be text, got a list (use apply_chat_template for messages)",
    );
    expect(() => tokenizer.encode("half \ud83d")).toThrow("half a surrogate pair");
  });

  it("lets pad_token and eos_token be set to tokens of the vocabulary only", async () => {
    const own = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
    own.pad_token = "<|im_end|>";
    expect(own.pad_token_id).toBe(702);
    expect(() => (own.eos_token = "</s>")).toThrow('eos_token must be a token of the vocabulary, got "</s>"');
  });

  it("reads a token named in the config as special even when tokenizer.json does not list it", async () => {
    const dir = await copyOf("tiny-qwen2", "plain-eos");
    const config = JSON.parse(await readFile(join(dir, "tokenizer_config.json"), "utf8")) as Record<string, unknown>;
    await writeFile(join(dir, "tokenizer_config.json"), JSON.stringify({ ...config, eos_token: { content: "Ġkn", __type: "AddedToken" } }));
    const own = await AutoTokenizer.from_pretrained(dir);
    expect(own.eos_token).toBe("Ġkn");
    expect(own.decode(own.encode("I know"), { skip_special_tokens: true })).toBe("Iow");
  });

  it("takes special tokens from special_tokens_map.json and tokens from added_tokens_decoder, as older checkpoints have them", async () => {
    const dir = await copyOf("bf16", "older");
    const config = JSON.parse(await readFile(join(dir, "tokenizer_config.json"), "utf8")) as Record<string, unknown>;
    delete config["eos_token"];
    await writeFile(join(dir, "tokenizer_config.json"), JSON.stringify(config));
    await writeFile(
      join(dir, "special_tokens_map.json"),
      JSON.stringify({ eos_token: { content: "<|im_end|>" }, pad_token: "<|im_start|>" }),
    );
    const json = JSON.parse(await readFile(join(dir, "tokenizer.json"), "utf8")) as Record<string, unknown>;
    await writeFile(join(dir, "tokenizer.json"), JSON.stringify({ ...json, added_tokens: [] }));
    const own = await AutoTokenizer.from_pretrained(dir);
    expect(own.eos_token_id).toBe(702);
    expect(own.pad_token).toBe("<|endoftext|>");
    expect(own.encode("<|im_start|>a")).toEqual([701, 64]);
    expect(own.length).toBe(703);
  });
});

describe("malformed tokenizers", () => {
  const files = async (): Promise<string> => mkdtemp(join(scratch, "bad-"));

  it.each([
    [
      "no such directory",
      async () => join(scratch, "absent"),
      "tokenizer_missing",
      /must be given a directory with tokenizer.json, got ".*absent", which is not there/,
    ],
    ["an empty directory", files, "tokenizer_missing", /must hold tokenizer.json, got an empty directory/],
    [
      "older vocabulary files",
      async () => {
        const dir = await files();
        await writeFile(join(dir, "vocab.json"), "{}");
        return dir;
      },
      "tokenizer_missing",
      /got vocab.json; the directory has the older vocabulary files only/,
    ],
    [
      "broken JSON",
      async () => {
        const dir = await files();
        await writeFile(join(dir, "tokenizer.json"), '{"model": {"vocab": ');
        return dir;
      },
      "tokenizer_malformed",
      /tokenizer.json: must be JSON; .*; fetch the file again/,
    ],
    [
      "a list",
      async () => {
        const dir = await files();
        await writeFile(join(dir, "tokenizer.json"), "[]");
        return dir;
      },
      "tokenizer_malformed",
      /must hold a JSON object, got a list/,
    ],
    [
      "no vocabulary",
      async () => {
        const dir = await files();
        await writeFile(join(dir, "tokenizer.json"), '{"version": "1.0"}');
        return dir;
      },
      "tokenizer_malformed",
      /must have a model with a vocabulary, got the fields version/,
    ],
    [
      "another kind of model",
      async () => {
        const dir = await files();
        await writeFile(join(dir, "tokenizer.json"), '{"model": {"type": "Unigram", "vocab": []}}');
        return dir;
      },
      "tokenizer_malformed",
      /the model must be BPE \(Qwen2, GPT-2, Llama 3\), got Unigram/,
    ],
    [
      "a merge outside the vocabulary",
      async () => {
        const dir = await files();
        await writeFile(join(dir, "tokenizer.json"), '{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}}');
        return dir;
      },
      "tokenizer_malformed",
      /merge 0 must combine tokens of the vocabulary, got "a b", which needs "ab"/,
    ],
    [
      "an end token outside the vocabulary",
      async () => {
        const dir = await copyOf("tiny-qwen2", "wrong-eos");
        await writeFile(join(dir, "tokenizer_config.json"), '{"eos_token": "</s>"}');
        return dir;
      },
      "tokenizer_malformed",
      /eos_token must be in the vocabulary, got "<\/s>"/,
    ],
    [
      "a template name that is a path",
      async () => {
        const dir = await copyOf("tiny-qwen2", "odd-template");
        await writeFile(join(dir, "tokenizer_config.json"), '{"chat_template": [{"name": "../x", "template": ""}]}');
        return dir;
      },
      "tokenizer_malformed",
      /a chat template's name must be letters, digits, "_", "-" or ".", got "..\/x"/,
    ],
  ] as const)("%s", async (_, prepare, code, message) => {
    const loading = AutoTokenizer.from_pretrained(await prepare());
    await expect(loading).rejects.toThrow(message);
    await expect(loading).rejects.toMatchObject({ name: "ModelError", code });
  });
});

describe("save_pretrained", () => {
  it.each(["tiny-qwen2", "bf16", "policy"])("%s loads again as the same tokenizer", async (name) => {
    const tokenizer = await AutoTokenizer.from_pretrained(goldenPath(name));
    const dir = join(scratch, `saved-${name}`);
    await tokenizer.save_pretrained(dir);
    expect((await readdir(dir)).sort()).toEqual(["chat_template.jinja", "tokenizer.json", "tokenizer_config.json"]);
    expect(await readFile(join(dir, "tokenizer.json"))).toEqual(await readFile(join(goldenPath(name), "tokenizer.json")));
    const again = await AutoTokenizer.from_pretrained(dir);
    expect(again.chat_template).toBe(tokenizer.chat_template);
    expect(again.special_tokens_map).toEqual(tokenizer.special_tokens_map);
    for (const { text, ids } of golden.cases) expect(again.encode(text)).toEqual(ids);
  });

  it("keeps changes and leaves no template or temporary file of an earlier save", async () => {
    const dir = join(scratch, "changed");
    const tokenizer = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
    await tokenizer.save_pretrained(dir);
    tokenizer.chat_template = null;
    tokenizer.pad_token = "<|im_end|>";
    await tokenizer.save_pretrained(dir);
    expect((await readdir(dir)).sort()).toEqual(["tokenizer.json", "tokenizer_config.json"]);
    const again = await AutoTokenizer.from_pretrained(dir);
    expect(again.chat_template).toBeNull();
    expect(again.pad_token).toBe("<|im_end|>");
  });

  it("keeps several templates", async () => {
    const dir = await copyOf("tiny-qwen2", "several");
    await writeFile(
      join(dir, "tokenizer_config.json"),
      JSON.stringify({
        chat_template: [
          { name: "default", template: "D" },
          { name: "tool_use", template: "T" },
        ],
      }),
    );
    await (await AutoTokenizer.from_pretrained(dir)).save_pretrained(join(scratch, "several-saved"));
    const again = await AutoTokenizer.from_pretrained(join(scratch, "several-saved"));
    expect(again.apply_chat_template([], { tokenize: false })).toBe("D");
    expect(again.apply_chat_template([], { tokenize: false, tools: [{ name: "f" }] })).toBe("T");
    expect(again.apply_chat_template([], { tokenize: false, tools: [{ name: "f" }], chat_template: "default" })).toBe("D");
    expect([again.get_chat_template(), again.get_chat_template({ tools: [] }), again.get_chat_template({ chat_template: "X" })]).toEqual([
      "D",
      "T",
      "X",
    ]);
  });

  it("leaves the old file whole when writing fails", async () => {
    const dir = join(scratch, "blocked");
    const tokenizer = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
    await tokenizer.save_pretrained(dir);
    await rm(join(dir, "tokenizer_config.json"));
    // A directory in the file's place: the rename fails after the bytes were written.
    await mkdir(join(dir, "tokenizer_config.json", "occupied"), { recursive: true });
    await expect(tokenizer.save_pretrained(dir)).rejects.toThrow();
    expect((await readdir(dir)).filter((file) => file.endsWith(".tmp"))).toEqual([]);
    expect(await readFile(join(dir, "tokenizer.json"))).toEqual(await readFile(join(goldenPath("tiny-qwen2"), "tokenizer.json")));
  });
});
