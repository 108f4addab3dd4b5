import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isIgnored, isLargeByAttributes } from "../../src/hub/globs.js";
import { Accounts } from "../../src/hub/server/accounts.js";
import { rangeOf } from "../../src/hub/server/files.js";
import { HubServer } from "../../src/hub/server/index.js";
import { TestHub, sha256 } from "./testHub.js";
import { failure, useHub } from "./useHub.js";

const scene = useHub();
const BYTES = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));

interface Answer {
  status: number;
  headers: Headers;
  body: Buffer;
  json: Record<string, unknown>;
}

/** One request as a client would send it; redirects are not followed. */
async function ask(method: string, path: string, { token = "hf_good", headers = {}, body }: Ask = {}): Promise<Answer> {
  const url = path.startsWith("http") ? path : scene.hub.url + path;
  const authorization: Record<string, string> = token === "" ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(url, {
    method,
    headers: { ...authorization, ...headers },
    redirect: "manual",
    ...(body === undefined
      ? {}
      : { body: typeof body === "string" ? body : Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body) }),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  let json = {};
  try {
    json = JSON.parse(bytes.toString()) as object;
  } catch {
    // Not every answer is JSON.
  }
  return { status: response.status, headers: response.headers, body: bytes, json: json as Record<string, unknown> };
}
interface Ask {
  token?: string;
  headers?: Record<string, string>;
  body?: object | string | Buffer;
}

const create = (name: string, more: object = {}, ask_: Ask = {}) => ask("POST", "/api/repos/create", { ...ask_, body: { name, ...more } });
const lines = (...operations: [string, object][]) =>
  [["header", { summary: "Change" }] as const, ...operations].map(([key, value]) => JSON.stringify({ key, value })).join("\n");
const file = (path: string, content: string): [string, object] => [
  "file",
  { path, content: Buffer.from(content).toString("base64"), encoding: "base64" },
];
const commit = (id: string, body: string, query = "", ask_: Ask = {}) =>
  ask("POST", `/api/models/${id}/commit/main${query}`, { ...ask_, body });
const batch = (id: string, objects: object[], more: object = {}) =>
  ask("POST", `/${id}.git/info/lfs/objects/batch`, { body: { operation: "upload", transfers: ["basic", "multipart"], objects, ...more } });
type Actions = {
  actions?: { upload: { href: string; header: Record<string, string> }; verify: { href: string } };
  error?: { code: number };
};
const actionsOf = ({ json }: Answer) => (json["objects"] as Actions[])[0]!;
const paths = async (id: string, revision = "main") => Object.keys(await scene.hub.head("model", id, revision)).sort();

describe("who may do what", () => {
  test("strangers hear the same of private and of missing repositories; others that there is none", async () => {
    await create("secret", { visibility: "private" });
    scene.hub.addUser("bob", "hf_bob");
    for (const path of ["/api/models/alice/secret", "/alice/secret/resolve/main/.gitattributes", "/api/models/alice/none"]) {
      const stranger = await ask("GET", path, { token: "" });
      expect([stranger.status, stranger.headers.get("x-error-code"), stranger.json["error"]]).toEqual([
        401,
        null,
        "Invalid username or password.",
      ]);
      expect(await ask("GET", path, { token: "hf_bob" })).toMatchObject({ status: 404 });
      expect((await ask("GET", path, { token: "hf_bob" })).headers.get("x-error-code")).toBe("RepoNotFound");
    }
    const listed = async (token: string) =>
      ((await ask("GET", "/api/models", { token })).json as unknown as { id: string }[]).map(({ id }) => id);
    expect(await listed("hf_good")).toEqual(["alice/secret"]);
    expect(await listed("hf_bob")).toEqual([]);
    expect((await ask("POST", "/alice/secret.git/info/lfs/objects/batch", { token: "hf_bob", body: {} })).status).toBe(404);
    expect((await ask("DELETE", "/api/repos/delete", { token: "hf_bob", body: { name: "secret", organization: "alice" } })).status).toBe(
      404,
    );
    expect(existsSync(join(scene.root, "server/models/alice/secret"))).toBe(true);
  });

  test("only the owner writes; a stranger's token is told apart from none", async () => {
    await create("open");
    scene.hub.addUser("bob", "hf_bob");
    const body = lines(file("x", "x"));
    expect((await commit("alice/open", body, "", { token: "hf_bob" })).status).toBe(403);
    expect((await commit("alice/open", body, "", { token: "" })).status).toBe(401);
    const wrong = await commit("alice/open", body, "", { token: "hf_wrong" });
    expect([wrong.status, wrong.headers.get("x-error-message")]).toEqual([401, "Invalid credentials in Authorization header"]);
    expect(JSON.stringify(wrong.json)).not.toContain("hf_wrong");
    for (const [method, path] of [
      ["POST", "branch/x"],
      ["DELETE", "branch/x"],
      ["POST", "tag/main"],
      ["PUT", "settings"],
      ["POST", "discussions/1/merge"],
    ] as const)
      expect((await ask(method, `/api/models/alice/open/${path}`, { token: "hf_bob", body: {} })).status, path).toBe(403);
    expect((await ask("DELETE", "/api/repos/delete", { token: "hf_bob", body: { name: "open", organization: "alice" } })).status).toBe(403);
    expect((await create("open", { organization: "alice" }, { token: "hf_bob" })).status).toBe(403);
    expect(await paths("alice/open")).toEqual([".gitattributes"]);
  });

  test("tokens that read, and a hub that is read-only, change nothing", async () => {
    scene.hub.server.accounts.add({ name: "reader", token: "hf_reader", role: "read" });
    expect(await create("x", {}, { token: "hf_reader" })).toMatchObject({
      status: 403,
      json: { error: expect.stringMatching(/token may only read/) },
    });
    const hub = await TestHub.start(join(scene.root, "closed"), { readOnly: true });
    try {
      await hub.commit("model", "org/tiny", { "a.txt": "a" });
      expect((await ask("GET", `${hub.url}/org/tiny/resolve/main/a.txt`)).body.toString()).toBe("a");
      expect(await ask("POST", `${hub.url}/api/repos/create`, { body: { name: "x" } })).toMatchObject({
        status: 403,
        json: { error: "This hub is read-only" },
      });
      expect((await ask("POST", `${hub.url}/api/models/org/tiny/commit/main`, { body: lines(file("x", "x")) })).status).toBe(403);
    } finally {
      await hub.stop();
    }
  });

  test("accounts must be well-formed, and their errors show no token", () => {
    const bad: [string, string][] = [
      ["../x", "hf_abc"],
      ["api", "hf_abc"],
      ["a", "secret-without-prefix"],
      ["", "hf_abc"],
    ];
    for (const [name, token] of bad) {
      expect(() => new Accounts([{ name, token }])).toThrow(/^hub-serve: /);
      expect(() => new Accounts([{ name, token }])).not.toThrow(new RegExp(token));
    }
    expect(
      () =>
        new Accounts([
          { name: "a", token: "hf_abc" },
          { name: "b", token: "hf_abc" },
        ]),
    ).toThrow(/every token must belong to one user, got that of b twice$/);
  });
});

describe("what clients may name", () => {
  test.each(["..", ".", "a..b", "a%2Fb", "%2e%2e", "a b", "-a", "a.git"])("not the repository %s", async (name) => {
    expect((await create(decodeURIComponent(name))).status).toBe(400);
    expect((await ask("GET", `/api/models/alice/${name}/revision/main`)).status).toBeGreaterThanOrEqual(400);
    expect(readdirSync(join(scene.root, "server")).sort()).toEqual([".link-secret", ".served-by", "datasets", "models"]);
  });

  test.each(["../x", "/x", "a/../b", "a//b", "a\\b", "C:x", ".git/config", "a\0b", ""])(
    "not the path %j, and nothing is changed",
    async (path) => {
      await create("tiny");
      expect((await commit("alice/tiny", lines(file("fine.txt", "x"), file(path, "x")))).status).toBe(400);
      expect(await paths("alice/tiny")).toEqual([".gitattributes"]);
    },
  );

  test.each(["../x", "a..b", "refs/heads/x", "-x", "HEAD", "a.lock", "0".repeat(40), "__proto__/../x"])(
    "not the branch %s",
    async (name) => {
      await create("tiny");
      expect((await ask("POST", `/api/models/alice/tiny/branch/${encodeURIComponent(name)}`)).status).toBeGreaterThanOrEqual(400);
    },
  );

  test("names that objects have by nature are names like others", async () => {
    await create("constructor");
    expect((await ask("GET", "/api/models/alice/constructor/revision/__proto__")).headers.get("x-error-code")).toBe("RevisionNotFound");
    expect((await ask("POST", "/api/models/alice/constructor/branch/__proto__")).status).toBe(200);
    expect((await ask("GET", "/api/models/alice/constructor/revision/__proto__")).status).toBe(200);
    expect((await commit("alice/constructor", lines(file("__proto__", "p")))).status).toBe(200);
    expect(await paths("alice/constructor")).toEqual([".gitattributes", "__proto__"]);
    expect((await ask("GET", "/alice/constructor/resolve/main/__proto__")).body.toString()).toBe("p");
    expect((await ask("GET", "/alice/constructor/resolve/main/toString")).headers.get("x-error-code")).toBe("EntryNotFound");
  });
});

describe("a file", () => {
  test("is sent with its commit, its ETag, ranges, and as no page of this server's", async () => {
    const hash = await scene.hub.commit("model", "org/tiny", { "a.html": "0123456789" });
    const get = (headers: Record<string, string> = {}, method = "GET") => ask(method, "/org/tiny/resolve/main/a.html", { headers });
    const whole = await get();
    const etag = createHash("sha1").update("blob 10\x000123456789").digest("hex");
    expect([whole.status, whole.body.toString(), whole.headers.get("etag"), whole.headers.get("x-repo-commit")]).toEqual([
      200,
      "0123456789",
      `"${etag}"`,
      hash,
    ]);
    expect([whole.headers.get("content-type"), whole.headers.get("x-content-type-options")]).toEqual([
      "application/octet-stream",
      "nosniff",
    ]);
    const head = await get({}, "HEAD");
    expect([head.status, head.body.length, head.headers.get("content-length")]).toEqual([200, 0, "10"]);
    const part = await get({ range: "bytes=3-5" });
    expect([part.status, part.body.toString(), part.headers.get("content-range")]).toEqual([206, "345", "bytes 3-5/10"]);
    expect((await get({ range: "bytes=-2" })).body.toString()).toBe("89");
    expect((await get({ range: "bytes=8-" })).body.toString()).toBe("89");
    const outside = await get({ range: "bytes=10-" });
    expect([outside.status, outside.headers.get("content-range")]).toEqual([416, "bytes */10"]);
    expect((await get({ "if-none-match": `"${etag}"` })).status).toBe(304);
  });

  test.each<[string | undefined, number, ReturnType<typeof rangeOf>]>([
    [undefined, 10, undefined],
    ["bytes=0-", 10, [0, 9]],
    ["bytes=2-100", 10, [2, 9]],
    ["bytes=-100", 10, [0, 9]],
    ["bytes=-0", 10, "none"],
    ["bytes=10-12", 10, "none"],
    ["bytes=5-4", 10, undefined],
    ["bytes=-", 10, undefined],
    ["bytes=0-1,3-4", 10, undefined],
    ["bytes=0-", 0, "none"],
  ])("range %s of %d bytes", (header, size, expected) => expect(rangeOf(header, size)).toEqual(expected));

  test("that is large lies elsewhere, behind a link that cannot be changed", async () => {
    const hash = await scene.hub.commit("model", "org/tiny", { "model.safetensors": BYTES });
    const found = await ask("HEAD", "/org/tiny/resolve/main/model.safetensors");
    expect([
      found.status,
      found.headers.get("x-linked-size"),
      found.headers.get("x-linked-etag"),
      found.headers.get("x-repo-commit"),
    ]).toEqual([302, "1000", `"${sha256(BYTES)}"`, hash]);
    const location = found.headers.get("location")!;
    expect((await ask("GET", location, { token: "" })).body.equals(BYTES)).toBe(true);
    expect((await ask("GET", location.replace(/signature=./, "signature=x"), { token: "" })).status).toBe(403);
    expect((await ask("GET", location.replace(sha256(BYTES), "0".repeat(64)), { token: "" })).status).toBe(403);
    expect((await ask("GET", location.replace(/expires=\d+/, "expires=9999999999999"), { token: "" })).status).toBe(403);
    expect((await ask("PUT", location.replace("/cdn/", "/lfs/"), { token: "", body: "x" })).status).toBe(403);
  });

  test("or revision that is not there is told apart", async () => {
    const hash = await scene.hub.commit("model", "org/tiny", { "a.txt": "a" });
    const entry = await ask("GET", "/org/tiny/resolve/main/b.txt");
    expect([entry.status, entry.headers.get("x-error-code"), entry.headers.get("x-repo-commit")]).toEqual([404, "EntryNotFound", hash]);
    expect((await ask("GET", "/org/tiny/resolve/v9/a.txt")).headers.get("x-error-code")).toBe("RevisionNotFound");
    expect(await ask("GET", "/nowhere")).toMatchObject({ status: 404 });
    expect((await ask("PATCH", "/api/models/org/tiny")).headers.get("allow")).toBe("GET, HEAD");
  });
});

describe("a large file on its way in", () => {
  const oid = sha256(BYTES);
  const upload = async (body: Buffer, size = BYTES.length) => {
    const { actions } = actionsOf(await batch("alice/tiny", [{ oid, size }]));
    return ask("PUT", actions!.upload.href, { token: "", body });
  };

  test("gets its name only with the right size and hash", async () => {
    await create("tiny");
    expect((await upload(BYTES.subarray(1))).status).toBe(400);
    expect((await upload(Buffer.concat([BYTES, BYTES]))).status).toBe(413);
    expect((await upload(Buffer.alloc(1000, 1))).status).toBe(400);
    expect((await commit("alice/tiny", lines(["lfsFile", { path: "w.safetensors", algo: "sha256", oid, size: 1000 }]))).status).toBe(400);
    const incoming = join(scene.root, "server/models/alice/tiny/incoming");
    expect(readdirSync(incoming)).toEqual([]);
    expect((await upload(BYTES)).status).toBe(200);
    expect(actionsOf(await batch("alice/tiny", [{ oid, size: 1000 }])).actions).toBeUndefined();
    const verify = (body: object) => ask("POST", "/alice/tiny.git/info/lfs/objects/verify", { body });
    expect((await verify({ oid, size: 1000 })).status).toBe(200);
    expect((await verify({ oid, size: 1 })).status).toBe(422);
    expect((await verify({ oid: "0".repeat(64), size: 1 })).status).toBe(404);
    // Another repository does not have it, or its content would be anybody's who knows the hash.
    await create("other");
    expect(actionsOf(await batch("alice/other", [{ oid, size: 1000 }])).actions).toBeDefined();
  });

  test("may come in parts, again and in any order", async () => {
    const hub = await TestHub.start(join(scene.root, "parts"), { limits: { partSize: 400 } });
    try {
      await ask("POST", `${hub.url}/api/repos/create`, { body: { name: "tiny" } });
      const answer = await ask("POST", `${hub.url}/alice/tiny.git/info/lfs/objects/batch`, {
        body: { operation: "upload", transfers: ["basic", "multipart"], objects: [{ oid, size: 1000 }] },
      });
      expect(answer.json["transfer"]).toBe("multipart");
      const { header, href } = actionsOf(answer).actions!.upload;
      expect(Object.keys(header)).toEqual(["chunk_size", "00001", "00002", "00003"]);
      const complete = (n = 3) =>
        ask("POST", href, { token: "", body: { oid, parts: Array.from({ length: n }, (_, i) => ({ partNumber: i + 1, etag: "x" })) } });
      const part = (n: number, bytes = BYTES.subarray((n - 1) * 400, n * 400)) =>
        ask("PUT", header[`0000${n}`]!, { token: "", body: Buffer.from(bytes) });
      await part(3);
      const first = await part(1);
      expect(first.headers.get("etag")).toBe(`"${createHash("md5").update(BYTES.subarray(0, 400)).digest("hex")}"`);
      expect(await complete()).toMatchObject({ status: 400, json: { error: expect.stringMatching(/^Part 2 of/) } });
      expect((await part(2, Buffer.alloc(400))).status).toBe(200);
      expect((await complete()).status).toBe(400);
      expect((await part(2)).status).toBe(200);
      expect((await complete(2)).status).toBe(400);
      expect((await complete()).status).toBe(200);
      expect((await complete()).status).toBe(200);
      expect(readdirSync(join(scene.root, "parts/models/alice/tiny/incoming"))).toEqual([]);
      // Who does not offer parts gets one link.
      await ask("POST", `${hub.url}/api/repos/create`, { body: { name: "basic" } });
      const basic = await ask("POST", `${hub.url}/alice/basic.git/info/lfs/objects/batch`, {
        body: { operation: "upload", objects: [{ oid, size: 1000 }] },
      });
      expect([basic.json["transfer"], actionsOf(basic).actions!.upload.header]).toEqual(["basic", {}]);
    } finally {
      await hub.stop();
    }
  });

  test("must be within the limits, and so must everything else", async () => {
    const hub = await TestHub.start(join(scene.root, "small"), { limits: { largestFile: 999, largestSmallFile: 20, largestCommit: 2000 } });
    try {
      await ask("POST", `${hub.url}/api/repos/create`, { body: { name: "tiny" } });
      const answer = await ask("POST", `${hub.url}/alice/tiny.git/info/lfs/objects/batch`, {
        body: { operation: "upload", objects: [{ oid, size: 1000 }] },
      });
      expect(actionsOf(answer).error).toEqual({ code: 413, message: "A file must have at most 999 bytes, got 1000" });
      const send = (body: string) => ask("POST", `${hub.url}/api/models/alice/tiny/commit/main`, { body });
      expect((await send(lines(file("a.txt", "x".repeat(21))))).status).toBe(413);
      expect((await send(lines(file("a.txt", "x".repeat(20))))).status).toBe(200);
      expect((await send(lines(...Array.from({ length: 50 }, (_, i) => file(`${i}`, "x"))))).status).toBe(413);
      const modes = await ask("POST", `${hub.url}/api/models/alice/tiny/preupload/main`, {
        body: {
          files: [
            { path: "big.txt", size: 21 },
            { path: "small.txt", size: 20 },
            { path: "w.bin", size: 1 },
          ],
        },
      });
      expect((modes.json["files"] as { uploadMode: string }[]).map(({ uploadMode }) => uploadMode)).toEqual(["lfs", "regular", "lfs"]);
    } finally {
      await hub.stop();
    }
  });

  test("a client that asks too often is told when to come back", async () => {
    const hub = await TestHub.start(join(scene.root, "busy"), { limits: { requestsPerMinute: 2 } });
    try {
      const statuses = [];
      for (let i = 0; i < 3; i++) statuses.push(await ask("GET", `${hub.url}/api/whoami-v2`));
      expect(statuses.map(({ status }) => status)).toEqual([200, 200, 429]);
      const seconds = Number(statuses[2]!.headers.get("retry-after"));
      expect(seconds).toBeGreaterThan(0);
      expect(seconds).toBeLessThanOrEqual(60);
      // Others are counted for themselves.
      expect((await ask("GET", `${hub.url}/api/models`, { token: "" })).status).toBe(200);
    } finally {
      await hub.stop();
    }
  });
});

describe("a commit", () => {
  test("changes, copies and deletes; all of it or nothing", async () => {
    await create("tiny");
    expect((await commit("alice/tiny", lines(file("a.txt", "a"), file("d/b.txt", "b"), file("d/c.txt", "c")))).status).toBe(200);
    expect(
      (await commit("alice/tiny", lines(["deletedFolder", { path: "d/" }], ["file", { path: "e.txt", oldPath: "a.txt" }]))).status,
    ).toBe(200);
    expect(await paths("alice/tiny")).toEqual([".gitattributes", "a.txt", "e.txt"]);
    for (const [body, status] of [
      [lines(file("x", "x"), ["deletedFile", { path: "none" }]), 404],
      [lines(file("x", "x"), ["deletedFolder", { path: "none" }]), 404],
      [lines(file("x", "x"), file("a.txt/x", "x")), 400],
      [lines(file("x", "x"), ["unheard", { path: "y" }]), 400],
      [lines(file("x", "x")).replace("Change", " "), 400],
      [`${lines(file("x", "x"))}\n{`, 400],
      ["", 400],
    ] as const)
      expect((await commit("alice/tiny", body)).status, body).toBe(status);
    expect(await paths("alice/tiny")).toEqual([".gitattributes", "a.txt", "e.txt"]);
    expect(
      (await commit("alice/tiny", lines(file("x", "x")).replace('"summary"', `"parentCommit":"${"0".repeat(40)}","summary"`))).status,
    ).toBe(412);
    expect((await ask("POST", "/api/models/alice/tiny/commit/v9", { body: lines(file("x", "x")) })).headers.get("x-error-code")).toBe(
      "RevisionNotFound",
    );
  });

  test("of many at once loses none", async () => {
    await create("tiny");
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => commit("alice/tiny", lines(file(`${i}.txt`, String(i))))));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 12 }, () => 200));
    expect((await paths("alice/tiny")).length).toBe(13);
    expect((await scene.hub.commits("model", "alice/tiny")).length).toBe(13);
    const made = await Promise.all(Array.from({ length: 5 }, () => create("same")));
    expect(made.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409, 409]);
  });

  test("that names a large file of another ending writes it into .gitattributes", async () => {
    await create("tiny");
    const oid = sha256(BYTES);
    const { actions } = actionsOf(await batch("alice/tiny", [{ oid, size: 1000 }]));
    await ask("PUT", actions!.upload.href, { token: "", body: BYTES });
    await commit(
      "alice/tiny",
      lines(["lfsFile", { path: "big file.txt", oid, size: 1000 }], ["lfsFile", { path: "w.safetensors", oid, size: 1000 }]),
    );
    expect((await scene.hub.head("model", "alice/tiny"))[".gitattributes"]).toMatch(
      /-text\nbig\?file\.txt filter=lfs diff=lfs merge=lfs -text\n$/,
    );
  });

  test("that was written but never named is not seen, and a repository that is deleted is gone", async () => {
    await create("tiny");
    const repository = await scene.hub.repository("model", "alice/tiny");
    const head = await repository.resolve("main");
    // As after a kill between the commit's file and repository.json.
    await repository.addCommit(head.hash, new Map(), { title: "Lost", description: "", author: "alice" });
    expect((await scene.hub.commits("model", "alice/tiny")).map(({ title }) => title)).toEqual(["initial commit"]);
    expect((await ask("DELETE", "/api/repos/delete", { body: { name: "tiny" } })).status).toBe(200);
    expect((await ask("GET", "/api/models/alice/tiny")).status).toBe(404);
    expect(existsSync(join(scene.root, "server/models/alice/tiny"))).toBe(false);
    expect((await create("tiny")).status).toBe(200);
  });
});

