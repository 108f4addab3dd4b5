import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CompiledEngine } from "../../src/compile/compiledEngine.js";
import { EagerEngine } from "../../src/compile/eagerEngine.js";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, readFileTensor } from "../../src/compile/fileTensors.js";
import type { HostTensors } from "../../src/compile/hostTensor.js";
import { type TensorToLoad, helpersFor, readTensors } from "../../src/compile/tensorReaders.js";
import { EngineError } from "../../src/errors.js";
import { Random } from "../../src/random.js";

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);
const every = Uint16Array.from({ length: 65536 }, (_, i) => i);

describe("widening", () => {
  test("every bfloat16 becomes the upper half of a float32, NaN payloads included", () => {
    const wide = new Float32Array(65536);
    bfloat16ToFloat32(every, wide);
    expect(bitsOf(wide).findIndex((bits, i) => bits !== i * 65536)).toBe(-1);
  });

  test("every half keeps sign, value and NaN payload", () => {
    const wide = new Float32Array(65536);
    float16ToFloat32(every, wide);
    const scratch = new Float32Array(1);
    const wrong = bitsOf(wide).findIndex((bits, half) => {
      const sign = half & 0x8000 ? 0x80000000 : 0;
      const [exponent, mantissa] = [(half >> 10) & 31, half & 1023];
      scratch[0] = exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15);
      const magnitude = exponent === 31 ? 0x7f800000 + mantissa * 8192 : bitsOf(scratch)[0]!;
      return bits !== sign + magnitude;
    });
    expect(wrong).toBe(-1);
  });

  test.each([bfloat16ToFloat32, float16ToFloat32])("%o: lengths 0 to 19 at even and odd places, and nothing beyond", (widen) => {
    const whole = new Float32Array(65536);
    widen(every, whole);
    for (const start of [0, 1, 2, 3, 40_000, 40_001]) {
      for (let length = 0; length < 20; length++) {
        const target = new Float32Array(length + 1).fill(7);
        widen(every.subarray(start, start + length), target.subarray(0, length));
        expect([...bitsOf(target)]).toEqual([...bitsOf(whole.subarray(start, start + length)), 0x40e00000]);
      }
    }
  });
});

describe("readers", () => {
  let folder: string;
  const tensors: TensorToLoad[] = [];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "preflab-readers-"));
    const random = new Random(3);
    // Two files, three formats; odd lengths, none, one number, and more than one block of 131,072 numbers.
    for (const part of ["a", "b"]) {
      const file = join(folder, part);
      const pieces: Uint8Array[] = [];
      let offset = 0;
      for (const [i, length] of [131_073, 300_001, 0, 1, 17, 64].entries()) {
        const numbers = Float32Array.from({ length }, () => random.normal());
        const narrow = new Uint16Array(length);
        float32ToBfloat16(numbers, narrow);
        const dtype = ["BF16", "F16", "F32"][(i + (part === "a" ? 0 : 1)) % 3]!;
        const bytes = dtype === "F32" ? new Uint8Array(numbers.buffer) : new Uint8Array(narrow.buffer);
        tensors.push({ name: `${part}.${i}`, file: { file, offset, byteLength: bytes.length, dtype, shape: [length] } });
        pieces.push(bytes);
        offset += bytes.length;
      }
      writeFileSync(file, Buffer.concat(pieces));
    }
    const last = tensors.findIndex(({ name }) => name === "b.5");
    tensors.push({ ...tensors[last]!, name: "half", format: { kind: "float16" } });
    const { file } = tensors[last]!;
    tensors.push({ name: "nf4", file: { ...file, shape: [8, 8] }, format: { kind: "nf4", doubleQuant: true } });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const bytes = (read: HostTensors): [string, string, number[], string][] =>
    Object.entries(read).map(([name, { data, dtype, shape }]) => [
      name,
      dtype,
      [...shape],
      Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64"),
    ]);

  test("one, two and four threads give the same bytes in the same order", async () => {
    const alone = bytes(await readTensors(tensors, undefined, 0));
    expect(alone.map(([name]) => name).slice(0, 2)).toEqual(["a.0", "a.1"]);
    expect(alone.map(([name]) => name).slice(12)).toEqual([
      "half.half",
      "half.half_scale",
      "nf4.quant",
      "nf4.absmax",
      "nf4.nested_absmax",
      "nf4.nested_offset",
    ]);
    for (const { name, file, format } of tensors) {
      if (format !== undefined) continue;
      const data = readFileTensor(file);
      expect(alone.find(([other]) => other === name)![3] === Buffer.from(data.buffer).toString("base64")).toBe(true);
    }
    for (const helpers of [1, 3]) expect(bytes(await readTensors(tensors, undefined, helpers))).toEqual(alone);
  });

  test.each([0, 2])("a truncated file is an error whichever thread meets it (%d helpers)", async (helpers) => {
    const file = join(folder, "short");
    writeFileSync(file, new Uint8Array(100));
    truncateSync(file, 99);
    const short = Array.from({ length: 8 }, (_, i) => ({
      name: `s${i}`,
      file: { file, offset: 0, byteLength: 100, dtype: "BF16", shape: [50] },
    }));
    await expect(readTensors(short, undefined, helpers)).rejects.toMatchObject({
      code: "file_truncated",
      message: expect.stringMatching(/the file must have at least 100 bytes, got 99; it changed since it was opened/) as string,
    });
  });

  test("what the check throws ends the reading", async () => {
    let checks = 0;
    const stop = (): void => {
      if (++checks === 3) throw new EngineError("aborted", "engine: the call was aborted while it read");
    };
    await expect(readTensors(tensors, stop, 0)).rejects.toMatchObject({ code: "aborted" });
    expect(checks).toBe(3);
  });

  test("helpers: none for small models, never more than the other cores or three", () => {
    expect([helpersFor(1 << 25, 8), helpersFor(1 << 27, 8), helpersFor(1e9, 8), helpersFor(1e9, 2), helpersFor(1e9, 1)]).toEqual([
      0, 2, 3, 1, 0,
    ]);
  });

  test.each([
    ["compiled", () => new CompiledEngine()],
    ["eager", () => new EagerEngine("cpu")],
  ] as const)("loadAll of the %s engine stores all or nothing", async (_, make) => {
    const engine = make();
    try {
      const some = tensors.filter(({ file, format }) => file.byteLength < 1000 && file.byteLength > 0 && format === undefined);
      await engine.loadAll(some);
      expect(engine.names()).toEqual(some.map(({ name }) => name));
      for (const { name, file } of some)
        expect([...bitsOf((await engine.fetch(name)).data as Float32Array)]).toEqual([...bitsOf(readFileTensor(file))]);
      const bad = { name: "bad", file: { ...some[0]!.file, file: join(folder, "nothing") } };
      await expect(engine.loadAll([{ ...some[0]!, name: "good" }, bad])).rejects.toMatchObject({ code: "file_missing" });
      expect([engine.has("good"), engine.has("bad")]).toEqual([false, false]);
    } finally {
      await engine.dispose();
    }
  });
});
