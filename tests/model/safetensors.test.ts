import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32ToBfloat16, readFileBytes, readFileTensor } from "../../src/compile/fileTensors.js";
import { ModelError } from "../../src/errors.js";
import { parseSafetensorsHeader, readSafetensors } from "../../src/model/safetensors.js";
import { Random } from "../../src/random.js";

const golden = new URL("../golden/", import.meta.url).pathname;
let dir: string;
beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), "preflab-safetensors-"))));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A file with the given header and that many data bytes. */
function fileOf(header: unknown, dataBytes: number, name = "x.safetensors"): string {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  const file = join(dir, name);
  writeFileSync(file, Buffer.concat([prefix, text, Buffer.alloc(dataBytes)]));
  return file;
}

function errorOf(act: () => unknown): ModelError {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(ModelError);
    return error as ModelError;
  }
  throw new Error("no error was thrown");
}

const AGAIN = "the file is damaged or not safetensors: fetch it again";

describe("reading", () => {
  test("golden file: names, shapes, places, metadata", () => {
    const { tensors, metadata } = readSafetensors(join(golden, "tiny-qwen2/model.safetensors"));
    expect(metadata).toEqual({ format: "pt" });
    expect(tensors.size).toBe(38);
    const norm = tensors.get("model.layers.0.input_layernorm.weight")!;
    expect(norm).toMatchObject({ dtype: "F32", shape: [64], offset: 8 + 3880 + 188416, byteLength: 256 });
    const values = readFileTensor(norm);
    expect(values.length).toBe(64);
    // The golden weights have norms around 1.
    expect(values.reduce((sum, value) => sum + value, 0) / 64).toBeCloseTo(1, 0);
  });

  test("bfloat16 shards are the float32 weights rounded to nearest even", () => {
    const full = readSafetensors(join(golden, "tiny-qwen2/model.safetensors")).tensors;
    let compared = 0;
    for (const shard of ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]) {
      for (const [name, entry] of readSafetensors(join(golden, "bf16", shard)).tensors) {
        expect(entry.dtype).toBe("BF16");
        const exact = readFileTensor(full.get(name)!);
        const rounded = new Uint16Array(exact.length);
        float32ToBfloat16(exact, rounded);
        expect(Buffer.from(readFileBytes(entry)).equals(Buffer.from(rounded.buffer))).toBe(true);
        const widened = readFileTensor(entry);
        expect(widened.every((value, i) => Math.abs(value - exact[i]!) <= Math.abs(exact[i]!) * 2 ** -8)).toBe(true);
        compared += exact.length;
      }
    }
    expect(compared).toBe(176960);
  });

  test("other formats are listed with their bytes but not read as weights", () => {
    const codes = readSafetensors(join(golden, "nf4.safetensors")).tensors.get("codes")!;
    expect(codes.dtype).toBe("U8");
    expect(readFileBytes(codes).every((code) => code < 16)).toBe(true);
    const error = errorOf(() => readFileTensor(codes));
    expect(error.code).toBe("tensor_dtype");
    expect(error.message).toBe(`${codes.file}: a weight must be stored as F32, F16, BF16, got U8; convert the checkpoint`);
  });

  test("into a given array, at an odd place of a larger buffer", () => {
    for (const file of ["tiny-qwen2/model.safetensors", "bf16/model-00001-of-00002.safetensors"]) {
      const entry = readSafetensors(join(golden, file)).tensors.get("model.embed_tokens.weight")!;
      const buffer = new Float32Array(736 * 64 + 5).fill(7);
      const target = buffer.subarray(3, 3 + 736 * 64);
      expect(readFileTensor(entry, target)).toBe(target);
      expect(target).toEqual(readFileTensor(entry));
      expect([buffer[2], buffer[3 + 736 * 64]]).toEqual([7, 7]);
    }
    const entry = readSafetensors(join(golden, "tiny-qwen2/model.safetensors")).tensors.get("model.norm.weight")!;
    expect(errorOf(() => readFileTensor(entry, new Float32Array(65))).message).toBe(
      `${entry.file}: the array for [64] must hold 64 numbers, got 65; pass one of that length`,
    );
  });

  test("a file cut after it was opened", () => {
    const file = fileOf({ a: { dtype: "BF16", shape: [4], data_offsets: [0, 8] } }, 8, "cut.safetensors");
    const entry = readSafetensors(file).tensors.get("a")!;
    writeFileSync(file, readFileSync(file).subarray(0, -3));
    const error = errorOf(() => readFileTensor(entry));
    expect(error.code).toBe("file_truncated");
    expect(error.message).toContain(
      `must have at least ${entry.offset + 8} bytes, got ${entry.offset + 5}; it changed since it was opened`,
    );
    rmSync(file);
    expect(errorOf(() => readFileTensor(entry)).code).toBe("file_missing");
  });

  test("empty tensors, scalars, many chunks", () => {
    const length = 300_001;
    const file = fileOf(
      {
        empty: { dtype: "F32", shape: [0, 3], data_offsets: [0, 0] },
        one: { dtype: "F32", shape: [], data_offsets: [0, 4] },
        long: { dtype: "BF16", shape: [length], data_offsets: [4, 4 + 2 * length] },
      },
      4 + 2 * length,
    );
    const bytes = readFileSync(file);
    for (let i = 0; i < length; i++) bytes.writeUInt16LE(0x3f80 + (i % 64), bytes.length - 2 * length + 2 * i);
    writeFileSync(file, bytes);
    const { tensors } = readSafetensors(file);
    expect(readFileTensor(tensors.get("empty")!).length).toBe(0);
    expect(readFileTensor(tensors.get("one")!).length).toBe(1);
    const long = readFileTensor(tensors.get("long")!);
    // 0x3f80 is 1; each step of the last bit adds 2^-7.
    expect(long.every((value, i) => value === 1 + (i % 64) / 128)).toBe(true);
  });
});