describe("branches, tags, pull requests", () => {
  test("point where they were made", async () => {
    await create("tiny");
    const first = (await commit("alice/tiny", lines(file("a", "1")))).json["commitOid"];
    await commit("alice/tiny", lines(file("a", "2")));
    const api = (method: string, path: string, body: object = {}) => ask(method, `/api/models/alice/tiny/${path}`, { body });
    expect((await api("POST", "branch/exp%2F1", { startingPoint: first })).status).toBe(200);
    expect((await api("POST", "branch/exp%2F1")).status).toBe(409);
    expect((await api("POST", "branch/empty", { emptyBranch: true })).status).toBe(200);
    expect((await api("POST", `tag/${String(first)}`, { tag: "v1" })).status).toBe(200);
    expect((await api("POST", "tag/main", { tag: "v1" })).status).toBe(409);
    const read = async (revision: string) => (await ask("GET", `/alice/tiny/resolve/${revision}/a`)).body.toString();
    expect(await Promise.all(["exp%2F1", "v1", String(first), "main", "HEAD"].map(read))).toEqual(["1", "1", "1", "2", "2"]);
    expect(await paths("alice/tiny", "empty")).toEqual([]);
    expect((await api("DELETE", "branch/exp%2F1")).status).toBe(200);
    expect((await api("DELETE", "branch/exp%2F1")).status).toBe(404);
    expect((await api("DELETE", "branch/main")).status).toBe(403);
    expect((await api("DELETE", "tag/v1")).status).toBe(200);
    const refs = (await ask("GET", "/api/models/alice/tiny/refs")).json;
    expect((refs["branches"] as { name: string }[]).map(({ name }) => name)).toEqual(["main", "empty"]);
    expect(refs["tags"]).toEqual([]);
  });

  test("a proposal of somebody else's is merged, unless both sides have changed the same", async () => {
    await create("tiny");
    await commit("alice/tiny", lines(file("a", "1"), file("b", "1")));
    scene.hub.addUser("bob", "hf_bob");
    const bob = { token: "hf_bob" };
    const opened = await commit("alice/tiny", lines(file("a", "bob")), "?create_pr=1", bob);
    expect(opened.json["pullRequestUrl"]).toBe(`${scene.hub.url}/alice/tiny/discussions/1`);
    expect((await scene.hub.head("model", "alice/tiny"))["a"]).toBe("1");
    expect((await ask("GET", "/alice/tiny/resolve/refs/pr/1/a", bob)).body.toString()).toBe("bob");
    // More commits by its author, none by others.
    expect((await ask("POST", "/api/models/alice/tiny/commit/refs%2Fpr%2F1", { ...bob, body: lines(file("c", "bob")) })).status).toBe(200);
    scene.hub.addUser("carol", "hf_carol");
    expect(
      (await ask("POST", "/api/models/alice/tiny/commit/refs%2Fpr%2F1", { token: "hf_carol", body: lines(file("c", "x")) })).status,
    ).toBe(403);
    await commit("alice/tiny", lines(file("b", "2")));
    expect((await ask("POST", "/api/models/alice/tiny/discussions/1/merge", { body: {} })).status).toBe(200);
    expect(await scene.hub.head("model", "alice/tiny")).toMatchObject({ a: "bob", b: "2", c: "bob" });
    expect((await ask("POST", "/api/models/alice/tiny/discussions/1/merge", { body: {} })).status).toBe(409);
    await commit("alice/tiny", lines(file("a", "bob again")), "?create_pr=1", bob);
    await commit("alice/tiny", lines(file("a", "alice")));
    const conflict = await ask("POST", "/api/models/alice/tiny/discussions/2/merge", { body: {} });
    expect([conflict.status, conflict.json["error"]]).toEqual([409, "Both sides have changed a"]);
    expect((await ask("GET", "/api/models/alice/tiny/discussions/2")).json).toMatchObject({ status: "open", filesWithConflicts: ["a"] });
    expect((await ask("POST", "/api/models/alice/tiny/discussions/2/status", { ...bob, body: { status: "closed" } })).status).toBe(200);
    expect((await ask("GET", "/api/models/alice/tiny/discussions?status=closed")).json["count"]).toBe(2);
  });
});

