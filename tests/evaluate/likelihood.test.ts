import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Dataset } from "../../src/data/index.js";
import {
  classify,
  evaluateClassification,
  perplexity,
  preferenceAccuracy,
  type PreferenceAccuracyOptions,
} from "../../src/evaluate/index.js";
import { AutoModelForCausalLM, type Qwen2ForCausalLM } from "../../src/model/index.js";
import { AutoTokenizer, type PreTrainedTokenizer } from "../../src/text/index.js";
import { labelList, parseLabel } from "../../src/evaluate/classification/labels.js";
import { CompletionScorer } from "../../src/evaluate/completionScores.js";
import { goldenPairs, goldenTokenizer, GOLDEN, TINY } from "../train/tinyModel.js";
import { readGolden } from "../text/golden.js";

const threads = { threads: 1 } as const;
let policy: Qwen2ForCausalLM;
let reference: Qwen2ForCausalLM;
let tokenizer: PreTrainedTokenizer;
beforeAll(async () => {
  policy = await AutoModelForCausalLM.from_pretrained(`${GOLDEN}/policy`, threads);
  reference = await AutoModelForCausalLM.from_pretrained(TINY, threads);
  tokenizer = await goldenTokenizer();
});
afterAll(async () => {
  await policy.dispose();
  await reference.dispose();
});

interface DpoLosses {
  cases: { name: string; batch: string; policy_logps: Logps; reference_logps: Logps }[];
}
interface Logps {
  chosen: number[];
  rejected: number[];
}

describe("preferenceAccuracy", () => {
  const score = async (more: Partial<PreferenceAccuracyOptions> = {}) =>
    preferenceAccuracy({ model: policy, tokenizer, dataset: await goldenPairs([0, 1, 4, 6, 12, 13]), ...more });

  test("log-probs and margins are TRL's", async () => {
    const golden = readGolden<DpoLosses>("dpo_losses.json").cases.find(({ name }) => name === "sigmoid")!;
    const progress: number[] = [];
    const result = await score({ reference, onProgress: (done, total) => progress.push(done / total) });
    result.pairs.forEach((pair, i) => {
      expect(Math.abs(pair.chosen_logps - golden.policy_logps.chosen[i]!)).toBeLessThan(2e-3);
      expect(Math.abs(pair.rejected_logps - golden.policy_logps.rejected[i]!)).toBeLessThan(2e-3);
      expect(Math.abs(pair.reference_chosen_logps! - golden.reference_logps.chosen[i]!)).toBeLessThan(2e-3);
      expect(Math.abs(pair.reference_rejected_logps! - golden.reference_logps.rejected[i]!)).toBeLessThan(2e-3);
    });
    const share = (margins: number[]) => margins.filter((margin) => margin > 0).length / margins.length;
    const { policy_logps: p, reference_logps: r } = golden;
    const plain = p.chosen.map((logp, i) => logp - p.rejected[i]!);
    expect(result.margin("summed").accuracy.value).toBe(share(plain));
    const against = plain.map((margin, i) => margin - r.chosen[i]! + r.rejected[i]!);
    expect(result.margin("summed_against_reference").accuracy.value).toBe(share(against));
    expect(result.margin("summed_against_reference").mean.value).toBeCloseTo(against.reduce((a, b) => a + b) / 6, 2);
    const { pairs } = result;
    const perToken = pairs.map((pair) => pair.chosen_logps / pair.chosen_tokens - pair.rejected_logps / pair.rejected_tokens);
    expect(result.margin("per_token").margins).toEqual(perToken);
    expect(progress.at(-1)).toBe(1);
    expect(progress.length).toBe(12);
    expect(result.rows().map(({ margin }) => margin)).toHaveLength(4);
    expect(result.pairRows()[0]).toHaveProperty("margin_per_token_against_reference");
    expect((result.marginChart().data[0] as { y: number[] }).y.reduce((a, b) => a + b)).toBe(6);
  });

  test("without a reference there is no margin against one; the model itself is a tie everywhere", async () => {
    const alone = await score();
    expect(alone.margins.map(({ kind }) => kind)).toEqual(["summed", "per_token"]);
    expect(() => alone.margin("summed_against_reference")).toThrow(
      "PreferenceResult: the margin must be one of summed, per_token, got summed_against_reference; pass a reference for margins against it",
    );
    const same = (await score({ reference: policy })).margin("summed_against_reference");
    expect(same).toMatchObject({ ties: 6, accuracy: { value: 0 }, mean: { value: 0, low: 0, high: 0 } });
  });

  test("the same seed gives the same intervals; dropped rows are told", async () => {
    expect((await score({ seed: 5 })).margins).toEqual((await score({ seed: 5 })).margins);
    const cut = await score({ max_length: 12 });
    expect(cut.warnings.length).toBeGreaterThan(0);
    expect(cut.summary().join(" ")).toContain(`Note: ${cut.warnings[0]}`);
  });
});

