import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { load_dataset } from "../../src/data/index.js";
import type { TransferProgress } from "../../src/data/repository.js";
import { modelCard } from "../../src/hub/index.js";
import { AutoModelForCausalLM, LoraConfig, PeftModel, type Qwen2ForCausalLM, get_peft_model } from "../../src/model/index.js";
import { AutoTokenizer, type PreTrainedTokenizer } from "../../src/text/index.js";
import { DPOConfig, DPOTrainer } from "../../src/train/index.js";
import { failure, useHub } from "./useHub.js";

const scene = useHub();
const TINY = new URL("../golden/tiny-qwen2", import.meta.url).pathname;
const PAIRS = new URL("../golden/pairs.jsonl", import.meta.url).pathname;
const quiet = { progress: false } as const;

let model: Qwen2ForCausalLM;
let tokenizer: PreTrainedTokenizer;
beforeAll(async () => {
  model = await AutoModelForCausalLM.from_pretrained(TINY, { engine: "eager", backend: "cpu" });
  tokenizer = await AutoTokenizer.from_pretrained(TINY);
});
afterAll(() => model.dispose());

const login = () => vi.stubEnv("HF_TOKEN", "hf_good");
const silence = () => vi.spyOn(console, "log").mockReturnValue();
const head = (id: string, branch?: string) => scene.hub.head("model", id, branch);
const commits = (id: string, branch = "main") => scene.hub.commits("model", id, branch);
const yamlOf = (card: string) => parse(/^---\n([\s\S]*?)\n---\n/.exec(card)![1]!) as Record<string, unknown>;
/** Staged folders of pushes that are still there. */
const staged = () => readdirSync(tmpdir()).filter((name) => name.startsWith("preflab-push-"));

