import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  argmax,
  candidateProbabilities,
  chooseToken,
  drawToken,
  filterLogits,
  resolveSampling,
  type Candidates,
  type SamplingOptions,
} from "../../src/generate/sampling.js";
import { Random } from "../../src/random.js";

interface GoldenCase {
  logits: string;
  settings: Partial<SamplingOptions>;
  kept: number[];
  probabilities: number[];
  tie_at_cut?: boolean;
}
const golden = (
  JSON.parse(readFileSync(new URL("../golden/generate.json", import.meta.url), "utf8")) as {
    sampling: { previous_ids: number[]; defaults: Partial<SamplingOptions>; logits: Record<string, number[]>; cases: GoldenCase[] };
  }
).sampling;

/** Everything off, as the golden defaults. */
const off = resolveSampling({ do_sample: true, top_k: 0 });

/** Probabilities by vocabulary entry. */
function spread(candidates: Candidates, size: number): number[] {
  const full = Array<number>(size).fill(0);
  candidateProbabilities(candidates).forEach((probability, i) => (full[candidates.ids[i]!] = probability));
  return full;
}

describe("golden filters", () => {
  test.each(golden.cases.map((one) => [`${one.logits} ${JSON.stringify(one.settings)}`, one] as const))(
    "%s",
    (_, { logits: name, settings, kept, probabilities, tie_at_cut }) => {
      const logits = new Float32Array(golden.logits[name]!);
      const before = logits.slice();
      const candidates = filterLogits(logits, golden.previous_ids, resolveSampling({ ...golden.defaults, ...settings, do_sample: true }));
      expect(logits).toEqual(before);
      const got = spread(candidates, logits.length);
      const order = (values: number[]) => (tie_at_cut ? [...values].sort((a, b) => a - b) : values);
      if (tie_at_cut) expect(candidates.ids.length).toBe(kept.length);
      else expect([...candidates.ids]).toEqual(kept);
      const expected = order(probabilities);
      const largest = Math.max(...order(got).map((value, i) => Math.abs(value - expected[i]!)));
      expect(largest).toBeLessThan(1e-6);
      expect(got.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12);
    },
  );
});

/** The filters written a second time, straight from transformers' logits_process.py: whole sorts, nothing skipped. Returns kept ids, ascending. */
function slowFilter(logits: Float32Array, options: SamplingOptions): number[] {
  let scores = Array.from(logits, (value) => Math.fround(value / options.temperature));
  const softmax = (values: number[]) => {
    const max = Math.max(...values);
    const weights = values.map((value) => Math.exp(value - max));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight) => weight / total);
  };
  const mask = (remove: (i: number) => boolean) => (scores = scores.map((value, i) => (remove(i) ? -Infinity : value)));
  if (options.top_k > 0) {
    const last = [...scores].sort((a, b) => b - a)[Math.min(options.top_k, scores.length) - 1]!;
    mask((i) => scores[i]! < last);
  }
  if (options.top_p < 1) {
    const order = scores.map((_, i) => i).sort((a, b) => scores[a]! - scores[b]! || a - b);
    const p = softmax(scores);
    const removed = new Set<number>();
    let sum = 0;
    for (const i of order.slice(0, -1)) {
      sum += p[i]!;
      if (sum <= 1 - options.top_p) removed.add(i);
    }
    mask((i) => removed.has(i));
  }
  if (options.min_p !== null) {
    const p = softmax(scores);
    const limit = options.min_p * Math.max(...p);
    mask((i) => p[i]! < limit && p[i]! !== Math.max(...p));
  }
  if (options.typical_p < 1) {
    const p = softmax(scores);
    const entropy = p.reduce((sum, value) => (value > 0 ? sum - value * Math.log(value) : sum), 0);
    const distance = p.map((value) => (value > 0 ? Math.fround(Math.abs(-Math.log(value) - entropy)) : Infinity));
    const order = p.map((_, i) => i).sort((a, b) => distance[a]! - distance[b]! || a - b);
    let sum = 0;
    let last = 0;
    for (const i of order) {
      sum += p[i]!;
      if (sum < options.typical_p) last++;
    }
    const limit = distance[order[Math.min(last, order.length - 1)]!]!;
    mask((i) => distance[i]! > limit);
  }
  return scores.flatMap((value, i) => (value > -Infinity ? [i] : []));
}

