/** Built programs on disk: found again by what they depend on, and made anew whenever anything is in doubt. */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CompiledEngine, type Signature, type TensorFunction, hostTensor, tf } from "../../src/compile/index.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "preflab-programs-"));
  vi.stubEnv("PREFLAB_CACHE", folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const SIGNATURE: Signature = { x: { shape: ["T", 2] }, sum: { shape: [2], role: "state" } };
let traces = 0;
/** @param factor what the function takes from around it */
function scaledSum(factor: number): TensorFunction {
  return ({ x, sum }) => {
    traces++;
    return { sum: tf.add(sum!, tf.sum(x!, 0)), scaled: tf.mul(x!, factor) };
  };
}

/** In an engine of its own, as a later process would. @returns `scaled`, `sum` and how often the function was traced */
async function run(
  factor: number,
  { key = { factor } as unknown, keyed = true, signature = SIGNATURE, rows = 3 } = {},
): Promise<[number[], number[], number]> {
  const engine = new CompiledEngine({ threads: 1 });
  try {
    traces = 0;
    await engine.put("sum", hostTensor([1, 1], [2]));
    const program = engine.compile(scaledSum(factor), signature, {
      name: "scaled sum",
      sizes: "any",
      inPlace: true,
      ...(keyed ? { key } : {}),
    });
    const x = hostTensor(
      Array.from({ length: 2 * rows }, (_, i) => i),
      [rows, 2],
    );
    const { scaled } = await program.run({ x });
    expect(scaled!.shape).toEqual([rows, 2]);
    return [[...(scaled!.data as Float32Array)], [...((await engine.fetch("sum")).data as Float32Array)], traces];
  } finally {
    await engine.dispose();
  }
}

function files(): string[] {
  return readdirSync(join(folder, "programs"));
}

test("a later engine takes the program from the disk, for any size", async () => {
  expect(await run(2)).toEqual([[0, 2, 4, 6, 8, 10], [7, 10], 2]);
  expect(await run(2)).toEqual([[0, 2, 4, 6, 8, 10], [7, 10], 0]);
  expect(await run(2, { rows: 1 })).toEqual([[0, 2], [1, 2], 0]);
  expect(files()).toHaveLength(1);
});

test("another key, another signature, no key: traced", async () => {
  await run(2);
  expect((await run(3))[0]).toEqual([0, 3, 6, 9, 12, 15]);
  expect(traces).toBe(2);
  await run(2, { signature: { ...SIGNATURE, x: { shape: ["N", 2] } } });
  expect(traces).toBe(2);
  // Where a state lies is the run's business.
  await run(2, { signature: { ...SIGNATURE, sum: { shape: [2], role: "state", store: "sum" } } });
  expect(traces).toBe(0);
  expect(files()).toHaveLength(3);
  await run(2, { keyed: false });
  expect(traces).toBe(2);
  expect(files()).toHaveLength(3);
});

test("what cannot serve all sizes is traced for each, and not kept", async () => {
  const engine = new CompiledEngine({ threads: 1 });
  const mean = engine.compile(({ x }) => ({ y: tf.mul(x!, 1 / x!.shape[0]!) }), { x: { shape: ["T"] } }, { sizes: "any", key: "mean" });
  expect([...(await mean.run({ x: hostTensor([4, 8], [2]) }))["y"]!.data]).toEqual([2, 4]);
  expect([...(await mean.run({ x: hostTensor([4, 8, 16, 32], [4]) }))["y"]!.data]).toEqual([1, 2, 4, 8]);
  await engine.dispose();
  expect(() => files()).toThrow("ENOENT");
});

test.each([
  ["cut", (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
  ["of a changed model", (bytes: Buffer) => Buffer.from(bytes.map((byte, i) => (i === bytes.length - 20 ? byte ^ 1 : byte)))],
  ["empty", () => Buffer.alloc(0)],
  ["of a length beyond its end", (bytes: Buffer) => Buffer.concat([Buffer.from([255, 255, 255, 127]), bytes.subarray(4)])],
])("a file that is %s counts as absent and is replaced", async (_what, damage) => {
  await run(2);
  const path = join(folder, "programs", files()[0]!);
  const whole = readFileSync(path);
  writeFileSync(path, damage(whole));
  expect(await run(2)).toEqual([[0, 2, 4, 6, 8, 10], [7, 10], 2]);
  expect(readFileSync(path).equals(whole)).toBe(true);
});

test("a cache that cannot be written is said once, and costs nothing but time", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  writeFileSync(join(folder, "file"), "");
  vi.stubEnv("PREFLAB_CACHE", join(folder, "file"));
  expect((await run(2))[2]).toBe(2);
  expect((await run(2))[2]).toBe(2);
  expect(warn.mock.calls.map(String)).toEqual([expect.stringMatching(/^compile: programs are not kept .*set PREFLAB_CACHE/)]);
  mkdirSync(join(folder, "programs"));
});
