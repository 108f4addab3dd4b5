/**
 * 8-bit codes by row and the products with them. Expected numbers are worked out by hand from arXiv:2208.07339 and bitsandbytes'
 * `int8_vectorwise_quant` (round(w · 127 / absmax), halves to even) and `int8_mm_dequant`; bitsandbytes itself was not available.
 */
import { afterAll, describe, expect, test } from "vitest";
import {
  CompiledEngine,
  EagerEngine,
  type Engine,
  type HostTensor,
  type Int8Backward,
  type TensorMap,
  hostTensor,
  int8MatMul,
  tf,
  valueAndGradients,
} from "../../../src/compile/index.js";
import { dequantiseInt8, quantiseInt8, rowMaxima } from "../../../src/compile/quantise/int8.js";
import { storedParts } from "../../../src/compile/quantise/tensorFormat.js";
import { normal } from "../contractCase.js";

const engines: Engine[] = [new CompiledEngine({ threads: 1 }), new EagerEngine("cpu")];
afterAll(() => Promise.all(engines.map((engine) => engine.dispose())));

/** Codes of a matrix in both orders. */
function codesOf(values: Float32Array, rows: number, portion = values.length) {
  const columns = values.length / rows;
  function* parts(): Generator<Float32Array> {
    for (let start = 0; start < values.length; start += portion) yield values.subarray(start, start + portion);
  }
  const absmax = rowMaxima(parts(), rows, columns);
  const [columnsFirst, rowsFirst] = [new Int8Array(values.length), new Int8Array(values.length)];
  quantiseInt8(parts(), absmax, columns, columnsFirst, rowsFirst);
  return { absmax, columnsFirst, rowsFirst };
}

describe("codes", () => {
  test("127 is a row's largest magnitude, and halves go to the even code", () => {
    // Row 0 has a step of 1: 0.5 → 0, 1.5 → 2, 2.5 → 2, −0.5 → 0, −3.5 → −4. Row 1 has a step of 2/127; row 2 is zeros.
    const values = Float32Array.from([127, 0.5, 1.5, 2.5, -0.5, -3.5, -2, 1, 0.01, 0, 2, -0.02, 0, 0, 0, 0, 0, 0]);
    const { absmax, rowsFirst, columnsFirst } = codesOf(values, 3);
    expect([...absmax]).toEqual([127, 2, 0]);
    expect([...rowsFirst]).toEqual([127, 0, 2, 2, 0, -4, -127, 64, 1, 0, 127, -1, 0, 0, 0, 0, 0, 0]);
    expect([...columnsFirst]).toEqual([127, -127, 0, 0, 64, 0, 2, 1, 0, 2, 0, 0, 0, 127, 0, -4, -1, 0]);
    expect([...dequantiseInt8(columnsFirst, absmax)].slice(0, 6)).toEqual([127, 0, 2, 2, 0, -4]);
  });

  test("are the same in portions that end anywhere", () => {
    const values = normal([7, 11], 3).data as Float32Array;
    const whole = codesOf(values, 7);
    for (const portion of [1, 5, 11, 23]) expect(codesOf(values, 7, portion)).toEqual(whole);
    // Never farther from the number than half a step.
    dequantiseInt8(whole.columnsFirst, whole.absmax).forEach((value, i) => {
      expect(Math.abs(value - values[i]!)).toBeLessThanOrEqual((whole.absmax[Math.floor(i / 11)]! / 127) * 0.50001);
    });
  });

  test.each([NaN, Infinity, -Infinity])("%s is refused, with its place", (bad) => {
    const values = new Float32Array(12).fill(1);
    values[7] = bad;
    for (const portion of [12, 5])
      expect(() => codesOf(values, 3, portion)).toThrowError(
        expect.objectContaining({
          code: "quantise_not_finite",
          message: `quantise: numbers must be finite, got ${bad} at 7; the weights are damaged, fetch or train them again`,
        }) as Error,
      );
  });

  test("the parts of a tensor, and what is no matrix", () => {
    const parts = (threshold: number, backward: Int8Backward) =>
      storedParts("w", [3, 5], { kind: "int8", threshold, backward }).map(
        ({ name, dtype, shape }) => `${name} ${dtype} ${shape.join("x")}`,
      );
    expect(parts(6, "int16")).toEqual(["w.codes int8 5x3", "w.SCB float32 3", "w.threshold float32 ", "w.backward_int16 int8 3x5"]);
    expect(parts(0, "float32")).toEqual(["w.codes int8 5x3", "w.SCB float32 3"]);
    const unsigned = storedParts("w", [3, 5], { kind: "int8", threshold: 0, backward: "int8", unsigned: true });
    expect(unsigned.map(({ name, dtype }) => `${name} ${dtype}`)).toEqual([
      "w.codes_unsigned uint8",
      "w.SCB float32",
      "w.backward_int8 uint8",
    ]);
    expect(() => storedParts("w", [4], { kind: "int8", threshold: 0, backward: "int8" })).toThrowError(
      expect.objectContaining({ code: "int8_shape", message: "w: int8 needs a matrix, got [4]; keep it float32" }) as Error,
    );
  });
});

