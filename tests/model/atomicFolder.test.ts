import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import ts from "typescript";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { finishSave, writeFolder } from "../../src/model/atomicFolder.js";
import { Random } from "../../src/random.js";

let root: string;
let dir: string;
let count = 0;
beforeAll(() => void (root = mkdtempSync(join(tmpdir(), "preflab-folder-"))));
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => void (dir = join(root, `parent-${count++}`, "saved")));

/** Writes files with the given contents. */
const put = (contents: Record<string, string>) => async (folder: string) => {
  for (const [name, content] of Object.entries(contents)) writeFileSync(join(folder, name), content);
};
const contents = () =>
  Object.fromEntries(
    readdirSync(dir)
      .sort()
      .map((name) => [name, readFileSync(join(dir, name), "utf8")]),
  );
const parent = () => join(dir, "..");

describe("saving", () => {
  test("a new folder, with its parents, appears whole", async () => {
    await writeFolder(dir, async (folder) => {
      expect(existsSync(dir)).toBe(false);
      await put({ a: "1", b: "2" })(folder);
    });
    expect(contents()).toEqual({ a: "1", b: "2" });
    expect(readdirSync(parent())).toEqual(["saved"]);
  });

  test("an existing folder: old files stay whole until the new set is, others are kept", async () => {
    await writeFolder(dir, put({ a: "1", b: "2", "old-1": "3", "old-2": "4" }));
    writeFileSync(join(dir, "mine"), "5");
    await writeFolder(
      dir,
      async (folder) => {
        await put({ a: "new", "old-2": "new", c: "new" })(folder);
        mkdirSync(join(folder, "sub"));
        writeFileSync(join(folder, "sub", "x"), "new");
        expect(readFileSync(join(dir, "a"), "utf8")).toBe("1");
      },
      { obsolete: (name) => name.startsWith("old-") },
    );
    expect(readFileSync(join(dir, "sub", "x"), "utf8")).toBe("new");
    // A folder of the set replaces the older one as a whole.
    await writeFolder(dir, async (folder) => {
      mkdirSync(join(folder, "sub"));
      writeFileSync(join(folder, "sub", "y"), "newer");
    });
    expect(readdirSync(join(dir, "sub"))).toEqual(["y"]);
    rmSync(join(dir, "sub"), { recursive: true });
    expect(contents()).toEqual({ a: "new", b: "2", c: "new", mine: "5", "old-2": "new" });
  });

  test("an error while writing leaves everything as it was", async () => {
    const fail = async (folder: string) => {
      writeFileSync(join(folder, "a"), "half");
      throw new Error("disk full");
    };
    await expect(writeFolder(dir, fail)).rejects.toThrow("disk full");
    expect(readdirSync(parent())).toEqual([]);
    await writeFolder(dir, put({ a: "1" }));
    await expect(writeFolder(dir, fail)).rejects.toThrow("disk full");
    expect(contents()).toEqual({ a: "1" });
  });

  test("a target that appears meanwhile is not lost", async () => {
    await writeFolder(dir, async (folder) => {
      mkdirSync(dir);
      writeFileSync(join(dir, "theirs"), "1");
      await put({ a: "2" })(folder);
    });
    expect(contents()).toEqual({ a: "2", theirs: "1" });
    expect(readdirSync(parent())).toEqual(["saved"]);
  });

  test("a full disk or a place that cannot be written", async () => {
    await writeFolder(dir, put({ a: "1" }));
    const full = async () => {
      throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" });
    };
    await expect(writeFolder(dir, full)).rejects.toMatchObject({
      name: "ModelError",
      code: "save_failed",
      message: `${dir}: the place to save to must be writable, got ENOSPC: no space left on device, write; what was there before is whole, make room or choose another folder`,
    });
    expect(contents()).toEqual({ a: "1" });
    const below = join(dir, "a", "b");
    await expect(writeFolder(below, put({ c: "1" }))).rejects.toMatchObject({
      code: "save_failed",
      message: expect.stringContaining("got EEXIST") as string,
    });
  });

  test("a file copied without write permission", async () => {
    await writeFolder(dir, async (folder) => {
      writeFileSync(join(folder, "a"), "1");
      chmodSync(join(folder, "a"), 0o444);
    });
    expect(contents()).toEqual({ a: "1" });
  });

  test("what a killed process left is removed, what a running one writes is not", async () => {
    await writeFolder(dir, put({ a: "1" }));
    let staging = "";
    await writeFolder(dir, async (folder) => {
      staging = folder.split("/").at(-1)!;
      await put({ a: "2" })(folder);
    });
    // Names end in host~pid~count. No process has a pid beyond the system's limit of 2^22.
    const dead = staging.replace(`~${process.pid}~`, "~9999999~");
    const elsewhere = dead.replace("preflab-saving-", "preflab-saving-another-host-");
    for (const name of [staging, dead, elsewhere]) mkdirSync(join(dir, name));
    await writeFolder(dir, put({ a: "3" }));
    expect(readdirSync(dir).sort()).toEqual([staging, elsewhere, "a"].sort());
  });
});

