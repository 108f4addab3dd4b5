/** What every engine promises, tried on each. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CompiledEngine, EagerEngine, type Engine, type HostTensor, type TensorMap, hostTensor, tf } from "../../src/compile/index.js";
import { floats, ints } from "./contractCase.js";

const engines: Record<string, () => Engine> = {
  compiled: () => new CompiledEngine({ threads: 1 }),
  eager: () => new EagerEngine("cpu"),
};

/** A tensor function whose inputs need no `!`. */
function fn(body: (inputs: Record<string, tf.Tensor>) => TensorMap): (inputs: TensorMap) => TensorMap {
  return body as (inputs: TensorMap) => TensorMap;
}

function numbers(tensor: HostTensor | undefined): number[] {
  return [...(tensor?.data ?? [])];
}

describe.each(Object.entries(engines))("%s engine", (_kind, create) => {
  let engine: Engine;
  beforeEach(() => {
    engine = create();
  });
  afterEach(() => engine.dispose());

  describe("store", () => {
    test("puts, fetches, copies and removes", async () => {
      await engine.put(
        "layer.a",
        floats([
          [1, 2],
          [3, 4],
        ]),
      );
      await engine.put("layer.b", ints([7]));
      await engine.put("other", floats(5));
      expect(engine.names()).toEqual(["layer.a", "layer.b", "other"]);
      expect(engine.names("layer.")).toEqual(["layer.a", "layer.b"]);
      expect(engine.shapeOf("layer.a")).toEqual([2, 2]);
      expect(await engine.fetch("layer.b")).toEqual({ data: Int32Array.of(7), dtype: "int32", shape: [1] });
      await engine.copy("layer.a", "copy");
      await engine.put("layer.a", floats([9]));
      expect(numbers(await engine.fetch("copy"))).toEqual([1, 2, 3, 4]);
      await engine.remove("layer.a", "other");
      expect([engine.has("layer.a"), engine.has("layer.b"), engine.has("other"), engine.has("copy")]).toEqual([false, true, false, true]);
    });

    test("fetch gives a copy", async () => {
      await engine.put("a", floats([1, 2]));
      (await engine.fetch("a")).data[0] = 100;
      expect(numbers(await engine.fetch("a"))).toEqual([1, 2]);
    });

    test("unknown tensors are errors", async () => {
      await engine.put("weight", floats([1]));
      expect(() => engine.shapeOf("weigth")).toThrow(
        expect.objectContaining({ code: "unknown_tensor", message: expect.stringContaining('no tensor "weigth"') as string }) as Error,
      );
      await expect(engine.fetch("bias")).rejects.toMatchObject({ code: "unknown_tensor" });
      await expect(engine.copy("bias", "to")).rejects.toMatchObject({ code: "unknown_tensor" });
      await expect(engine.view("part", "bias", 0, 1)).rejects.toMatchObject({ code: "unknown_tensor" });
      expect(engine.has("to")).toBe(false);
    });

    test("loads tensors of files", async () => {
      const folder = mkdtempSync(join(tmpdir(), "preflab-engine-"));
      try {
        const file = join(folder, "weights.bin");
        // Four bytes that are not ours, then 1.5 and −2 as bfloat16.
        writeFileSync(file, Uint8Array.of(9, 9, 9, 9, 0xc0, 0x3f, 0x00, 0xc0));
        await engine.load("w", { file, offset: 4, byteLength: 4, dtype: "BF16", shape: [2, 1] });
        expect(await engine.fetch("w")).toEqual({ data: Float32Array.of(1.5, -2), dtype: "float32", shape: [2, 1] });
        const missing = engine.load("m", { file: join(folder, "no such file"), offset: 0, byteLength: 4, dtype: "F32", shape: [1] });
        await expect(missing).rejects.toMatchObject({ code: "file_missing" });
        expect(engine.has("m")).toBe(false);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    test("views follow the tensor they look at", async () => {
      await engine.put(
        "table",
        floats([
          [1, 2],
          [3, 4],
          [5, 6],
        ]),
      );
      await engine.view("rows", "table", 1, 2);
      expect(engine.shapeOf("rows")).toEqual([2, 2]);
      expect(engine.names().sort()).toEqual(["rows", "table"]);
      const sum = engine.compile(
        fn(({ part }) => ({ total: tf.sum(part!, 0) })),
        { part: { shape: [2, 2], role: "state", store: "rows" } },
      );
      expect(numbers((await sum.run({}))["total"])).toEqual([8, 10]);
      await engine.put(
        "table",
        floats([
          [0, 0],
          [1, 1],
          [2, 2],
        ]),
      );
      expect(numbers(await engine.fetch("rows"))).toEqual([1, 1, 2, 2]);
      expect(numbers((await sum.run({}))["total"])).toEqual([3, 3]);
      await engine.copy("rows", "copied");
      expect(numbers(await engine.fetch("copied"))).toEqual([1, 1, 2, 2]);
      await expect(engine.view("beyond", "table", 2, 2)).rejects.toMatchObject({ code: "view_range" });
      expect(engine.has("beyond")).toBe(false);
      // A tensor takes the place of a view, and a view that of a tensor.
      await engine.put("rows", floats([4]));
      expect(numbers(await engine.fetch("rows"))).toEqual([4]);
      await engine.view("copied", "table", 0, 1);
      expect(numbers(await engine.fetch("copied"))).toEqual([0, 0]);
    });
  });

  describe("state", () => {
    test("an output of a state's name replaces it and is not returned", async () => {
      await engine.put("count", floats([0, 10]));
      const step = engine.compile(
        fn(({ count, by }) => ({ count: tf.add(count!, by!), before: count! })),
        { count: { shape: [2], role: "state" }, by: { shape: [] } },
      );
      for (const by of [1, 2, 3]) {
        const outputs = await step.run({ by: floats(by) });
        expect(Object.keys(outputs)).toEqual(["before"]);
      }
      expect(numbers(await engine.fetch("count"))).toEqual([6, 16]);
    });

    test("a state may be written that is never read, and read that is never written", async () => {
      await engine.put("a", floats([1]));
      await engine.put("b", floats([2]));
      const set = engine.compile(
        fn(({ x }) => ({ a: tf.mul(x!, 2), seen: tf.add(x!, 1) })),
        { x: { shape: [1] }, a: { shape: [1], role: "state" }, b: { shape: [1], role: "state" } },
      );
      expect(numbers((await set.run({ x: floats([5]) }))["seen"])).toEqual([6]);
      expect([numbers(await engine.fetch("a")), numbers(await engine.fetch("b"))]).toEqual([[10], [2]]);
    });

    test("store and bind name what a state reads", async () => {
      await engine.put("model1.w", floats([1]));
      await engine.put("model2.w", floats([2]));
      const scale = engine.compile(
        fn(({ w, x }) => ({ y: tf.mul(w!, x!), w: tf.add(w!, 10) })),
        { w: { shape: [1], role: "state", store: "model1.w" }, x: { shape: [1] } },
      );
      expect(numbers((await scale.run({ x: floats([3]) }))["y"])).toEqual([3]);
      expect(numbers((await scale.run({ x: floats([3]) }, { bind: { w: "model2.w" } }))["y"])).toEqual([6]);
      expect([numbers(await engine.fetch("model1.w")), numbers(await engine.fetch("model2.w"))]).toEqual([[11], [12]]);
      await expect(scale.run({ x: floats([3]) }, { bind: { w: "model3.w" } })).rejects.toMatchObject({ code: "unknown_tensor" });
      await expect(scale.run({ x: floats([3]) }, { bind: { v: "model2.w" } })).rejects.toMatchObject({
        code: "unknown_input",
        message: expect.stringContaining("states: w") as string,
      });
    });

    test("keep stores an output under a name of its own", async () => {
      const double = engine.compile(
        fn(({ x }) => ({ y: tf.mul(x!, 2), z: x! })),
        { x: { shape: ["n"] } },
      );
      const outputs = await double.run({ x: floats([1, 2, 3]) }, { keep: { y: "doubled" } });
      expect(Object.keys(outputs)).toEqual(["z"]);
      expect(engine.shapeOf("doubled")).toEqual([3]);
      expect(numbers(await engine.fetch("doubled"))).toEqual([2, 4, 6]);
      await double.run({ x: floats([5]) }, { keep: { y: "doubled" } });
      expect(engine.shapeOf("doubled")).toEqual([1]);
    });

    test("keep of a state's new value leaves the state as it is", async () => {
      await engine.put("w", floats([1]));
      const next = engine.compile(
        fn(({ w }) => ({ w: tf.add(w!, 1) })),
        { w: { shape: [1], role: "state" } },
      );
      await next.run({}, { keep: { w: "w.next" } });
      expect([numbers(await engine.fetch("w")), numbers(await engine.fetch("w.next"))]).toEqual([[1], [2]]);
    });

    test("write puts an output into part of a stored tensor, along any axis", async () => {
      await engine.put(
        "cache",
        floats([
          [0, 0, 0, 0],
          [0, 0, 0, 0],
        ]),
      );
      const same = engine.compile(
        fn(({ x }) => ({ y: tf.add(x!, 0.5) })),
        { x: { shape: ["r", "c"] } },
      );
      expect(
        await same.run(
          {
            x: floats([
              [1, 2],
              [3, 4],
            ]),
          },
          { write: { y: { into: "cache", axis: 1, offset: 1 } } },
        ),
      ).toEqual({});
      expect(numbers(await engine.fetch("cache"))).toEqual([0, 1.5, 2.5, 0, 0, 3.5, 4.5, 0]);
      await same.run({ x: floats([[7, 7, 7, 7]]) }, { write: { y: { into: "cache", axis: 0, offset: 1 } } });
      expect(numbers(await engine.fetch("cache"))).toEqual([0, 1.5, 2.5, 0, 7.5, 7.5, 7.5, 7.5]);
      const beyond = same.run(
        {
          x: floats([
            [1, 2],
            [3, 4],
          ]),
        },
        { write: { y: { into: "cache", axis: 1, offset: 3 } } },
      );
      await expect(beyond).rejects.toMatchObject({ code: "slice_shape" });
      expect(numbers(await engine.fetch("cache"))).toEqual([0, 1.5, 2.5, 0, 7.5, 7.5, 7.5, 7.5]);
    });

    test("outputs to keep or write must exist and have one place to go", async () => {
      const program = engine.compile(
        fn(({ x }) => ({ y: tf.neg(x!) })),
        { x: { shape: [1] } },
        { name: "p" },
      );
      const run = (options: object): Promise<unknown> => program.run({ x: floats([1]) }, options);
      await expect(run({ keep: { z: "a" } })).rejects.toMatchObject({
        code: "unknown_output",
        message: 'p: no output "z" to keep; outputs: y',
      });
      await expect(run({ write: { z: { into: "a", axis: 0, offset: 0 } } })).rejects.toMatchObject({ code: "unknown_output" });
      await expect(run({ keep: { y: "a" }, write: { y: { into: "a", axis: 0, offset: 0 } } })).rejects.toMatchObject({
        code: "output_target",
      });
      await expect(run({ write: { y: { into: "nowhere", axis: 0, offset: 0 } } })).rejects.toMatchObject({ code: "unknown_tensor" });
    });
  });

  describe("signatures", () => {
    const product = fn(({ a, b }) => ({ y: tf.matMul(a!, b!) }));

    test("named dimensions are bound by the inputs of each run", async () => {
      const program = engine.compile(product, { a: { shape: ["m", "k"] }, b: { shape: ["k", 2] } }, { name: "product" });
      expect(
        (
          await program.run({
            a: floats([[1, 2, 3]]),
            b: floats([
              [1, 0],
              [0, 1],
              [1, 1],
            ]),
          })
        )["y"],
      ).toMatchObject({ shape: [1, 2], data: Float32Array.of(4, 5) });
      expect((await program.run({ a: floats([[2], [3]]), b: floats([[1, 10]]) }))["y"]).toMatchObject({
        shape: [2, 2],
        data: Float32Array.of(2, 20, 3, 30),
      });
      await expect(program.run({ a: floats([[1, 2]]), b: floats([[1, 10]]) })).rejects.toMatchObject({
        code: "input_shape",
        message: expect.stringMatching(/product: input "b" must have shape \[k, 2\] with .*k=2, got \[1, 2\]/) as string,
      });
      await expect(program.run({ a: floats([1]), b: floats([[1, 10]]) })).rejects.toMatchObject({ code: "input_shape" });
    });

    test("a stored tensor binds dimensions too, and sizes bind those that nothing fixes", async () => {
      await engine.put(
        "table",
        floats([
          [1, 2],
          [3, 4],
        ]),
      );
      const program = engine.compile(
        fn(({ table, none }) => ({ y: tf.sum(table!, 0), none: tf.add(none!, 1) })),
        { table: { shape: ["rows", 2], role: "state" }, none: { shape: ["n"] } },
      );
      expect(numbers((await program.run({ none: floats([]) }))["y"])).toEqual([4, 6]);
      await engine.put("table", floats([[1, 2]]));
      expect(numbers((await program.run({ none: floats([1]) }))["y"])).toEqual([1, 2]);
      await expect(program.run({ none: floats([1]) }, { sizes: { rows: 2 } })).rejects.toMatchObject({ code: "input_shape" });
      await expect(program.run({ none: floats([1]) }, { sizes: { row: 2 } })).rejects.toMatchObject({
        code: "unknown_size",
        message: expect.stringContaining("dimensions: rows, n") as string,
      });
    });

    test("wrong inputs are named", async () => {
      const program = engine.compile(product, { a: { shape: [1, 1] }, b: { shape: [1, 1] } }, { name: "product" });
      const one = floats([[1]]);
      await expect(program.run({ a: one })).rejects.toMatchObject({ code: "missing_input", message: 'product: input "b" is missing' });
      await expect(program.run({ a: one, b: one, bb: one })).rejects.toMatchObject({
        code: "unknown_input",
        message: expect.stringContaining('no input "bb"; did you mean "b"?') as string,
      });
      await expect(program.run({ a: one, b: ints([[1]]) })).rejects.toMatchObject({
        code: "input_type",
        message: 'product: input "b" must be float32, got int32',
      });
    });

    test("constants are part of the program", async () => {
      const table = floats([
        [1, 2],
        [3, 4],
      ]);
      const program = engine.compile(
        fn(({ table, i }) => ({ y: tf.gather(table!, i!) })),
        { table: { shape: [2, 2], role: "constant", value: table }, i: { shape: [1], dtype: "int32" } },
      );
      expect(numbers((await program.run({ i: ints([1]) }))["y"])).toEqual([3, 4]);
      const broken = (spec: object): Promise<unknown> =>
        engine
          .compile(
            fn(({ t }) => ({ y: t! })),
            { t: { shape: [2, 2], role: "constant", ...spec } },
            { name: "c" },
          )
          .run({});
      await expect(broken({})).rejects.toMatchObject({ code: "missing_value" });
      await expect(
        broken({
          value: ints([
            [1, 2],
            [3, 4],
          ]),
        }),
      ).rejects.toMatchObject({ code: "input_type", message: 'c: constant "t" must be float32, got int32' });
      await expect(broken({ value: floats([1]) })).rejects.toMatchObject({
        code: "input_shape",
        message: 'c: constant "t" must have shape [2, 2], got [1]',
      });
      await expect(program.run({ i: ints([1]), table })).rejects.toMatchObject({ code: "unknown_input" });
    });
  });

  describe("outputs", () => {
    test("an input, one tensor twice, a constant, a tensor from outside", async () => {
      const outside = tf.tensor1d([8, 9]);
      try {
        const program = engine.compile(
          fn(({ x }) => {
            const y = tf.neg(x!);
            return { x: x!, y, again: y, seven: tf.scalar(7), outside };
          }),
          { x: { shape: [2] } },
        );
        const outputs = await program.run({ x: floats([1, 2]) });
        expect(Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, numbers(tensor)]))).toEqual({
          x: [1, 2],
          y: [-1, -2],
          again: [-1, -2],
          seven: [7],
          outside: [8, 9],
        });
      } finally {
        outside.dispose();
      }
    });

    test("functions that return something else are refused", async () => {
      const run = (body: unknown): Promise<unknown> =>
        engine.compile(body as never, { x: { shape: [1] } }, { name: "f" }).run({ x: floats([1]) });
      await expect(run(({ x }: TensorMap) => x)).rejects.toMatchObject({
        code: "output_type",
        message: expect.stringContaining("got a tensor; return { name: tensor }") as string,
      });
      await expect(run(({ x }: TensorMap) => [x])).rejects.toMatchObject({ code: "output_type" });
      await expect(run(() => ({ y: 3 }))).rejects.toMatchObject({
        code: "output_type",
        message: 'f: output "y" must be a tensor, got number',
      });
      await expect(run(() => Promise.reject(new Error("later")))).rejects.toMatchObject({ code: "traced_async" });
    });

    test("an error inside the function reaches the caller, and the engine goes on", async () => {
      const broken = engine.compile(
        () => {
          throw new RangeError("my own");
        },
        { x: { shape: [1] } },
      );
      await expect(broken.run({ x: floats([1]) })).rejects.toThrow(new RangeError("my own"));
      const good = engine.compile(
        fn(({ x }) => ({ y: tf.neg(x!) })),
        { x: { shape: [1] } },
      );
      expect(numbers((await good.run({ x: floats([1]) }))["y"])).toEqual([-1]);
    });
  });

  describe("calls", () => {
    test("are carried out in the order in which they were made, without waiting", async () => {
      const add = engine.compile(
        fn(({ w, x }) => ({ w: tf.add(w!, x!), seen: w! })),
        { w: { shape: [1], role: "state" }, x: { shape: [1] } },
      );
      const results = [
        engine.put("w", floats([1])),
        add.run({ x: floats([10]) }),
        engine.put("w", floats([5])),
        add.run({ x: floats([100]) }),
        engine.fetch("w"),
      ];
      const [, one, , two, last] = (await Promise.all(results)) as [
        unknown,
        Record<string, HostTensor>,
        unknown,
        Record<string, HostTensor>,
        HostTensor,
      ];
      expect([numbers(one["seen"]), numbers(two["seen"]), numbers(last)]).toEqual([[1], [5], [105]]);
    });

    test("abort rejects what has not begun, stores nothing of it, and later calls work", async () => {
      await engine.put("w", floats([1]));
      const add = engine.compile(
        fn(({ w }) => ({ w: tf.add(w!, 1), sum: tf.add(w!, 1) })),
        { w: { shape: ["n"], role: "state" } },
      );
      const queued = [add.run({}), engine.put("new", floats([1])), engine.put("w", floats([1, 2])), engine.fetch("w")];
      engine.abort();
      const outcomes = await Promise.allSettled(queued);
      for (const outcome of outcomes) expect(outcome).toMatchObject({ status: "rejected", reason: { code: "aborted" } });
      expect([engine.has("new"), engine.shapeOf("w")]).toEqual([false, [1]]);
      expect(numbers((await add.run({}))["sum"])).toEqual([2]);
      expect(numbers(await engine.fetch("w"))).toEqual([2]);
    });

    test("abort, then a new call at once", async () => {
      const neg = engine.compile(
        fn(({ x }) => ({ y: tf.neg(x!) })),
        { x: { shape: [1] } },
      );
      const before = neg.run({ x: floats([1]) });
      engine.abort();
      const after = neg.run({ x: floats([2]) });
      await expect(before).rejects.toMatchObject({ code: "aborted" });
      expect(numbers((await after)["y"])).toEqual([-2]);
    });

    test("a disposed engine takes no calls, and its programs may still be disposed", async () => {
      await engine.put("w", floats([1]));
      const program = engine.compile(
        fn(({ w }) => ({ y: tf.neg(w!) })),
        { w: { shape: [1], role: "state" } },
      );
      await program.run({});
      await engine.dispose();
      await engine.dispose();
      await program.dispose();
      expect(engine.has("w")).toBe(false);
      await expect(engine.put("w", floats([1]))).rejects.toMatchObject({ code: "disposed" });
      await expect(engine.fetch("w")).rejects.toMatchObject({ code: "disposed" });
    });

    test("inputs stay the caller's, also parts of larger arrays and shared memory", async () => {
      const whole = Float32Array.of(1, 2, 3, 4);
      const shared = new Float32Array(new SharedArrayBuffer(8));
      shared.set([10, 20]);
      const add = engine.compile(
        fn(({ a, b }) => ({ y: tf.add(a!, b!) })),
        { a: { shape: [2] }, b: { shape: [2] } },
      );
      const outputs = await add.run({ a: hostTensor(whole.subarray(1, 3), [2]), b: hostTensor(shared, [2]) });
      expect(numbers(outputs["y"])).toEqual([12, 23]);
      expect([...whole]).toEqual([1, 2, 3, 4]);
      await engine.put("part", hostTensor(whole.subarray(2), [2]));
      expect([...whole]).toEqual([1, 2, 3, 4]);
      expect(numbers(await engine.fetch("part"))).toEqual([3, 4]);
    });
  });

  test("leaves no tensors alive", async () => {
    await tf.setBackend("cpu");
    const before = tf.memory().numTensors;
    const own = create();
    await own.put(
      "w",
      floats([
        [1, 2],
        [3, 4],
      ]),
    );
    await own.view("row", "w", 0, 1);
    const program = own.compile(
      fn(({ w, x }) => ({ w: tf.add(w!, x!), y: tf.mul(w!, x!), kept: x! })),
      { w: { shape: [2, 2], role: "state" }, x: { shape: [] } },
    );
    await program.run({ x: floats(2) }, { keep: { kept: "x" } });
    await program.run({ x: floats(2) }, { write: { w: { into: "w", axis: 0, offset: 0 } } });
    await program.run({ x: floats(2) }, { keep: { none: "x" } }).catch(() => undefined);
    await own.copy("w", "copy");
    await own.fetch("row");
    await own.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});
