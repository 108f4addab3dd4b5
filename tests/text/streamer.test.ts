import { beforeAll, describe, expect, it } from "vitest";
import { Random } from "../../src/random.js";
import { AutoTokenizer, IncrementalDecoder, TextStreamer, type PreTrainedTokenizer } from "../../src/text/index.js";
import { goldenPath, readGolden } from "./golden.js";

const { cases } = readGolden<{ cases: { text: string; ids: number[] }[] }>("tokenizer_cases.json");
let tokenizer: PreTrainedTokenizer;
beforeAll(async () => {
  tokenizer = await AutoTokenizer.from_pretrained(goldenPath("tiny-qwen2"));
});

function pieces(ids: readonly number[], skip_special_tokens: boolean): string[] {
  const decoder = new IncrementalDecoder(tokenizer, { skip_special_tokens });
  return [...ids.map((id) => decoder.push(id)), decoder.flush()];
}

describe("IncrementalDecoder", () => {
  it("joins to the whole text, and no piece holds a broken character", () => {
    for (const { ids } of cases) {
      for (const skip_special_tokens of [true, false]) {
        const parts = pieces(ids, skip_special_tokens);
        expect(parts.join("")).toBe(tokenizer.decode(ids, { skip_special_tokens }));
        for (const part of parts) expect(part).not.toMatch(/\uFFFD|\p{Surrogate}/u);
      }
    }
  });

  it("holds an emoji back until its last byte", () => {
    // 🙂 is four tokens here, one a byte.
    expect(pieces(tokenizer.encode("a🙂b"), true)).toEqual(["a", "", "", "", "🙂", "b", ""]);
  });

  it("equals decode on random ids, which are mostly invalid UTF-8, and waits for at most one character", () => {
    const random = new Random(7);
    for (let round = 0; round < 200; round++) {
      const ids = Array.from({ length: 12 }, () => (random.uniform() < 0.7 ? 94 + random.integer(162) : random.integer(703)));
      const parts = pieces(ids, round % 2 === 0);
      expect(parts.join("")).toBe(tokenizer.decode(ids, { skip_special_tokens: round % 2 === 0 }));
      expect([...parts.at(-1)!].length).toBeLessThanOrEqual(1);
    }
  });

  it("shows a cut character as U+FFFD at the end, once", () => {
    const decoder = new IncrementalDecoder(tokenizer);
    for (const id of tokenizer.encode("a🙂").slice(0, 3)) decoder.push(id);
    expect(decoder.flush()).toBe("\uFFFD");
    expect(decoder.flush()).toBe("");
    expect(decoder.push(64)).toBe("a");
  });
});

describe("TextStreamer", () => {
  it("skips the prompt, leaves special tokens out, and starts anew after end()", () => {
    const shown: string[] = [];
    const seen: number[] = [];
    const streamer = new TextStreamer(tokenizer, {
      skip_prompt: true,
      callback_function: (text) => shown.push(text),
      token_callback_function: (ids) => seen.push(...ids),
    });
    for (const text of ["Red 🍵", "Blue"]) {
      streamer.put(tokenizer.encode("a prompt"));
      for (const id of [...tokenizer.encode(text), 702]) streamer.put([id]);
      streamer.end();
      expect(shown.splice(0).join("")).toBe(text);
    }
    expect(seen).toEqual([...tokenizer.encode("Red 🍵"), 702, ...tokenizer.encode("Blue"), 702]);
  });
});