/** `x Wᵀ` and, for a gradient dy at y, dx. */
async function product(
  engine: Engine,
  x: HostTensor,
  w: HostTensor,
  dy: HostTensor,
  threshold: number,
  backward: Int8Backward,
  unsigned = false,
) {
  const format = { kind: "int8", threshold, backward, unsigned } as const;
  // The engine keeps the array that it is given.
  await engine.put("w", hostTensor(w.data.slice(), w.shape));
  await engine.encode("w", "w", format);
  const parts = storedParts("w", w.shape, format);
  const program = engine.compile(
    ({ x, dy, ...weights }: TensorMap) => {
      const again = weights[`w.backward_${backward}`] as tf.Tensor2D | undefined;
      const weight = {
        codes: weights[unsigned ? "w.codes_unsigned" : "w.codes"] as tf.Tensor2D,
        unsigned,
        absmax: weights["w.SCB"] as tf.Tensor1D,
        threshold: weights["w.threshold"] as tf.Scalar | undefined,
        backward: again && { codes: again, bits: backward === "int8" ? (8 as const) : (16 as const) },
      };
      const loss = (v: TensorMap) => {
        const y = int8MatMul(v["x"] as tf.Tensor2D, weight);
        return { loss: tf.sum(tf.mul(y, dy!)), y };
      };
      const { values, gradients } = valueAndGradients(loss, { x: x! });
      return { y: values["y"]!, dx: gradients["x"]! };
    },
    {
      x: { shape: [...x.shape] },
      dy: { shape: [...dy.shape] },
      ...Object.fromEntries(
        parts.map(({ name, dtype, shape }) => [name, { shape, dtype: dtype as "int8" | "uint8" | "float32", role: "state" as const }]),
      ),
    },
  );
  const { y, dx } = await program.run({ x, dy });
  await program.dispose();
  return { y: [...y!.data], dx: [...dx!.data] };
}

const close = (actual: readonly number[], wanted: readonly number[], tolerance = 1e-6): void => {
  expect(actual.length).toBe(wanted.length);
  wanted.forEach((value, i) =>
    expect(Math.abs(actual[i]! - value), `at ${i}`).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(value))),
  );
};

