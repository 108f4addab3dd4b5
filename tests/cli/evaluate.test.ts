import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parse } from "csv-parse/sync";
import { afterAll, describe, expect, test } from "vitest";
import { preflab } from "./command.js";

const GOLDEN = resolve(import.meta.dirname, "../golden");
const TINY = join(GOLDEN, "tiny-qwen2");
const folder = mkdtempSync(join(tmpdir(), "preflab-evaluate-"));
afterAll(() => rmSync(folder, { recursive: true }));
const evaluate = (...argv: string[]) => preflab(["evaluate", ...argv]);
const write = (name: string, rows: object[]): string => {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
};

describe("preflab evaluate", () => {
  test("--task preference, against the base of an adapter; files hold every pair", async () => {
    const output_dir = join(folder, "preference");
    const argv = ["--dataset", join(GOLDEN, "pairs.jsonl"), "--task", "preference", "--output_dir", output_dir];
    const result = await evaluate(TINY, ...argv, "--adapter", join(GOLDEN, "lora_final"), "--against_base", "--json");
    expect(result).toMatchObject({ code: 0, stderr: "" });
    const object = JSON.parse(result.stdout);
    expect(object).toMatchObject({ task: "preference", model: TINY });
    expect(object.metrics).toHaveLength(4);
    // The adapter was trained on these pairs.
    expect(object.metrics[2].mean).toBeGreaterThan(0);
    expect(object.metrics[2].mean_low).toBeLessThan(object.metrics[2].mean);
    expect(JSON.parse(readFileSync(join(output_dir, "evaluation.json"), "utf8"))).toEqual(object);
    const rows: Record<string, string>[] = parse(readFileSync(join(output_dir, "rows.csv"), "utf8"), { columns: true });
    const positive = rows.filter((row) => Number(row["margin_summed_against_reference"]) > 0).length;
    expect(object.metrics[2].accuracy).toBeCloseTo(positive / rows.length, 12);
  });

  test("--task perplexity of completions, as a sentence and a table", async () => {
    const dataset = write("texts.jsonl", [
      { prompt: "The garden", completion: " behind the house" },
      { prompt: "A", completion: " soup" },
    ]);
    const result = await evaluate("--model_name_or_path", TINY, "--dataset_name", dataset, "--task", "perplexity");
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toMatch(/^Perplexity \d+\.\d+ a token \(95 % interval .* over \d+ tokens of 2 texts\./);
    expect(result.stdout).toContain("mean negative log-prob, nats a token");
  });

  test("--task classification: scikit-learn's table, by likelihood and by generation", async () => {
    const dataset = write("labels.jsonl", [
      { question: "The garden behind the", sensitive: true },
      { question: "A soup of", sensitive: false },
      { question: "Why do we", sensitive: false },
    ]);
    const argv = [TINY, "--dataset", dataset, "--task", "classification", "--prompt_column", "question", "--label_column", "sensitive"];
    const words = ["--label_words", '{"true": [" yes", " Yes"], "false": " no"}', "--pos_label", "true"];
    const likely = await evaluate(...argv, ...words);
    expect(likely).toMatchObject({ code: 0, stderr: "" });
    expect(likely.stdout).toContain("Predicted by the likeliest label word, log-probs summed.");
    expect(likely.stdout).toContain("precision    recall  f1-score   support");
    expect(likely.stdout).toContain("weighted avg");
    const written = await evaluate(...argv, ...words, "--method", "generation", "--max_new_tokens", "4", "--chat", "--json");
    expect(written.code).toBe(0);
    expect(JSON.parse(written.stdout).summary.join(" ")).toContain("greedy answer of at most 4 tokens");
  });

  test.each<[string[], number, string]>([
    [[], 2, "preflab evaluate: --task must be given; preference: how often the chosen answer"],
    [["--task", "preference", "--dataset", "x"], 2, "preflab evaluate: one MODEL must be given, got 0; write it as the first word"],
    [
      ["a", "b", "--task", "preference", "--dataset", "x"],
      2,
      "preflab evaluate: one MODEL must be given, got 2, a b; write it as the first word",
    ],
    [
      [TINY, "--task", "mmlu", "--dataset", "x"],
      2,
      'preflab evaluate: --task must be one of preference, classification, perplexity, got "mmlu"',
    ],
    [
      [TINY, "--task", "perplexity", "--dataset", "x", "--labels", "a"],
      2,
      "preflab evaluate: --labels is for --task classification, got it with --task perplexity; leave it out",
    ],
    [
      [TINY, "--task", "preference", "--dataset", join(GOLDEN, "pairs.jsonl"), "--against_base"],
      1,
      "preflab evaluate: --against_base needs a model with an adapter, got one without; give --adapter",
    ],
    [
      [TINY, "--task", "classification", "--dataset", join(GOLDEN, "pairs.jsonl")],
      1,
      `${join(GOLDEN, "pairs.jsonl")}: the column must exist, got label`,
    ],
  ])("%j: exit code %i", async (argv, code, message) => {
    const result = await evaluate(...argv);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toContain(message);
  });
});