describe("perplexity", () => {
  const prompts = readGolden<{ prompts: { text: string; token_logps: number[]; mean_nll: number }[] }>("forward.json").prompts;

  test("is transformers', weighted by tokens", async () => {
    const result = await perplexity({ model: reference, tokenizer, texts: prompts.map(({ text }) => text) });
    result.texts.forEach(({ logp, tokens }, i) => {
      const golden = prompts[i]!;
      expect(tokens).toBe(golden.token_logps.length);
      expect(-logp / tokens).toBeCloseTo(golden.mean_nll, 3);
    });
    const all = prompts.flatMap(({ token_logps }) => token_logps);
    const expected = Math.exp(-all.reduce((a, b) => a + b) / all.length);
    expect(result.perplexity.value / expected).toBeCloseTo(1, 3);
    expect(result.tokens).toBe(all.length);
    expect(result.perplexity.low).toBeLessThan(expected);
    expect(result.perplexity.high).toBeGreaterThan(expected);
    expect(result.rows()[0]).toMatchObject({ metric: "perplexity", value: result.perplexity.value });
  });

  test("of completions only, as SFT scores them", async () => {
    const dataset = Dataset.from_rows([
      { prompt: "The garden", completion: " behind the house" },
      { prompt: "A", completion: " soup" },
    ]);
    const only = await perplexity({ model: reference, tokenizer, dataset });
    const whole = await perplexity({ model: reference, tokenizer, dataset, completion_only_loss: false });
    expect(only.tokens).toBeLessThan(whole.tokens);
    // The completion of the first row, end token included, behind its prompt.
    const count = (text: string) => tokenizer.encode(text).length;
    expect(only.texts[0]!.tokens).toBe(count("The garden behind the house" + tokenizer.eos_token) - count("The garden"));
  });

  test.each<[object, string, string]>([
    [{}, "option_conflict", "perplexity: either texts or a dataset must be given, got neither"],
    [
      { texts: ["a"], dataset: Dataset.from_rows([{ text: "a" }]) },
      "option_conflict",
      "perplexity: either texts or a dataset must be given, got both",
    ],
    [{ texts: ["a"], seed: 1.5 }, "option_type", "perplexity: seed must be an integer, got 1.5"],
    [{ texts: ["a"] }, "no_rows", "perplexity: there must be at least one text of two tokens, got 1 row without"],
  ])("refuses %j", async (options, code, message) => {
    await expect(perplexity({ model: reference, tokenizer, ...options })).rejects.toMatchObject({ code, message });
  });
});

describe("label words", () => {
  const labels = labelList("test", { sensitive: ["yes", "Yes indeed"], harmless: "no", other: "no-one" });

  test.each<[string, string | null]>([
    ["Yes.", "sensitive"],
    [" no, yes", "harmless"],
    ["yesterday", null],
    ["know", null],
    ["I say yes", "sensitive"],
    ["no-one", "other"],
    ["", null],
    ["نعم yes", "sensitive"],
  ])("%j is read as %j", (answer, label) => expect(parseLabel(answer, labels)).toBe(label));

  test("Arabic words too", () => {
    const arabic = labelList("test", ["نعم", "لا"]);
    expect(parseLabel("لا، شكرا", arabic)).toBe("لا");
    expect(parseLabel("لازم", arabic)).toBeNull();
  });

  test.each<[unknown, string]>([
    [["a"], '["a"]'],
    [["a", "a"], '["a","a"]'],
    [{ a: "x", b: "x" }, '"x" for "b"'],
    [{ a: [], b: "x" }, 'no words for "a"'],
    [{ a: " ", b: "x" }, '" " for "a"'],
  ])("refuses %j", (given, got) => {
    expect(() => labelList("test", given as string[])).toThrow(
      `test: labels must be two or more with different words that are not empty, got ${got}; give a list of labels, or an object of labels and their words`,
    );
  });
});

