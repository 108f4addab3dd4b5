/** Outputs that are computed in the memory of stored tensors: what the graph must show for it, and what a run then does. */
import ort from "onnxruntime-node";
import { afterEach, describe, expect, it } from "vitest";
import { CompiledEngine, EagerEngine, type Engine, type HostTensor, addRows, hostTensor, tf } from "../../src/compile/index.js";
import { Graph, type Value } from "../../src/compile/graph.js";
import { inPlaceOutputs } from "../../src/compile/inPlace.js";
import { SEQUENCE_OUTPUT, encodeOnnxModel } from "../../src/compile/onnxModel.js";
import { ints } from "./contractCase.js";

describe("which outputs may take the memory of their state", () => {
  const SQUARE = { dtype: "float32" as const, shape: [2, 2] };
  type Build = (graph: Graph, old: Value, other: Value) => Record<string, Value>;
  const cases: [string, boolean, Build][] = [
    ["a sum that reads it last", true, (graph, old, other) => ({ old: graph.op("Add", [old, other], SQUARE) })],
    ["a sum with itself", true, (graph, old) => ({ old: graph.op("Add", [old, old], SQUARE) })],
    [
      "a sum whose other side was computed from it",
      true,
      (graph, old, other) => ({ old: graph.op("Add", [graph.op("MatMul", [old, other], SQUARE), old], SQUARE) }),
    ],
    ["a product that reads all of it for every element", false, (graph, old, other) => ({ old: graph.op("MatMul", [old, other], SQUARE) })],
    ["the C of a Gemm", true, (graph, old, other) => ({ old: graph.op("Gemm", [other, other, old], SQUARE) })],
    ["the A of a Gemm", false, (graph, old, other) => ({ old: graph.op("Gemm", [old, other, other], SQUARE) })],
    [
      "a second reader that nothing orders",
      false,
      (graph, old, other) => ({ old: graph.op("Add", [old, other], SQUARE), y: graph.op("Sqrt", [old], SQUARE) }),
    ],
    [
      "a second reader through a reshape",
      false,
      (graph, old, other) => {
        const flat = graph.op("Reshape", [old, graph.int64s([4])], { dtype: "float32", shape: [4] });
        const sum = graph.op("Add", [graph.op("Reshape", [flat, graph.int64s([2, 2])], SQUARE), other], SQUARE);
        return { old: sum, y: graph.op("Sqrt", [flat], { dtype: "float32", shape: [4] }) };
      },
    ],
    [
      "a second reader of the new value only",
      true,
      (graph, old, other) => {
        const sum = graph.op("Add", [old, other], SQUARE);
        return { old: sum, y: graph.op("Sqrt", [sum], SQUARE) };
      },
    ],
    ["the old value also given out", false, (graph, old, other) => ({ old: graph.op("Add", [old, other], SQUARE), y: old })],
    [
      "one value under two names",
      false,
      (graph, old, other) => {
        const sum = graph.op("Add", [old, other], SQUARE);
        return { old: sum, y: sum };
      },
    ],
    ["a value that never reads it", true, (graph, _old, other) => ({ old: graph.op("Sqrt", [other], SQUARE) })],
    ["another shape", false, (graph, old) => ({ old: graph.op("Reshape", [old, graph.int64s([4])], { dtype: "float32", shape: [4] }) })],
    ["no state at all", false, (graph, old, other) => ({ other: graph.op("Add", [old, other], SQUARE) })],
  ];
  it.each(cases)("%s: %s", (_name, safe, build) => {
    const graph = new Graph();
    const outputs = build(graph, graph.input("old", "float32", [2, 2]), graph.input("other", "float32", [2, 2]));
    expect([...inPlaceOutputs(graph, new Map(Object.entries(outputs)), new Set(["old"]))]).toEqual(safe ? ["old"] : []);
  });
});

function tensor(values: readonly number[], shape: readonly number[] = [values.length]): HostTensor {
  return hostTensor(Float32Array.from(values), shape);
}

const engines: Engine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.dispose();
});

function newEngine(kind: "compiled" | "eager"): Engine {
  const engine = kind === "compiled" ? new CompiledEngine({ threads: 1 }) : new EagerEngine("cpu");
  engines.push(engine);
  return engine;
}

async function numbers(engine: Engine, name: string): Promise<number[]> {
  return [...(await engine.fetch(name)).data];
}

