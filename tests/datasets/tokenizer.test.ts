import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, it } from "vitest";
import { packageRoot } from "../../scripts/corpus/pairs.js";
import { byteCharacters, splitWords, trainBytePairs } from "../../scripts/tokenizer/bytePairs.js";
import { qwen2Files } from "../../scripts/tokenizer/qwen2Files.js";
import { trainTokenizer, vocabularySize } from "../../scripts/train-tokenizer.js";

const folder = join(packageRoot(), "datasets", "tiny-qwen2-chat");
const file = (name: string) => readFileSync(join(folder, name), "utf8");
const json = (name: string) => JSON.parse(file(name)) as Record<string, unknown>;

describe("trainBytePairs", () => {
  it("merges the most frequent pair first", () => {
    // Words "aab" ×2, "ab" ×3: a-b 5 times, a-a twice. After a+b: a-ab twice.
    const { merges, tokens } = trainBytePairs(["aab", "aab", "ab", "ab", "ab"], 300);
    expect(merges).toEqual([["a", "b"], ["a", "ab"]]);
    expect(tokens.slice(256)).toEqual(["ab", "aab"]);
  });

  it("settles ties by the smaller left id, then the smaller right id", () => {
    // Each pair occurs twice: c-d, b-z, b-y. By ids: b-y, b-z, c-d.
    expect(trainBytePairs(["cd", "bz", "by", "cd", "bz", "by"], 300).merges).toEqual([["b", "y"], ["b", "z"], ["c", "d"]]);
  });

  it("counts no pair across words, leaves single pairs alone and stops at the size", () => {
    expect(trainBytePairs(["a b", "a b"], 300).merges).toEqual([["Ġ", "b"]]);
    expect(trainBytePairs(["xyz"], 300).merges).toEqual([]);
    expect(trainBytePairs(["abcd", "abcd"], 257).merges).toEqual([["a", "b"]]);
  });

  it("does not merge overlapping occurrences twice", () => {
    // "aaa" ×2 holds a-a four times; the merge gives aa·a, which occurs twice.
    expect(trainBytePairs(["aaa", "aaa"], 300).merges).toEqual([["a", "a"], ["aa", "a"]]);
  });

  it("refuses a vocabulary without room for the bytes", () => {
    expect(() => trainBytePairs([], 255)).toThrow("trainBytePairs: size must be an integer >= 256, got 255; the 256 bytes are always included");
  });
});

describe("splitWords", () => {
  it("splits as Qwen2 does: words with their blank, single digits, contractions, line ends", () => {
    expect(splitWords("I don't  have 42 cats!\r\n\n x")).toEqual(["I", " don", "'t", " ", " have", " ", "4", "2", " cats", "!\r\n\n", " x"]);
  });

  it("loses nothing", () => {
    for (const text of ["مرحبًا بك ١٢٣", "🎉\t\t a\u00a0b  \n", "'S 'LL x'Re"]) expect(splitWords(text).join("")).toBe(text.normalize("NFC"));
  });
});

describe("byteCharacters", () => {
  it("are 256 different characters, the blank being Ġ and the newline Ċ", () => {
    expect(new Set(byteCharacters).size).toBe(256);
    expect([byteCharacters[0x20], byteCharacters[0x0a], byteCharacters[0x41]]).toEqual(["Ġ", "Ċ", "A"]);
  });
});

describe("datasets/tiny-qwen2-chat", () => {
  const tokenizer = new Tokenizer(json("tokenizer.json"), json("tokenizer_config.json"));

  it("is what train-tokenizer writes, byte for byte", () => {
    for (const [name, content] of Object.entries(qwen2Files(trainTokenizer()))) {
      // Saving the trained model writes these two again, in transformers' own spelling of numbers and with the stored format.
      if (name === "config.json" || name === "generation_config.json") {
        expect({ ...json(name), torch_dtype: undefined }, name).toEqual({ ...content, torch_dtype: undefined });
      } else {
        expect(file(name) === `${JSON.stringify(content, null, 2)}\n`, name).toBe(true);
      }
    }
  });

  it("has the special tokens last and ids without gaps", () => {
    const { model, added_tokens } = json("tokenizer.json") as { model: { vocab: Record<string, number> }; added_tokens: { id: number; content: string }[] };
    // JavaScript lists the keys "0" to "9" first whatever their ids.
    const ids = Object.values(model.vocab).sort((a, b) => a - b);
    expect(ids).toEqual(ids.map((_, i) => i));
    expect(added_tokens.map(({ id, content }) => [id, content])).toEqual([
      [3069, "<|endoftext|>"],
      [3070, "<|im_start|>"],
      [3071, "<|im_end|>"],
    ]);
    expect(ids.length + 3).toBe(vocabularySize);
  });

  it("gives the model a shape that fits the tokenizer and itself", () => {
    const config = json("config.json") as Record<string, number>;
    expect(config).toMatchObject({ model_type: "qwen2", vocab_size: 3072, eos_token_id: 3071, bos_token_id: 3069, pad_token_id: 3069, tie_word_embeddings: true });
    expect(config["vocab_size"]! % 64).toBe(0);
    expect(config["hidden_size"]! / config["num_attention_heads"]!).toBe(32);
    expect(config["num_attention_heads"]! % config["num_key_value_heads"]!).toBe(0);
    expect(json("generation_config.json")).toEqual({ bos_token_id: 3069, do_sample: false, eos_token_id: [3071, 3069], pad_token_id: 3069 });
  });

  it.each(["Hello, how can I help you?", "مرحبًا! كيف حالك؟", "🎉 café\r\n\r\n\tx  ", "12345 + 6", "<|im_start|>user\nHi<|im_end|>\n"])("encodes and decodes %j without loss", (text) => {
    expect(tokenizer.decode(tokenizer.encode(text).ids, { skip_special_tokens: false })).toBe(text);
  });

  it("knows the words of its corpus: an English word is rarely cut", () => {
    expect(tokenizer.encode("I am an AI, so I cannot see your room.").tokens).toEqual(["I", "Ġam", "Ġan", "ĠAI", ",", "Ġso", "ĠI", "Ġcannot", "Ġsee", "Ġyour", "Ġroom", "."]);
  });

  it("renders ChatML as Qwen2 does", () => {
    const template = new Template(json("tokenizer_config.json")["chat_template"] as string);
    const user = { role: "user", content: "Hi" };
    const answer = { role: "assistant", content: " Yo\n" };
    const system = { role: "system", content: "S" };
    const opening = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n";
    expect(template.render({ messages: [user], add_generation_prompt: true })).toBe(`${opening}<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n`);
    expect(template.render({ messages: [user, answer] })).toBe(`${opening}<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n Yo\n<|im_end|>\n`);
    expect(template.render({ messages: [system, user] })).toBe("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
  });
});
