/**
 * Types that declaration files of today use, and that the TypeScript of the cells (5.0, the newest that tslab has) does not know. A name that
 * is unknown in a declaration file is `any` without a word, so they are added to the standard library as the checker reads it.
 */
const TYPED_ARRAYS =
  /^interface ((?:Int8|Uint8|Uint8Clamped|Int16|Uint16|Int32|Uint32|Float32|Float64|BigInt64|BigUint64)Array|DataView|ArrayBufferView) \{/gm;
const BUFFER_PARAMETER = "<TArrayBuffer extends ArrayBufferLike = ArrayBufferLike>";

/** `NoInfer` as it was written before TypeScript 5.4 had it; the rest as in the libraries of 5.2 (Disposable) and 5.6 (iterators). */
const ADDED = `
type NoInfer<T> = [T][T extends any ? 0 : never];
type BuiltinIteratorReturn = any;
interface IteratorObject<T, TReturn = unknown, TNext = unknown> extends Iterator<T, TReturn, TNext> {
  [Symbol.iterator](): IteratorObject<T, TReturn, TNext>;
}
interface ArrayIterator<T> extends IteratorObject<T, BuiltinIteratorReturn, unknown> { [Symbol.iterator](): ArrayIterator<T>; }
interface MapIterator<T> extends IteratorObject<T, BuiltinIteratorReturn, unknown> { [Symbol.iterator](): MapIterator<T>; }
interface SetIterator<T> extends IteratorObject<T, BuiltinIteratorReturn, unknown> { [Symbol.iterator](): SetIterator<T>; }
interface StringIterator<T> extends IteratorObject<T, BuiltinIteratorReturn, unknown> { [Symbol.iterator](): StringIterator<T>; }
interface SymbolConstructor { readonly dispose: unique symbol; readonly asyncDispose: unique symbol; }
interface Disposable { [Symbol.dispose](): void; }
interface AsyncDisposable { [Symbol.asyncDispose](): PromiseLike<void>; }
`;
const ADDED_ASYNC = `
interface AsyncIteratorObject<T, TReturn = unknown, TNext = unknown> extends AsyncIterator<T, TReturn, TNext> {
  [Symbol.asyncIterator](): AsyncIteratorObject<T, TReturn, TNext>;
}
`;

const COPYING = (element: string, list: string): string => `
  toReversed(): ${list};
  toSorted(compareFn?: (a: ${element}, b: ${element}) => number): ${list};
  with(index: number, value: ${element}): ${list};`;
const SPLICING = `
  toSpliced(start: number, deleteCount: number, ...items: T[]): T[];
  toSpliced(start: number, deleteCount?: number): T[];`;
/** Methods of arrays that return a changed copy, which TypeScript knows from 5.2 on and Node.js from 20. */
const ADDED_ARRAYS = [
  ...["Array", "ReadonlyArray"].map((name) => `interface ${name}<T> {${COPYING("T", "T[]")}${SPLICING}\n}`),
  ...["Int8", "Uint8", "Uint8Clamped", "Int16", "Uint16", "Int32", "Uint32", "Float32", "Float64", "BigInt64", "BigUint64"].map(
    (kind) =>
      `interface ${kind}Array${BUFFER_PARAMETER} {${COPYING(kind.startsWith("Big") ? "bigint" : "number", `${kind}Array<ArrayBuffer>`)}\n}`,
  ),
].join("\n");
const ADDITIONS: Readonly<Record<string, string>> = {
  "es2015.iterable": ADDED,
  "es2018.asynciterable": ADDED_ASYNC,
  "es2023.array": ADDED_ARRAYS,
};

/** The text of a declaration file as the checker shall see it. */
export function modernLibrary(path: string, text: string | undefined): string | undefined {
  if (text === undefined) return text;
  const library = /[\\/]lib\.(es[^\\/]*)\.d\.ts$/.exec(path)?.[1];
  if (library !== undefined) {
    return `${text.replace(TYPED_ARRAYS, `interface $1${BUFFER_PARAMETER} {`)}\n${ADDITIONS[library] ?? ""}`;
  }
  if (/[\\/]@types[\\/]node[\\/]/.test(path))
    return text.replace(/^(\s*)interface Buffer (extends Uint8Array )?\{/gm, `$1interface Buffer${BUFFER_PARAMETER} $2{`);
  return text;
}