describe.each(["compiled", "eager"] as const)("runs, %s", (kind) => {
  it("states, other outputs and a part of a stored tensor are what they are without", async () => {
    const engine = newEngine(kind);
    const signature = { x: { shape: [2] }, sum: { shape: [2], role: "state" as const } };
    const program = engine.compile(
      ({ x, sum }) => ({ sum: tf.add(sum!, x!), twice: tf.mul(x!, 2), row: tf.reshape(x!, [1, 2]), above: tf.greater(x!, 1) }),
      signature,
      { inPlace: true },
    );
    await engine.put("sum", tensor([1, 2]));
    await engine.put("rows", tensor([0, 0, 0, 0, 0, 0], [3, 2]));
    for (const offset of [1, 2]) {
      const outputs = await program.run({ x: tensor([1, 10]) }, { write: { row: { into: "rows", axis: 0, offset } } });
      expect(Object.keys(outputs).sort()).toEqual(["above", "twice"]);
      expect([...outputs["twice"]!.data]).toEqual([2, 20]);
      expect([...outputs["above"]!.data]).toEqual([0, 1]);
    }
    expect(await numbers(engine, "sum")).toEqual([3, 22]);
    expect(await numbers(engine, "rows")).toEqual([0, 0, 1, 10, 1, 10]);
    const wrong = program.run({ x: tensor([1, 10]) }, { write: { row: { into: "sum", axis: 0, offset: 0 } } });
    await expect(wrong).rejects.toMatchObject({ code: "slice_shape" });
  });

  it("a state that shares memory with another input is computed elsewhere first", async () => {
    const engine = newEngine(kind);
    const program = engine.compile(
      ({ all, first }) => ({ all: tf.add(all!, first!) }),
      { all: { shape: [3, 2], role: "state" }, first: { shape: [1, 2], role: "state" } },
      { inPlace: true },
    );
    await engine.put("all", tensor([1, 2, 3, 4, 5, 6], [3, 2]));
    await engine.view("first", "all", 0, 1);
    await program.run({});
    expect(await numbers(engine, "all")).toEqual([2, 4, 4, 6, 6, 8]);
  });

  it("a view of a sum is added to where it lies", async () => {
    const engine = newEngine(kind);
    const program = engine.compile(
      ({ part, x }) => ({ part: tf.add(part!, x!) }),
      { part: { shape: [1, 2], role: "state" }, x: { shape: [1, 2] } },
      { inPlace: true },
    );
    await engine.put("all", tensor([1, 2, 3, 4], [2, 2]));
    await engine.view("part", "all", 1, 1);
    for (let i = 0; i < 2; i++) await program.run({ x: tensor([1, 1], [1, 2]) }, { write: { part: { into: "all", axis: 0, offset: 1 } } });
    expect(await numbers(engine, "all")).toEqual([1, 2, 5, 6]);
    expect(await numbers(engine, "part")).toEqual([5, 6]);
  });

  it("by pieces every element is treated once, and other outputs are joined", async () => {
    const engine = newEngine(kind);
    const program = engine.compile(
      ({ w, rate }) => {
        const scaled = tf.mul(w!, rate!);
        return { w: scaled, squares: tf.stack([tf.sum(tf.square(scaled))]) };
      },
      { w: { shape: [2], role: "state" }, rate: { shape: [] } },
      { inPlace: true },
    );
    await engine.put("w", tensor([1, 2, 3, 4, 5, 6], [2, 3]));
    const { squares } = await program.run({ rate: tensor([10], []) }, { pieces: 3 });
    expect([squares!.shape, ...squares!.data]).toEqual([[3], 500, 2500, 6100]);
    expect(await numbers(engine, "w")).toEqual([10, 20, 30, 40, 50, 60]);
    expect(engine.shapeOf("w")).toEqual([2, 3]);
    await expect(program.run({ rate: tensor([10], []) }, { pieces: 4 })).rejects.toMatchObject({ code: "pieces_size" });
    expect(await numbers(engine, "w")).toEqual([10, 20, 30, 40, 50, 60]);
  });

  it("every change of a tensor where it is counts as a new version of it and of its views", async () => {
    const engine = newEngine(kind);
    const state = { shape: [2], role: "state" as const };
    const add = engine.compile(
      ({ w, x }) => ({ w: tf.add(w!, x!), row: tf.reshape(tf.neg(x!), [1]) }),
      { w: state, x: { shape: [] } },
      { inPlace: true },
    );
    await engine.put("w", tensor([1, 2, 3, 4]));
    await engine.put("other", tensor([1, 2]));
    await engine.view("part", "w", 2, 2);
    const x = { x: tensor([1], []) };
    const row = { into: "w", axis: 0, offset: 3 };
    const changes: [string, () => Promise<unknown>][] = [
      ["pieces", () => add.run(x, { pieces: 2 })],
      ["write", () => add.run(x, { bind: { w: "other" }, keep: { w: "sum" }, write: { row } })],
      ["place", () => add.run(x, { bind: { w: "other" }, keep: { w: "sum" }, place: { row } })],
      ["clear", () => engine.clear("w")],
      ["put", () => engine.put("w", tensor([1, 2, 3, 4]))],
      ["copy", () => engine.copy("sum", "w")],
      ["keep", () => add.run(x, { bind: { w: "other" }, keep: { w: "w", row: "row" } })],
      ["a new state", () => add.run(x, { keep: { row: "row" } })],
    ];
    for (const [name, change] of changes) {
      const before = [engine.version(["w"]), engine.version(["part"]), engine.version(["other"])] as const;
      await change();
      expect(engine.version(["w"]), name).toBeGreaterThan(before[0]);
      if (engine.shapeOf("w")[0]! > 2) expect(engine.version(["part"]), name).toBeGreaterThan(before[1]);
      expect(engine.version(["other"]), name).toBe(before[2]);
    }
    const version = engine.version(["w", "other"]);
    await engine.fetch("w");
    await add.run(x, { bind: { w: "other" }, keep: { w: "sum", row: "row" } });
    expect(engine.version(["w", "other"])).toBe(version);
  });

  it("clear sets to zero, also through a view", async () => {
    const engine = newEngine(kind);
    await engine.put("a", tensor([1, 2, 3], [3, 1]));
    await engine.view("end", "a", 2, 1);
    await engine.clear("a");
    expect([...(await numbers(engine, "a")), ...(await numbers(engine, "end"))]).toEqual([0, 0, 0, 0]);
  });

  it("addRows adds rows that share a place one after the other", async () => {
    const engine = newEngine(kind);
    const program = engine.compile(
      ({ base, places, rows }) => ({ base: addRows(base as tf.Tensor2D, places as tf.Tensor1D, rows as tf.Tensor2D) }),
      { base: { shape: [3, 2], role: "state" }, places: { shape: [3], dtype: "int32" }, rows: { shape: [3, 2] } },
      { inPlace: true },
    );
    await engine.put("base", tensor([1, 1, 2, 2, 3, 3], [3, 2]));
    await program.run({ places: ints([2, 0, 2]), rows: tensor([1, 2, 10, 20, 100, 200], [3, 2]) });
    expect(await numbers(engine, "base")).toEqual([11, 21, 2, 2, 104, 205]);
  });
});

