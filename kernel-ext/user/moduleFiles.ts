/**
 * The user's own modules: TypeScript files that cells import, inside the notebook's folder or beside it. tslab compiles those inside; the
 * others are compiled here and handed over with them. All are looked at before each cell, so that an edit is never missed.
 */
import { statSync } from "node:fs";
import { dirname, join, parse, relative, resolve, sep } from "node:path";
import type { ConvertResult } from "tslab/dist/converter.js";

/** TypeScript's FileWatcherEventKind. */
const CREATED = 0;
const CHANGED = 1;
const DELETED = 2;
export type FileListener = (path: string, kind: number) => void;

/** The folder that tslab pretends to compile into. */
const OUT = "outDir";
/** Of a relative import. The compiled module ends in `.js`; both are equally long, so that positions stay. */
const TS_EXTENSION = /(\brequire\(["']\.{1,2}\/[^"'\n]*\.)ts(["']\))/g;
/** `import("package")` as TypeScript writes it in CommonJS, which cannot load a module whose top level awaits. `$import` can, and is as long. */
const DYNAMIC_IMPORT = /(\.then\(\(\) => __importStar\()require(\(["'][^."'][^"'\n]*["']\)\))/g;
const IMPORTS = /\brequire\(["'](\.{1,2}\/[^"'\n]*)["']\)/g;

type SideOutput = NonNullable<ConvertResult["sideOutputs"]>[number];

function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? "" : `${stat.mtimeNs} ${stat.size}`;
}

export class ModuleFiles {
  /** What the checker takes for the root of all sources: imports may leave the notebook's folder. */
  readonly root: string;
  readonly #cwd: string;
  readonly #watched = new Map<string, { stamp: string; listeners: Set<FileListener> }>();
  /** Compiled module → the compiled modules that it imports. */
  readonly #imports = new Map<string, string[]>();
  #outside: SideOutput[] = [];
  /** ES module → CommonJS. Set by the compiler, whose parts need each other. */
  transpile: (source: string) => string = () => {
    throw new Error("the compiler is not ready");
  };

  constructor(cwd: string) {
    this.#cwd = cwd;
    this.root = parse(cwd).root;
  }

  watch(path: string, listener: FileListener): { close(): void } {
    let entry = this.#watched.get(path);
    if (entry === undefined) this.#watched.set(path, (entry = { stamp: stampOf(path), listeners: new Set() }));
    const { listeners } = entry;
    listeners.add(listener);
    return {
      close: () => {
        listeners.delete(listener);
        if (listeners.size === 0) this.#watched.delete(path);
      },
    };
  }

  /** Tells the checker of every file that has changed, and has the modules that import it loaded anew too. */
  refresh(): void {
    const changed: string[] = [];
    for (const [path, entry] of [...this.#watched]) {
      const stamp = stampOf(path);
      if (stamp === entry.stamp) continue;
      const kind = entry.stamp === "" ? CREATED : stamp === "" ? DELETED : CHANGED;
      entry.stamp = stamp;
      changed.push(path);
      for (const listener of [...entry.listeners]) listener(path, kind);
    }
    for (const path of this.#importersOf(changed.map(compiledPath)))
      for (const [source, { listeners }] of [...this.#watched])
        if (compiledPath(source) === path) for (const listener of [...listeners]) listener(source, CHANGED);
  }

  #importersOf(changed: readonly string[]): Set<string> {
    const found = new Set<string>();
    for (let next = [...changed]; next.length > 0;) {
      const targets = new Set(next);
      next = [...this.#imports]
        .filter(([path, imported]) => !found.has(path) && !changed.includes(path) && imported.some((target) => targets.has(target)))
        .map(([path]) => path);
      for (const path of next) found.add(path);
    }
    return found;
  }

  /** Where tslab expects an emitted file. A module outside the notebook's folder is kept here instead: undefined. */
  place(fileName: string, data: string): string | undefined {
    const path = resolve(this.root, relative(OUT, fileName));
    const below = relative(this.#cwd, path);
    if (!below.startsWith("..")) return `${OUT}/${below.split(sep).join("/")}`;
    if (path.endsWith(".js")) this.#outside.push({ path: path.split(sep).join("/"), data: this.transpile(data) });
    return undefined;
  }

  /** Adds the modules outside the notebook's folder to what tslab has compiled. */
  complete(result: ConvertResult): ConvertResult {
    const sideOutputs = [...(result.sideOutputs ?? []), ...this.#outside].map(({ path, data }) => ({
      path,
      data: data.replace(TS_EXTENSION, "$1js$2"),
    }));
    this.#outside = [];
    for (const { path, data } of sideOutputs)
      this.#imports.set(
        path,
        [...data.matchAll(IMPORTS)].map((match) => compiledPath(join(dirname(path), match[1]!))),
      );
    if (result.output !== undefined) result.output = rewriteImports(result.output);
    return { ...result, ...(sideOutputs.length === 0 ? {} : { sideOutputs }) };
  }
}

function rewriteImports(code: string): string {
  return code.replace(TS_EXTENSION, "$1js$2").replace(DYNAMIC_IMPORT, "$1$$import$2");
}

function compiledPath(path: string): string {
  const plain = path.split(sep).join("/");
  return /\.tsx?$/.test(plain) ? plain.replace(/\.tsx?$/, ".js") : plain.endsWith(".js") ? plain : `${plain}.js`;
}
