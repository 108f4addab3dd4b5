import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { describe, expect, test } from "vitest";
import ts from "typescript";

const ROOT = resolve(import.meta.dirname, "..");

/** docs: "Where things live". A folder imports only from itself or from folders to its left; src/doctor counts as part of the command. */
const ORDER = [
  "errors",
  "config",
  "random",
  "data",
  "text",
  "compile",
  "model",
  "train",
  "generate",
  "evaluate",
  "sweep",
  "hub",
  "app",
  "notebook",
  "cli",
];
const SAME_RANK: Record<string, string> = { doctor: "cli" };
/** They need nothing of each other: what is needed everywhere. */
const FOUNDATION = new Set(["errors", "config", "random"]);

const LINE_LIMIT = 400;

interface SourceFile {
  /** Relative to the repository, with forward slashes. */
  path: string;
  text: string;
  syntax: ts.SourceFile;
}

function listTypeScript(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => {
      const absolute = join(entry.parentPath, entry.name);
      const text = readFileSync(absolute, "utf8");
      return {
        path: relative(ROOT, absolute).split(sep).join("/"),
        text,
        syntax: ts.createSourceFile(absolute, text, ts.ScriptTarget.ES2023, true),
      };
    });
}

const SRC = listTypeScript("src");
const KERNEL = listTypeScript("kernel-ext");

/** The stage a file of src/ belongs to: its folder, or for a file directly in src/ its own name. */
function stageOf(path: string): string {
  const part = path.split("/")[1]!.replace(/\.ts$/, "");
  return SAME_RANK[part] ?? part;
}

/** Every module name that a file imports, re-exports or loads with `import()`. */
function importsOf({ syntax }: SourceFile): string[] {
  const names: string[] = [];
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier))
      names.push(node.moduleSpecifier.text);
    if (
      ts.isCallExpression(node) &&
      node.expression.kind === ts.SyntaxKind.ImportKeyword &&
      node.arguments[0] &&
      ts.isStringLiteral(node.arguments[0])
    )
      names.push(node.arguments[0].text);
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal))
      names.push(node.argument.literal.text);
    ts.forEachChild(node, visit);
  };
  visit(syntax);
  return names;
}

/** Repository paths (with .ts) of a file's relative imports. */
function localImportsOf(file: SourceFile): string[] {
  return importsOf(file)
    .filter((name) => name.startsWith("."))
    .map((name) =>
      relative(ROOT, resolve(ROOT, dirname(file.path), name))
        .split(sep)
        .join("/")
        .replace(/\.js$/, ".ts"),
    );
}

/** How often a file names `Math.random`, `Date.now` or `new Date()`, outside comments and strings. */
function impureUses({ syntax }: SourceFile): number {
  let count = 0;
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node) && ["Math.random", "Date.now"].includes(node.getText())) count++;
    if (ts.isNewExpression(node) && node.expression.getText() === "Date" && (node.arguments?.length ?? 0) === 0) count++;
    ts.forEachChild(node, visit);
  };
  visit(syntax);
  return count;
}

/** The files that may, and why. */
const IMPURE: Record<string, string> = {
  "src/hub/server/clock.ts": "commits and links that end carry the time of day",
  "src/notebook/client.ts": "a deadline for a kernel's reply",
  "src/notebook/wire.ts": "a Jupyter message header carries its date",
  "src/train/report/wallTime.ts": "event files and MLflow's metrics carry the time of day",
};

describe("architecture", () => {
  test("the checks see the code", () => {
    expect(SRC.length).toBeGreaterThan(20);
    expect(SRC.flatMap(localImportsOf).length).toBeGreaterThan(20);
    expect(
      importsOf({
        path: "",
        text: "",
        syntax: ts.createSourceFile(
          "x.ts",
          'import a from "./a.js"; export * from "./b.js"; void import("./c.js"); type D = import("./d.js").D;',
          ts.ScriptTarget.ES2023,
          true,
        ),
      }),
    ).toEqual(["./a.js", "./b.js", "./c.js", "./d.js"]);
  });

  test("every file of src/ belongs to a known stage", () => {
    // src/index.ts is the public surface and may import everything.
    const unknown = SRC.filter(({ path }) => path !== "src/index.ts" && !ORDER.includes(stageOf(path)));
    expect(unknown.map(({ path }) => path)).toEqual([]);
  });

  test("a folder of src/ imports only from itself or to its left", () => {
    const broken: string[] = [];
    for (const file of SRC) {
      if (file.path === "src/index.ts") continue;
      const stage = stageOf(file.path);
      for (const target of localImportsOf(file)) {
        // The command installs and starts the kernel; nothing else of src/ knows of kernel-ext/.
        if (target.startsWith("kernel-ext/") && stage === "cli") continue;
        const fine = target.startsWith("src/") && target !== "src/index.ts" && ORDER.includes(stageOf(target));
        const left =
          fine && (ORDER.indexOf(stageOf(target)) <= ORDER.indexOf(stage) || (FOUNDATION.has(stage) && FOUNDATION.has(stageOf(target))));
        if (!left) broken.push(`${file.path} imports ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });

  test("src/compile/ could be a package of its own: it imports nothing of data, models or training", () => {
    const allowed = ["errors", "config", "random", "compile"];
    const broken = SRC.filter(({ path }) => stageOf(path) === "compile").flatMap((file) =>
      localImportsOf(file)
        .filter((target) => !allowed.includes(stageOf(target)))
        .map((target) => `${file.path} imports ${target}`),
    );
    expect(broken).toEqual([]);
  });

  test("kernel-ext/ imports only itself and src/", () => {
    const broken = KERNEL.flatMap((file) =>
      localImportsOf(file)
        .filter((target) => !/^(src|kernel-ext)\//.test(target))
        .map((target) => `${file.path} imports ${target}`),
    );
    expect(broken).toEqual([]);
  });

  test("relative imports name files that exist", () => {
    const known = new Set([...SRC, ...KERNEL].map(({ path }) => path));
    const broken = [...SRC, ...KERNEL].flatMap((file) =>
      localImportsOf(file)
        .filter((target) => target.endsWith(".ts") && !known.has(target))
        .map((target) => `${file.path} imports ${target}`),
    );
    expect(broken).toEqual([]);
  });

  test(`no file is longer than ${LINE_LIMIT} lines`, () => {
    const long = [...SRC, ...KERNEL]
      .map(({ path, text }) => ({ path, lines: text.trimEnd().split("\n").length }))
      .filter(({ lines }) => lines > LINE_LIMIT);
    expect(long).toEqual([]);
  });

  test("no top-level await in src/: notebook cells require() the package", () => {
    const broken = SRC.filter(({ syntax }) => {
      let found = false;
      const visit = (node: ts.Node): void => {
        if (ts.isFunctionLike(node)) return;
        if (ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier !== undefined)) found = true;
        ts.forEachChild(node, visit);
      };
      visit(syntax);
      return found;
    });
    expect(broken.map(({ path }) => path)).toEqual([]);
  });

  test("results depend on the seed alone: no Math.random and no calendar time, with the exceptions above", () => {
    const impure = SRC.filter((file) => impureUses(file) > 0).map(({ path }) => path);
    expect(impure.filter((path) => !(path in IMPURE))).toEqual([]);
    expect(impure, "the check sees the exceptions").toEqual(expect.arrayContaining(["src/notebook/wire.ts"]));
  });
});
