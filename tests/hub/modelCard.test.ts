/** Cards of real runs: what they say, that Python reads it, and that their examples run. */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { load_dataset } from "../../src/data/index.js";
import { type CardFacts, Dataset, datasetCard, generateSamples, modelCard, writeModelCard } from "../../src/index.js";
import { parseFrontMatter } from "../../src/hub/card/frontMatter.js";
import { featuresOf, sizeCategory } from "../../src/hub/datasetCard.js";
import { AutoModelForCausalLM, LoraConfig } from "../../src/model/index.js";
import { AutoTokenizer } from "../../src/text/index.js";
import { type DPOConfigInput, DPOConfig, DPOTrainer, SFTConfig, SFTTrainer } from "../../src/train/index.js";

const GOLDEN = resolve(import.meta.dirname, "../golden");
const TINY = join(GOLDEN, "tiny-qwen2");
const python = process.env["PREFLAB_PYTHON"] ?? "python3";
const probe = spawnSync(python, ["-c", "import huggingface_hub"], { encoding: "utf8" });
const reason = probe.error !== undefined ? `there is no ${python}` : probe.status !== 0 ? `${python} lacks huggingface_hub` : undefined;
const skipped = reason === undefined ? "" : ` (skipped: ${reason}; set PREFLAB_PYTHON to a Python that has it)`;
const lacksDatasets =
  reason ?? (spawnSync(python, ["-c", "import datasets"], { cwd: tmpdir() }).status === 0 ? undefined : `${python} lacks datasets`);

/** The last line of output, from JSON. */
function runPython(script: string, input = ""): unknown {
  const { status, stdout, stderr } = spawnSync(python, ["-c", `import json, sys\n${script}`], { input, encoding: "utf8", cwd: tmpdir() });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout.trim().split("\n").at(-1)!);
}
const blocks = (card: string, language: string): string[] =>
  [...card.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\\n\`\`\``, "g"))].map(([, code]) => code!);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "preflab-card-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const QUIET = {
  logging_steps: 1,
  save_strategy: "no",
  disable_tqdm: true,
  threads: 1,
  max_steps: 3,
  per_device_train_batch_size: 2,
} as const;

async function dpo(name: string, args: DPOConfigInput = {}, eval_dataset?: Dataset): Promise<DPOTrainer> {
  const trainer = new DPOTrainer({
    model: await AutoModelForCausalLM.from_pretrained(TINY),
    processing_class: await AutoTokenizer.from_pretrained(TINY),
    train_dataset: (await load_dataset(join(GOLDEN, "pairs.jsonl"))).select(4),
    ...(eval_dataset === undefined ? {} : { eval_dataset }),
    peft_config: new LoraConfig({ r: 2 }),
    args: new DPOConfig({ ...QUIET, output_dir: join(folder, name), learning_rate: 1e-2, ...args }),
  });
  await trainer.train();
  return trainer;
}

