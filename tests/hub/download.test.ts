import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import type { RepositoryOptions, TransferProgress } from "../../src/data/repository.js";
import { HubError, ModelError } from "../../src/errors.js";
import { diskError } from "../../src/hub/failures.js";
import { downloadRepository } from "../../src/hub/index.js";
import { oidOf, sha256 } from "./testHub.js";
import { failure, useHub } from "./useHub.js";

const scene = useHub();
const ID = "org/tiny";
const WEIGHTS = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) % 251));

/** Fetches every file of the model repository. */
const fetchAll = (options: RepositoryOptions = {}, id = ID) =>
  downloadRepository(id, { kind: "model", select: ({ files }) => files }, { progress: false, ...options });
const fetchOnly = (...names: string[]) => downloadRepository(ID, { kind: "model", select: () => names }, { progress: false });
const repositoryFolder = () => join(scene.cache, "models--org--tiny");
const blobs = () => readdirSync(join(repositoryFolder(), "blobs")).sort();
const commitTiny = (more: Record<string, string | Buffer> = {}) =>
  scene.hub.commit("model", ID, { "config.json": '{"a":1}', "model.safetensors": WEIGHTS, "sub/notes.txt": "über", ...more });

describe("a download", () => {
  test("lies in the cache as Python's huggingface_hub lays it out", async () => {
    const commit = await commitTiny();
    const { dir, files } = await fetchAll();
    expect(files).toEqual(["config.json", "model.safetensors", "sub/notes.txt"]);
    expect(dir).toBe(join(repositoryFolder(), "snapshots", commit));
    expect(readFileSync(join(repositoryFolder(), "refs/main"), "utf8")).toBe(commit);
    expect(readFileSync(join(dir, "model.safetensors")).equals(WEIGHTS)).toBe(true);
    expect(readFileSync(join(dir, "sub/notes.txt"), "utf8")).toBe("über");
    const config = oidOf({ content: Buffer.from('{"a":1}'), large: false });
    // git hash-object gives the same.
    expect(execFileSync("git", ["hash-object", "--stdin"], { input: '{"a":1}', encoding: "utf8" }).trim()).toBe(config);
    expect(blobs()).toEqual([config, oidOf({ content: Buffer.from("über"), large: false }), sha256(WEIGHTS)].sort());
    expect(readlinkSync(join(dir, "sub/notes.txt"))).toBe(`../../../blobs/${oidOf({ content: Buffer.from("über"), large: false })}`);
    const tree = JSON.parse(readFileSync(join(repositoryFolder(), "trees", `${commit}.json`), "utf8"));
    expect(tree.format_version).toBe(1);
    expect(tree.files["model.safetensors"]).toMatchObject({ size: WEIGHTS.length, lfs_sha256: sha256(WEIGHTS), lfs_size: WEIGHTS.length });
    expect(tree.files["config.json"]).toEqual({ size: 7, blob_id: config });
  });

  test("fetches only what is selected, and nothing twice", async () => {
    await commitTiny();
    await fetchOnly("config.json");
    expect(scene.hub.takeSeen().filter((path) => path.includes("safetensors") || path.includes("cdn"))).toEqual([]);
    await fetchOnly("config.json");
    // One request says which commit main is now.
    expect(scene.hub.takeSeen()).toEqual([expect.stringMatching(/^GET \/api\/models\/org\/tiny\/revision\/main\?/)]);
  });

  test("of a commit asks nobody once the files are there", async () => {
    const revision = await commitTiny();
    await fetchAll({ revision });
    scene.hub.takeSeen();
    await fetchAll({ revision });
    expect(scene.hub.seen).toEqual([]);
    expect(existsSync(join(repositoryFolder(), "refs"))).toBe(false);
  });

  test("of a new commit fetches only the files that changed", async () => {
    const first = await commitTiny();
    await fetchAll();
    const second = await commitTiny({ "config.json": '{"a":2}' });
    scene.hub.takeSeen();
    const { dir } = await fetchAll();
    expect(scene.hub.takeSeen().filter((path) => path.includes("resolve"))).toEqual([`GET /org/tiny/resolve/${second}/config.json`]);
    expect(readFileSync(join(dir, "config.json"), "utf8")).toBe('{"a":2}');
    expect(readFileSync(join(repositoryFolder(), "snapshots", first, "config.json"), "utf8")).toBe('{"a":1}');
  });

  test("takes branches and pull requests by name", async () => {
    await commitTiny();
    await scene.hub.commit("model", ID, { "config.json": "pr" }, { branch: "refs/pr/1" });
    const { dir, commit } = await fetchAll({ revision: "refs/pr/1" });
    expect(readFileSync(join(dir, "config.json"), "utf8")).toBe("pr");
    expect(readFileSync(join(repositoryFolder(), "refs/refs/pr/1"), "utf8")).toBe(commit);
    for (const revision of ["../x", "a//b", "", "-x", "a b"]) {
      expect(await failure(fetchAll({ revision }))).toMatchObject({ name: "ConfigError", code: "revision" });
    }
  });

  test("sends the token to the Hub and not to the host it is redirected to", async () => {
    await commitTiny();
    await scene.hub.change("model", ID, { private: true });
    vi.stubEnv("HF_TOKEN", "hf_good");
    await fetchAll();
    expect(new Set(scene.hub.seen.filter(({ origin }) => origin === "hub").map(({ authorization }) => authorization))).toEqual(
      new Set(["Bearer hf_good"]),
    );
    const elsewhere = scene.hub.seen.filter(({ origin }) => origin === "cdn");
    expect(elsewhere.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  test("tells bytes and the time that is left", async () => {
    await commitTiny();
    const told: TransferProgress[] = [];
    await fetchAll({ progress: (event) => void told.push(event) });
    const total_bytes = 7 + 5 + WEIGHTS.length;
    expect(told.at(-1)).toMatchObject({ repository: ID, direction: "download", done_bytes: total_bytes, total_bytes, finished: true });
    expect(told.every(({ done_bytes }, i) => done_bytes >= (told[i - 1]?.done_bytes ?? 0) && done_bytes <= total_bytes)).toBe(true);
    const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    rmSync(scene.cache, { recursive: true });
    await fetchAll({ progress: undefined });
    const printed = write.mock.calls.map(([text]) => String(text)).join("");
    expect(printed).toMatch(/org\/tiny {2}downloaded 300.0 kB in 00:00, [\d.]+ [kM]B\/s\n$/);
    write.mockClear();
    await fetchAll({ progress: undefined });
    expect(write).not.toHaveBeenCalled();
  });

  test("of one file by several callers at once is one transfer", async () => {
    await commitTiny();
    await Promise.all([fetchAll(), fetchAll(), fetchOnly("model.safetensors")]);
    expect(scene.hub.seen.filter(({ origin }) => origin === "cdn").length).toBe(1);
  });
});

describe("a bad connection", () => {
  test("that breaks is continued where it broke", async () => {
    await commitTiny();
    scene.hub.fail({ match: /cdn/, dropAfter: 100_000 });
    scene.hub.fail({ match: /cdn/, dropAfter: 50_000 });
    const { dir } = await fetchAll();
    const ranges = scene.hub.seen.filter(({ origin }) => origin === "cdn").map(({ range }) => range);
    expect(ranges).toEqual([undefined, "bytes=100000-", "bytes=150000-"]);
    expect(readFileSync(join(dir, "model.safetensors")).equals(WEIGHTS)).toBe(true);
  });

  test("that falls silent is given up and continued", async () => {
    vi.stubEnv("HF_HUB_DOWNLOAD_TIMEOUT", "0.3");
    await commitTiny();
    scene.hub.fail({ match: /cdn/, silentAfter: 1000 });
    scene.hub.fail({ match: /api.*revision/, silentAfter: "request" });
    const { dir } = await fetchAll();
    expect(readFileSync(join(dir, "model.safetensors")).equals(WEIGHTS)).toBe(true);
  });

  test("that never brings a byte ends in an error, and the next call continues", async () => {
    await commitTiny();
    scene.hub.fail({ match: /cdn/, dropAfter: 100_000 });
    scene.hub.fail({ match: /cdn/, dropAfter: 0, times: 5 });
    const error = await failure(fetchAll());
    expect(error).toMatchObject({ name: "HubError", code: "hub_unreachable" });
    expect(error.message).toMatch(/^Hub org\/tiny: http.* must be reachable, got \w+; check the network/);
    expect(blobs().filter((name) => name.startsWith(sha256(WEIGHTS)))).toEqual([
      `${sha256(WEIGHTS)}.${hostname().replaceAll(/[^A-Za-z0-9-]/g, "_")}~${process.pid}.incomplete`,
    ]);
    // What worked before is not replaced by the half of something new.
    expect(existsSync(join(repositoryFolder(), "refs"))).toBe(false);
    scene.hub.seen.length = 0;
    await fetchAll();
    expect(scene.hub.seen.filter(({ origin }) => origin === "cdn").map(({ range }) => range)).toEqual(["bytes=100000-"]);
    expect(blobs().filter((name) => name.endsWith(".incomplete"))).toEqual([]);
  }, 30_000);

  test("left by a process that died is taken over; that of a living one is not touched", async () => {
    await commitTiny();
    mkdirSync(join(repositoryFolder(), "blobs"), { recursive: true });
    const prefix = join(repositoryFolder(), "blobs", `${sha256(WEIGHTS)}.${hostname().replaceAll(/[^A-Za-z0-9-]/g, "_")}~`);
    // 2^22 is beyond every process number.
    writeFileSync(`${prefix}4194305.incomplete`, WEIGHTS.subarray(0, 200_000));
    writeFileSync(`${prefix}4194306.incomplete`, WEIGHTS.subarray(0, 10));
    writeFileSync(`${prefix}${process.ppid}.incomplete`, "another's");
    await fetchAll();
    expect(scene.hub.seen.filter(({ origin }) => origin === "cdn").map(({ range }) => range)).toEqual(["bytes=200000-"]);
    expect(blobs().filter((name) => name.endsWith(".incomplete"))).toEqual([
      `${sha256(WEIGHTS)}.${hostname().replaceAll(/[^A-Za-z0-9-]/g, "_")}~${process.ppid}.incomplete`,
    ]);
  });

  test("a damaged remainder is found out by the hash and fetched anew", async () => {
    await commitTiny();
    mkdirSync(join(repositoryFolder(), "blobs"), { recursive: true });
    const remainder = join(
      repositoryFolder(),
      "blobs",
      `${sha256(WEIGHTS)}.${hostname().replaceAll(/[^A-Za-z0-9-]/g, "_")}~4194305.incomplete`,
    );
    writeFileSync(remainder, Buffer.alloc(1000, 7));
    const { dir } = await fetchAll();
    expect(readFileSync(join(dir, "model.safetensors")).equals(WEIGHTS)).toBe(true);
  });

  test.each([500, 503, 429])("a server that answers %d once is asked again", async (status) => {
    await commitTiny();
    scene.hub.fail({ match: /revision/, status });
    scene.hub.fail({ match: /resolve.*config/, status });
    await fetchAll();
  });

  test("a server that asks for an hour's pause is not waited for", async () => {
    await commitTiny();
    scene.hub.fail({ match: /revision/, status: 429, headers: { "retry-after": "3600" } });
    expect(await failure(fetchAll())).toMatchObject({ code: "hub_rate_limit" });
  });

  test.each([
    ["another size", WEIGHTS.subarray(0, 1000), /got 1000 bytes instead of 300000, twice/],
    ["more than stated", Buffer.concat([WEIGHTS, WEIGHTS]), /bytes instead of 300000, twice/],
    ["another content", Buffer.alloc(WEIGHTS.length, 1), /got the hash [0-9a-f]{64} instead of [0-9a-f]{64}, twice/],
  ])("%s never gets the file's name", async (_, body, message) => {
    await commitTiny();
    scene.hub.fail({ match: /cdn/, body, times: 2 });
    const error = await failure(fetchAll());
    expect(error).toMatchObject({ name: "HubError", code: "hub_integrity" });
    expect(error.message).toMatch(message);
    expect(blobs().filter((name) => name.startsWith(sha256(WEIGHTS)))).toEqual([]);
    await fetchAll();
  });

  test("a small file's content is checked too", async () => {
    await commitTiny();
    scene.hub.fail({ match: /config.json/, body: Buffer.from('{"a":9}'), times: 2 });
    expect((await failure(fetchAll())).message).toMatch(/config.json must have the size and hash the Hub states, got the hash/);
  });
});

describe("offline", () => {
  test("what was fetched is used, and nobody is asked", async () => {
    const commit = await commitTiny();
    await fetchAll();
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    scene.hub.takeSeen();
    expect((await fetchAll()).commit).toBe(commit);
    expect((await fetchAll({ revision: commit })).commit).toBe(commit);
    expect(scene.hub.seen).toEqual([]);
  });

  test("what was never fetched is named, with the way out", async () => {
    await commitTiny();
    await fetchOnly("config.json");
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    const part = await failure(fetchAll());
    expect(part.code).toBe("hub_offline");
    expect(part.message).toMatch(
      /must hold all of what is needed, got no model.safetensors, sub\/notes.txt; fetch the rest once with a network/,
    );
    const none = await failure(fetchAll({}, "org/other"));
    expect(none.code).toBe("hub_offline");
    expect(none.message).toContain(
      `revision "main" must be in the cache ${scene.cache}, got none, and the Hub may not be asked (HF_HUB_OFFLINE or local_files_only)`,
    );
  });

  test("a cache without the list of files serves, and says when it is a part only", async () => {
    const commit = await commitTiny();
    await fetchOnly("config.json");
    rmSync(join(repositoryFolder(), "trees"), { recursive: true });
    const options = { local_files_only: true, progress: false as const };
    const found = await downloadRepository(ID, { kind: "model", select: ({ files }) => files }, options);
    expect(found).toMatchObject({ commit, files: ["config.json"] });
    const select = (): string[] => {
      throw new ModelError("checkpoint_missing", "no weights");
    };
    const error = await failure(downloadRepository(ID, { kind: "model", select }, options));
    expect(error).toBeInstanceOf(HubError);
    expect(error.message).toMatch(/must hold all of what is needed, got a part \(no weights\); fetch the rest once/);
  });

  test("a Hub that cannot be reached is said once, and the cache is used", async () => {
    const commit = await commitTiny();
    await fetchAll();
    await scene.hub.stop();
    const log = vi.spyOn(console, "warn").mockReturnValue();
    expect((await fetchAll()).commit).toBe(commit);
    expect(log.mock.calls).toEqual([[`org/tiny: the Hub did not answer; using commit ${commit.slice(0, 7)} from the cache`]]);
    const error = await failure(fetchAll({}, "org/other"));
    expect(error.code).toBe("hub_unreachable");
    expect(error.message).toMatch(
      /^Hub org\/other: http:\S+ must be reachable, got ECONNREFUSED; check the network, set HF_ENDPOINT for a mirror, or pass a local path/,
    );
  });
});

describe("a refusal", () => {
  test("of an unknown repository names the nearest of its owner", async () => {
    await commitTiny();
    const error = await failure(fetchAll({}, "org/tinny"));
    expect(error).toMatchObject({ name: "HubError", code: "hub_repository" });
    expect(error.message).toMatch(
      /^Hub org\/tinny: must exist at \S+ and be open to you, got 401 \(.*\); did you mean org\/tiny\?; check the name \(there is no local path of that name either\); if it is private, set HF_TOKEN/,
    );
    vi.stubEnv("HF_TOKEN", "hf_good");
    expect(await failure(fetchAll({}, "org/tinny"))).toMatchObject({
      code: "hub_repository",
      message: expect.stringMatching(/got 404.*did you mean org\/tiny\?.*used: HF_TOKEN/),
    });
  });

  test("of an unknown revision says so", async () => {
    await commitTiny();
    expect(await failure(fetchAll({ revision: "v9" }))).toMatchObject({
      code: "hub_revision",
      message: expect.stringMatching(/the revision must exist, got "v9"; .*\/org\/tiny\/tree\/main/),
    });
  });

  test("of a gated repository gives the address of its licence", async () => {
    await commitTiny();
    await scene.hub.change("model", ID, { gated: "manual" });
    expect(await failure(fetchAll())).toMatchObject({
      code: "hub_gated",
      message: expect.stringMatching(/licence must be accepted first, got 401 .*open http:\S+\/org\/tiny, accept it, then set HF_TOKEN/),
    });
    scene.hub.addUser("bob", "hf_bob");
    expect(await failure(fetchAll({ token: "hf_bob" }))).toMatchObject({
      code: "hub_gated",
      message: expect.stringMatching(/accept it, with the account of the token from the option token/),
    });
    await fetchAll({ token: "hf_good" });
  });

  test("of a token never shows the token", async () => {
    await commitTiny();
    vi.stubEnv("HF_TOKEN", "hf_stolen_secret");
    const refused = await failure(fetchAll());
    expect(refused).toMatchObject({ code: "hub_login", message: expect.stringMatching(/token from HF_TOKEN must be valid, got 401/) });
    expect(refused.message).not.toContain("secret");
    vi.stubEnv("HF_TOKEN", "not a token secret");
    const malformed = await failure(fetchAll());
    expect(malformed).toMatchObject({
      code: "hub_token",
      message: expect.stringMatching(/^Hub token from HF_TOKEN: must be one word that starts with hf_/),
    });
    expect(malformed.message).not.toContain("secret");
    await fetchAll({ token: false });
  });

  test("paths and hashes that would leave the cache are refused", async () => {
    for (const path of ["../../evil", "/etc/evil", "a/../../evil", "C:evil", "a\\..\\evil"]) {
      await scene.hub.commit("model", "org/evil", { [path]: "x" });
      expect(await failure(fetchAll({}, "org/evil"))).toMatchObject({
        code: "hub_malformed",
        message: expect.stringMatching(/path must lie inside the repository/),
      });
      await scene.hub.clear();
    }
    expect(existsSync(scene.cache)).toBe(false);
  });

  test("of the disk names the folder", async () => {
    await commitTiny();
    writeFileSync(join(scene.root, "file"), "");
    expect(await failure(fetchAll({ cache_dir: join(scene.root, "file") }))).toMatchObject({
      name: "HubError",
      code: "hub_cache",
      message: expect.stringMatching(
        /^Hub org\/tiny: the folder must be writable, got ENOTDIR.*; free it, or choose another with HF_HUB_CACHE or cache_dir$/,
      ),
    });
  });

  test("of a full disk comes before the download", async () => {
    await commitTiny();
    const enormous = [
      { type: "file", path: "model.safetensors", size: 1, oid: "0".repeat(40), lfs: { oid: "0".repeat(64), size: 9e15, pointerSize: 1 } },
    ];
    scene.hub.fail({ match: /tree/, status: 200, answer: JSON.stringify(enormous) });
    const error = await failure(fetchAll());
    expect(error).toMatchObject({ name: "HubError", code: "hub_disk_full" });
    expect(error.message).toMatch(
      /^Hub org\/tiny: the disk of \S+ must have room for 9000.0 TB, got [\d.]+ [GT]B free; free some, or choose another disk with HF_HUB_CACHE or cache_dir/,
    );
    expect(scene.hub.seen.some(({ path }) => path.includes("resolve"))).toBe(false);
  });

  test("of a disk that fills up meanwhile is told apart from other faults", () => {
    const full = Object.assign(new Error("ENOSPC"), { code: "ENOSPC", syscall: "write" });
    expect(diskError("Hub org/tiny", "/cache", full, 10)).toMatchObject({ code: "hub_disk_full" });
    expect(diskError("Hub org/tiny", "/cache", Object.assign(new Error("EIO"), { code: "EIO", syscall: "write" }))).toMatchObject({
      code: "hub_cache",
    });
    const other = new Error("other");
    expect(diskError("Hub org/tiny", "/cache", other)).toBe(other);
  });

  test("a damaged entry of the cache is fetched again", async () => {
    await commitTiny();
    const { dir } = await fetchAll();
    writeFileSync(realpathSync(join(dir, "model.safetensors")), "cut");
    await fetchAll();
    expect(readFileSync(join(dir, "model.safetensors")).equals(WEIGHTS)).toBe(true);
    expect(lstatSync(join(dir, "model.safetensors")).isSymbolicLink()).toBe(true);
  });
});