describe("the short cuts change nothing", () => {
  test("random logits and options, small and large k, many ties", () => {
    const random = new Random(8);
    for (let round = 0; round < 300; round++) {
      const size = 1 + random.integer(round % 10 === 0 ? 4000 : 60);
      // Quarter steps make ties; distances in typical_p are then compared between equal floats only.
      const ties = round % 2 === 0;
      const logits = Float32Array.from({ length: size }, () => (ties ? Math.round(random.normal() * 8) / 4 : random.normal() * 3));
      const options: SamplingOptions = {
        ...off,
        temperature: ties ? 1 : 0.3 + random.uniform() * 2,
        top_k: random.integer(2) === 0 ? 0 : 1 + random.integer(size + 3),
        top_p: random.integer(2) === 0 ? 1 : random.uniform(),
        min_p: random.integer(2) === 0 ? null : random.uniform(),
        typical_p: ties || random.integer(2) === 0 ? 1 : 0.01 + 0.98 * random.uniform(),
      };
      expect([...filterLogits(logits, [], options).ids], JSON.stringify({ round, size, options })).toEqual(slowFilter(logits, options));
    }
  });

  test("the ends of each range", () => {
    const logits = new Float32Array([1, 3, 3, 2]);
    // top_p 0 keeps one token; of the two equal ones the later, as a stable ascending sort does.
    expect([...filterLogits(logits, [], { ...off, top_p: 0 }).ids]).toEqual([2]);
    expect([...filterLogits(logits, [], { ...off, min_p: 1 }).ids]).toEqual([1, 2]);
    expect([...filterLogits(logits, [], { ...off, min_p: 0 }).ids]).toEqual([0, 1, 2, 3]);
    expect([...filterLogits(logits, [], { ...off, top_k: 4 }).ids]).toEqual([0, 1, 2, 3]);
    expect([...filterLogits(logits, [], { ...off, top_k: 1 }).ids]).toEqual([1, 2]);
    expect([...filterLogits(new Float32Array(1000), [], { ...off, top_p: 0.25 }).ids]).toEqual(
      Array.from({ length: 250 }, (_, i) => 750 + i),
    );
    // The whole mass lies on one token: everything else underflows.
    expect([...filterLogits(new Float32Array([0, 2000, 1]), [], { ...off, top_p: 0.9, typical_p: 0.9, min_p: 0.1 }).ids]).toEqual([1]);
    expect(candidateProbabilities(filterLogits(new Float32Array([0, -Infinity]), [], off))).toEqual(new Float64Array([1, 0]));
  });
});

describe("repetition penalty", () => {
  test("positive logits are divided, negative multiplied, each once", () => {
    const logits = new Float32Array([2, -2, 4, 0]);
    expect([...filterLogits(logits, [0, 1, 0, 0, 1], { ...off, repetition_penalty: 2 }).logits]).toEqual([1, -4, 4, 0]);
  });

  test("greedy choice sees it", () => {
    const logits = new Float32Array([2, 1.5, 0]);
    const greedy = resolveSampling({});
    expect(chooseToken(logits, [0], greedy, new Random(0))).toBe(0);
    expect(chooseToken(logits, [0], { ...greedy, repetition_penalty: 1.5 }, new Random(0))).toBe(1);
  });

  test("an id that the model does not have", () => {
    expect(() => filterLogits(new Float32Array(4), [4], { ...off, repetition_penalty: 2 })).toThrow(
      "sampling: previous ids must be below the vocabulary size 4, got 4; use the tokenizer of this model",
    );
  });
});

