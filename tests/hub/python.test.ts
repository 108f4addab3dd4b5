/**
 * Python's huggingface_hub and this project share one cache and speak with the same server. Runs where a Python with huggingface_hub is
 * found ($PREFLAB_PYTHON, else python3 on the path); is skipped, with the reason, elsewhere.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { load_dataset } from "../../src/data/index.js";
import { downloadRepository, modelCard } from "../../src/hub/index.js";
import { AutoModelForCausalLM } from "../../src/model/index.js";
import { AutoTokenizer } from "../../src/text/index.js";
import { useHub } from "./useHub.js";

const python = process.env["PREFLAB_PYTHON"] ?? "python3";
const probe = spawnSync(python, ["-c", "import huggingface_hub; print(huggingface_hub.__version__)"], { encoding: "utf8" });
const reason = probe.error !== undefined ? `there is no ${python}` : probe.status !== 0 ? `${python} lacks huggingface_hub` : undefined;
const skipped = reason === undefined ? "" : ` (skipped: ${reason}; set PREFLAB_PYTHON to a Python that has it)`;

const scene = useHub();
const TINY = new URL("../golden/tiny-qwen2", import.meta.url).pathname;
const WEIGHTS = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7) % 253));
const fetchAll = () => downloadRepository("org/tiny", { kind: "model", select: ({ files }) => files }, { progress: false });

/** Runs a script beside this process, which is the server; its last line of output is JSON. */
async function run(script: string, environment: Record<string, string> = {}): Promise<unknown> {
  const env = { ...process.env, HF_HUB_DISABLE_XET: "1", HF_HUB_DISABLE_PROGRESS_BARS: "1", HF_HUB_DISABLE_TELEMETRY: "1", ...environment };
  const child = spawn(python, ["-c", `import json\nfrom huggingface_hub import *\n${script}`], { env });
  let [out, errors] = ["", ""];
  child.stdout.on("data", (text: Buffer) => void (out += text.toString()));
  child.stderr.on("data", (text: Buffer) => void (errors += text.toString()));
  const status = await new Promise((resolve) => child.on("close", resolve));
  if (status !== 0) throw new Error(`python: ${errors}`);
  return JSON.parse(out.trim().split("\n").at(-1)!) as unknown;
}