describe("listings", () => {
  test("come in pages, with folders, and say what a card says", async () => {
    const card = "---\ntags: [dpo, course]\nlibrary_name: peft\npipeline_tag: text-generation\n---\n# x\n";
    await scene.hub.commit("model", "org/tiny", { "README.md": card, "a/b/c.txt": "c", "a/d.txt": "d", "e.txt": "e" });
    const pages: string[][] = [];
    for (let next: string | undefined = "/api/models/org/tiny/tree/main?recursive=true"; next !== undefined;) {
      const page = await ask("GET", next);
      pages.push((page.json as unknown as { path: string }[]).map(({ path }) => path));
      next = /^<(.*)>; rel="next"$/.exec(page.headers.get("link") ?? "")?.[1];
    }
    expect(pages).toEqual([
      ["README.md", "a"],
      ["a/b", "a/b/c.txt"],
      ["a/d.txt", "e.txt"],
    ]);
    const flat = async (path: string) =>
      ((await ask("GET", `/api/models/org/tiny/tree/main${path}?limit=10`)).json as unknown as { path: string }[]).map((each) => each.path);
    expect([await flat(""), await flat("/a")]).toEqual([
      ["README.md", "a", "e.txt"],
      ["a/b", "a/d.txt"],
    ]);
    expect((await ask("GET", "/api/models/org/tiny/tree/main/none")).headers.get("x-error-code")).toBe("EntryNotFound");
    await scene.hub.commit("model", "org/other", { "x.txt": "x" });
    const list = async (query: string) =>
      ((await ask("GET", `/api/models?${query}`)).json as unknown as { id: string }[]).map(({ id }) => id);
    expect(await list("author=org")).toEqual(["org/other", "org/tiny"]);
    expect(await list("filter=dpo")).toEqual(["org/tiny"]);
    expect(await list("search=OTH")).toEqual(["org/other"]);
    expect(await list("author=nobody")).toEqual([]);
    expect((await ask("GET", "/api/models/org/tiny")).json).toMatchObject({
      library_name: "peft",
      pipeline_tag: "text-generation",
      tags: ["peft", "text-generation", "dpo", "course"],
      author: "org",
    });
    expect((await ask("POST", "/api/validate-yaml", { body: { content: card } })).status).toBe(200);
    expect((await ask("POST", "/api/validate-yaml", { body: { content: "---\na: [\n---\n" } })).status).toBe(400);
  });

  test.each<[string, string, boolean]>([
    ["*.bin", "a/b.bin", true],
    ["*.bin", "a/b.bin.txt", false],
    ["a/*.bin", "a/b.bin", true],
    ["a/*.bin", "a/c/b.bin", false],
    ["a/**/b.bin", "a/b.bin", true],
    ["saved/**", "saved/x/y", true],
    ["/top.bin", "a/top.bin", false],
    ["b?.bin", "bx.bin", true],
    ["a.b", "axb", false],
  ])("%s matches %s: %s", (pattern, path, is) => expect(isLargeByAttributes(`${pattern} filter=lfs -text`, path)).toBe(is));

  test("the last line of .gitignore and .gitattributes decides", () => {
    expect(isLargeByAttributes("*.bin filter=lfs\nsmall.bin -filter", "small.bin")).toBe(false);
    const ignore = "# comment\ncheckpoint-*/\n*.log\n!keep.log\n";
    expect(["checkpoint-5/x", "a/checkpoint-5/x", "x.log", "keep.log", "x"].map((path) => isIgnored(ignore, path))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});

describe("the folder", () => {
  test("is served by one process, and what was half done is swept", async () => {
    const dir = join(scene.root, "twice");
    const first = await HubServer.start(dir, { accounts: [{ name: "alice", token: "hf_good" }] });
    expect(await failure(HubServer.start(dir))).toMatchObject({ name: "HubError", code: "hub_serve_busy" });
    await ask("POST", `${first.url}/api/repos/create`, { body: { name: "tiny" } });
    const link = (
      await ask("POST", `${first.url}/alice/tiny.git/info/lfs/objects/batch`, {
        body: { operation: "upload", objects: [{ oid: sha256(BYTES), size: 1000 }] },
      })
    ).json;
    const port = Number(new URL(first.url).port);
    expect(await failure(HubServer.start(join(scene.root, "other"), { port }))).toMatchObject({
      code: "hub_serve_address",
      message: expect.stringMatching(/must be free to listen on, got EADDRINUSE; choose another --port or --host$/),
    });
    await first.stop();
    mkdirSync(join(dir, "models/alice/tiny/incoming"), { recursive: true });
    writeFileSync(join(dir, "models/alice/tiny/incoming/x.tmp"), "half");
    // A process that was killed leaves its number; 2^22 is beyond every number.
    writeFileSync(join(dir, ".served-by"), "4194305");
    const second = await HubServer.start(dir, { port, accounts: [{ name: "alice", token: "hf_good" }] });
    try {
      expect(existsSync(join(dir, "models/alice/tiny/incoming"))).toBe(false);
      expect((await ask("GET", `${second.url}/api/models/alice/tiny`)).status).toBe(200);
      // A link outlives a restart.
      const { actions } = (link["objects"] as Actions[])[0]!;
      expect((await ask("PUT", actions!.upload.href, { token: "", body: BYTES })).status).toBe(200);
      expect(readFileSync(join(dir, "models/alice/tiny/lfs", sha256(BYTES).slice(0, 2), sha256(BYTES))).equals(BYTES)).toBe(true);
    } finally {
      await second.stop();
    }
    expect(existsSync(join(dir, ".served-by"))).toBe(false);
  });
});