describe("malformed files", () => {
  const tensor = (begin: number, end: number, more = {}) => ({
    dtype: "F32",
    shape: [(end - begin) / 4],
    data_offsets: [begin, end],
    ...more,
  });
  const cases: [name: string, header: unknown, dataBytes: number, code: string, message: string][] = [
    [
      "unknown dtype",
      { a: tensor(0, 8, { dtype: "F31" }) },
      8,
      "safetensors_dtype",
      'tensor "a": dtype must be one of BOOL, F4, F6_E2M3, F6_E3M2, U8, I8, F8_E5M2, F8_E4M3, F8_E8M0, I16, U16, F16, BF16, I32, U32, F32, C64, F64, I64, U64, got "F31"',
    ],
    ["dtype that every object has", { a: tensor(0, 8, { dtype: "constructor" }) }, 8, "safetensors_dtype", 'got "constructor"'],
    [
      "shape does not fit",
      { a: tensor(0, 8, { shape: [3] }) },
      8,
      "safetensors_shape",
      'tensor "a": F32 [3] must take 12 bytes, got 8 in data_offsets',
    ],
    [
      "huge shape",
      { a: tensor(0, 8, { shape: [2 ** 40, 2 ** 40] }) },
      8,
      "safetensors_shape",
      'tensor "a": shape must multiply to a countable number, got [1099511627776,1099511627776]',
    ],
    [
      "huge shape times zero",
      { a: tensor(0, 0, { shape: [2 ** 52, 2 ** 52, 2 ** 52, 2 ** 52, 2 ** 52, 2 ** 52, 2 ** 52].concat(Array(30).fill(2 ** 52), 0) }) },
      0,
      "safetensors_shape",
      "shape must multiply to a countable number",
    ],
    [
      "negative shape",
      { a: tensor(0, 8, { shape: [-2] }) },
      8,
      "safetensors_shape",
      'tensor "a": shape must be a list of integers >= 0, got [-2]',
    ],
    ["fraction in shape", { a: tensor(0, 8, { shape: [2.5] }) }, 8, "safetensors_shape", "got [2.5]"],
    ["null in shape", { a: tensor(0, 8, { shape: [null] }) }, 8, "safetensors_shape", "got [null]"],
    ["no shape", { a: { dtype: "F32", data_offsets: [0, 8] } }, 8, "safetensors_shape", "got nothing"],
    [
      "offsets fall",
      { a: tensor(8, 0, { shape: [2] }) },
      8,
      "safetensors_offsets",
      'tensor "a": data_offsets must rise within the 8 bytes of data, got [8, 0]',
    ],
    [
      "three offsets",
      { a: tensor(0, 8, { data_offsets: [0, 4, 8] }) },
      8,
      "safetensors_offsets",
      'tensor "a": data_offsets must be two integers >= 0, got [0,4,8]',
    ],
    [
      "overlap",
      { a: tensor(0, 8), b: tensor(4, 12) },
      12,
      "safetensors_offsets",
      'tensor "b": data must begin at byte 8, where "a" ends, got 4 (overlaps)',
    ],
    [
      "the same bytes twice",
      { a: tensor(0, 8), b: tensor(0, 8) },
      8,
      "safetensors_offsets",
      'tensor "b": data must begin at byte 8, where "a" ends, got 0 (overlaps)',
    ],
    [
      "gap",
      { a: tensor(0, 8), b: tensor(12, 16) },
      16,
      "safetensors_offsets",
      'tensor "b": data must begin at byte 8, where "a" ends, got 12 (leaves a gap)',
    ],
    ["gap at the start", { a: tensor(4, 8) }, 8, "safetensors_offsets", 'tensor "a": data must begin at byte 0, got 4 (leaves a gap)'],
    [
      "bytes left over",
      { a: tensor(0, 8) },
      9,
      "safetensors_offsets",
      "the tensors must fill all 9 bytes of data, got tensors up to byte 8",
    ],
    ["tensor is a list", { a: [] }, 0, "safetensors_header", 'tensor "a" must be an object with dtype, shape and data_offsets, got []'],
    ["tensor is null", { a: null }, 0, "safetensors_header", "got null"],
    ["metadata is a number", { __metadata__: 3 }, 0, "safetensors_metadata", "__metadata__ must be an object of strings, got 3"],
    [
      "metadata holds a number",
      { __metadata__: { n: 3 } },
      0,
      "safetensors_metadata",
      '__metadata__ must be an object of strings, got 3 for "n"',
    ],
    [
      "a name twice",
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
      4,
      "safetensors_duplicate",
      'each name must occur once in the header, got "a" twice',
    ],
    [
      "a name twice, once escaped",
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
      4,
      "safetensors_duplicate",
      'got "a" twice',
    ],
    [
      "a key twice in one tensor",
      '{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
      4,
      "safetensors_duplicate",
      'got "dtype" twice',
    ],
    [
      "NaN",
      '{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}',
      4,
      "safetensors_header",
      "the header must be JSON, got an error at: ",
    ],
    [
      "1e999 in a shape",
      '{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}',
      4,
      "safetensors_shape",
      "shape must be a list of integers >= 0, got [null]",
    ],
    ["cut JSON", '{"a":{"dtype":"F32","sh', 0, "safetensors_header", "the header must be JSON, got an error at: "],
    ["a list", "[1]", 0, "safetensors_header", 'the header must begin with "{", got byte 0x5b'],
    ["nothing", "", 0, "safetensors_header", 'the header must begin with "{", got an empty header'],
    [
      "a deep nest",
      `{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`,
      0,
      "safetensors_header",
      "the header must nest at most 8 levels deep, got more",
    ],
    [
      "a deep nest without an end",
      `{"a":${'{"a":'.repeat(200_000)}`,
      0,
      "safetensors_header",
      "the header must nest at most 8 levels deep, got more",
    ],
  ];
  test.each(cases)("%s", (_, header, dataBytes, code, message) => {
    const file = fileOf(header, dataBytes);
    const error = errorOf(() => readSafetensors(file));
    expect(error.message).toContain(message);
    expect(error.message.startsWith(`${file}: `)).toBe(true);
    expect(error.message.endsWith(`; ${AGAIN}`)).toBe(true);
    expect(error.code).toBe(code);
  });

  test("sizes: shorter than its length field, header beyond the file, absurd header", () => {
    const file = join(dir, "sizes.safetensors");
    writeFileSync(file, Buffer.alloc(7));
    expect(errorOf(() => readSafetensors(file)).message).toBe(`${file}: the file must have at least 8 bytes, got 7; ${AGAIN}`);
    const prefix = Buffer.alloc(10);
    prefix.writeBigUInt64LE(1000n);
    writeFileSync(file, prefix);
    expect(errorOf(() => readSafetensors(file)).message).toBe(
      `${file}: the header must fit into the file, got a header of 1000 bytes in a file of 10; ${AGAIN}`,
    );
    prefix.writeBigUInt64LE(0xffff_ffff_ffff_ffffn);
    writeFileSync(file, prefix);
    const error = errorOf(() => readSafetensors(file));
    expect([error.code, error.message]).toEqual([
      "safetensors_header",
      `${file}: the header must be at most 100000000 bytes long, got 18446744073709552000; ${AGAIN}`,
    ]);
  });

  test("not UTF-8, missing, a folder", () => {
    const file = join(dir, "utf8.safetensors");
    writeFileSync(file, Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d]));
    expect(errorOf(() => readSafetensors(file)).message).toBe(`${file}: the header must be UTF-8, got bytes that are not; ${AGAIN}`);
    const missing = join(dir, "none.safetensors");
    expect(errorOf(() => readSafetensors(missing))).toMatchObject({
      code: "file_missing",
      message: `${missing}: the file must exist, got nothing there; check the path`,
    });
    expect(errorOf(() => readSafetensors(dir))).toMatchObject({
      code: "file_unreadable",
      message: `${dir}: a safetensors file must be a plain file, got a folder or device; check the path`,
    });
  });

  test("truncated at every length of a small file", () => {
    const whole = readFileSync(join(golden, "lora_init/adapter_model.safetensors"));
    const file = join(dir, "short.safetensors");
    const codes = new Set<string>();
    for (let length = 0; length < whole.length; length += length < 1600 ? 7 : 97) {
      writeFileSync(file, whole.subarray(0, length));
      codes.add(errorOf(() => readSafetensors(file)).code);
    }
    expect([...codes].sort()).toEqual(["safetensors_offsets", "safetensors_truncated"]);
  });

  test("fuzzed headers: an error or a header whose every tensor lies in the file", () => {
    const whole = readFileSync(join(golden, "lora_init/adapter_model.safetensors"));
    const headerBytes = Number(whole.readBigUInt64LE());
    const original = whole.subarray(8, 8 + headerBytes);
    const random = new Random(20);
    const pieces = [
      '"',
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      "0",
      "9",
      "-",
      "1e308",
      "null",
      "NaN",
      "\\u0000",
      "\\",
      "F32",
      "F64",
      "data_offsets",
      "__proto__",
      "__metadata__",
      "\ud83d\ude00",
    ];
    const outcomes = new Map<string, number>();
    for (let round = 0; round < 6000; round++) {
      let bytes = Buffer.from(original);
      for (let change = random.integer(3); change >= 0; change--) {
        const at = random.integer(bytes.length);
        const kind = random.integer(4);
        if (kind === 0) bytes[at] = random.integer(256);
        else if (kind === 1) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.integer(40))]);
        else if (kind === 2)
          bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(pieces[random.integer(pieces.length)]!), bytes.subarray(at)]);
        else bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random.integer(at + 1), at), bytes.subarray(at)]);
      }
      let outcome = "accepted";
      try {
        const fileBytes = whole.length - headerBytes + bytes.length;
        const { tensors } = parseSafetensorsHeader(bytes, fileBytes, "fuzz");
        let end = 8 + bytes.length;
        for (const entry of tensors.values()) {
          expect(entry.offset).toBe(end);
          end += entry.byteLength;
        }
        expect(end).toBe(fileBytes);
      } catch (error) {
        expect(error, String((error as Error).stack)).toBeInstanceOf(ModelError);
        outcome = (error as ModelError).code;
        expect(outcome).toMatch(/^safetensors_/);
      }
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    // The fuzzing reaches these rules, and some changes (inside a name) are harmless.
    expect([...outcomes.keys()].sort()).toEqual([
      "accepted",
      "safetensors_dtype",
      "safetensors_duplicate",
      "safetensors_header",
      "safetensors_offsets",
      "safetensors_shape",
    ]);
  });
});
