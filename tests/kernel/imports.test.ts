import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorOf, pause, plain, REPOSITORY, Session, streamText, types } from "./session.js";

describe.each(["in a folder outside any project", "in this repository"])("imports %s", (place) => {
  let session: Session;
  beforeAll(async () => {
    session = await Session.open(place === "in this repository" ? join(REPOSITORY, "notebooks") : undefined);
  });
  afterAll(() => session.close());

  test("preflab is found, with its types and without a word on stderr", async () => {
    const run = await session.run("import { DPOConfig, nearestName } from 'preflab';\nnearestName('bet', ['beta'])");
    expect(types(run)).toEqual(["execute_result"]);
    expect(plain(run)).toBe("'beta'");
    expect(errorOf(await session.run("const wrong: number = nearestName('a', [])!;")).evalue).toContain(
      "Type 'string' is not assignable to type 'number'",
    );
    expect(errorOf(await session.run("import { DPOConfg } from 'preflab';")).evalue).toContain("DPOConfg");
    expect(errorOf(await session.run("const badOption = new DPOConfig({ output_dir: 'x', betta: 1 });")).evalue).toContain("betta");
  });

  test("types of preflab survive into later cells", async () => {
    await session.run("const config = new DPOConfig({ output_dir: 'x', beta: 0.25 });\nconst both = { config };");
    expect(plain(await session.run("both.config.beta * 2"))).toBe("0.5");
    expect(errorOf(await session.run("both.config.nothing")).evalue).toContain("Property 'nothing' does not exist on type 'DPOConfig'");
  });

  test("dynamic import gives the same module", async () => {
    expect(plain(await session.run("(await import('preflab')).DPOConfig === DPOConfig"))).toBe("true");
  });

  test("TensorFlow.js is Preflab's own, with types, and one copy of them", async () => {
    const run = await session.run(
      "import * as tf from '@tensorflow/tfjs';\nconst made: tf.Tensor1D = tf.tensor1d([1, 2]);\nfunction norm(x: tf.Tensor): number { return x.norm().dataSync()[0]; }\nnorm(made)",
    );
    expect(plain(run)).toBe("2.2360680103302");
    expect(errorOf(await session.run("norm(3)")).evalue).toContain("not assignable to parameter of type 'Tensor<Rank>'");
    await session.run("import * as dfd from 'danfojs-node';\nconst table = new dfd.DataFrame([[1, 2]]);");
    expect(plain(await session.run("norm(table.tensor)"))).toBe("2.2360680103302");
  });

  test("Node's modules and globals are typed", async () => {
    const run = await session.run(
      "import { readFileSync } from 'node:fs';\nimport path from 'path';\nconsole.log(typeof readFileSync, path.sep, Buffer.from('a').length, new URL('http://x/y').pathname);",
    );
    expect(streamText(run)).toBe("function / 1 /y\n");
  });

  test("typed arrays with the type parameter of newer declarations", async () => {
    expect(plain(await session.run("const weights: Float32Array<ArrayBuffer> = new Float32Array(2); weights.length"))).toBe("2");
    expect(errorOf(await session.run("const text: string = weights;")).ename).toBe("TypeScriptError");
  });

  test("a package that nobody has is an error with its name", async () => {
    expect(errorOf(await session.run("import x from 'no-such-package-here';")).evalue).toContain(
      "Cannot find module 'no-such-package-here'",
    );
  });
});

describe("a project of the user", () => {
  let folder: string;
  let session: Session;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "preflab-project-"));
    const install = async (name: string, files: Record<string, string>): Promise<void> => {
      for (const [file, text] of Object.entries(files)) {
        const path = join(folder, "node_modules", name, file);
        await mkdir(join(path, ".."), { recursive: true });
        await writeFile(path, text);
      }
    };
    await install("typed-by-exports", {
      "package.json": JSON.stringify({
        name: "typed-by-exports",
        type: "module",
        exports: { ".": { types: "./lib/a.d.ts", default: "./lib/a.js" }, "./sub": { types: "./lib/b.d.ts", default: "./lib/b.js" } },
      }),
      "lib/a.d.ts": "export declare const answer: number;",
      "lib/a.js": "export const answer = 42;",
      "lib/b.d.ts": "export declare function shout(text: string): string;",
      "lib/b.js": "export function shout(text) { return text.toUpperCase(); }",
    });
    await install("marked", {
      "package.json": JSON.stringify({ name: "marked", version: "0.0.1", main: "i.js", types: "i.d.ts" }),
      "i.js": "exports.mine = 'the project has its own';",
      "i.d.ts": "export declare const mine: string;",
    });
    await writeFile(join(folder, "helper.ts"), "export function half(x: number): number {\n  return x / 2;\n}\n");
    session = await Session.open(folder);
  });
  afterAll(async () => {
    await session.close();
    await rm(folder, { recursive: true, force: true });
  });

  test("packages typed only through exports, and their subpaths", async () => {
    expect(
      plain(
        await session.run("import { answer } from 'typed-by-exports';\nimport { shout } from 'typed-by-exports/sub';\nshout('a') + answer"),
      ),
    ).toBe("'A42'");
    expect(errorOf(await session.run("shout(answer)")).evalue).toContain("not assignable to parameter of type 'string'");
  });

  test("the project's own copy of a package comes before Preflab's", async () => {
    expect(plain(await session.run("import { mine } from 'marked'; mine"))).toBe("'the project has its own'");
  });

  test("a TypeScript file beside the notebook, and its changes", async () => {
    const run = await session.run("import { half } from './helper';\nhalf(3)");
    expect(plain(run)).toBe("1.5");
    await writeFile(join(folder, "helper.ts"), "export function half(x: number): string {\n  return `${x / 2} exactly`;\n}\n");
    await pause(1_500); // TypeScript looks at the file four times a second
    expect(plain(await session.run("import { half } from './helper';\nhalf(3)"))).toBe("'1.5 exactly'");
    expect(errorOf(await session.run("const wrong: number = half(3);")).evalue).toContain("Type 'string' is not assignable");
  });
});