describe("classify", () => {
  const prompts = ["The garden behind the", "A soup of", "Why do we"];

  test("several completions in one run score as each alone, whatever their number and length", async () => {
    const scorer = await CompletionScorer.create({ model: reference, tokenizer, where: "test" });
    try {
      const words = [" house", " garden behind a wall", " x", " soup and bread"];
      const together = await scorer.score(prompts[0]!, words, "row 0");
      const two = await scorer.score(prompts[0]!, words.slice(0, 2), "row 0");
      for (const [i, word] of words.entries()) {
        const [alone] = await scorer.score(prompts[0]!, [word], "row 0");
        expect(together[i]!.tokens).toBe(alone!.tokens);
        expect(Math.abs(together[i]!.logp - alone!.logp)).toBeLessThan(1e-4);
        if (i < 2) expect(Math.abs(two[i]!.logp - alone!.logp)).toBeLessThan(1e-4);
        // The same tokens scored as a whole text.
        const count = tokenizer.encode(prompts[0]!).length;
        const whole = await perplexity({ model: reference, tokenizer, texts: [prompts[0]! + word] });
        const head = await perplexity({ model: reference, tokenizer, texts: [prompts[0]!] });
        expect(whole.tokens + 1).toBe(count + alone!.tokens);
        expect(Math.abs(whole.texts[0]!.logp - head.texts[0]!.logp - alone!.logp)).toBeLessThan(1e-3);
      }
    } finally {
      await scorer.dispose();
    }
  });

  test("the best word of a label counts; summed and per token may differ", async () => {
    const labels = { long: [" house behind the garden"], short: [" x", " z"] };
    const summed = await classify({ model: reference, tokenizer, prompts, labels });
    const normalised = await classify({ model: reference, tokenizer, prompts, labels, length_normalised: true });
    expect(summed.map(({ predicted }) => predicted)).toEqual(["short", "short", "short"]);
    expect(normalised[0]!.predicted).toBe("long");
    for (const { scores, probabilities, predicted } of [...summed, ...normalised]) {
      const [[best]] = Object.entries(scores!).sort(([, a], [, b]) => b - a) as [[string, number]];
      expect(predicted).toBe(best);
      expect(Object.values(probabilities!).reduce((a, b) => a + b)).toBeCloseTo(1, 12);
    }
    const words = await classify({ model: reference, tokenizer, prompts, labels: [" x", " z"] });
    expect(summed[0]!.scores!["short"]).toBeCloseTo(Math.max(...Object.values(words[0]!.scores!)), 3);
    const ended = await classify({ model: reference, tokenizer, prompts, labels, end_token: true });
    expect(ended[0]!.scores!["short"]).toBeLessThan(summed[0]!.scores!["short"]!);
  });

  test("by generation: the first label word of the greedy answer; what cannot be read is counted", async () => {
    const [answered] = await classify({
      model: reference,
      tokenizer,
      prompts,
      labels: ["qq", "zz"],
      method: "generation",
      max_new_tokens: 12,
    });
    const first = answered!.answer!.match(/[A-Za-z]+/)![0];
    const result = await evaluateClassification({
      model: reference,
      tokenizer,
      prompts,
      labels: { hit: first, miss: "zzzz" },
      truth: ["hit", "miss", "miss"],
      method: "generation",
      max_new_tokens: 12,
    });
    expect(result.predictions[0]!.predicted).toBe("hit");
    const unread = result.predictions.filter(({ predicted }) => predicted === null).length;
    expect(unread).toBeGreaterThan(0);
    expect(result.report.unparsable).toBe(unread);
    expect(result.report.count).toBe(3);
    expect(result.summary().join(" ")).toContain("could not be read");
    expect(result.predictionRows()[0]).toMatchObject({ row: 0, truth: "hit", predicted: "hit", answer: result.predictions[0]!.answer });
    expect(String(result)).toContain("micro avg");
  });

  test("conversations go through the chat template", async () => {
    const chat = await AutoModelForCausalLM.from_pretrained("datasets/tiny-qwen2-chat", threads);
    try {
      const own = await AutoTokenizer.from_pretrained("datasets/tiny-qwen2-chat");
      const ask = (content: string) => [{ role: "user", content }] as const;
      const result = await evaluateClassification({
        model: chat,
        tokenizer: own,
        prompts: [ask("What is the capital of France?"), ask("What is the capital of Japan?")],
        labels: { france: "Paris", japan: "Tokyo" },
        truth: ["france", "japan"],
        method: "generation",
        max_new_tokens: 20,
        pos_label: "france",
      });
      expect(result.predictions.every(({ answer }) => answer!.length > 3)).toBe(true);
      const likely = await classify({
        model: chat,
        tokenizer: own,
        prompts: [ask("What is the capital of France?")],
        labels: ["Paris", "qqqq"],
      });
      expect(likely[0]!.predicted).toBe("Paris");
    } finally {
      await chat.dispose();
    }
  });

  test.each<[object, string, string]>([
    [{ max_new_tokens: 3 }, "option_conflict", "classify: max_new_tokens is for method generation, got it with likelihood; leave it out"],
    [
      { method: "generation", end_token: true },
      "option_conflict",
      "classify: end_token is for method likelihood, got it with generation; leave it out",
    ],
    [{ prompts: [""] }, "empty_prompt", "classify: a prompt must have at least one token, got none at prompt 0; write a prompt"],
    [
      { truth: ["a", "b", "c"] },
      "labels",
      'classificationReport: a true label must be one of a, b, got "c"; list every label, and give null for an answer that could not be read',
    ],
  ])("refuses %j", async (more, code, message) => {
    const given = { model: reference, tokenizer, prompts, labels: ["a", "b"], truth: ["a", "b", "a"], ...more };
    const result = "truth" in more ? evaluateClassification(given) : classify(given);
    await expect(result).rejects.toMatchObject({ code, message });
  });

  test("models for generation alone say so", async () => {
    const q8 = await AutoModelForCausalLM.from_pretrained(TINY, { ...threads, dtype: "q8" });
    try {
      await expect(classify({ model: q8, tokenizer, prompts, labels: ["a", "b"] })).rejects.toMatchObject({ code: "inference_only" });
    } finally {
      await q8.dispose();
    }
  });
});
