/** The kernel table: complete, exercised, and clear about what it refuses. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EngineError } from "../../src/errors.js";
import { CompiledEngine, type TensorFunction, tf } from "../../src/compile/index.js";
import { Graph } from "../../src/compile/graph.js";
import { type Kernel, kernels, refusals } from "../../src/compile/kernels/index.js";
import { trace } from "../../src/compile/trace.js";
import { cases } from "./cases/index.js";
import { withGradients } from "./contractCase.js";

const all = Object.values(cases).flat();

/** Kernels of the table that a trace runs. Kernels are read from the table when the first trace registers them. */
const exercised = new Set<string>();
beforeAll(() => {
  for (const [name, kernel] of [...kernels]) {
    const noted: Kernel = (call) => {
      const result = kernel(call);
      exercised.add(name);
      return result;
    };
    kernels.set(name, noted);
  }
  for (const contract of all) {
    const inputs = Object.entries(contract.inputs).map(([name, { dtype, shape }]) => [name, { dtype: dtype as "float32", shape }] as const);
    trace(withGradients(contract), new Map(inputs), contract.name);
  }
});

test("every kernel that is traced is exercised by a case of the contract suite", () => {
  expect([...kernels.keys()].filter((name) => !refusals.has(name) && !exercised.has(name))).toEqual([]);
});

test("every kernel of TensorFlow.js's cpu backend is traced or refused, and the table has no others but tf.browser's", () => {
  const known = tf.getKernelsForBackend("cpu").map(({ kernelName }) => kernelName);
  expect(known.filter((name) => !kernels.has(name))).toEqual([]);
  expect([...kernels.keys()].filter((name) => !known.includes(name))).toEqual(["FromPixels"]);
});

test.each([...refusals])("%s is refused with an error that names it", (name, instead) => {
  const call = { graph: new Graph(), name, inputs: {}, list: [], attributes: {} };
  expect(() => kernels.get(name)!(call)).toThrow(new EngineError("untraceable_op", `${name} cannot be traced; ${instead}`));
});