describe.each(engines.map((engine) => [engine.kind, engine] as const))("products, %s", (_kind, engine) => {
  // Codes of W: row 0 [127, 64 (63.5 to even), 0] with step 2/127, row 1 [-127, 0, 127] with step 1/127.
  const w = hostTensor([2, 1, 0, -1, 0, 1], [2, 3]);
  const dy = hostTensor([1, 0], [1, 2]);
  // Codes of x: [127, 13 (12.7), -64 (-63.5 to even)] with step 1/127.
  const x = hostTensor([1, 0.1, -0.5], [1, 3]);

  test("whole numbers are multiplied, by hand", async () => {
    const { y } = await product(engine, x, w, dy, 0, "float32");
    close(y, [((127 * 127 + 13 * 64) * 2) / 127 ** 2, (-127 * 127 - 64 * 127) / 127 ** 2]);
  });

  test("the sums of a long row of the largest codes are exact", async () => {
    // 255 · 127 twice does not fit in 16 bits, where processors without VNNI add them up; the sum is above 2^24.
    const [columns, rows] = [1024, 32];
    const ones = (shape: number[]) => hostTensor(new Float32Array(shape[0]! * shape[1]!).fill(1), shape);
    const { y, dx } = await product(engine, ones([8, columns]), ones([rows, columns]), ones([8, rows]), 0, "int8");
    close(
      y,
      Array.from({ length: 8 * rows }, () => columns),
    );
    close(
      dx,
      Array.from({ length: 8 * columns }, () => rows),
    );
  });

  test("a column with an outlier is multiplied in float32, and does not make the others coarse", async () => {
    // Column 0 is left out for both rows: row 1 has 6 there, the threshold itself. Codes of the rest: [13→127·0.1/0.5 = 25, −127].
    const outliers = hostTensor([1, 0.1, -0.5, 6, 0, 0], [2, 3]);
    const both = hostTensor([1, 0, 0, 1], [2, 2]);
    const { y } = await product(engine, outliers, w, both, 6, "float32");
    const step = 0.5 / 127;
    close(y, [2 + (25 * 64 * 2 * step) / 127, -1 - 127 * step, 12, -6]);
    // Without a threshold the second row's 6 is its scale, and column 0 is rounded like the others.
    const rounded = await product(engine, outliers, w, both, 0, "float32");
    close(rounded.y.slice(0, 2), [((127 * 127 + 13 * 64) * 2) / 127 ** 2, (-127 * 127 - 64 * 127) / 127 ** 2]);
  });

  test("gradients: exact for the codes in float32, to 2^-15 in 16 bits, to 2^-7 of a row's largest in 8", async () => {
    const [tokens, rows, columns] = [5, 40, 24];
    const inputs = [normal([tokens, columns], 1), normal([rows, columns], 2), normal([tokens, rows], 3)] as const;
    const { absmax, columnsFirst } = codesOf(inputs[1].data as Float32Array, rows);
    const weight = dequantiseInt8(columnsFirst, absmax);
    const [dyData] = [inputs[2].data];
    const exact = Array.from({ length: tokens * columns }, (_, i) => {
      const [token, column] = [Math.floor(i / columns), i % columns];
      let sum = 0;
      for (let row = 0; row < rows; row++) sum += dyData[token * rows + row]! * weight[row * columns + column]!;
      return sum;
    });
    const length = (values: readonly number[]): number => Math.hypot(...values);
    const errors: Record<string, number> = {};
    for (const backward of ["float32", "int16", "int8"] as const) {
      const { dx } = await product(engine, ...inputs, 6, backward);
      errors[backward] = length(dx.map((value, i) => value - exact[i]!)) / length(exact);
    }
    expect(errors["float32"]).toBeLessThan(1e-6);
    expect(errors["int16"]).toBeLessThan(5e-5);
    expect(errors["int8"]).toBeLessThan(1.5e-2);
    // Each does what it says: rounding is there, and finer with 16 bits.
    expect(errors["int16"]).toBeGreaterThan(1e-6);
    expect(errors["int8"]).toBeGreaterThan(100 * errors["int16"]!);
  });

  test("unsigned codes give the very same numbers", async () => {
    const inputs = [normal([5, 24], 1), normal([40, 24], 2), normal([5, 40], 3)] as const;
    for (const [threshold, backward] of [
      [0, "int8"],
      [1.5, "int16"],
      [1.5, "float32"],
    ] as const)
      expect(await product(engine, ...inputs, threshold, backward, true)).toEqual(await product(engine, ...inputs, threshold, backward));
  });

  test("rows of zeros give zeros", async () => {
    const { y, dx } = await product(engine, hostTensor([0, 0, 0], [1, 3]), w, hostTensor([0, 0], [1, 2]), 6, "int16");
    expect([...y, ...dx].every((value) => value === 0)).toBe(true);
  });

  test("a wrong width is refused", async () => {
    await expect(product(engine, hostTensor([1, 2], [1, 2]), w, dy, 6, "int8")).rejects.toMatchObject({
      code: "matmul_shape",
      message: "int8MatMul: x must have 3 columns for a weight [2,3], got [1,2]",
    });
  });
});
