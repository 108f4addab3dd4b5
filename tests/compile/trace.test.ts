/** A trace writes the right graph, and leaves TensorFlow.js as it found it. */
import { beforeEach, describe, expect, test } from "vitest";
import { tf } from "../../src/compile/index.js";
import { Graph, type Value } from "../../src/compile/graph.js";
import { encodeOnnxModel } from "../../src/compile/onnxModel.js";
import { foldBias, prune } from "../../src/compile/optimise.js";
import { type Trace, type TracedInput, currentTrace, trace } from "../../src/compile/trace.js";
import { TRACING_BACKEND, type TensorMap } from "../../src/compile/tracingBackend.js";

const x: TracedInput = { dtype: "float32", shape: [2, 2] };

function traced(fn: (inputs: Record<string, tf.Tensor>) => TensorMap, inputs: Record<string, TracedInput> = { x }): Trace {
  return trace(fn as (inputs: TensorMap) => TensorMap, new Map(Object.entries(inputs)), "f");
}

/** The operators of what the outputs need. */
function operators({ graph, outputs }: Trace): string[] {
  prune(graph, outputs.values());
  foldBias(graph, outputs.values());
  return graph.nodes.map(({ opType }) => opType);
}

function constant(value: Value | undefined): unknown {
  return value?.data ?? value?.uniform;
}

beforeEach(async () => {
  await tf.setBackend("cpu");
});

describe("TensorFlow.js is left as it was", () => {
  const failures: Record<string, () => unknown> = {
    "an error": () => {
      throw new Error("mine");
    },
    "a refused operation": () => tf.unique(tf.tensor1d([1])),
    "a read": () => tf.neg(tf.randomUniform([2], 0, 1, "float32", 3)).dataSync(),
    "a random number": () => tf.randomNormal([2]),
    "a variable": () => tf.variable(tf.scalar(1)),
  };

  test.each(["nothing wrong", ...Object.keys(failures)])("after %s inside tidy and a gradient", (name) => {
    const { numTensors, numDataBuffers } = tf.memory();
    const engine = tf.engine();
    const guarded = (): unknown[] => [
      Math.random,
      Reflect.get(tf.Variable.prototype, "assign"),
      Reflect.get(engine, "keep"),
      Reflect.get(engine, "makeVariable"),
    ];
    const before = guarded();
    let failed = false;
    try {
      traced(({ x }) => {
        const kept = tf.tidy(() => tf.keep(tf.exp(x!)));
        const gradient = tf.grad((v: tf.Tensor) =>
          tf.tidy(() => {
            const y = tf.keep(tf.mul(tf.exp(v), kept));
            failures[name]?.();
            return tf.sum(y);
          }),
        )(x!);
        return { gradient, kept };
      });
    } catch {
      failed = true;
    }
    expect(failed).toBe(name in failures);
    expect(tf.getBackend()).toBe("cpu");
    expect(tf.memory()).toMatchObject({ numTensors, numDataBuffers });
    guarded().forEach((value, i) => expect(value).toBe(before[i]));
    expect([engine.state.gradientDepth, engine.state.kernelDepth, engine.state.scopeStack.length, currentTrace()]).toEqual([
      0,
      0,
      0,
      undefined,
    ]);
    // And the next trace works.
    expect(operators(traced(({ x }) => ({ y: tf.neg(x!) })))).toEqual(["Neg"]);
  });

  test("whatever the active backend is", async () => {
    class Other extends tf.KernelBackend {
      override dispose(): void {}
    }
    tf.registerBackend("other", () => new Other());
    await tf.setBackend("other");
    traced(({ x }) => ({ y: tf.neg(x!) }));
    expect(tf.getBackend()).toBe("other");
    await tf.setBackend("cpu");
    tf.removeBackend("other");
    expect(tf.findBackendFactory(TRACING_BACKEND)).not.toBeNull();
  });
});

describe("tensors from outside the function", () => {
  test("are baked in, and stay readable on their own backend", () => {
    const outside = tf.tensor2d([
      [1, 2],
      [3, 4],
    ]);
    const variable = tf.variable(tf.scalar(5));
    try {
      const { outputs } = traced(({ x }) => ({ outside, variable, sum: tf.add(tf.mul(x!, outside), variable) }));
      expect(constant(outputs.get("outside"))).toEqual(Float32Array.of(1, 2, 3, 4));
      expect(constant(outputs.get("variable"))).toBe(5);
      expect([...outside.dataSync()]).toEqual([1, 2, 3, 4]);
      expect([...tf.add(outside, variable).dataSync()]).toEqual([6, 7, 8, 9]);
      expect(tf.engine().state.tensorInfo.get(outside.dataId)?.backend).toBe(tf.engine().backend);
    } finally {
      outside.dispose();
      variable.dispose();
    }
  });

  test("count with the shape and type of each handle, when several share their data", () => {
    const flags = tf.tensor1d([1, 0, 1, 0], "bool");
    // On the cpu backend these share the data of `flags`.
    const [numbers, square] = [tf.cast(flags, "float32"), tf.reshape(flags, [2, 2])];
    const { outputs } = traced(() => ({ flags, numbers, square }));
    expect([...outputs.values()].map(({ dtype, shape }) => [dtype, shape])).toEqual([
      ["bool", [4]],
      ["float32", [4]],
      ["bool", [2, 2]],
    ]);
    expect(constant(outputs.get("numbers"))).toEqual(Float32Array.of(1, 0, 1, 0));
    tf.dispose([flags, numbers, square]);
  });

  test("may be read while tracing, as constants made inside may", () => {
    const outside = tf.tensor1d([2, 3]);
    const seen: number[] = [];
    traced(({ x }) => {
      seen.push(...outside.dataSync(), ...tf.zeros([2]).dataSync(), ...tf.tensor1d([7, 8], "int32").dataSync());
      return { x: x! };
    });
    expect(seen).toEqual([2, 3, 0, 0, 7, 8]);
    outside.dispose();
  });

  test("must not be disposed, or belong to an earlier trace", () => {
    const disposed = tf.tensor1d([1, 2]);
    disposed.dispose();
    const stale = { code: "stale_tensor", message: expect.stringMatching(/^f: .*disposed.*earlier trace.*pass it as an input/) as string };
    expect(() => traced(() => ({ y: tf.neg(disposed) }))).toThrow(expect.objectContaining(stale) as Error);
    let stolen: tf.Tensor | undefined;
    traced(({ x }) => ({ y: (stolen = tf.keep(tf.exp(x!))) }));
    expect(() => traced(() => ({ y: tf.neg(stolen!) }))).toThrow(expect.objectContaining(stale) as Error);
  });

  test("on a backend that cannot be read at once are refused", async () => {
    class Remote extends tf.KernelBackend {
      override write(): object {
        return {};
      }
      override refCount(): number {
        return 1;
      }
      override disposeData(): boolean {
        return true;
      }
      override dispose(): void {}
      override readSync(): never {
        throw new Error("only asynchronously");
      }
    }
    tf.registerBackend("remote", () => new Remote());
    await tf.setBackend("remote");
    const far = tf.tensor1d([1, 2]);
    await tf.setBackend("cpu");
    const wanted = { code: "baked_read", message: expect.stringMatching(/^f: .*only asynchronously.*pass it as an input/) as string };
    expect(() => traced(() => ({ y: tf.neg(far) }))).toThrow(expect.objectContaining(wanted) as Error);
    far.dispose();
    tf.removeBackend("remote");
  });
});