describe("the compiled engine", () => {
  it("by pieces needs states that the graph allows to be replaced, and memory of their own", async () => {
    const engine = newEngine("compiled");
    const state = { shape: [2], role: "state" as const };
    await engine.put("a", tensor([1, 2, 3, 4]));
    const program = engine.compile(({ a }) => ({ a: tf.reverse(a!) }), { a: state }, { name: "turn", inPlace: true });
    const rule =
      'turn: output "a" must be computed in place to be stored by pieces; keep it under its state\'s name, and compile with inPlace';
    await expect(program.run({}, { pieces: 2 })).rejects.toMatchObject({ code: "pieces_output", message: rule });
    const two = engine.compile(({ a, b }) => ({ a: tf.add(a!, b!) }), { a: state, b: state }, { inPlace: true });
    await expect(two.run({}, { pieces: 2, bind: { b: "a" } })).rejects.toMatchObject({ code: "pieces_overlap" });
    expect(await numbers(engine, "a")).toEqual([1, 2, 3, 4]);
  });

  it("an error inside a run is an error, and the next run works", async () => {
    const engine = newEngine("compiled");
    const program = engine.compile(
      ({ sum, table, at }) => ({ sum: tf.add(sum!, tf.gather(table!, at as tf.Tensor1D)) }),
      { sum: { shape: [1], role: "state" }, table: { shape: [2] }, at: { shape: [1], dtype: "int32" } },
      { name: "pick", inPlace: true },
    );
    await engine.put("sum", tensor([1]));
    const run = (at: number): Promise<unknown> => program.run({ table: tensor([5, 7]), at: ints([at]) });
    await expect(run(9)).rejects.toThrow(/pick: .*9/s);
    expect(await numbers(engine, "sum")).toEqual([1]);
    await run(1);
    expect(await numbers(engine, "sum")).toEqual([8]);
  });

  it("does without copies as long as onnxruntime-node gives up at a sequence, after all is computed", async () => {
    const graph = new Graph();
    const y = graph.op("Add", [graph.input("x", "float32", [2]), graph.scalar(1)], { dtype: "float32", shape: [2] });
    const session = await ort.InferenceSession.create(encodeOnnxModel(graph, new Map([["y", y]]), { withSequence: true }));
    const memory = new ort.Tensor("float32", Float32Array.of(1, 2), [2]);
    await expect(session.run({ x: memory }, { [SEQUENCE_OUTPUT]: null, y: memory })).rejects.toThrow(
      "Non tensor type is temporarily not supported.",
    );
    expect([...(memory.data as Float32Array)]).toEqual([2, 3]);
    await session.release();
  });
});
