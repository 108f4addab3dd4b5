import { describe, expect, test } from "vitest";
import { bleu, chrf, distinctN, repetitionRate, scriptShare, textStatistics } from "../../src/evaluate/index.js";
import { readGolden } from "../text/golden.js";

interface Scores {
  references: number;
  bleu: number;
  precisions: number[];
  brevity_penalty: number;
  hypothesis_length: number;
  reference_length: number;
  bleu_lower_effective: number;
  chrf: number;
  chrf_plus_plus: number;
  chrf_beta1_lower: number;
}
const { cases } = readGolden<{ cases: { name: string; hypotheses: string[]; references: string[][]; scores: Scores[] }[] }>(
  "text_metrics.json",
);

describe("sacrebleu's numbers", () => {
  test.each(cases)("$name", ({ hypotheses, references, scores }) => {
    for (const expected of scores) {
      const given = references.map((list) => list.slice(0, expected.references));
      const got = bleu(hypotheses, given);
      expect(got.score).toBeCloseTo(expected.bleu, 9);
      got.precisions.forEach((precision, i) => expect(precision).toBeCloseTo(expected.precisions[i]!, 9));
      expect(got.brevity_penalty).toBeCloseTo(expected.brevity_penalty, 12);
      expect(got).toMatchObject({ hypothesis_length: expected.hypothesis_length, reference_length: expected.reference_length });
      expect(bleu(hypotheses, given, { lowercase: true, effective_order: true }).score).toBeCloseTo(expected.bleu_lower_effective, 9);
      expect(chrf(hypotheses, given).score).toBeCloseTo(expected.chrf, 9);
      expect(chrf(hypotheses, given, { word_order: 2 }).score).toBeCloseTo(expected.chrf_plus_plus, 9);
      expect(chrf(hypotheses, given, { beta: 1, lowercase: true }).score).toBeCloseTo(expected.chrf_beta1_lower, 9);
    }
  });

  test("signatures say how", () => {
    expect(bleu(["a"], ["a"]).signature).toBe("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp");
    expect(chrf(["a"], [["a", "b"]], { word_order: 2 })).toMatchObject({
      name: "chrF2++",
      signature: "nrefs:2|case:mixed|eff:yes|nc:6|nw:2|space:no",
    });
  });

  test("references must be there", () => {
    expect(() => bleu(["a", "b"], ["a"])).toThrow(
      "bleu: there must be at least one text and references for each, got 2 texts and 1 references",
    );
    expect(() => chrf(["a"], [[]])).toThrow("chrf: a text must have at least one reference, got none for text 0");
  });
});

describe("texts alone", () => {
  test("distinct-n: different n-grams over all, of all texts together", () => {
    // 1-grams: the cat the dog | the cat = 6, of which the, cat, dog differ. 2-grams: the cat, cat the, the dog | the cat.
    expect(distinctN(["The cat, the dog", "the cat!"], 1)).toBeCloseTo(3 / 6);
    expect(distinctN(["The cat, the dog", "the cat!"], 2)).toBeCloseTo(3 / 4);
    expect(distinctN(["one"], 2)).toBeNaN();
  });

  test("repetition: n-grams that stood there before", () => {
    expect(repetitionRate("a b c d a b c d")).toBeCloseTo(1 - 4 / 5);
    expect(repetitionRate("a b c d e f")).toBe(0);
    expect(repetitionRate("a a a a a a", 1)).toBeCloseTo(5 / 6);
    expect(repetitionRate("a b c")).toBeNaN();
  });

  test("script share counts letters only", () => {
    expect(scriptShare("سلام abc 123!", "Arabic")).toBeCloseTo(4 / 7);
    expect(scriptShare("سلام abc", "Latin")).toBeCloseTo(3 / 7);
    expect(scriptShare("123", "Arabic")).toBeNaN();
    expect(() => scriptShare("a", "Klingon")).toThrow(
      'scriptShare: script must be a Unicode script name, got "Klingon"; for example Arabic, Latin, Cyrillic or Han',
    );
    expect(() => scriptShare("a", "Arabic})|(")).toThrow("script must be a Unicode script name");
  });

  test("all together, the same for the same seed", () => {
    const texts = ["القطة تنام.", "The cat sleeps", "", "a b c d a b c d"];
    const result = textStatistics(texts, { seed: 3 });
    expect(result.empty).toBe(1);
    expect(result.words.value).toBeCloseTo((2 + 3 + 0 + 8) / 4);
    expect(result.median_words).toBe(2.5);
    expect(result.repetition_4).toBeCloseTo(0.2);
    expect(result.words.low).toBeLessThan(result.words.value);
    expect(textStatistics(texts, { seed: 3 }).words).toEqual(result.words);
    expect(result.rows().map(({ metric }) => metric)).toContain("share of Arabic letters");
    expect(() => textStatistics([])).toThrow("textStatistics: there must be at least one text, got none");
  });
});
