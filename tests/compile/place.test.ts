/** Fixed inputs, and outputs that an operator of the same run reads where they are stored. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  CompiledEngine,
  EagerEngine,
  type Engine,
  type Program,
  type Signature,
  blockMatMul,
  cachedAttention,
  hostTensor,
  tf,
} from "../../src/compile/index.js";

describe("fixed inputs", () => {
  let engine: CompiledEngine;
  beforeEach(() => void (engine = new CompiledEngine({ threads: 1 })));
  afterEach(() => engine.dispose());

  it("a fixed input is what it was when the session was opened", async () => {
    const [codes, scales] = [new Uint8Array(2 * 32).fill(128 + 3), Float32Array.of(0.5, 2)];
    await engine.put("codes", hostTensor(codes, [2, 1, 32]));
    await engine.put("scales", hostTensor(scales, [2, 1]));
    const state = { role: "state", fixed: true } as const;
    const program = engine.compile(
      ({ x, codes, scales }) => ({ y: blockMatMul(x as tf.Tensor2D, { codes: codes as tf.Tensor3D, scales: scales as tf.Tensor2D }) }),
      { x: { shape: ["n", 32] }, codes: { shape: [2, 1, 32], dtype: "uint8", ...state }, scales: { shape: [2, 1], ...state } },
      { sizes: "any" },
    );
    const x = hostTensor(new Float32Array(64).fill(1), [2, 32]);
    // 32 times 1 · 3 · scale; all ones are exact in 8 bits.
    const { y } = await program.run({ x });
    [48, 192, 48, 192].forEach((wanted, i) => expect(y!.data[i]).toBeCloseTo(wanted, 3));
    await engine.put("scales", hostTensor([7, 7], [2, 1]));
    expect((await program.run({ x }))["y"]!.data).toEqual(y!.data);
  });
});

describe.each(["compiled", "eager"] as const)("place, engine %s", (kind) => {
  let engine: Engine;
  beforeEach(() => void (engine = kind === "compiled" ? new CompiledEngine({ threads: 1 }) : new EagerEngine("cpu")));
  afterEach(() => engine.dispose());

  it("attention sees the rows that the same run writes into the cache", async () => {
    const shape = { heads: 2, kvHeads: 1 };
    const signature: Signature = {
      qkv: { shape: ["T", 8] },
      mask: { shape: ["T", "S"] },
      keys: { shape: ["S", 2], role: "state" },
      values: { shape: ["S", 2], role: "state" },
    };
    const attention = (lastAlone: boolean) =>
      engine.compile(
        ({ qkv, keys, values, mask }) => {
          const [q, k, v] = tf.split(qkv as tf.Tensor2D, [4, 2, 2], 1) as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
          const asked = lastAlone ? (tf.slice(q, [q.shape[0] - 1, 0], [1, 4]) as tf.Tensor2D) : q;
          const seen = lastAlone ? undefined : (mask as tf.Tensor2D);
          return { ...cachedAttention(asked, k, v, keys as tf.Tensor2D, values as tf.Tensor2D, seen, shape) };
        },
        signature,
        { sizes: "any", inPlace: true },
      );
    const [all, last] = [attention(false), attention(true)];
    const rows = Array.from({ length: 5 }, (_, t) => Array.from({ length: 8 }, (_, i) => Math.sin(t * 8 + i)));
    const run = async (program: Program, from: number, count: number): Promise<number[]> => {
      const seen = from + count;
      const mask = Float32Array.from({ length: count * seen }, (_, i) => (i % seen > from + Math.floor(i / seen) ? -1e9 : 0));
      const target = (into: string) => ({ into, axis: 0, offset: from });
      const { out, ...rest } = await program.run(
        { qkv: hostTensor(rows.slice(from, seen).flat(), [count, 8]), mask: hostTensor(mask, [count, seen]) },
        { rows: { keys: seen, values: seen }, place: { newKeys: target("keys"), newValues: target("values") } },
      );
      expect(rest).toEqual({});
      return [...out!.data];
    };
    // Not numbers: whoever reads a row before it is written notices.
    const forget = async () => {
      for (const name of ["keys", "values"]) await engine.put(name, hostTensor(new Float32Array(12).fill(NaN), [6, 2]));
    };
    await forget();
    const before = engine.version(["keys"]);
    const whole = await run(all, 0, 5);
    expect(engine.version(["keys"])).toBeGreaterThan(before);
    expect([...(await engine.fetch("keys")).data].slice(0, 10)).toEqual(rows.flatMap((row) => row.slice(4, 6).map(Math.fround)));
    expect([...(await engine.fetch("values")).data].slice(8)).toEqual([...rows[4]!.slice(6, 8).map(Math.fround), NaN, NaN]);
    // By hand: the first token sees itself alone; the last one weighs all values by softmax(q·k/√2).
    expect(whole[0]).toBeCloseTo(rows[0]![6]!, 6);
    const weights = rows.map((row) => Math.exp((rows[4]![2]! * row[4]! + rows[4]![3]! * row[5]!) / Math.SQRT2));
    const total = weights.reduce((a, b) => a + b);
    expect(whole[4 * 4 + 3]).toBeCloseTo(
      weights.reduce((sum, weight, t) => sum + (weight / total) * rows[t]![7]!, 0),
      5,
    );
    const isClose = (values: readonly number[], wanted: readonly number[]): void => {
      expect(values).toHaveLength(wanted.length);
      values.forEach((value, i) => expect(value).toBeCloseTo(wanted[i]!, 5));
    };
    await forget();
    isClose([...(await run(all, 0, 2)), ...(await run(all, 2, 2)), ...(await run(all, 4, 1))], whole);
    await forget();
    isClose([...(await run(last, 0, 4)), ...(await run(last, 4, 1))], whole.slice(12));
    expect([...(await engine.fetch("keys")).data].slice(0, 10)).toEqual(rows.flatMap((row) => row.slice(4, 6).map(Math.fround)));
  });

  it("says what does not fit", async () => {
    const program = engine.compile(({ x }) => ({ y: tf.add(x!, x!) }), { x: { shape: [2, 2] } }, { name: "p", inPlace: true });
    await engine.put("t", hostTensor(new Float32Array(6), [3, 2]));
    const run = (offset: number, axis: number) =>
      program.run({ x: hostTensor([1, 2, 3, 4], [2, 2]) }, { place: { y: { into: "t", axis, offset } } });
    await expect(run(0, 1)).rejects.toMatchObject({ code: "place_axis" });
    await expect(run(2, 0)).rejects.toMatchObject({ code: "slice_shape" });
    await run(1, 0);
    expect([...(await engine.fetch("t")).data]).toEqual([0, 0, 2, 4, 6, 8]);
  });
});

it("compiled, only programs in place can do it, and not by pieces", async () => {
  const engine = new CompiledEngine({ threads: 1 });
  await engine.put("t", hostTensor([1, 2], [2]));
  await engine.put("w", hostTensor([1, 2], [2]));
  const state = { shape: [1], role: "state" } as const;
  const place = { y: { into: "t", axis: 0, offset: 0 } };
  const rule = 'p: output "y" must be computed in place, and as a whole, to be placed; compile with inPlace, and run without pieces';
  for (const [inPlace, pieces] of [
    [false, undefined],
    [true, 2],
  ] as const) {
    const program = engine.compile(({ w }) => ({ w: tf.add(w!, 1), y: tf.neg(w!) }), { w: state }, { name: "p", inPlace, sizes: "any" });
    const run = program.run({}, { place, rows: pieces === undefined ? { w: 1 } : {}, pieces });
    await expect(run).rejects.toMatchObject({ code: "place_output", message: rule });
  }
  expect([...(await engine.fetch("t")).data]).toEqual([1, 2]);
  await engine.dispose();
});