test("traces do not nest", () => {
  const nested = { code: "nested_trace", message: expect.stringContaining("cannot be called inside a traced function (f)") as string };
  expect(() => traced(({ x }) => (traced(({ x }) => ({ y: x! })), { y: x! }))).toThrow(expect.objectContaining(nested) as Error);
  const inGradient = (): unknown => tf.grad((v) => (traced(({ x }) => ({ y: x! })), tf.sum(v)))(tf.scalar(1));
  expect(inGradient).toThrow(expect.objectContaining({ code: "nested_trace" }) as Error);
});

describe("the graph", () => {
  test("holds only what the outputs need", () => {
    const both = ({ x }: Record<string, tf.Tensor>): TensorMap => {
      tf.exp(x!);
      const { value, grads } = tf.valueAndGrads((a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.mul(tf.sin(a), b)))([x!, tf.square(x!)]);
      return { value, gradient: grads[1]! };
    };
    expect(operators(traced(both))).toEqual(["Mul", "Sin", "Mul", "ReduceSum"]);
  });

  test("has no node for what does nothing", () => {
    const nothing = traced(({ x }) => {
      const y = tf.mul(tf.add(tf.cast(tf.clone(x!), "float32"), 0), 1);
      return { y: tf.transpose(tf.reshape(tf.tile(tf.reshape(y, [4]), [1]), [2, 2]), [0, 1]), zero: tf.mul(x!, 0), sum: tf.sum(x!, []) };
    });
    expect(operators(nothing)).toEqual([]);
    expect(nothing.outputs.get("y")).toBe(nothing.graph.inputs[0]);
    expect(nothing.outputs.get("zero")).toMatchObject({ uniform: 0, shape: [2, 2] });
  });

  test("has one Gemm for a product with a transposed side and a bias", () => {
    const inputs = { x, w: { dtype: "float32", shape: [3, 2] }, b: { dtype: "float32", shape: [3] } } as const;
    const linear = traced(({ x, w, b }) => ({ y: tf.add(tf.matMul(x!, w!, false, true), b!) }), inputs);
    expect(operators(linear)).toEqual(["Gemm"]);
    expect(linear.graph.nodes[0]!.inputs.map((value) => value!.name)).toEqual(["x", "w", "b"]);
    expect(
      operators(
        traced(({ x, w, b }) => {
          const product = tf.matMul(x!, w!, false, true);
          return { y: tf.add(product, b!), product };
        }, inputs),
      ),
    ).toEqual(["Gemm", "Add"]);
  });

  test("stores equal constants once, and repeated numbers without their elements", () => {
    const { graph, outputs } = traced(({ x }) => ({
      a: tf.add(x!, tf.fill([2, 2], 3)),
      b: tf.mul(x!, tf.fill([2, 2], 3)),
      c: tf.gather(x!, tf.tensor1d([1, 0], "int32")),
      d: tf.gather(x!, tf.tensor1d([1, 0], "int32"), 1),
    }));
    const [three, alsoThree, order, sameOrder] = [...outputs.values()].map(({ producer }) => producer!.inputs[1]);
    expect([three, order]).toEqual([alsoThree, sameOrder]);
    expect(three).toMatchObject({ uniform: 3, shape: [] });
    expect(graph.fill(-0, "float32", [])).not.toBe(graph.fill(0, "float32", []));
    expect(graph.scalar(NaN)).toBe(graph.scalar(NaN));
  });

  test("refuses constants that do not fill their shape, and fractions as whole attributes", () => {
    const graph = new Graph();
    expect(() => graph.constant(Float32Array.of(1, 2), "float32", [3])).toThrow(
      expect.objectContaining({ code: "constant_size" }) as Error,
    );
    const node = graph.op("Elu", [graph.input("x", "float32", [1])], { dtype: "float32", shape: [1] }, { alpha: 0.5 });
    expect(() => encodeOnnxModel(graph, new Map([["y", node]]))).toThrow(expect.objectContaining({ code: "attribute_type" }) as Error);
  });
});
