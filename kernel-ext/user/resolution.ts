/**
 * Where a cell's imports come from, for the type checker and at run time alike:
 *   1. `preflab` is always the package that this kernel belongs to;
 *   2. what the notebook's folder can resolve (its own node_modules, or a parent's) comes from there;
 *   3. what only Preflab can resolve (TensorFlow.js, danfojs, …) comes from Preflab's dependencies.
 * So a notebook in any folder can `import { DPOTrainer } from "preflab"`, with types, without installing anything beside it.
 *
 * The type checker looks for packages under `node_modules` of the project's folder. For 1 and 3 those paths are made to exist: a *virtual*
 * path reads the real file but keeps its own name, because TypeScript must be able to write the type's import path into
 * the declarations that later cells see (a real path outside the project would be error TS2742).
 */
import { existsSync, readFileSync } from "node:fs";
import Module, { createRequire } from "node:module";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const SELF = "preflab";

/** The folder of Preflab's own package.json, from dist/kernel-ext/user/ or kernel-ext/user/. */
export function packageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file) && (JSON.parse(readFileSync(file, "utf8")) as { name?: string }).name === SELF) return folder;
    if (folder === dirname(folder)) throw new Error(`the kernel lies outside the ${SELF} package; reinstall ${SELF}`);
  }
}

/** `name` of `node_modules/name/rest`, and the rest. */
function splitPackage(path: string): { name: string; rest: string } | undefined {
  const parts = path.split("/");
  const length = parts[0]!.startsWith("@") ? 2 : 1;
  if (parts.length < length || parts[0] === "") return undefined;
  return { name: parts.slice(0, length).join("/"), rest: parts.slice(length).join("/") };
}

/** The nearest folder with a package.json, from which modules beside the notebook's folder look for packages too; else the folder itself. */
function projectFolder(cwd: string): string {
  for (let folder = cwd; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json"))) return folder;
    if (folder === dirname(folder)) return cwd;
  }
}

function installedFolder(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(candidate)) return candidate;
    if (folder === dirname(folder)) return undefined;
  }
}

/** A cell imports a module whose top level awaits, which `require` cannot load. The runner loads it and starts the cell again. */
export class AsyncModuleNeeded extends Error {
  constructor(
    readonly file: string,
    options: ErrorOptions,
  ) {
    super(`${file} awaits at its top level; import it at the top of a cell`, options);
    this.name = "AsyncModuleNeeded";
  }
}

export class CellResolution {
  /** File → namespace of the modules that had to be loaded by `import()`. */
  readonly asyncModules = new Map<string, unknown>();
  readonly cwd: string;
  readonly root: string;
  readonly #prefix: string;
  /** Package name → real folder when the path is virtual, or undefined when the real one serves. */
  readonly #folders = new Map<string, string | undefined>();
  readonly #ownTypes: string | undefined;

  constructor(cwd: string, root = packageRoot()) {
    this.cwd = cwd;
    this.root = root;
    this.#prefix = `${projectFolder(cwd).split(sep).join("/").replace(/\/$/, "")}/node_modules/`;
    // tslab brings its own @types/node; npm may have put it below tslab or beside it.
    const tslab = installedFolder("tslab", root);
    this.#ownTypes = tslab === undefined ? undefined : installedFolder("@types/node", tslab);
  }

  #folder(name: string): string | undefined {
    if (!this.#folders.has(name)) this.#folders.set(name, this.#findFolder(name));
    return this.#folders.get(name);
  }

