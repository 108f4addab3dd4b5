import { expect, test } from "vitest";
import { modernLibrary } from "../../kernel-ext/user/modernTypes.js";

test("only the standard library and Node's own types are changed, and lines keep their places", () => {
  const array = "interface Float32Array {\n  at(index: number): number;\n}\n";
  expect(modernLibrary("/x/lib/lib.es2022.array.d.ts", array)).toBe(
    `interface Float32Array<TArrayBuffer extends ArrayBufferLike = ArrayBufferLike> {\n  at(index: number): number;\n}\n\n`,
  );
  expect(modernLibrary("/project/src/lib.ts", array)).toBe(array);
  expect(modernLibrary("/x/@types/node/buffer.d.ts", "        interface Buffer extends Uint8Array {")).toBe(
    "        interface Buffer<TArrayBuffer extends ArrayBufferLike = ArrayBufferLike> extends Uint8Array {",
  );
  expect(modernLibrary("/x/lib/lib.es2015.iterable.d.ts", "")).toContain("interface MapIterator<T>");
  expect(modernLibrary("/missing.d.ts", undefined)).toBeUndefined();
});
