/**
 * tslab's converter, with what tslab fixes in place opened up. tslab hands over no options, so the TypeScript module that
 * it requires is wrapped before tslab loads:
 *   - module resolution "bundler", so that packages typed through `exports` are found;
 *   - top-level await as TypeScript itself parses it (`await (x)`, `for await`), where tslab guesses from an error message;
 *   - source maps through both of its transpilations, so that a stack frame names the line of the cell;
 *   - packages found by `CellResolution`, typed arrays declared with the type parameter that newer declarations use;
 *   - files outside the notebook's folder, and the extension `.ts` in imports;
 *   - no file watchers (tslab polls every declaration file four times a second): the user's files are looked at before each cell.
 */
import { createRequire, SourceMap, type SourceMapPayload } from "node:module";
import { dirname } from "node:path";
import type { Converter, ConvertResult, Diagnostic } from "tslab/dist/converter.js";
import { type FileListener, ModuleFiles } from "./moduleFiles.js";
import { modernLibrary } from "./modernTypes.js";
import type { CellResolution } from "./resolution.js";

const require = createRequire(import.meta.url);

/** What we use of TypeScript's API; the fork that tslab ships has no types of its own in this project. */
interface TsNode {
  kind: number;
  keywordToken?: number;
  awaitModifier?: unknown;
}
interface TsShorthand extends TsNode {
  name: TsNode & { text: string };
  objectAssignmentInitializer?: TsNode;
}
/** `from: to` in a pattern. */
interface TsBinding extends TsNode {
  propertyName?: TsNode & { text: string };
  dotDotDotToken?: TsNode;
  name: TsNode;
  initializer?: TsNode;
}
interface TsChecker {
  getShorthandAssignmentValueSymbol(node: TsNode): { declarations?: (TsNode & { getSourceFile(): { fileName: string } })[] } | undefined;
}
type EmitWriter = (fileName: string, data: string, ...rest: unknown[]) => void;
type Transformer = (context: unknown) => (file: TsNode) => TsNode;
interface TsBuilder {
  getProgram(): { getTypeChecker(): TsChecker };
  emit: (file: unknown, write: EmitWriter, token: unknown, onlyDeclarations: unknown, transformers?: { before?: Transformer[] }) => unknown;
}
interface TsWatchHost {
  afterProgramCreate?: (builder: TsBuilder) => void;
}
interface TsFactory {
  createIdentifier(text: string): TsNode;
  createPropertyAccessExpression(object: TsNode, name: string): TsNode;
  createPropertyAssignment(name: TsNode, value: TsNode): TsNode;
  createAssignment(left: TsNode, right: TsNode): TsNode;
  updateBindingElement(
    node: TsBinding,
    dotDotDotToken: TsNode | undefined,
    propertyName: TsNode | undefined,
    name: TsNode,
    initializer: TsNode | undefined,
  ): TsNode;
}
interface TsSystem {
  readFile(path: string, encoding?: string): string | undefined;
  fileExists(path: string): boolean;
  directoryExists(path: string): boolean;
  realpath(path: string): string;
  getDirectories(path: string): string[];
  readDirectory(path: string, ...rest: unknown[]): string[];
  watchFile(path: string, ...rest: unknown[]): { close(): void };
  watchDirectory(path: string, ...rest: unknown[]): { close(): void };
}
interface TsModule {
  sys: TsSystem;
  ModuleResolutionKind: { Bundler: number };
  ScriptTarget: { Latest: number; ES2022: number };
  createWatchCompilerHost(files: string[], options: Record<string, unknown>, ...rest: unknown[]): TsWatchHost;
  SyntaxKind: { ImportKeyword: number };
  factory: TsFactory;
  visitEachChild(node: TsNode, visit: (node: TsNode) => TsNode, context: unknown): TsNode;
  setTextRange(node: TsNode, range: TsNode): TsNode;
  isShorthandPropertyAssignment(node: TsNode): boolean;
  isBindingElement(node: TsNode): boolean;
  isIdentifier(node: TsNode): boolean;
  isMetaProperty(node: TsNode): boolean;
  transpileModule(source: string, options: { compilerOptions: Record<string, unknown> }): { outputText: string; sourceMapText?: string };
  createSourceFile(name: string, text: string, target: number): TsNode;
  forEachChild<T>(node: TsNode, visit: (node: TsNode) => T | undefined): T | undefined;
  isAwaitExpression(node: TsNode): boolean;
  isForOfStatement(node: TsNode): boolean;
  isFunctionLike(node: TsNode): boolean;
}

