/** Block-wise 8-bit coding against a search over all 256 numbers, on both engines. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { BlockCodec, CompiledEngine, EagerEngine, type Engine, hostTensor, tf } from "../../src/compile/index.js";
import { dynamicMap, nearestFinder } from "../../src/compile/fused/dynamicMap.js";
import { Random } from "../../src/random.js";

describe("dynamic map", () => {
  test("the signed one is the reference's, bit by bit", () => {
    // Made with torch from the published description: tests/golden/README.md.
    const { dynamic_map } = JSON.parse(readFileSync("tests/golden/nf4.json", "utf8")) as { dynamic_map: number[] };
    expect([...dynamicMap(true)]).toEqual(dynamic_map);
  });

  test("the unsigned one has twice as many numbers in each decade, 0 and 1", () => {
    const map = dynamicMap(false);
    expect(map.length).toBe(256);
    expect([map[0], map[255]]).toEqual([0, 1]);
    for (let decade = 0; decade < 7; decade++) {
      const [low, high] = [10 ** (decade - 7), 10 ** (decade - 6)];
      const inside = map.filter((number) => number > low && number < high);
      expect(inside.length).toBe(2 ** (decade + 1));
      const gap = (high - low) / inside.length;
      inside.forEach((number, k) => expect(Math.abs(number - (low + gap * (k + 0.5))) / high).toBeLessThan(1e-6));
    }
  });

  test("a map that is too fine for the bins is refused", () => {
    expect(() => nearestFinder(Float32Array.of(0, 0.5, 0.5001, 0.5002, 1))).toThrow(/must meet one midpoint, got two in bin/);
  });
});

/** Index of the nearest number; of two equally near ones the lower. */
function search(map: Float32Array, share: number): number {
  let best = 0;
  for (let i = 1; i < map.length; i++) if (Math.abs(map[i]! - share) < Math.abs(map[best]! - share)) best = i;
  return best;
}

/** One block that holds its own largest magnitude 1: all numbers of the map, what lies between them, and what lies just beside that. */
function hardShares(signed: boolean): number[] {
  const map = dynamicMap(signed);
  const shares = [1, 0, ...map];
  for (let i = 0; i + 1 < map.length; i++) {
    const middle = Math.fround((map[i]! + map[i + 1]!) / 2);
    const bits = new Int32Array(Float32Array.of(middle).buffer)[0]!;
    for (const step of [-2, -1, 0, 1, 2]) shares.push(new Float32Array(Int32Array.of(bits + step).buffer)[0]!);
  }
  // The edges of the decades, of what is called 0, and of the bins.
  for (let exponent = -9; exponent < 0; exponent++)
    for (const near of [1 - 2e-7, 1 - 6e-8, 1, 1 + 2e-7, 1.9, 1.45]) shares.push(near * 10 ** exponent);
  for (let bin = 1; bin < 4096; bin += 3) for (const near of [1 - 1.2e-7, 1, 1 + 1.2e-7]) shares.push((bin / 4096) ** 2 * near);
  const random = new Random(5);
  for (let i = 0; i < 2000; i++) shares.push(10 ** (-9 * random.uniform()));
  const all = shares.map(Math.fround).filter((share) => share <= 1 && !Number.isNaN(share));
  return signed ? all.flatMap((share) => [share, share === 1 ? 1 : -share]) : all;
}

describe.each<[string, () => Engine]>([
  ["compiled", () => new CompiledEngine({ threads: 1 })],
  ["eager", () => new EagerEngine("cpu")],
])("%s", (_kind, make) => {
  test.each([
    ["signed", true],
    ["unsigned", false],
  ])("the nearest number of all, %s", async (_name, signed) => {
    const engine = make();
    try {
      const map = dynamicMap(signed);
      const shares = hardShares(signed);
      const length = shares.length;
      // Blocks: as they are; scaled by an odd number and by an extreme one; zeros; one number alone; subnormal numbers.
      const scales = [1, 0.37, 3e-31];
      const rows = scales.map((scale) => shares.map((share) => Math.fround(share * scale)));
      rows.push(
        new Array<number>(length).fill(0),
        shares.map((_, i) => (i === 7 ? (signed ? -5 : 5) : 0)),
        shares.map((_, i) => (i % 3) * 1e-40),
      );
      const values = Float32Array.from(rows.flat());
      const blocks = rows.length;
      const program = engine.compile(
        ({ values }) => {
          const codec = new BlockCodec(signed);
          const coded = codec.encode(values as tf.Tensor2D);
          return { ...coded, decoded: codec.decode(coded) };
        },
        { values: { shape: ["B", "N"] } },
      );
      const { codes, absmax, decoded } = await program.run({ values: hostTensor(values.slice(), [blocks, length]) });
      expect(codes!.data.length).toBe(blocks * length);
      let wrong = 0;
      for (let row = 0; row < blocks; row++) {
        const block = values.subarray(row * length, (row + 1) * length);
        const largest = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        expect(absmax!.data[row]).toBe(largest);
        block.forEach((value, i) => {
          const share = Math.fround(Math.abs(value) / Math.max(largest, 2 ** -126)) * (value < 0 ? -1 : 1);
          const at = row * length + i;
          const got = codes!.data[at]!;
          const nearest = search(map, share);
          // Exact ties may go either way.
          if (got !== nearest && Math.abs(map[got]! - share) !== Math.abs(map[nearest]! - share)) wrong++;
          if (decoded!.data[at] !== Math.fround(map[got]! * largest)) wrong++;
        });
      }
      expect(wrong).toBe(0);
    } finally {
      await engine.dispose();
    }
  });

  test("codes, not float32, are what a state stores", async () => {
    const engine = make();
    try {
      await engine.put("codes", hostTensor(new Uint8Array(512), [2, 256]));
      const program = engine.compile(({ values }) => ({ codes: new BlockCodec(true).encode(values as tf.Tensor2D).codes }), {
        values: { shape: [2, 256] },
        codes: { shape: [2, 256], dtype: "uint8", role: "state" },
      });
      await program.run({
        values: hostTensor(
          Float32Array.from({ length: 512 }, (_, i) => i - 255),
          [2, 256],
        ),
      });
      const stored = await engine.fetch("codes");
      // −255 to 0: the first is the nearest to −1, the last is 0; 1 to 256: the last is 1.
      expect([stored.data[0], stored.data[255], stored.data[511]]).toEqual([0, 127, 255]);
      if (engine.kind === "compiled") expect(stored.data).toBeInstanceOf(Uint8Array);
    } finally {
      await engine.dispose();
    }
  });
});
