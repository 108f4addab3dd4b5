/**
 * Python's huggingface_hub and this project share one cache and speak with the same server. Runs where a Python with huggingface_hub is
 * found ($PREFLAB_PYTHON, else python3 on the path); is skipped, with the reason, elsewhere.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { Dataset, load_dataset } from "../../src/data/index.js";
import { downloadRepository, modelCard, upload_folder } from "../../src/hub/index.js";
import { AutoModelForCausalLM, LoraConfig, get_peft_model } from "../../src/model/index.js";
import { AutoTokenizer } from "../../src/text/index.js";
import { TestHub } from "./testHub.js";
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

  test("it creates, lists, uploads, downloads, branches, proposes and deletes on the hub", async () => {
    vi.stubEnv("HF_TOKEN", "hf_good");
    const folder = join(scene.root, "folder");
    mkdirSync(join(folder, "sub"), { recursive: true });
    writeFileSync(join(folder, "model.safetensors"), WEIGHTS);
    writeFileSync(join(folder, "README.md"), "---\ntags: [dpo]\n---\n# Hi\n");
    writeFileSync(join(folder, "sub/notes.txt"), "über");
    writeFileSync(join(folder, "empty.txt"), "");
    const found = await run(
      `
import os, filecmp
from huggingface_hub.errors import *
folder = ${JSON.stringify(folder)}
api = HfApi()
out = {"me": api.whoami()["name"], "url": str(api.create_repo("alice/py", private=True))}
api.create_repo("alice/py", exist_ok=True)
first = api.upload_folder(repo_id="alice/py", folder_path=folder, commit_message="First", commit_description="All of it")
out["again"] = api.upload_folder(repo_id="alice/py", folder_path=folder).oid == first.oid
down = snapshot_download("alice/py")
out["same"] = filecmp.cmpfiles(folder, down, ["model.safetensors", "README.md", "sub/notes.txt", "empty.txt"], shallow=False)[1:] == ([], [])
out["one"] = open(hf_hub_download("alice/py", "sub/notes.txt", revision=first.oid), encoding="utf8").read()
out["listed"] = sorted(m.id for m in api.list_models(author="alice", token=True))
out["tags"] = api.model_info("alice/py", files_metadata=True).tags
out["sizes"] = {s.rfilename: s.size for s in api.model_info("alice/py", files_metadata=True).siblings if not s.rfilename.startswith(".")}
out["exists"] = [api.file_exists("alice/py", "sub/notes.txt"), api.file_exists("alice/py", "none"), api.repo_exists("alice/none"), api.revision_exists("alice/py", "none")]
out["paths"] = sorted((p.path, type(p).__name__) for p in api.get_paths_info("alice/py", ["sub", "model.safetensors", "none"]))
out["tree"] = sorted(p.path for p in api.list_repo_tree("alice/py", recursive=True))
api.create_branch("alice/py", branch="exp/1")
api.upload_file(path_or_fileobj=b"exp", path_in_repo="exp.txt", repo_id="alice/py", revision="exp/1")
api.create_tag("alice/py", tag="v1", revision=first.oid)
pr = api.upload_file(path_or_fileobj=b"pr", path_in_repo="pr.txt", repo_id="alice/py", create_pr=True, commit_message="Propose")
out["pr"] = [pr.pr_num, pr.pr_revision, open(hf_hub_download("alice/py", "pr.txt", revision=pr.pr_revision)).read(), api.file_exists("alice/py", "pr.txt")]
out["discussions"] = [(d.num, d.title, d.status, d.is_pull_request) for d in api.get_repo_discussions("alice/py")]
details = api.get_discussion_details("alice/py", pr.pr_num)
out["details"] = [details.author, details.target_branch, details.conflicting_files]
api.merge_pull_request("alice/py", pr.pr_num)
api.delete_file("empty.txt", "alice/py")
api.delete_folder("sub", "alice/py")
out["files"] = sorted(api.list_repo_files("alice/py"))
refs = api.list_repo_refs("alice/py", include_pull_requests=True)
out["refs"] = [sorted(b.name for b in refs.branches), [t.name for t in refs.tags], [p.ref for p in refs.pull_requests]]
out["commits"] = [c.title for c in api.list_repo_commits("alice/py")]
api.update_repo_settings("alice/py", private=False)
out["private"] = api.model_info("alice/py").private
api.delete_branch("alice/py", branch="exp/1")
api.delete_tag("alice/py", tag="v1")
errors = []
for call in [lambda: hf_hub_download("alice/py", "none"), lambda: hf_hub_download("alice/py", "a", revision="none"), lambda: api.model_info("alice/none"),
             lambda: HfApi(token="hf_wrong").whoami(), lambda: api.create_repo("bob/x"), lambda: api.create_repo("alice/py"),
             lambda: api.create_commit("alice/py", [CommitOperationAdd("x", b"x")], commit_message="late", parent_commit=first.oid)]:
  try:
    call()
    errors.append("none")
  except Exception as e:
    errors.append(type(e).__name__ + " " + str(getattr(getattr(e, "response", None), "status_code", "")))
out["errors"] = errors
api.delete_repo("alice/py")
out["gone"] = api.repo_exists("alice/py")
print(json.dumps(out))`,
      { HF_HOME: join(scene.root, "python-home") },
    );
    expect(found).toEqual({
      me: "alice",
      url: `${scene.hub.url}/alice/py`,
      again: true,
      same: true,
      one: "über",
      listed: ["alice/py"],
      tags: ["dpo"],
      sizes: { "model.safetensors": WEIGHTS.length, "README.md": 25, "sub/notes.txt": 5, "empty.txt": 0 },
      exists: [true, false, false, false],
      paths: [
        ["model.safetensors", "RepoFile"],
        ["sub", "RepoFolder"],
      ],
      tree: [".gitattributes", "README.md", "empty.txt", "model.safetensors", "sub", "sub/notes.txt"],
      pr: [1, "refs/pr/1", "pr", false],
      discussions: [[1, "Propose", "open", true]],
      details: ["alice", "refs/heads/main", []],
      files: [".gitattributes", "README.md", "model.safetensors", "pr.txt"],
      refs: [["exp/1", "main"], ["v1"], ["refs/pr/1"]],
      commits: [
        expect.stringMatching(/^Delete folder sub/),
        expect.stringMatching(/^Delete empty.txt/),
        "Propose (#1)",
        "First",
        "initial commit",
      ],
      private: false,
      errors: [
        "RemoteEntryNotFoundError 404",
        "RevisionNotFoundError 404",
        "RepositoryNotFoundError 404",
        "HfHubHTTPError 401",
        "HfHubHTTPError 403",
        "HfHubHTTPError 409",
        "HfHubHTTPError 412",
      ],
      gone: false,
    });
  });

  test("it sends large files in parts, and reads what was sent so from here", async () => {
    vi.stubEnv("HF_TOKEN", "hf_good");
    const hub = await TestHub.start(join(scene.root, "parts"), { limits: { partSize: 30_000 } });
    vi.stubEnv("HF_ENDPOINT", hub.url);
    try {
      mkdirSync(join(scene.root, "theirs"));
      writeFileSync(join(scene.root, "theirs/model.safetensors"), WEIGHTS);
      await run(
        `api = HfApi(); api.create_repo("alice/theirs"); api.upload_folder(repo_id="alice/theirs", folder_path=${JSON.stringify(join(scene.root, "theirs"))}); print("null")`,
      );
      expect(hub.seen.filter(({ path }) => /^\/lfs\/.*part=/.test(path)).length).toBe(4);
      await upload_folder("alice/ours", join(scene.root, "theirs"), { progress: false });
      const [theirs, ours] = [await hub.head("model", "alice/theirs"), await hub.head("model", "alice/ours")];
      expect(theirs["model.safetensors"] === WEIGHTS.toString("latin1")).toBe(true);
      expect(ours["model.safetensors"] === WEIGHTS.toString("latin1")).toBe(true);
      const file = await run(`print(json.dumps(hf_hub_download("alice/ours", "model.safetensors")))`);
      expect(readFileSync(realpathSync(file as string)).equals(WEIGHTS)).toBe(true);
    } finally {
      await hub.stop();
    }
  });
});

/** What a Python lacks of these libraries, or undefined. Looked for without importing them, which takes seconds. */
function lackOf(libraries: readonly string[]): string | undefined {
  if (reason !== undefined) return reason;
  const script = `import importlib.util as u, sys; sys.path = [p for p in sys.path if p]; print(", ".join(m for m in ${JSON.stringify(libraries)} if u.find_spec(m) is None))`;
  const { status, stdout } = spawnSync(python, ["-c", script], { encoding: "utf8" });
  if (status !== 0) return `${python} cannot be run`;
  return stdout.trim() === "" ? undefined : `${python} lacks ${stdout.trim()}`;
}
const note = (lack: string | undefined) => (lack === undefined ? "" : ` (skipped: ${lack}; set PREFLAB_PYTHON to a Python that has it)`);