describe("interrupted after the save counted", () => {
  /** The folder as it is right after the rename to .preflab-commit. */
  async function counted(): Promise<void> {
    await writeFolder(dir, put({ a: "1", "old-1": "1" }));
    mkdirSync(join(dir, ".preflab-commit"));
    await put({ a: "2", b: "2", ".preflab-obsolete.json": '["old-1","../mine","..",7]' })(join(dir, ".preflab-commit"));
    writeFileSync(join(dir, "..", "mine"), "kept");
  }

  test("at every step, finishing gives the new set", async () => {
    const steps: (() => void)[] = [
      () => {},
      () => renameSync(join(dir, ".preflab-commit/a"), join(dir, "a")),
      () => renameSync(join(dir, ".preflab-commit/b"), join(dir, "b")),
      () => rmSync(join(dir, "old-1")),
      () => rmSync(join(dir, ".preflab-commit/.preflab-obsolete.json")),
      () => rmSync(join(dir, ".preflab-commit"), { recursive: true }),
    ];
    for (let done = 1; done <= steps.length; done++) {
      rmSync(parent(), { recursive: true, force: true });
      await counted();
      for (const step of steps.slice(0, done)) step();
      await finishSave(dir);
      expect(contents(), `after step ${done}`).toEqual({ a: "2", b: "2" });
      expect(readFileSync(join(parent(), "mine"), "utf8")).toBe("kept");
    }
  });

  test("the next save finishes it first", async () => {
    await counted();
    await writeFolder(dir, put({ c: "3" }));
    expect(contents()).toEqual({ a: "2", b: "2", c: "3" });
  });

  test("two finish at once", async () => {
    await counted();
    await Promise.all([finishSave(dir), finishSave(dir), finishSave(dir)]);
    expect(contents()).toEqual({ a: "2", b: "2" });
  });

  test("nothing to finish", async () => {
    await finishSave(dir);
    expect(existsSync(dir)).toBe(false);
  });

  test("a folder that cannot be written to", async () => {
    await counted();
    // A folder in the way stands for a missing permission, which the superuser does not feel.
    rmSync(join(dir, "a"));
    mkdirSync(join(dir, "a"));
    await expect(finishSave(dir)).rejects.toMatchObject({
      code: "save_unfinished",
      message: expect.stringMatching(
        /: an interrupted save must be completed first, got EISDIR.*; make the folder writable or move the files of \.preflab-commit up by hand$/,
      ) as string,
    });
  });
});

test("kill -9 at any moment leaves one whole set", async () => {
  // The module itself, as JavaScript, in a process that saves version after version.
  const code = join(root, "code");
  for (const file of ["errors", "model/atomicFolder"]) {
    const source = readFileSync(new URL(`../../src/${file}.ts`, import.meta.url), "utf8");
    const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
    mkdirSync(join(code, file, ".."), { recursive: true });
    writeFileSync(join(code, `${file}.js`), ts.transpileModule(source, { compilerOptions: options }).outputText);
  }
  writeFileSync(join(code, "package.json"), '{"type":"module"}');
  writeFileSync(
    join(code, "saver.js"),
    `import { writeFileSync } from "node:fs";
     import { writeFolder } from "./model/atomicFolder.js";
     const [target, start] = process.argv.slice(2);
     for (let version = Number(start); ; version++) {
       await writeFolder(target, async (folder) => {
         for (const name of ["a", "b", "c", "part-" + (version % 3)]) writeFileSync(folder + "/" + name, String(version).repeat(1000));
       }, { obsolete: (name) => name.startsWith("part-") });
       process.stdout.write("saved " + version + "\\n");
     }`,
  );
  const random = new Random(11);
  let version = 1;
  let interrupted = 0;
  for (let round = 0; round < 25; round++) {
    const child = spawn(process.execPath, [join(code, "saver.js"), dir, String(version)], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    // The first round starts from nothing; each one is killed some time after its first save.
    while (!output.includes("saved")) await wait(1);
    await wait(random.uniform() * 12);
    child.kill("SIGKILL");
    await once(child, "close");
    const last = Number(output.trim().split(/\s+/).at(-1));
    if (readdirSync(dir).some((name) => name.startsWith("."))) interrupted++;
    await finishSave(dir);
    const visible = readdirSync(dir).filter((name) => !name.startsWith("."));
    const found = new Set(visible.map((name) => readFileSync(join(dir, name), "utf8")));
    expect(found.size, `versions side by side in ${visible.join(", ")}`).toBe(1);
    const text = [...found][0]!;
    version = Number(text.slice(0, text.length / 1000));
    expect([last, last + 1]).toContain(version);
    expect(visible.sort()).toEqual(["a", "b", "c", `part-${version % 3}`]);
    version++;
  }
  // Otherwise the test has shown nothing.
  expect(interrupted).toBeGreaterThan(0);
});
