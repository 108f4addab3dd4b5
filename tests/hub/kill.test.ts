/** Processes that are killed in the middle: a download, an upload, the server. The built package is what they run. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join, resolve } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { Accounts } from "../../src/hub/server/accounts.js";
import { downloadRepository, upload_folder } from "../../src/hub/index.js";
import { HubServer } from "../../src/hub/server/index.js";
import { sha256 } from "./testHub.js";
import { failure, useHub } from "./useHub.js";

const scene = useHub();
const DIST = resolve(import.meta.dirname, "../../dist/src");
const WEIGHTS = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 31 + (i >> 8)) % 251));

const children: ChildProcess[] = [];
afterEach(() => children.splice(0).forEach((child) => child.kill("SIGKILL")));

function start(argv: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, argv, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  return child;
}

const gone = (child: ChildProcess) =>
  new Promise((done) => (child.exitCode === null && child.signalCode === null ? child.once("exit", done) : done(null)));

async function until(holds: () => boolean): Promise<void> {
  for (const end = performance.now() + 60_000; !holds();) {
    if (performance.now() > end) throw new Error("it did not come to that in a minute");
    await new Promise((next) => setTimeout(next, 20));
  }
}

describe("kill -9", () => {
  test("of a download leaves nothing that can be taken for a file; the next call continues", async () => {
    await scene.hub.commit("model", "org/tiny", { "config.json": "{}", "model.safetensors": WEIGHTS });
    scene.hub.fail({ match: /^\/cdn\//, silentAfter: 1_000_000 });
    const script = `import(${JSON.stringify(join(DIST, "hub/download.js"))}).then(({ downloadRepository }) =>
      downloadRepository("org/tiny", { kind: "model", select: ({ files }) => files }, { progress: false }))`;
    const child = start(["-e", script]);
    const blobs = join(scene.cache, "models--org--tiny/blobs");
    const partial = () => (existsSync(blobs) ? readdirSync(blobs) : []).find((name) => name.endsWith(".incomplete"));
    await until(() => partial() !== undefined && readFileSync(join(blobs, partial()!)).length === 1_000_000);
    child.kill("SIGKILL");
    await gone(child);
    expect(existsSync(join(scene.cache, "models--org--tiny/refs"))).toBe(false);
    const snapshots = readdirSync(join(scene.cache, "models--org--tiny/snapshots"), { recursive: true }) as string[];
    expect(snapshots.filter((name) => name.endsWith("safetensors"))).toEqual([]);
    scene.hub.seen.length = 0;
    const { dir } = await downloadRepository("org/tiny", { kind: "model", select: ({ files }) => files }, { progress: false });
    expect(scene.hub.seen.filter(({ origin }) => origin === "cdn").map(({ range }) => range)).toEqual(["bytes=1000000-"]);
    expect(readFileSync(join(dir, "model.safetensors")).equals(WEIGHTS)).toBe(true);
    expect(partial()).toBeUndefined();
  });

  test("of an upload leaves the repository as it was; the next one is whole", async () => {
    const folder = join(scene.root, "run");
    mkdirSync(folder);
    writeFileSync(join(folder, "model.safetensors"), WEIGHTS);
    writeFileSync(join(folder, "config.json"), "{}");
    // The commit is never answered, so the process is there to be killed when all else is sent.
    scene.hub.fail({ match: /commit\/main/, silentAfter: "request" });
    const child = start([join(DIST, "cli.js"), "push", folder, "alice/run"], { HF_TOKEN: "hf_good" });
    await until(() => scene.hub.seen.some(({ path }) => path.includes("/commit/main")));
    child.kill("SIGKILL");
    await gone(child);
    expect(Object.keys(await scene.hub.head("model", "alice/run"))).toEqual([".gitattributes"]);
    scene.hub.takeSeen();
    await upload_folder("alice/run", folder, { progress: false, token: "hf_good" });
    // The large file is there already.
    expect(scene.hub.takeSeen().filter((path) => path.startsWith("PUT"))).toEqual([]);
    expect((await scene.hub.head("model", "alice/run"))["model.safetensors"] === WEIGHTS.toString("latin1")).toBe(true);
  });

  test("of the server in the middle of an upload loses nothing that was answered, and shows nothing that was not", async () => {
    const dir = join(scene.root, "class");
    const tokens = join(scene.root, "tokens.json");
    writeFileSync(tokens, JSON.stringify({ alice: "hf_good" }));
    let printed = "";
    const child = start([join(DIST, "cli.js"), "hub-serve", dir, "--port", "0", "--tokens_file", tokens]);
    child.stdout!.on("data", (text: Buffer) => void (printed += text.toString()));
    await until(() => /HF_ENDPOINT=http\S+/.test(printed));
    const url = /HF_ENDPOINT=(http\S+)/.exec(printed)![1]!;
    const api = async (path: string, body: object | string) =>
      (await (
        await fetch(url + path, {
          method: "POST",
          headers: { authorization: "Bearer hf_good" },
          body: typeof body === "string" ? body : JSON.stringify(body),
        })
      ).json()) as { objects: { actions: { upload: { href: string } } }[]; commitOid: string };
    await api("/api/repos/create", { name: "run" });
    const lines = [
      { key: "header", value: { summary: "First" } },
      { key: "file", value: { path: "a.txt", content: "a" } },
    ];
    const { commitOid } = await api("/api/models/alice/run/commit/main", lines.map((line) => JSON.stringify(line)).join("\n"));
    const { objects } = await api("/alice/run.git/info/lfs/objects/batch", {
      operation: "upload",
      objects: [{ oid: sha256(WEIGHTS), size: WEIGHTS.length }],
    });
    const put = request(objects[0]!.actions.upload.href, { method: "PUT", headers: { "content-length": WEIGHTS.length } });
    put.on("error", () => undefined);
    put.write(WEIGHTS.subarray(0, 1_000_000));
    const incoming = join(dir, "models/alice/run/incoming");
    await until(() => existsSync(incoming) && readdirSync(incoming).length === 1);
    expect(await failure(HubServer.start(dir))).toMatchObject({ code: "hub_serve_busy" });
    child.kill("SIGKILL");
    await gone(child);
    expect(printed).not.toContain("hf_good");
    const again = await HubServer.start(dir, { accounts: [{ name: "alice", token: "hf_good" }] });
    try {
      expect(again.accounts).toBeInstanceOf(Accounts);
      const repository = (await again.store.find("model", "alice/run"))!;
      const head = await repository.resolve("main");
      expect([head.hash, [...head.files.keys()]]).toEqual([commitOid, [".gitattributes", "a.txt"]]);
      expect(await repository.objects.size(sha256(WEIGHTS))).toBeUndefined();
      expect(existsSync(incoming)).toBe(false);
    } finally {
      await again.stop();
    }
  });
});