/** A cell that does not compile. */
export class CellCompileError extends Error {
  constructor(readonly diagnostics: Diagnostic[]) {
    super(diagnostics.map((diagnostic) => diagnostic.messageText).join("\n"));
    this.name = diagnostics.some((diagnostic) => diagnostic.code < 2000) ? "SyntaxError" : "TypeScriptError";
  }
}

/** A position in compiled code, counted from 0 → the same in the cell, counted from 0, or undefined. */
export type PositionMap = (line: number, column: number) => { line: number; column: number } | undefined;

export interface CompiledCell extends ConvertResult {
  position: PositionMap;
}

/** Of a module the file; a cell, which is not a module of Node.js, counts as a file in the notebook's folder. */
const IMPORT_META = `((file) => ({ url: require("node:url").pathToFileURL(file).href, filename: file, dirname: require("node:path").dirname(file), resolve: (name) => require("node:url").pathToFileURL(require.resolve(name)).href }))(typeof __filename === "string" ? __filename : require("node:path").join(process.cwd(), "cell.ts"))`;

const INLINE_MAP = /\n?\/\/# sourceMappingURL=data:application\/json;base64,([A-Za-z0-9+/=]+)\s*$/;

export class CellCompiler {
  readonly #ts: TsModule;
  readonly #converter: Converter;
  readonly #files: ModuleFiles;
  /** Maps of the last cell: TypeScript → ES module, then ES module → CommonJS. */
  #maps: SourceMap[] = [];
  /** Called around compilation: a half-done program would make every later cell fail, so it must not be terminated. */
  readonly #busy: (busy: boolean) => void;

  constructor(resolution: CellResolution, busy: (busy: boolean) => void) {
    this.#busy = busy;
    this.#files = new ModuleFiles(resolution.cwd);
    this.#ts = this.#wrapTypeScript(resolution);
    const { createConverter, esModuleToCommonJSModule } = require("tslab/dist/converter.js") as typeof import("tslab/dist/converter.js") & {
      esModuleToCommonJSModule: (source: string, target: unknown) => string;
    };
    this.#files.transpile = (source) => esModuleToCommonJSModule(source, this.#ts.ScriptTarget.ES2022);
    this.#converter = this.guard(() => createConverter({ isJS: false, isBrowser: false }));
  }

  /** Runs work of the type checker, during which it must not be cut off. */
  guard<T>(work: () => T): T {
    this.#busy(true);
    try {
      return work();
    } finally {
      this.#busy(false);
    }
  }

