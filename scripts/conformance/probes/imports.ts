/** Modules and types. Each probe lays out a small project: `project/notebooks` is the notebook's folder. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { equal, type Probe, type ProbeContext, require } from "../probe.js";
import { errorOf, plain } from "../session.js";

const bare = (value: unknown): string => String(value).replace(/\u001b\[[0-9;]*m/g, "");

/** File of the project → text. The notebook's folder is `notebooks`. */
export const PROJECT: Readonly<Record<string, string>> = {
  "package.json": JSON.stringify({
    name: "mylab",
    type: "module",
    exports: {
      ".": { types: "./lib/index.d.ts", default: "./lib/index.js" },
      "./tools": { types: "./lib/tools.d.ts", default: "./lib/tools.js" },
    },
  }),
  "lib/index.js": "export const lab = 'self';",
  "lib/index.d.ts": "export declare const lab: string;",
  "lib/tools.js": "export const tool = (x) => x + 1;",
  "lib/tools.d.ts": "export declare function tool(x: number): number;",
  "src/half.ts": "import { two } from './two';\nexport function half(x: number): number {\n  return x / two;\n}\n",
  "src/two.ts": "export const two = 2;\n",
  "notebooks/helper.ts": "export const version = 1;\nexport const place: string = import.meta.url;\n",
  "notebooks/node_modules/waits/package.json": JSON.stringify({
    name: "waits",
    type: "module",
    exports: { types: "./i.d.ts", default: "./i.js" },
  }),
  "notebooks/node_modules/waits/i.js": "export const value = await Promise.resolve(11);",
  "notebooks/node_modules/waits/i.d.ts": "export declare const value: number;",
  "notebooks/node_modules/parts/package.json": JSON.stringify({
    name: "parts",
    type: "module",
    exports: { ".": { types: "./a.d.ts", default: "./a.js" }, "./sub": { types: "./b.d.ts", default: "./b.js" } },
  }),
  "notebooks/node_modules/parts/a.js": "export const answer = 42;",
  "notebooks/node_modules/parts/a.d.ts": "export declare const answer: number;",
  "notebooks/node_modules/parts/b.js": "export const shout = (text) => text.toUpperCase();",
  "notebooks/node_modules/parts/b.d.ts": "export declare function shout(text: string): string;",
  "notebooks/node_modules/generics/package.json": JSON.stringify({ name: "generics", main: "i.js", types: "i.d.ts" }),
  "notebooks/node_modules/generics/i.js":
    "exports.weights = new Float32Array(2); exports.bytes = Buffer.from('a'); exports.pick = (a, b) => a; exports.entries = new Map([[1, 2]]).values();",
  "notebooks/node_modules/generics/i.d.ts": `/// <reference types="node" />
export declare const weights: Float32Array<ArrayBuffer>;
export declare const bytes: Buffer<ArrayBuffer>;
export declare function pick<T>(a: T, b: NoInfer<T>): T;
export declare const entries: MapIterator<number>;
`,
};

/** Writes the project below `folder`. @returns the notebook's folder */
export async function layOutProject(folder: string): Promise<string> {
  for (const [file, text] of Object.entries(PROJECT)) {
    const path = join(folder, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
  return join(folder, "notebooks");
}

async function value(k: ProbeContext, code: string): Promise<string> {
  const run = await k.run(code);
  if (run.reply.content.status !== "ok") throw new Error(bare(errorOf(run).evalue));
  return bare(plain(run));
}

/** @throws Error unless TypeScript refuses the code with these words */
async function refused(k: ProbeContext, code: string, words: RegExp): Promise<void> {
  const run = await k.run(code);
  require(run.reply.content.status === "error", `accepted: ${code}`);
  require(words.test(bare(errorOf(run).evalue)), `evalue: ${bare(errorOf(run).evalue).slice(0, 200)}`);
}

export const IMPORTS: readonly Probe[] = [
  {
    group: "Imports",
    name: "`../src/x`: TypeScript beside the notebook's folder, with its own imports",
    async check(k) {
      equal(await value(k, "import { half } from '../src/half';\nhalf(3)"), "1.5", "value");
      await refused(k, "half('3')", /not assignable/);
    },
  },
  {
    group: "Imports",
    name: "`./x.ts` with its extension, and `import.meta`",
    async check(k) {
      equal(
        await value(
          k,
          "import { version, place } from './helper.ts';\nversion + ' ' + place.startsWith('file:') + place.endsWith('.js')",
        ).then((text) => text.slice(1, 7)),
        "1 true",
        "value",
      );
      equal(await value(k, "import.meta.url.startsWith('file:')"), "true", "import.meta.url of a cell");
    },
  },
  {
    group: "Imports",
    name: "an ES module whose top level awaits, imported statically and dynamically",
    async check(k) {
      equal(await value(k, "import { value } from 'waits';\nvalue"), "11", "import");
      equal(await value(k, "(await import('waits')).value"), "11", "import()");
    },
  },
  {
    group: "Imports",
    name: "packages typed only through `exports`, and their sub-paths",
    async check(k) {
      equal(await value(k, "import { answer } from 'parts';\nimport { shout } from 'parts/sub';\nshout('a') + answer"), "'A42'", "value");
      await refused(k, "shout(answer)", /not assignable/);
    },
  },
  {
    group: "Imports",
    name: "the workspace's own package by its name, and its sub-path",
    async check(k) {
      equal(await value(k, "import { lab } from 'mylab';\nimport { tool } from 'mylab/tools';\nlab + tool(1)"), "'self2'", "value");
    },
  },
  {
    group: "Imports",
    name: "an edited module is loaded anew, also through a module that imports it",
    async check(k) {
      equal(await value(k, "import { half } from '../src/half';\nhalf(4)"), "2", "before");
      const file = join(k.cwd, "..", "src", "two.ts");
      try {
        await writeFile(file, "export const two = 4;\n");
        equal(await value(k, "import { half } from '../src/half';\nhalf(4)"), "1", "after the edit");
      } finally {
        await writeFile(file, PROJECT["src/two.ts"]!);
      }
    },
  },
  {
    group: "Types",
    name: "generics of today's declarations are no `any`: typed arrays, `Buffer<…>`, `NoInfer`, iterators",
    async check(k) {
      await k.run("import { weights, bytes, pick, entries } from 'generics';");
      await refused(k, "const a: string = weights;", /Float32Array/);
      await refused(k, "const b: string = bytes;", /Buffer/);
      await refused(k, "pick('a', 1)", /not assignable/);
      await refused(k, "for (const entry of entries) { const c: string = entry; }", /'number' is not assignable/);
    },
  },
  {
    group: "Types",
    name: "the library of Node.js 20: `toSorted`, `findLast`, `Symbol.dispose`",
    async check(k) {
      equal(
        await value(k, "[3, 1, 2].toSorted().join('') + [1, 2].findLast((x) => x > 0) + typeof Symbol.dispose"),
        "'1232symbol'",
        "value",
      );
    },
  },
];