const lackOfStack = lackOf(["transformers", "peft", "torch"]);
describe.skipIf(lackOfStack !== undefined)(`with Python's transformers and peft${note(lackOfStack)}`, () => {
  test("they load from the hub the model, tokenizer and adapter that were pushed from here", async () => {
    vi.stubEnv("HF_TOKEN", "hf_good");
    const model = await AutoModelForCausalLM.from_pretrained(TINY, { engine: "eager", backend: "cpu" });
    const tokenizer = await AutoTokenizer.from_pretrained(TINY);
    await model.push_to_hub("alice/full", { progress: false, private: true });
    await tokenizer.push_to_hub("alice/full", { progress: false });
    const adapter = get_peft_model(model, new LoraConfig({ r: 2 }));
    await adapter.push_to_hub("alice/lora", { progress: false, private: true });
    const found = (await run(`
from transformers import AutoModelForCausalLM, AutoTokenizer
from peft import PeftModel
tokenizer = AutoTokenizer.from_pretrained("alice/full")
model = AutoModelForCausalLM.from_pretrained("alice/full")
parameters = sum(p.numel() for p in model.parameters())
adapted = PeftModel.from_pretrained(model, "alice/lora")
print(json.dumps({"ids": tokenizer.encode("Hello, ${"مرحبا"}"), "parameters": parameters, "r": adapted.peft_config["default"].r}))`)) as Record<
      string,
      unknown
    >;
    expect(found["ids"]).toEqual(tokenizer.encode("Hello, مرحبا"));
    expect(found["r"]).toBe(2);
    expect(found["parameters"]).toBe(
      [...model.checkpoint.tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    );
    await adapter.dispose();
    await model.dispose();
  });
});

const lackOfDatasets = lackOf(["datasets"]);
describe.skipIf(lackOfDatasets !== undefined)(`with Python's datasets${note(lackOfDatasets)}`, () => {
  test("it loads what was pushed from here, and what it pushes is loaded here", async () => {
    vi.stubEnv("HF_TOKEN", "hf_good");
    const rows = [
      { prompt: "a", chosen: "b", rejected: "über" },
      { prompt: "", chosen: "c\n", rejected: "d" },
    ];
    await Dataset.from_rows(rows).push_to_hub("alice/ours", { progress: false });
    await Dataset.from_rows(rows.slice(1)).push_to_hub("alice/ours", { progress: false, split: "test" });
    const found = await run(`
import datasets
ours = datasets.load_dataset("alice/ours")
datasets.Dataset.from_list(${JSON.stringify(rows)}).push_to_hub("alice/theirs")
print(json.dumps({name: split.to_list() for name, split in ours.items()}))`);
    expect(found).toEqual({ train: rows, test: rows.slice(1) });
    expect((await load_dataset("alice/theirs", { progress: false })).rows()).toEqual(rows);
  });
});