describe.skipIf(reason !== undefined)(`with Python's huggingface_hub ${probe.stdout?.trim() ?? ""}${skipped}`, () => {
  test("it reads offline what was fetched here, and finds nothing wrong with the cache", async () => {
    const commit = await scene.hub.commit("model", "org/tiny", { "config.json": "{}", "model.safetensors": WEIGHTS, "sub/notes.txt": "n" });
    const { dir } = await fetchAll();
    scene.hub.takeSeen();
    const found = (await run(
      `
folder = snapshot_download("org/tiny", local_files_only=True)
file = hf_hub_download("org/tiny", "model.safetensors", revision="${commit}")
cache = scan_cache_dir()
[repo] = cache.repos
[revision] = repo.revisions
print(json.dumps({"folder": folder, "file": file, "warnings": [str(w) for w in cache.warnings], "repo": repo.repo_id, "refs": sorted(revision.refs),
  "files": sorted(str(f.file_path)[len(folder) + 1:] for f in revision.files), "size": repo.size_on_disk}))`,
      { HF_HUB_OFFLINE: "1" },
    )) as Record<string, unknown>;
    expect(scene.hub.seen).toEqual([]);
    expect(found).toEqual({
      folder: dir,
      file: join(dir, "model.safetensors"),
      warnings: [],
      repo: "org/tiny",
      refs: ["main"],
      files: ["config.json", "model.safetensors", "sub/notes.txt"],
      size: WEIGHTS.length + 3,
    });
  });

  test("online it fetches nothing again that was fetched here", async () => {
    await scene.hub.commit("model", "org/tiny", { "config.json": "{}", "model.safetensors": WEIGHTS });
    const { dir } = await fetchAll();
    scene.hub.takeSeen();
    expect(await run(`print(json.dumps(snapshot_download("org/tiny")))`)).toBe(dir);
    expect(scene.hub.takeSeen().filter((path) => path.startsWith("GET cdn") || /GET .*resolve/.test(path))).toEqual([]);
  });

  test("what it has fetched is used here, offline too", async () => {
    const commit = await scene.hub.commit("model", "org/tiny", { "config.json": "{}", "model.safetensors": WEIGHTS });
    const folder = (await run(`print(json.dumps(snapshot_download("org/tiny")))`)) as string;
    scene.hub.takeSeen();
    expect(await fetchAll()).toMatchObject({ commit, dir: folder });
    expect(scene.hub.takeSeen().filter((path) => path.includes("resolve") || path.includes("cdn"))).toEqual([]);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect(await fetchAll()).toMatchObject({ commit, dir: folder, files: ["config.json", "model.safetensors"] });
    // Older versions keep no list of files.
    rmSync(join(folder, "../../trees"), { recursive: true, force: true });
    expect(await fetchAll()).toMatchObject({ commit, dir: folder, files: ["config.json", "model.safetensors"] });
    expect(scene.hub.seen).toEqual([]);
  });

  test("it completes what was fetched here in part", async () => {
    await scene.hub.commit("model", "org/tiny", { "config.json": "{}", "model.safetensors": WEIGHTS });
    await downloadRepository("org/tiny", { kind: "model", select: () => ["config.json"] }, { progress: false });
    const folder = (await run(`print(json.dumps(snapshot_download("org/tiny")))`)) as string;
    expect(readFileSync(realpathSync(join(folder, "model.safetensors"))).equals(WEIGHTS)).toBe(true);
  });

  test("what it pushes is loaded here, and what is pushed here it loads", async () => {
    vi.stubEnv("HF_TOKEN", "hf_good");
    mkdirSync(join(scene.root, "pairs"));
    writeFileSync(join(scene.root, "pairs/train.jsonl"), '{"prompt": "a", "chosen": "b", "rejected": "c"}\n');
    await run(`
api = HfApi()
api.create_repo("alice/theirs", private=True)
api.upload_folder(repo_id="alice/theirs", folder_path=${JSON.stringify(TINY)})
api.create_repo("alice/pairs", repo_type="dataset")
api.upload_folder(repo_id="alice/pairs", repo_type="dataset", folder_path=${JSON.stringify(join(scene.root, "pairs"))})
print("null")`);
    const model = await AutoModelForCausalLM.from_pretrained("alice/theirs", { progress: false, engine: "eager", backend: "cpu" });
    expect((await load_dataset("alice/pairs", { progress: false })).rows()).toEqual([{ prompt: "a", chosen: "b", rejected: "c" }]);
    const tokenizer = await AutoTokenizer.from_pretrained("alice/theirs", { progress: false });
    await model.push_to_hub("alice/ours", { progress: false, private: true });
    await tokenizer.push_to_hub("alice/ours", { progress: false });
    const found = (await run(`
folder = snapshot_download("alice/ours")
info = HfApi().model_info("alice/ours")
card = ModelCard.load(folder + "/README.md")
print(json.dumps({"folder": folder, "private": info.private, "files": sorted(s.rfilename for s in info.siblings), "card": card.data.to_dict()}))`)) as Record<
      string,
      string
    >;
    expect(found).toMatchObject({
      private: true,
      card: { base_model: "alice/theirs", library_name: "transformers", pipeline_tag: "text-generation" },
    });
    expect(found["files"]).toEqual([
      ".gitattributes",
      "README.md",
      "chat_template.jinja",
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    expect((await AutoModelForCausalLM.from_pretrained(found["folder"]!)).config).toEqual(model.config);
    await model.dispose();
  });

  test("it reads the same head of a card", async () => {
    const model = await AutoModelForCausalLM.from_pretrained(TINY);
    const file = join(scene.root, "README.md");
    writeFileSync(file, modelCard({ repo_id: "alice/x: y", model, datasets: ["org/a", "org/b"], tags: ["yes", "a: b"] }));
    const data = await run(`print(json.dumps(ModelCard.load(${JSON.stringify(file)}).data.to_dict()))`);
    expect(data).toMatchObject({ model_name: "x: y", tags: ["preflab", "yes", "a: b"], datasets: ["org/a", "org/b"] });
  });
});
