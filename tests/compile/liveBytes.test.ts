/** Bytes of intermediate results, counted by hand. */
import { afterAll, expect, test } from "vitest";
import { CompiledEngine, EagerEngine, type Signature, type TensorMap, tf } from "../../src/compile/index.js";

const engine = new CompiledEngine({ threads: 1 });
afterAll(() => engine.dispose());

const x: Signature = { x: { shape: ["n"] } };
const FLOATS = 4;

function bytes(fn: (x: tf.Tensor) => tf.Tensor, n: number): number | undefined {
  return engine.compile((inputs: TensorMap) => ({ y: fn(inputs["x"]!) }), x).liveBytes({ n });
}

test("what one operation reads and makes is there at once", () => {
  // exp(x) is there while its sine is made; the result is an output.
  expect(bytes((input) => tf.sin(tf.exp(input)), 100)).toBe(100 * FLOATS);
  expect(bytes((input) => tf.cos(tf.sin(tf.exp(input))), 100)).toBe(2 * 100 * FLOATS);
});

test("what is needed later is kept", () => {
  const sum = (input: tf.Tensor): tf.Tensor => {
    const kept = [1, 2, 3].map((factor) => tf.exp(tf.mul(input, factor)));
    return tf.mul(tf.prod(tf.stack(kept), 0), input);
  };
  // Three of n, stacked once more; the stack and its product are less.
  expect(bytes(sum, 50)).toBeGreaterThanOrEqual(6 * 50 * FLOATS);
});

test("another shape of a tensor takes no memory, and keeps it alive", () => {
  const seen = (input: tf.Tensor): tf.Tensor => tf.sin(tf.reshape(tf.exp(input), [-1, 2]));
  expect(bytes(seen, 100)).toBe(100 * FLOATS);
});

test("an output takes none, also as the view of a result", () => {
  expect(bytes((input) => tf.reshape(tf.exp(input), [-1, 2]), 100)).toBe(0);
  expect(bytes((input) => tf.exp(input), 100)).toBe(0);
});

test("all sizes must be named; the eager engine does not know", () => {
  const program = engine.compile(({ x: given }) => ({ y: tf.exp(given!) }), x);
  expect(() => program.liveBytes({ m: 1 })).toThrow('no dimension "m"');
  expect(() => program.liveBytes({})).toThrow("n");
  expect(new EagerEngine("cpu").compile(({ x: given }) => ({ y: given! }), x).liveBytes({ n: 1 })).toBeUndefined();
});
