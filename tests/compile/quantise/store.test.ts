/** Tensors that are quantised on their way into the store, on both engines. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import {
  CompiledEngine,
  EagerEngine,
  type Engine,
  type FileTensor,
  type TensorFormat,
  dequantiseNf4,
  hostTensor,
  nf4AsFloat32,
  quantiseNf4,
  tf,
} from "../../../src/compile/index.js";
import { float32ToBfloat16, readFileTensorParts } from "../../../src/compile/fileTensors.js";
import { restoreScales } from "../../../src/compile/quantise/nf4.js";
import { PART_NUMBERS, encodeTensor, storedParts } from "../../../src/compile/quantise/tensorFormat.js";
import { normal } from "../contractCase.js";

const folder = mkdtempSync(join(tmpdir(), "preflab-quantise-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file with `before` bytes of something else, then the numbers as bfloat16. */
function bf16File(name: string, values: Float32Array, shape: number[]): FileTensor {
  const bits = new Uint16Array(values.length);
  float32ToBfloat16(values, bits);
  const file = join(folder, name);
  writeFileSync(file, Buffer.concat([Buffer.alloc(6), Buffer.from(bits.buffer)]));
  return { file, offset: 6, byteLength: bits.byteLength, dtype: "BF16", shape };
}

function rounded(values: Float32Array): Float32Array {
  const bits = new Uint16Array(values.length);
  float32ToBfloat16(values, bits);
  return Float32Array.from(bits, (half) => new Float32Array(Uint32Array.of(half << 16).buffer)[0]!);
}

const NF4: TensorFormat = { kind: "nf4", doubleQuant: true };
const SHAPE = [6, 34];
const VALUES = normal(SHAPE, 9).data as Float32Array;

describe.each<[string, () => Engine]>([
  ["compiled", () => new CompiledEngine({ threads: 1 })],
  ["eager", () => new EagerEngine("cpu")],
])("%s", (kind, make) => {
  async function withEngine(work: (engine: Engine) => Promise<void>): Promise<void> {
    const engine = make();
    try {
      await work(engine);
    } finally {
      await engine.dispose();
    }
  }

  async function asNumbers(engine: Engine, name: string): Promise<Float32Array> {
    const parts = storedParts(name, SHAPE, NF4);
    const signature = Object.fromEntries(
      parts.map(({ name: part, dtype, shape }) => [part, { shape, dtype: dtype as "float32" | "uint8", role: "state" as const }]),
    );
    const program = engine.compile(
      (parts) => ({
        numbers: nf4AsFloat32({
          quant: parts[`${name}.quant`] as tf.Tensor2D,
          absmax: parts[`${name}.absmax`] as tf.Tensor1D,
          nestedAbsmax: parts[`${name}.nested_absmax`] as tf.Tensor1D,
          nestedOffset: parts[`${name}.nested_offset`] as tf.Scalar,
        }),
      }),
      signature,
    );
    return (await program.run({}))["numbers"]!.data as Float32Array;
  }

  test("a tensor of a file becomes its parts, and their numbers are those of the pure functions", () =>
    withEngine(async (engine) => {
      await engine.load("w", bf16File("w", VALUES, SHAPE), NF4);
      expect(engine.names()).toEqual(["w.quant", "w.absmax", "w.nested_absmax", "w.nested_offset"]);
      expect(engine.shapeOf("w.quant")).toEqual([6, 17]);
      expect(engine.has("w")).toBe(false);
      const values = rounded(VALUES);
      const wanted = quantiseNf4(values, true);
      expect([...(await engine.fetch("w.quant")).data]).toEqual([...wanted.packed]);
      expect([...(await engine.fetch("w.absmax")).data]).toEqual([...wanted.scales.absmax]);
      expect(await asNumbers(engine, "w")).toEqual(dequantiseNf4(wanted, values.length));
      // 102 bytes of codes, 4 of scales, a second-level scale and an offset; eagerly bytes take four.
      expect(engine.bytes()).toBe(kind === "compiled" ? 102 + 4 + 8 : 4 * (102 + 4) + 8);
      await engine.view("rows", "w.quant", 1, 2);
      expect(engine.bytes()).toBe(kind === "compiled" ? 114 : 432);
    }));

  test("a tensor of the store is stored once more in another format", () =>
    withEngine(async (engine) => {
      await engine.put("w", hostTensor(VALUES.slice(), SHAPE));
      await engine.encode("w", "copy", NF4);
      expect(await asNumbers(engine, "copy")).toEqual(dequantiseNf4(quantiseNf4(VALUES, true), VALUES.length));
      expect((await engine.fetch("w")).data).toEqual(VALUES);
      await engine.encode("w", "h", { kind: "float16" });
      expect(engine.shapeOf("h.half")).toEqual(SHAPE);
      expect((await engine.fetch("h.half_scale")).shape).toEqual([]);
    }));

  test("what cannot be quantised leaves nothing", () =>
    withEngine(async (engine) => {
      const bad = VALUES.slice();
      bad[40] = Infinity;
      await expect(engine.load("w", bf16File("bad", bad, SHAPE), NF4)).rejects.toMatchObject({
        code: "quantise_not_finite",
        message: "w: quantise: numbers must be finite, got Infinity at 40; the weights are damaged, fetch or train them again",
      });
      await expect(engine.load("w", bf16File("bad half", bad, SHAPE), { kind: "float16" })).rejects.toMatchObject({
        code: "quantise_not_finite",
      });
      expect(engine.names()).toEqual([]);
      await expect(engine.load("odd", bf16File("odd", VALUES.slice(0, 15), [3, 5]), NF4)).rejects.toMatchObject({
        code: "nf4_shape",
        message: "odd: nf4 needs a matrix with an even number of columns, got [3,5]; keep it float32",
      });
    }));
});

test("a tensor larger than one part: the same as at once", () => {
  const shape = [3, PART_NUMBERS / 2 + 10];
  const values = normal([shape[0]! * shape[1]!], 2).data as Float32Array;
  const file = bf16File("large", values, shape);
  const parts = [...readFileTensorParts(file, PART_NUMBERS)].map((part) => part.length);
  expect(parts).toEqual([PART_NUMBERS, PART_NUMBERS / 2 + 30]);
  const encoded = encodeTensor("w", shape, NF4, () => readFileTensorParts(file, PART_NUMBERS));
  const wanted = quantiseNf4(rounded(values), true);
  expect(Buffer.compare(encoded["w.quant"]!.data as Uint8Array, wanted.packed)).toBe(0);
  expect(encoded["w.absmax"]!.data).toEqual(wanted.scales.absmax);
  expect(restoreScales(wanted.scales).length).toBe(encoded["w.absmax"]!.data.length);
});