describe("push_to_hub of a model", () => {
  test("makes the repository and uploads in one commit what save_pretrained saves", async () => {
    login();
    const before = staged();
    const result = await model.push_to_hub("alice/tiny", { ...quiet, private: true, commit_message: "First" });
    const [, commit] = await commits("alice/tiny");
    expect((await commits("alice/tiny")).map(({ title }) => title)).toEqual(["initial commit", "First"]);
    expect(result).toEqual({ url: `${scene.hub.url}/alice/tiny`, directory: null, commit: commit!.hash, pr_url: null });
    expect(await scene.hub.isPrivate("model", "alice/tiny")).toBe(true);
    await model.save_pretrained(join(scene.root, "saved"));
    const saved = readdirSync(join(scene.root, "saved"));
    expect(Object.keys(await head("alice/tiny")).sort()).toEqual([...saved, "README.md", ".gitattributes"].sort());
    for (const name of saved)
      expect((await head("alice/tiny"))[name] === readFileSync(join(scene.root, "saved", name), "latin1"), name).toBe(true);
    expect(staged()).toEqual(before);
    // Back again.
    const again = await AutoModelForCausalLM.from_pretrained("alice/tiny", quiet);
    expect(again.config).toEqual(model.config);
  });

  test("into a namespace of its own when only a name is given, and onto a branch", async () => {
    login();
    await model.push_to_hub("tiny", quiet);
    const revision = "exp/2";
    const { url } = await tokenizer.push_to_hub("tiny", { ...quiet, revision });
    expect(url).toBe(`${scene.hub.url}/alice/tiny/tree/exp%2F2`);
    expect(Object.keys(await head("alice/tiny"))).not.toContain("tokenizer.json");
    expect(Object.keys(await head("alice/tiny", revision))).toContain("tokenizer.json");
    await tokenizer.push_to_hub("tiny", { ...quiet, revision });
    expect((await commits("alice/tiny", revision)).length).toBe(4);
    const loaded = await AutoTokenizer.from_pretrained("alice/tiny", { ...quiet, revision });
    expect(loaded.encode("Hi")).toEqual(tokenizer.encode("Hi"));
  });

  test("sends no large file twice, keeps a README and removes outdated weights", async () => {
    login();
    await model.push_to_hub("alice/tiny", quiet);
    await scene.hub.commit("model", "alice/tiny", {
      "README.md": "mine",
      "model-00001-of-00002.safetensors": "old",
      "model.safetensors.index.json": "old",
      "notes.txt": "n",
    });
    scene.hub.takeSeen();
    await model.push_to_hub("alice/tiny", quiet);
    expect(scene.hub.takeSeen().filter((path) => path.startsWith("PUT"))).toEqual([]);
    expect((await head("alice/tiny"))["README.md"]).toBe("mine");
    expect(Object.keys(await head("alice/tiny")).sort()).toEqual([
      ".gitattributes",
      "README.md",
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "notes.txt",
    ]);
    const adapter = get_peft_model(model, new LoraConfig({ r: 2 }));
    await adapter.push_to_hub("alice/tiny", quiet);
    expect(Object.keys(await head("alice/tiny"))).toEqual(
      expect.arrayContaining(["model.safetensors", "adapter_model.safetensors", "adapter_config.json"]),
    );
    await adapter.dispose();
  });

  test("tells its progress", async () => {
    login();
    const told: TransferProgress[] = [];
    await model.push_to_hub("alice/tiny", { progress: (event) => void told.push(event) });
    expect(told.at(-1)).toMatchObject({ repository: "alice/tiny", direction: "upload", finished: true });
    expect(told.at(-1)!.done_bytes).toBe(told.at(-1)!.total_bytes);
    expect(told.at(-1)!.total_bytes).toBeGreaterThan(statSync(join(TINY, "model.safetensors")).size);
  });

  test("goes on when the Hub is busy, and commits once", async () => {
    login();
    for (const match of [/create/, /preupload/, /lfs\/objects/, /^\/lfs\//]) scene.hub.fail({ match, status: 503 });
    await model.push_to_hub("alice/tiny", quiet);
    expect((await commits("alice/tiny")).length).toBe(2);
  });

  test.each([
    ["the commit is refused", { match: /commit\/main/, status: 500 }, "hub_server"],
    ["the upload is refused", { match: /^\/lfs\//, status: 403 }, "hub_forbidden"],
  ])("when %s, nothing is lost and it can be repeated", async (_, fault, code) => {
    login();
    scene.hub.fail(fault);
    const local_dir = join(scene.root, "kept");
    const before = staged();
    const error = await failure(model.push_to_hub("alice/tiny", { ...quiet, local_dir }));
    expect(error).toMatchObject({ name: "HubError", code });
    expect(error.message).toMatch(new RegExp(`Nothing is lost: the files are in ${local_dir}, and push_to_hub can be repeated$`));
    expect(error.message).not.toContain("hf_good");
    expect((await commits("alice/tiny")).length).toBe(1);
    expect(staged()).toEqual(before);
    expect((await AutoModelForCausalLM.from_pretrained(local_dir)).config).toEqual(model.config);
    await model.push_to_hub("alice/tiny", quiet);
    expect(Object.keys(await head("alice/tiny"))).toContain("model.safetensors");
  });

  test("is refused in others' namespaces, and for a public repository that should be private", async () => {
    login();
    const local_dir = join(scene.root, "kept");
    expect(await failure(model.push_to_hub("bob/tiny", { ...quiet, local_dir }))).toMatchObject({
      code: "hub_forbidden",
      message: expect.stringMatching(
        /^Hub bob\/tiny: the request must be allowed, got 403 \(You don't have the rights.*give the token from HF_TOKEN the role "write", or use a namespace of yours/,
      ),
    });
    await model.push_to_hub("alice/open", { ...quiet, private: false });
    const commitsBefore = (await commits("alice/open")).length;
    expect(await failure(model.push_to_hub("alice/open", { ...quiet, private: true, local_dir }))).toMatchObject({
      code: "hub_conflict",
      message: expect.stringMatching(/got one that exists and is public/),
    });
    expect((await commits("alice/open")).length).toBe(commitsBefore);
    // An organisation's repository that one may write to but not make.
    await scene.hub.commit("model", "org/shared", { "x.txt": "x" });
    scene.hub.fail({ match: /repos\/create/, status: 403 });
    await model.push_to_hub("org/shared", quiet);
    expect(Object.keys(await head("org/shared"))).toContain("model.safetensors");
  });

  test.each(["", "a/b/c", "../x", "a b", "a/../b", "x/.."])("refuses the name %j", async (name) => {
    expect(await failure(model.push_to_hub(name))).toMatchObject({ name: "ConfigError", code: "repo_id" });
  });

  test("refuses unknown options", async () => {
    expect(await failure(model.push_to_hub("a/b", { privat: true } as object))).toMatchObject({
      code: "option_unknown",
      message: expect.stringMatching(/^push_to_hub: unknown option privat; did you mean private\?$/),
    });
    expect(await failure(model.push_to_hub("a/b", { tags: ["x"] } as object))).toMatchObject({ code: "option_unknown" });
  });
});

describe("push_to_hub without a token", () => {
  test("writes to a folder and says so in one line", async () => {
    const log = silence();
    const local_dir = join(scene.root, "out");
    expect(await model.push_to_hub("alice/tiny", { local_dir })).toEqual({ url: null, directory: local_dir, commit: null, pr_url: null });
    expect(log.mock.calls).toEqual([
      [`push_to_hub: no token (set HF_TOKEN, or run hf auth login); alice/tiny was written to ${local_dir}`],
    ]);
    await tokenizer.push_to_hub("alice/tiny", { local_dir });
    expect((await AutoModelForCausalLM.from_pretrained(local_dir)).config).toEqual(model.config);
    expect((await AutoTokenizer.from_pretrained(local_dir)).encode("Hi")).toEqual(tokenizer.encode("Hi"));
    writeFileSync(join(local_dir, "README.md"), "mine");
    await model.push_to_hub("alice/tiny", { local_dir });
    expect(readFileSync(join(local_dir, "README.md"), "utf8")).toBe("mine");
    expect(scene.hub.seen).toEqual([]);
  });

  test("also offline, and by default below hub/", async () => {
    const log = silence();
    login();
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    const before = process.cwd();
    process.chdir(scene.root);
    try {
      const { directory } = await tokenizer.push_to_hub("alice/tiny");
      expect(directory).toBe(join(process.cwd(), "hub/alice/tiny"));
      expect(existsSync(join(directory!, "tokenizer.json"))).toBe(true);
      expect(log.mock.calls[0]![0]).toMatch(/HF_HUB_OFFLINE is set; alice\/tiny was written to/);
    } finally {
      process.chdir(before);
    }
  });

  test("finds the token that the login has saved", async () => {
    mkdirSync(join(scene.root, "hf"), { recursive: true });
    writeFileSync(join(scene.root, "hf", "token"), "hf_good\n");
    expect((await tokenizer.push_to_hub("alice/tiny", quiet)).commit).toMatch(/^[0-9a-f]{40}$/);
    silence();
    expect((await tokenizer.push_to_hub("alice/tiny", { token: false, local_dir: join(scene.root, "x") })).commit).toBeNull();
  });
});

describe("push_to_hub of a trainer", () => {
  const folder = mkdtempSync(join(tmpdir(), "preflab-trainer-"));
  let trainer: DPOTrainer;
  beforeAll(async () => {
    const args = new DPOConfig({
      output_dir: join(folder, "my-run"),
      max_steps: 2,
      logging_steps: 1,
      save_strategy: "no",
      engine: "eager",
      backend: "cpu",
      beta: 0.2,
      max_length: 48,
      disable_tqdm: true,
    });
    const train_dataset = (await load_dataset(PAIRS)).select(4);
    trainer = new DPOTrainer({ model, args, train_dataset, processing_class: tokenizer, peft_config: new LoraConfig({ r: 2 }) });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("uploads adapter, tokenizer, options and a card; the card tells the run", async () => {
    login();
    expect(modelCard({ repo_id: "alice/x", model: trainer.model, trainer, datasets: [], tags: [] })).toContain(
      "The model has not been trained yet.",
    );
    await trainer.train();
    const { url } = await trainer.push_to_hub(undefined, {
      ...quiet,
      dataset_name: "jondurbin/truthy-dpo-v0.1",
      tags: ["course"],
      license: "apache-2.0",
    });
    expect(url).toBe(`${scene.hub.url}/alice/my-run`);
    const files = await head("alice/my-run");
    expect(Object.keys(files).sort()).toEqual(
      [
        ".gitattributes",
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_args.json",
        "training_curves.svg",
      ].sort(),
    );
    const card = Buffer.from(files["README.md"]!, "latin1").toString();
    expect(yamlOf(card)).toEqual({
      library_name: "peft",
      model_name: "my-run",
      pipeline_tag: "text-generation",
      tags: ["preflab", "generated_from_trainer", "dpo", "trl-compatible", "lora", "course"],
      datasets: ["jondurbin/truthy-dpo-v0.1"],
      license: "apache-2.0",
      "model-index": [
        {
          name: "my-run",
          results: [
            {
              task: { type: "text-generation", name: "Text Generation" },
              dataset: { name: "jondurbin/truthy-dpo-v0.1", type: "jondurbin/truthy-dpo-v0.1", split: "train" },
              metrics: [
                { type: "training_loss", value: expect.closeTo(Math.log(2), 2) as number, name: "Training loss, mean over all steps" },
              ],
            },
          ],
        },
      ],
    });
    const cells = new Map([...card.matchAll(/^\| (.+?) \| (.+?) \|$/gm)].map(([, name, value]) => [name!, value!]));
    expect(cells.get("beta")).toBe("0.2");
    expect(cells.get("max_steps")).toBe("2");
    expect(cells.get("lora r")).toBe("2");
    const last = trainer.state.log_history.findLast((entry) => entry["loss"] !== undefined)!;
    expect(Number(cells.get("loss"))).toBeCloseTo(last["loss"]!, 4);
    expect(Number(cells.get("rewards/margins"))).toBeCloseTo(last["rewards/margins"]!, 4);
    expect(card).toContain("After 2 of 2 steps");
    // No path of this machine: the base model and output_dir are local folders.
    expect(card).not.toContain(folder);
    expect(card).not.toContain(TINY);
    expect(card).toContain("a local model, `tiny-qwen2`");
    const back = await PeftModel.from_pretrained(model, "alice/my-run", quiet);
    expect(back.peft_config.r).toBe(2);
  });

  test("without a token writes below output_dir", async () => {
    silence();
    const { directory } = await trainer.push_to_hub("alice/my-run");
    expect(directory).toBe(join(folder, "my-run/hub/alice/my-run"));
    expect(readdirSync(directory!).sort()).toEqual([
      "README.md",
      "adapter_config.json",
      "adapter_model.safetensors",
      "chat_template.jinja",
      "tokenizer.json",
      "tokenizer_config.json",
      "training_args.json",
      "training_curves.svg",
    ]);
  });
});

describe("the card of a model from the Hub", () => {
  test("names its base model where the Hub looks for it", async () => {
    await scene.hub.commit(
      "model",
      "org/tiny",
      Object.fromEntries(readdirSync(TINY).map((name) => [name, readFileSync(join(TINY, name))])),
    );
    const fetched = await AutoModelForCausalLM.from_pretrained("org/tiny", quiet);
    const full = modelCard({ repo_id: "alice/full", model: fetched, datasets: [], tags: [] });
    expect(yamlOf(full)).toMatchObject({ base_model: "org/tiny", library_name: "transformers", tags: ["preflab"] });
    expect(full).toContain('AutoModelForCausalLM.from_pretrained("alice/full")');
    const adapter = modelCard({ repo_id: "alice/lora", model: get_peft_model(fetched, new LoraConfig()), datasets: [], tags: [] });
    expect(yamlOf(adapter)).toMatchObject({ base_model: "org/tiny", library_name: "peft", tags: ["preflab", "lora"] });
    expect(adapter).toContain('model = PeftModel.from_pretrained(model, "alice/lora")');
    expect(adapter).toContain('AutoTokenizer.from_pretrained("org/tiny")');
  });
});