describe("the card of a run", () => {
  let trainer: DPOTrainer;
  let card: string;
  let facts: CardFacts;
  beforeAll(async () => {
    const held = (await load_dataset(join(GOLDEN, "pairs.jsonl"))).select([8, 9]);
    trainer = await dpo("run", { eval_strategy: "steps", beta: 0.3 }, held);
    facts = {
      repo_id: "alice/tiny-dpo",
      model: trainer.model,
      trainer,
      datasets: ["alice/pairs"],
      tags: ["course"],
      license: "apache-2.0",
      language: ["ar", "en"],
      samples: await generateSamples(trainer.model, trainer.processing_class, ["Hi | <b>there</b>"], { max_new_tokens: 8 }),
      limitations: "For teaching only.",
    };
    await trainer.save_model();
    await writeModelCard(join(folder, "card"), facts);
    card = readFileSync(join(folder, "card", "README.md"), "utf8");
  });
  afterAll(() => trainer.dispose());

  test("its metrics are the last evaluation's and the training's", () => {
    const evaluation = trainer.state.log_history.findLast((entry) => entry["eval_loss"] !== undefined)!;
    const head = parseFrontMatter(card)!;
    expect(head).toMatchObject({ license: "apache-2.0", language: ["ar", "en"], datasets: ["alice/pairs"], library_name: "peft" });
    const [{ name, results }] = head["model-index"] as [
      { name: string; results: { dataset: object; metrics: { name: string; value: number }[] }[] },
    ];
    expect(name).toBe("tiny-dpo");
    expect(results.map(({ dataset }) => dataset)).toEqual([
      { type: "alice/pairs", name: "alice/pairs" },
      { type: "alice/pairs", name: "alice/pairs", split: "train" },
    ]);
    const values = new Map(results.flatMap(({ metrics }) => metrics).map((metric) => [metric.name, metric.value]));
    expect(values.get("Loss")).toBe(Number(evaluation["eval_loss"]!.toPrecision(6)));
    expect(values.get("Reward accuracy")).toBe(evaluation["eval_rewards/accuracies"]);
    const { training_loss } = { training_loss: trainer.state.log_history.at(-1)!["train_loss"]! };
    expect(values.get("Training loss, mean over all steps")).toBe(Number(training_loss.toPrecision(6)));
  });

  test("says how it was trained, what it writes, and where it ends", () => {
    const { results, hardware, data } = trainer.manifest!;
    for (const part of [
      "| beta | 0.3 |",
      "| lora r | 2 |",
      `| duration | ${results!.train_runtime.toFixed(1)} s |`,
      `| processor | ${hardware.cpu}, ${hardware.threads} threads |`,
      "![Training curves](training_curves.svg)",
      "> Hi | &lt;b>there&lt;/b>",
      "**Before training**",
      "- For teaching only.",
      "- It was trained on 4 rows;",
      `| training data: pairs.jsonl | ${data.train.files[0]!.sha256} |`,
      "--beta 0.3",
      "rafailov2023direct",
      "hu2021lora",
      "- onnxruntime-node: ",
    ])
      expect(card, part).toContain(part);
    expect(card).not.toContain("Nothing was measured");
    expect(card).not.toContain(folder);
    expect(card).not.toContain(GOLDEN);
    const svg = readFileSync(join(folder, "card", "training_curves.svg"), "utf8");
    expect(svg).toContain("eval_loss");
    expect(svg.match(/<polyline/g)!.length).toBeGreaterThan(5);
    expect(svg).not.toContain("NaN");
    expect(card).toMatch(/^\| 3 \| [\d.]+ \| [\d.]+ \|/m);
  });

  test("asks in Arabic where the model's first language is that, with the seeds' settings", () => {
    expect(card).toContain('tokenizer("ما رأيك في أهمية التعليم؟", return_tensors="pt")');
    expect(card).toContain(
      "max_length=200, do_sample=True, temperature=0.8, top_p=0.9, repetition_penalty=1.1, pad_token_id=tokenizer.eos_token_id",
    );
    expect(card).toContain("max_length: 200, do_sample: true, temperature: 0.8, top_p: 0.9, repetition_penalty: 1.1");
    expect(card).toContain('{ role: "user", content: "أحتاج نصيحة حول اختيار التخصص الجامعي" }');
    expect(modelCard({ ...facts, language: "en" })).toContain('tokenizer("What do you think about the importance of education?"');
  });

  test("a value that was not measured is not in it", () => {
    const plain = modelCard({ repo_id: "alice/x", model: trainer.model, datasets: [], tags: [] });
    expect(parseFrontMatter(plain)).not.toHaveProperty("model-index");
    expect(parseFrontMatter(plain)).not.toHaveProperty("license");
    for (const part of ["## Training", "## Results", "## Samples", "### Metrics", "duration"]) expect(plain).not.toContain(part);
    expect(plain).toContain("- Nothing was measured on rows that it was not trained on.");
  });

  test("a licence the Hub does not know, and a path in a sample, are refused", () => {
    expect(() => modelCard({ ...facts, license: "apache" })).toThrow(/license: must be an identifier of the Hub, got "apache"/);
    expect(() => modelCard({ ...facts, samples: [{ prompt: `read ${TINY}/x` }] })).toThrow(
      /^card: it must hold nothing private, got a path of this machine/,
    );
  });

  test.skipIf(reason !== undefined)(`Python's ModelCard reads it, evaluation results too, and its code is Python${skipped}`, () => {
    const found = runPython(
      `
import ast
from huggingface_hub import ModelCard
card = ModelCard(sys.stdin.buffer.read().decode())
again = ModelCard(str(card))
print(json.dumps({"results": [[r.dataset_name, r.dataset_split, r.metric_type, r.metric_value] for r in card.data.eval_results],
  "same": card.data.to_dict() == again.data.to_dict(), "name": card.data.model_name, "licence": card.data.license, "index": card.data.to_dict()["model-index"]}))`,
      card,
    ) as { results: [string, string | null, string, number][]; same: boolean; name: string; licence: string; index: unknown };
    expect(found).toMatchObject({ same: true, name: "tiny-dpo", licence: "apache-2.0" });
    const head = parseFrontMatter(card)!["model-index"] as { results: { metrics: { type: string; value: number }[] }[] }[];
    expect(found.results.map(([, , type, value]) => [type, value])).toEqual(
      head[0]!.results.flatMap(({ metrics }) => metrics.map(({ type, value }) => [type, value])),
    );
    const code = blocks(card, "python");
    expect(code).toHaveLength(5);
    for (const each of code) runPython("import ast\nast.parse(sys.stdin.buffer.read().decode())\nprint(1)", each);
  });

  test("its TypeScript runs as it stands, on the saved folders", () => {
    const work = join(folder, "work");
    cpSync(join(folder, "run"), join(work, "tiny-dpo"), { recursive: true });
    cpSync(TINY, join(work, "tiny-qwen2"), { recursive: true });
    const local = blocks(modelCard({ ...facts, repo_id: "tiny-dpo" }), "typescript");
    expect(local).toHaveLength(5);
    const [quickStart, load, ...examples] = local;
    const program = [
      `{\n${quickStart!.split("\n").slice(2).join("\n")}\n}`,
      ...load!.split("\n").slice(2),
      ...examples.map((each) => `{\n${each}\n}`),
    ].join("\n");
    // The package by its own name, from a folder that is not this one.
    const entry = resolve(import.meta.dirname, "../../dist/src/index.js");
    const source = `${load!.split("\n")[0]!.replace('"preflab"', JSON.stringify(entry))}\n${program}\nawait base.dispose();\nprocess.exit(0);\n`;
    writeFileSync(join(work, "use.mjs"), source.replaceAll(/max_(length|new_tokens): \d+/g, "max_new_tokens: 3"));
    const { status, stderr } = spawnSync(process.execPath, ["use.mjs"], { cwd: work, encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });
});

test("two equal runs have cards that differ in date and duration alone", async () => {
  const cards: string[] = [];
  for (const parent of ["one", "two"]) {
    const trainer = await dpo(join(parent, "same"));
    await trainer.create_model_card({ dataset_name: "alice/pairs" });
    await trainer.dispose();
    cards.push(readFileSync(join(folder, parent, "same", "README.md"), "utf8"));
    expect(existsSync(join(folder, parent, "same", "training_curves.svg"))).toBe(true);
  }
  const rest = cards.map((card) => card.replace(/^\| (duration|date) \| .* \|$/gm, ""));
  expect(rest[1]).toBe(rest[0]);
  expect(rest[0]).not.toBe(cards[0]);
});

test("create_model_card refuses unknown options; a licence comes from the base model's own card", async () => {
  const base = join(folder, "licensed");
  cpSync(TINY, base, { recursive: true });
  writeFileSync(join(base, "README.md"), "---\nlicense: mit\n---\n# Base\n");
  const rows = (await load_dataset(join(GOLDEN, "pairs.jsonl")))
    .select(2)
    .map(({ prompt, chosen }) => ({ prompt, completion: chosen as string }), {
      remove_columns: ["chosen", "rejected"],
    });
  const trainer = new SFTTrainer({
    model: await AutoModelForCausalLM.from_pretrained(base),
    processing_class: await AutoTokenizer.from_pretrained(base),
    train_dataset: rows,
    args: new SFTConfig({ ...QUIET, max_steps: 1, output_dir: join(folder, "sft") }),
  });
  await trainer.train();
  await expect(trainer.create_model_card({ licence: "mit" } as object)).rejects.toThrow(
    "create_model_card: unknown option licence; did you mean license?",
  );
  await trainer.create_model_card();
  await trainer.dispose();
  const card = readFileSync(join(folder, "sft", "README.md"), "utf8");
  expect(parseFrontMatter(card)).toMatchObject({ license: "mit", model_name: "sft", library_name: "transformers" });
  expect(card).toContain("### Sampling with a repetition penalty");
  expect(card).not.toContain("training_curves.svg");
  expect(card).not.toContain("## Citations");
});

describe("the card of a data set", () => {
  const splits = {
    train: Dataset.from_rows([
      { prompt: "a", messages: [{ role: "user", content: "x" }], score: 1, label: true, none: null, info: { n: 1 }, lists: [["a"]] },
      { prompt: "b", messages: [], score: 0.5, label: false, none: null, info: { n: 2 }, lists: [] },
    ]),
    test: Dataset.from_rows([{ prompt: "c", messages: null, score: 2, label: null, none: null, info: null, lists: null }]),
  };
  const facts = {
    repo_id: "alice/pairs",
    splits,
    files: { train: "data/train.jsonl", test: "data/test.jsonl" },
    license: "cc-by-4.0",
    language: "en",
    download_size: 321,
  };

  test("tells columns, splits and files", () => {
    const card = datasetCard(facts);
    expect(parseFrontMatter(card)).toMatchObject({
      license: "cc-by-4.0",
      size_categories: ["n<1K"],
      dataset_info: {
        splits: [
          { name: "train", num_examples: 2 },
          { name: "test", num_examples: 1 },
        ],
        download_size: 321,
      },
      configs: [
        {
          config_name: "default",
          data_files: [
            { split: "train", path: "data/train.jsonl" },
            { split: "test", path: "data/test.jsonl" },
          ],
        },
      ],
    });
    expect(card).toContain("| messages | list of { role: string, content: string } |");
    expect(card).toContain("| lists | list of list of string |");
    expect(() => datasetCard({ ...facts, license: "x" })).toThrow(
      /^dataset card: the metadata must follow the Hub's rules, got\n {2}license: /,
    );
    expect(() => featuresOf([Dataset.from_rows([{ a: "x" }, { a: 1 }])])).toThrow(
      "data set card: column a must hold one type, got string and int64; convert it with map",
    );
    expect([0, 999, 1000, 10_000, 5e12].map(sizeCategory)).toEqual(["n<1K", "n<1K", "1K<n<10K", "10K<n<100K", "n>1T"]);
  });

  test.skipIf(lacksDatasets !== undefined)(
    `Python's datasets reads features and splits${lacksDatasets === undefined ? "" : ` (skipped: ${lacksDatasets})`}`,
    () => {
      const found = runPython(
        `
from huggingface_hub import DatasetCard
from datasets.info import DatasetInfosDict
from datasets import Value
info = DatasetInfosDict.from_dataset_card_data(DatasetCard(sys.stdin.buffer.read().decode()).data)["default"]
print(json.dumps({"features": {k: str(v) for k, v in info.features.items()}, "splits": {k: v.num_examples for k, v in info.splits.items()}}))`,
        datasetCard(facts),
      );
      expect(found).toEqual({
        features: {
          prompt: "Value('string')",
          messages: "List({'role': Value('string'), 'content': Value('string')})",
          score: "Value('float64')",
          label: "Value('bool')",
          none: "Value('null')",
          info: "{'n': Value('int64')}",
          lists: "List(List(Value('string')))",
        },
        splits: { train: 2, test: 1 },
      });
    },
  );
});