  #findFolder(name: string): string | undefined {
    if (name === SELF) return this.root;
    if (name === "tslab") return undefined; // tslab forwards itself
    if (name === "@types/node") return this.#ownTypes;
    if (name.startsWith("@types/")) return undefined;
    if (installedFolder(name, this.cwd) !== undefined) return undefined;
    return installedFolder(name, this.root);
  }

  /** Loads a module whose top level awaits; from then on `require` finds it. */
  async loadAsync(file: string): Promise<unknown> {
    const loaded: unknown = await import(pathToFileURL(file).href);
    this.asyncModules.set(file, loaded);
    return loaded;
  }

  /** The real file behind a path that the type checker asks for. */
  realPath(path: string): string {
    if (!path.startsWith(this.#prefix)) return path;
    const at = splitPackage(path.slice(this.#prefix.length));
    if (at === undefined) return path;
    const folder = this.#folder(at.name);
    // Preflab's own dependencies are looked up from the notebook, or every class would exist twice for the checker.
    if (folder === undefined || (at.name === SELF && at.rest.startsWith("node_modules")))
      return folder === undefined ? path : join(folder, "\u0000");
    return join(folder, at.rest);
  }

  isVirtual(path: string): boolean {
    return this.realPath(path) !== path;
  }

  /** Folders that must seem to exist although only something virtual lies below them. */
  isVirtualParent(path: string): boolean {
    const tail = `${path}/`.startsWith(this.#prefix) ? path.slice(this.#prefix.length) : undefined;
    return tail !== undefined && (tail === "" || /^@[^/]+$/.test(tail));
  }

  /** Names to add when the type checker lists a folder: it collects `@types/*` by listing. */
  virtualEntries(path: string): string[] {
    return this.#ownTypes !== undefined && path === `${this.#prefix}@types` ? ["node"] : [];
  }

  /** Makes `require` in cells, and in the user's own modules, follow the three rules. */
  installRuntimeHook(): void {
    type Resolve = (
      this: unknown,
      request: string,
      parent: { filename?: string } | undefined,
      isMain: boolean,
      options?: unknown,
    ) => string;
    type Load = (this: unknown, request: string, parent: { filename?: string } | undefined, isMain: boolean) => unknown;
    const loader = Module as unknown as { _resolveFilename: Resolve; _load: Load };
    const load = loader._load;
    const { asyncModules } = this;
    loader._load = function (request, parent, isMain): unknown {
      if (!isUserModule(parent)) return load.call(this, request, parent, isMain);
      const file = asyncModules.size === 0 ? "" : loader._resolveFilename(request, parent, isMain);
      if (asyncModules.has(file)) return asyncModules.get(file);
      try {
        return load.call(this, request, parent, isMain);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ERR_REQUIRE_ASYNC_MODULE") throw error;
        throw new AsyncModuleNeeded(loader._resolveFilename(request, parent, isMain), { cause: error });
      }
    };
    const cellRequire = createRequire(join(this.cwd, "src.js"));
    // See DYNAMIC_IMPORT in moduleFiles.ts. What is marked `__esModule` is handed through, also a promise.
    const importPackage = (name: string): unknown => {
      try {
        return cellRequire(name);
      } catch (error) {
        if (!(error instanceof AsyncModuleNeeded)) throw error;
        return Object.assign(this.loadAsync(error.file), { __esModule: true });
      }
    };
    Object.defineProperty(globalThis, "$import", { value: importPackage, enumerable: false });
    const original = loader._resolveFilename;
    const ownRequire = createRequire(join(this.root, "package.json"));
    const entry = join(this.root, "dist", "src", "index.js");
    const isUserModule = (parent: { filename?: string } | undefined): boolean => {
      const file = parent?.filename;
      if (file === undefined || file === null || relative(this.cwd, file).split(sep).includes("node_modules")) return false;
      return relative(join(this.root, "dist"), file).startsWith("..");
    };
    loader._resolveFilename = function (request, parent, isMain, options): string {
      if (request === SELF && isUserModule(parent)) return entry;
      try {
        return original.call(this, request, parent, isMain, options);
      } catch (error) {
        const bare = !request.startsWith(".") && !request.startsWith("/");
        if (!bare || (error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND" || !isUserModule(parent)) throw error;
        try {
          return ownRequire.resolve(request);
        } catch {
          throw error;
        }
      }
    };
  }
}