  #wrapTypeScript(resolution: CellResolution): TsModule {
    const fromTslab = createRequire(require.resolve("tslab/package.json"));
    const path = fromTslab.resolve("@tslab/typescript-for-tslab");
    const original = fromTslab(path) as TsModule;
    wrapFileSystem(original.sys, resolution, this.#files);
    const wrapped = Object.defineProperties({}, Object.getOwnPropertyDescriptors(original)) as TsModule;
    const replacements: Partial<TsModule> = {
      createWatchCompilerHost: (files, options, ...rest) => {
        const settings = {
          ...options,
          rootDir: this.#files.root,
          lib: [...(options.lib as string[]), "lib.es2023.array.d.ts"],
          allowImportingTsExtensions: true,
          moduleResolution: original.ModuleResolutionKind.Bundler,
          disableTopLevelAwait: false,
          inlineSourceMap: true,
        };
        return wrapEmit(original.createWatchCompilerHost(files, settings, ...rest), this.#files, (builder) =>
          rewriteCell(original, builder.getProgram().getTypeChecker()),
        );
      },
      transpileModule: (source, options) => {
        const inline = INLINE_MAP.exec(source);
        const result = original.transpileModule(source.replace(INLINE_MAP, ""), {
          ...options,
          compilerOptions: { ...options.compilerOptions, sourceMap: true },
        });
        const maps = [inline === null ? undefined : Buffer.from(inline[1]!, "base64").toString("utf8"), result.sourceMapText];
        this.#maps = maps.filter((map) => map !== undefined).map((map) => new SourceMap(JSON.parse(map) as SourceMapPayload));
        return { outputText: result.outputText.replace(/\n?\/\/# sourceMappingURL=\S+\s*$/, "\n") };
      },
    };
    // The getters of TypeScript's exports cannot be redefined in place, but a copy of them can.
    const wrappedModule = Object.defineProperties(
      {},
      Object.fromEntries(
        Object.entries(Object.getOwnPropertyDescriptors(wrapped)).map(([name, descriptor]) => [
          name,
          name in replacements ? { value: replacements[name as keyof TsModule], enumerable: true } : descriptor,
        ]),
      ),
    );
    require.cache[path]!.exports = wrappedModule;
    return original;
  }

  /** @throws CellCompileError with every diagnostic */
  compile(prevDecl: string, source: string): CompiledCell {
    const result = this.guard(() => {
      this.#files.refresh();
      return this.#files.complete(this.#converter.convert(prevDecl, source));
    });
    if (result.diagnostics.length > 0) throw new CellCompileError(result.diagnostics);
    const [toModule, toCommonJs] = this.#maps;
    const position: PositionMap = (line, column) => {
      const middle = findEntry(toCommonJs, line, column);
      const source = middle && findEntry(toModule, middle.line, middle.column);
      // tslab puts one line before the cell to make it a module.
      return source === undefined || source.line < 1 ? undefined : { line: source.line - 1, column: source.column };
    };
    return { ...result, hasToplevelAwait: result.output !== undefined && this.#hasTopLevelAwait(result.output), position };
  }

  #hasTopLevelAwait(output: string): boolean {
    const ts = this.#ts;
    if (!/\bawait\b/.test(output)) return false;
    const visit = (node: TsNode): true | undefined => {
      if (ts.isFunctionLike(node)) return undefined;
      if (ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier !== undefined)) return true;
      return ts.forEachChild(node, visit);
    };
    // As a module, or `await (x)` would read as a call.
    return ts.forEachChild(ts.createSourceFile("cell.mts", `${output}\nexport {};`, ts.ScriptTarget.Latest), visit) === true;
  }

  /** The converter that tslab's executor is given; `convert` is replaced by the caller. */
  get converter(): Converter {
    return this.#converter;
  }

  close(): void {
    this.#converter.close();
  }
}

function findEntry(map: SourceMap | undefined, line: number, column: number): { line: number; column: number } | undefined {
  const entry = map?.findEntry(line, column) as { originalLine?: number; originalColumn?: number } | undefined;
  return entry?.originalLine === undefined ? undefined : { line: entry.originalLine, column: entry.originalColumn ?? 0 };
}

/** Adds a transformer to every emit, and puts its files where tslab expects them; tslab takes the builder from `afterProgramCreate`, which it sets later. */
function wrapEmit(host: TsWatchHost, files: ModuleFiles, makeTransformer: (builder: TsBuilder) => Transformer): TsWatchHost {
  let receive: TsWatchHost["afterProgramCreate"];
  return Object.defineProperty(host, "afterProgramCreate", {
    set: (receiver: TsWatchHost["afterProgramCreate"]) => (receive = receiver),
    get: () => (builder: TsBuilder) => {
      const { emit } = builder;
      builder.emit = (file, write, token, onlyDeclarations, transformers) => {
        const place: EmitWriter = (fileName, data, ...rest) => {
          const known = files.place(fileName, data);
          if (known !== undefined) write(known, data, ...rest);
        };
        return emit(file, place, token, onlyDeclarations, { ...transformers, before: [makeTransformer(builder)] });
      };
      receive?.(builder);
    },
  });
}

/**
 * Variables of earlier cells live in `exports`. tslab rewrites `seed` to `exports.seed`, but overlooks the shorthand in `{ seed }`, and takes the
 * property in a pattern, `({ seed: { value } }) => …`, for such a variable when the pattern's type was declared by an earlier cell. A new identifier has no symbol that it
 * could look up. `import.meta` does not exist in CommonJS, which cells and their modules become.
 */
function rewriteCell(ts: TsModule, checker: TsChecker): Transformer {
  return (context) => {
    const visit = (node: TsNode): TsNode => {
      if (ts.isMetaProperty(node) && node.keywordToken === ts.SyntaxKind.ImportKeyword)
        return ts.setTextRange(ts.factory.createIdentifier(IMPORT_META), node);
      if (ts.isBindingElement(node)) return withNewPropertyName(node as TsBinding);
      if (!ts.isShorthandPropertyAssignment(node)) return ts.visitEachChild(node, visit, context);
      const { name, objectAssignmentInitializer } = node as TsShorthand;
      const isEarlier = checker
        .getShorthandAssignmentValueSymbol(node)
        ?.declarations?.some((declaration) => declaration.getSourceFile().fileName.endsWith("/__prev__.d.ts"));
      if (isEarlier !== true) return ts.visitEachChild(node, visit, context);
      const variable = ts.factory.createPropertyAccessExpression(ts.factory.createIdentifier("exports"), name.text);
      const value =
        objectAssignmentInitializer === undefined
          ? variable
          : ts.factory.createAssignment(variable, ts.visitEachChild(objectAssignmentInitializer, visit, context));
      return ts.setTextRange(ts.factory.createPropertyAssignment(ts.factory.createIdentifier(name.text), value), node);
    };
    const withNewPropertyName = (node: TsBinding): TsNode => {
      const { propertyName, dotDotDotToken, name, initializer } = ts.visitEachChild(node, visit, context) as TsBinding;
      if (propertyName === undefined || !ts.isIdentifier(propertyName)) return ts.visitEachChild(node, visit, context);
      const renewed = ts.setTextRange(ts.factory.createIdentifier(propertyName.text), propertyName);
      return ts.factory.updateBindingElement(node, dotDotDotToken, renewed, name, initializer);
    };
    return (file) => ts.visitEachChild(file, visit, context);
  };
}

function wrapFileSystem(sys: TsSystem, resolution: CellResolution, files: ModuleFiles): void {
  const original: TsSystem = { ...sys };
  const nothing = { close: (): void => undefined };
  const watched = (path: string): boolean => !path.includes("/node_modules") && path.startsWith(resolution.cwd);
  Object.assign(sys, {
    readFile: (path, encoding) => modernLibrary(path, original.readFile(resolution.realPath(path), encoding)),
    fileExists: (path) => original.fileExists(resolution.realPath(path)),
    directoryExists: (path) => resolution.isVirtualParent(path) || original.directoryExists(resolution.realPath(path)),
    realpath: (path) => (resolution.isVirtual(path) ? path : original.realpath(path)),
    getDirectories: (path) => [...original.getDirectories(resolution.realPath(path)), ...resolution.virtualEntries(path)],
    readDirectory: (path, ...rest) => original.readDirectory(resolution.realPath(path), ...rest),
    watchFile: (path, callback) => (path.includes("/node_modules/") ? nothing : files.watch(path, callback as FileListener)),
    watchDirectory: (path, ...rest) => (watched(path) && path !== dirname(path) ? original.watchDirectory(path, ...rest) : nothing),
  } satisfies TsSystem);
}