describe("refusals as a user meets them", () => {
  const engine = new CompiledEngine({ threads: 1 });
  afterAll(() => engine.dispose());

  async function refusal(fn: (x: tf.Tensor) => unknown, shape: number[] = [4]): Promise<EngineError> {
    const program = engine.compile((({ x }) => ({ y: fn(x!) })) as TensorFunction, { x: { shape } }, { name: "myLoss" });
    const error: unknown = await program.prepare({}).catch((reason: unknown) => reason);
    if (!(error instanceof EngineError)) throw new Error(`no EngineError: ${String(error)}`);
    return error;
  }

  const untraceable: [operation: string, kernel: string, instead: RegExp, fn: (x: tf.Tensor) => unknown, shape?: number[]][] = [
    ["tf.unique", "Unique", /compute it outside/, (x) => tf.unique(x).values],
    [
      "tf.nonMaxSuppression",
      "NonMaxSuppressionV3",
      /compute it outside/,
      (x) => tf.image.nonMaxSuppression(tf.ones([4, 4]), x as tf.Tensor1D, 2),
    ],
    ["tf.multinomial", "Multinomial", /draw outside/, (x) => tf.multinomial(x as tf.Tensor1D, 2, 7)],
    ["tf.rfft", "Complex", /real and imaginary/, (x) => tf.spectral.rfft(x)],
    ["tf.complex", "Complex", /real and imaginary/, (x) => tf.complex(x, x)],
    ["tf.conv2d", "Conv2D", /matMul/, (x) => tf.conv2d(x as tf.Tensor3D, tf.ones([2, 2, 1, 1]), 1, "same"), [4, 4, 1]],
    ["tf.conv1d", "Conv2D", /matMul/, (x) => tf.conv1d(x as tf.Tensor2D, tf.ones([2, 1, 1]), 1, "same"), [4, 1]],
    ["tf.maxPool", "MaxPool", /tf.max/, (x) => tf.maxPool(x as tf.Tensor3D, 2, 2, "same"), [4, 4, 1]],
    ["tf.resizeBilinear", "ResizeBilinear", /images outside/, (x) => tf.image.resizeBilinear(x as tf.Tensor3D, [2, 2]), [4, 4, 1]],
  ];
  test.each(untraceable)("%s", async (operation, kernel, instead, fn, shape) => {
    const error = await refusal(fn, shape);
    expect(error.code).toBe("untraceable_op");
    expect(error.message).toMatch(new RegExp(`^myLoss: ${operation.replace(".", "\\.")}: ${kernel} cannot be traced; `));
    expect(error.message).toMatch(instead);
  });

  test.each([
    ["add", (x: tf.Tensor) => tf.add(tf.greater(x, 0), tf.less(x, 1))],
    ["sub", (x: tf.Tensor) => tf.sub(tf.greater(x, 0), tf.less(x, 1))],
    ["neg", (x: tf.Tensor) => tf.neg(tf.greater(x, 0))],
    ["addN", (x: tf.Tensor) => tf.addN([tf.greater(x, 0), tf.less(x, 1)])],
    ["clipByValue", (x: tf.Tensor) => tf.clipByValue(tf.greater(x, 0), 0, 1)],
    ["matMul", (x: tf.Tensor) => tf.matMul(tf.reshape(tf.greater(x, 0), [2, 2]), tf.ones([2, 2], "bool"))],
  ])("tf.%s of booleans", async (operation, fn) => {
    const error = await refusal(fn);
    expect(error.code).toBe("untraceable_op");
    expect(error.message).toMatch(new RegExp(`^myLoss: tf\\.${operation}: .* cannot be traced; (cast|use tf\\.logicalNot)`));
  });

  test.each([
    ["tf.randomNormal", () => tf.randomNormal([4])],
    ["tf.randomUniform", () => tf.randomUniform([4])],
    ["tf.truncatedNormal", () => tf.truncatedNormal([4])],
    ["tf.randomGamma", () => tf.randomGamma([4], 1)],
    ["tf.dropout", (x: tf.Tensor) => tf.dropout(x, 0.5)],
    ["Math.random", (x: tf.Tensor) => tf.mul(x, Math.random())],
  ])("%s draws random numbers", async (operation, fn) => {
    const error = await refusal(fn);
    expect(error.code).toBe("traced_random");
    expect(error.message).toMatch(new RegExp(`^myLoss: ${operation.replace(".", "\\.")} draws random numbers.*pass them as an input`));
  });

  test.each([
    ["dataSync\\(\\)", (x: tf.Tensor) => x.dataSync()],
    ["arraySync\\(\\)", (x: tf.Tensor) => x.arraySync()],
    ["print\\(\\)", (x: tf.Tensor) => x.print()],
    ["toString\\(\\)", (x: tf.Tensor) => x.toString()],
    ["data\\(\\)", (x: tf.Tensor) => (void x.data(), x)],
    ["array\\(\\)", (x: tf.Tensor) => (void x.array(), x)],
    ["tf\\.whereAsync", (x: tf.Tensor) => (void tf.whereAsync(tf.greater(x, 0)), x)],
    ["tf\\.booleanMaskAsync", (x: tf.Tensor) => (void tf.booleanMaskAsync(x, tf.greater(x, 0)), x)],
    ["tf\\.setdiff1dAsync", (x: tf.Tensor) => (void tf.setdiff1dAsync(x, x), x)],
  ])("reading with %s", async (reader, fn) => {
    const error = await refusal(fn);
    expect(error.code).toBe("traced_read");
    expect(error.message).toMatch(
      new RegExp(
        `^myLoss: ${reader} cannot read (input "x"|the result of Greater), it has no value while tracing; .*tf\\.where instead of if`,
      ),
    );
  });

  test("an async function, also one that reads", async () => {
    const asynchronous = await refusal(() => Promise.resolve(1) as never);
    expect(asynchronous.code).toBe("output_type");
    const program = engine.compile(
      (async ({ x }: Record<string, tf.Tensor>) => ({ y: await Promise.resolve(x) })) as unknown as TensorFunction,
      { x: { shape: [1] } },
      { name: "later" },
    );
    await expect(program.prepare({})).rejects.toMatchObject({
      code: "traced_async",
      message: expect.stringContaining("remove async/await") as string,
    });
    const reading = engine.compile(
      (async ({ x }: Record<string, tf.Tensor>) => ({ y: tf.scalar((await x!.data())[0]!) })) as unknown as TensorFunction,
      { x: { shape: [1] } },
      { name: "later" },
    );
    await expect(reading.prepare({})).rejects.toMatchObject({ code: "traced_read" });
  });

  test("variables and optimizers", async () => {
    const variable = tf.variable(tf.scalar(2));
    try {
      expect(await refusal((x) => (variable.assign(tf.sum(x)), x))).toMatchObject({ code: "traced_variable" });
      expect(await refusal((x) => tf.mul(x, tf.variable(tf.scalar(1))))).toMatchObject({ code: "traced_variable" });
      const minimise = (x: tf.Tensor): unknown => tf.train.adam(0.1).minimize(() => tf.sum(tf.mul(x, variable)), true);
      expect(await refusal(minimise)).toMatchObject({ code: "traced_variable" });
      expect(variable.dataSync()[0]).toBe(2);
    } finally {
      variable.dispose();
    }
  });

  test("strings, a missing gradient, an unknown kernel", async () => {
    expect(await refusal((x) => tf.concat([x, tf.tensor(["a"])]))).toMatchObject({ code: "tensor_type" });
    const noGradient = await refusal((x) => tf.grad((v) => tf.sum(tf.cumprod(v)))(x));
    expect(noGradient).toMatchObject({
      code: "no_gradient",
      message: expect.stringContaining("myLoss: Cumprod has no gradient") as string,
    });
    const unknown = await refusal((x) => tf.engine().runKernel("MyKernel", { x }));
    expect(unknown).toMatchObject({
      code: "untraceable_op",
      message: expect.stringContaining("myLoss: MyKernel cannot be traced") as string,
    });
  });

  test("shapes that do not fit, and arguments that must be known", async () => {
    expect(await refusal((x) => tf.einsum("i,i", x, x))).toMatchObject({ code: "einsum_equation" });
    expect(await refusal((x) => tf.broadcastArgs(x.toInt(), tf.tensor1d([1], "int32")))).toMatchObject({ code: "dynamic_argument" });
  });
});