describe("choosing", () => {
  test("argmax takes the first of equal maxima", () => {
    expect(argmax(new Float32Array([1, 5, 2, 5]))).toBe(1);
    expect(argmax(new Float32Array([-Infinity, -1e30]))).toBe(1);
  });

  test("draws follow the probabilities", () => {
    const candidates = filterLogits(new Float32Array([0, Math.log(2), -Infinity, Math.log(5)]), [], off);
    const random = new Random(3);
    const counts = [0, 0, 0, 0];
    const draws = 40_000;
    for (let i = 0; i < draws; i++) counts[drawToken(candidates, random)]!++;
    expect(counts[2]).toBe(0);
    // Four standard deviations of a binomial count.
    [1 / 8, 2 / 8, 0, 5 / 8].forEach((p, i) =>
      expect(Math.abs(counts[i]! - draws * p)).toBeLessThanOrEqual(4 * Math.sqrt(draws * p * (1 - p))),
    );
  });

  test("equal seeds draw equal tokens, one number each", () => {
    const logits = Float32Array.from({ length: 500 }, (_, i) => Math.sin(i));
    const draw = (random: Random) => Array.from({ length: 50 }, () => chooseToken(logits, [], off, random));
    expect(draw(new Random(9))).toEqual(draw(new Random(9)));
    expect(draw(new Random(9))).not.toEqual(draw(new Random(10)));
    const used = new Random(9);
    draw(used);
    const counted = new Random(9);
    for (let i = 0; i < 50; i++) counted.uint32();
    expect(used.state()).toEqual(counted.state());
  });

  test("broken logits are named", () => {
    const nan = new Float32Array([0, 1, NaN]);
    const message = (got: string) =>
      `sampling: logits must be numbers with a finite maximum, got ${got}; the weights are broken or training has diverged`;
    for (const options of [resolveSampling({}), off, resolveSampling({ do_sample: true, top_k: 1, top_p: 0.5, typical_p: 0.5 })]) {
      expect(() => chooseToken(nan, [], options, new Random(0))).toThrow(message("NaN at 2"));
      expect(() => chooseToken(new Float32Array([Infinity, 1]), [], options, new Random(0))).toThrow(message("Infinity at 0"));
      expect(() => chooseToken(new Float32Array([-Infinity]), [], options, new Random(0))).toThrow(message("−Infinity everywhere"));
      expect(() => chooseToken(new Float32Array(0), [], options, new Random(0))).toThrow(message("no logits"));
    }
  });
});

describe("options", () => {
  test("defaults are transformers'", () => {
    expect(resolveSampling({})).toEqual({
      do_sample: false,
      temperature: 1,
      top_k: 50,
      top_p: 1,
      min_p: null,
      typical_p: 1,
      repetition_penalty: 1,
    });
  });

  test.each([
    [{ temperature: 0 }, "option_range", "generate: temperature must be > 0, got 0; the default is 1"],
    [{ temperature: -1 }, "option_range", "generate: temperature must be > 0, got -1; the default is 1"],
    [{ temperature: NaN }, "option_type", "generate: temperature must be a number > 0, got NaN; the default is 1"],
    [{ top_k: 1.5 }, "option_type", "generate: top_k must be an integer >= 0, got 1.5; the default is 50"],
    [{ top_k: -1 }, "option_range", "generate: top_k must be >= 0, got -1; the default is 50"],
    [{ top_p: 1.01 }, "option_range", "generate: top_p must be >= 0 and <= 1, got 1.01; the default is 1"],
    [{ min_p: -0.1 }, "option_range", "generate: min_p must be >= 0 and <= 1 or null, got -0.1; the default is null"],
    [{ typical_p: 0 }, "option_range", "generate: typical_p must be > 0 and <= 1, got 0; the default is 1"],
    [{ repetition_penalty: 0 }, "option_range", "generate: repetition_penalty must be > 0, got 0; the default is 1"],
    [{ topk: 3 }, "option_unknown", "generate: unknown option topk; did you mean top_k?"],
  ])("%j", (input, code, message) => {
    expect(() => resolveSampling(input as object)).toThrow(expect.objectContaining({ code, message }));
  });
});

test("a 152k vocabulary takes milliseconds", () => {
  const random = new Random(1);
  const logits = Float32Array.from({ length: 151_936 }, () => random.normal() * 2);
  const previous = Array.from({ length: 200 }, () => random.integer(151_936));
  const times: string[] = [];
  for (const [name, changes] of Object.entries({
    greedy: { do_sample: false },
    top_k: { top_k: 50, temperature: 0.7, repetition_penalty: 1.1 },
    "top_k + top_p": { top_k: 20, top_p: 0.8, temperature: 0.7, repetition_penalty: 1.05 },
    "top_p alone": { top_p: 0.9 },
    "typical_p alone": { typical_p: 0.9 },
    "all kept": {},
  })) {
    const options = { ...off, ...changes };
    for (let i = 0; i < 5; i++) chooseToken(logits, previous, options, random);
    const start = performance.now();
    for (let i = 0; i < 10; i++) chooseToken(logits, previous, options, random);
    const milliseconds = (performance.now() - start) / 10;
    times.push(`${name} ${milliseconds.toFixed(2)} ms`);
    // Measured 0.2 to 25 ms; the bound only catches a full sort with a comparator (hundreds of milliseconds).
    expect(milliseconds).toBeLessThan(150);
  }
  console.info(`sampling, 151,936 logits: ${times.join(", ")}`);
});
