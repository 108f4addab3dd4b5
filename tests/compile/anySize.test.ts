/** One graph for all sizes: the same numbers as a graph of each size, and a graph of each size wherever the function does not do the same at all of them. */
import { afterAll, describe, expect, it } from "vitest";
import { CompiledEngine, type Signature, type TensorFunction, type TensorMap, hostTensor, tf } from "../../src/compile/index.js";
import { buildForAnySize } from "../../src/compile/buildProgram.js";
import { Random } from "../../src/random.js";

const engine = new CompiledEngine({ threads: 1 });
afterAll(() => engine.dispose());

function floats(shape: readonly number[], seed = 1) {
  const random = new Random(seed);
  return hostTensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
    shape,
  );
}

function numbers(
  tensors: Awaited<ReturnType<ReturnType<typeof engine.compile>["run"]>>,
): Record<string, { shape: number[]; data: number[] }> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => [name, { shape: [...shape], data: [...data].map(Number) }]),
  );
}

const X: Signature = { x: { shape: ["T", 4] } };
const general: Record<string, (inputs: TensorMap) => TensorMap> = {
  "heads split and merged": ({ x }) => {
    const heads = tf.transpose(tf.reshape(x!, [x!.shape[0]!, 2, 2]), [1, 0, 2]);
    const scores = tf.softmax(tf.matMul(heads, heads, false, true));
    return { y: tf.reshape(tf.transpose(tf.matMul(scores, heads), [1, 0, 2]), [-1, 4]) };
  },
  "a causal mask from ranges": ({ x }) => {
    const tokens = x!.shape[0]!;
    const index = tf.range(0, tokens, 1, "int32");
    const seen = tf.lessEqual(tf.reshape(index, [1, tokens]), tf.reshape(index, [tokens, 1]));
    return { mask: tf.where(seen, tf.scalar(0), tf.scalar(-1e9)) };
  },
  "a range with a step, as a column": ({ x }) => ({
    y: tf.mul(x!, tf.cast(tf.reshape(tf.range(5, 5 + 3 * x!.shape[0]!, 3, "int32"), [-1, 1]), "float32")),
  }),
  "the last row, and all but the last": ({ x }) => {
    const tokens = x!.shape[0]!;
    return {
      last: tf.slice(x!, [tokens - 1, 0], [1, 4]),
      rest: tf.pad(
        tf.slice(x!, [0, 0], [tokens - 1, 4]),
        [
          [1, 0],
          [0, 0],
        ],
        7,
      ),
    };
  },
  "joined to twice its length, flat, tiled": ({ x }) => ({
    twice: tf.concat([x!, tf.neg(x!)]),
    flat: tf.reshape(x!, [-1]),
    tiled: tf.tile(x!, [2, 3]),
  }),
  "ones that nothing else gives a shape": ({ x }) => ({ ones: tf.ones([x!.shape[0]!, 2]), numbers: tf.fill([3], x!.shape[0]!, "int32") }),
  "picked by index, from the end too": ({ x }) => ({
    picked: tf.gather(x!, tf.tensor1d([0, 0], "int32")),
    clipped: tf.clipByValue(tf.tensor1d([0, 1000, 3], "int32"), 0, x!.shape[0]! - 1),
  }),
  "a gradient through all of it": ({ x }) => ({
    slope: tf.grad((value) => {
      const heads = tf.reshape(value, [value.shape[0]!, 2, 2]);
      return tf.sum(tf.mul(tf.softmax(tf.matMul(heads, heads, false, true)), tf.scalar(0.5)));
    })(x!),
  }),
};

describe("one graph for all sizes", () => {
  it.each(Object.keys(general))("%s", async (name) => {
    let traces = 0;
    const counted: TensorFunction = (inputs) => {
      traces++;
      return general[name]!(inputs);
    };
    const any = engine.compile(counted, X, { sizes: "any" });
    const each = engine.compile(general[name]!, X);
    for (const tokens of [3, 1, 2, 17]) {
      const x = floats([tokens, 4], tokens);
      expect(numbers(await any.run({ x })), `${tokens} rows`).toEqual(numbers(await each.run({ x })));
    }
    expect(traces).toBe(2);
    await any.dispose();
    await each.dispose();
  });

  it("sums of names, and several at once", async () => {
    const signature: Signature = {
      a: { shape: ["P", 2] },
      b: { shape: ["Q", 2] },
      both: { shape: ["P+Q+1", 2] },
    };
    const fn = ({ a, b, both }: TensorMap): TensorMap => ({
      y: tf.add(tf.concat([a!, tf.zeros([1, 2]), b!]), both!),
      tail: tf.slice(both!, [a!.shape[0]!, 0], [b!.shape[0]! + 1, 2]),
    });
    const any = engine.compile(fn, signature, { name: "sums", sizes: "any" });
    const each = engine.compile(fn, signature);
    for (const [p, q] of [
      [1, 1],
      [4, 2],
      [2, 4],
    ] as const) {
      const inputs = { a: floats([p, 2]), b: floats([q, 2], 2), both: floats([p + q + 1, 2], 3) };
      expect(numbers(await any.run(inputs))).toEqual(numbers(await each.run(inputs)));
    }
    await expect(any.run({ a: floats([2, 2]), b: floats([3, 2]), both: floats([5, 2]) })).rejects.toMatchObject({
      code: "input_shape",
      message: 'sums: input "both" must have shape [P+Q+1, 2] with P=2, Q=3, got [5, 2]',
    });
    const alone = engine.compile(({ both }) => ({ y: both! }), { both: { shape: ["P+1"] } });
    await expect(alone.run({ both: floats([3]) })).rejects.toMatchObject({ code: "unbound_size" });
  });

  it("kept outputs have the shapes of the run", async () => {
    const any = engine.compile(({ x }) => ({ twice: tf.concat([x!, x!]) }), X, { sizes: "any" });
    await any.run({ x: floats([3, 4]) }, { keep: { twice: "kept" } });
    expect(engine.shapeOf("kept")).toEqual([6, 4]);
    await any.run({ x: floats([5, 4]) }, { keep: { twice: "kept" } });
    expect((await engine.fetch("kept")).shape).toEqual([10, 4]);
  });
});

describe("a graph for each size, where the function", () => {
  const special: Record<string, (inputs: TensorMap) => TensorMap> = {
    "divides by a size": ({ x }) => ({ y: tf.mul(x!, 1 / x!.shape[0]!) }),
    "takes the square root of a size": ({ x }) => ({ y: tf.zeros([Math.floor(Math.sqrt(x!.shape[0]!)), 1]) }),
  };
  it.each(Object.keys(special))("%s", async (name) => {
    expect(buildForAnySize("f", special[name]!, X, false)).toBe(undefined);
    const any = engine.compile(special[name]!, X, { sizes: "any" });
    const each = engine.compile(special[name]!, X);
    for (const tokens of [2, 9, 30]) {
      const x = floats([tokens, 4], tokens);
      expect(numbers(await any.run({ x }))).toEqual(numbers(await each.run({ x })));
    }
  });

  it("meets an empty tensor", async () => {
    const any = engine.compile(({ x }) => ({ most: tf.max(tf.concat([x!, tf.zeros([1, 4])]), 0) }), X, { sizes: "any" });
    expect(numbers(await any.run({ x: floats([2, 4]) }))["most"]!.shape).toEqual([4]);
    expect(numbers(await any.run({ x: hostTensor(new Float32Array(0), [0, 4]) }))["most"]!.data).toEqual([0, 0, 0, 0]);
  });
});
