/** What the compiled engine adds: traces are counted, the worker computes beside the calling thread and ends when told to. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CompiledEngine, type Program, hostTensor, tf } from "../../src/compile/index.js";
import { empty, floats, ints } from "./contractCase.js";

let engine: CompiledEngine;
beforeEach(() => {
  engine = new CompiledEngine({ threads: 1 });
});
afterEach(() => engine.dispose());

describe("sessions", () => {
  test("a function is traced once per combination of sizes, and again after dispose", async () => {
    let traces = 0;
    const program = engine.compile(
      ({ x, y }) => {
        traces++;
        return { sum: tf.add(tf.sum(x!), tf.sum(y!)) };
      },
      { x: { shape: ["a"] }, y: { shape: ["b", 1] } },
    );
    const run = (a: number, b: number): Promise<unknown> =>
      program.run({ x: hostTensor(new Array<number>(a).fill(1), [a]), y: hostTensor(new Array<number>(b).fill(1), [b, 1]) });
    await Promise.all([run(2, 3), run(2, 3)]);
    await run(2, 3);
    expect(traces).toBe(1);
    await run(3, 2);
    await run(2, 3);
    expect(traces).toBe(2);
    await program.prepare({ b: 1, a: 4 });
    await run(4, 1);
    expect(traces).toBe(3);
    await program.dispose();
    await run(2, 3);
    expect(traces).toBe(4);
  });

  test("prepare checks the sizes and reports what cannot be traced", async () => {
    const program = engine.compile(({ x }) => ({ y: tf.unique(x!).values }), { x: { shape: ["n"] } }, { name: "p" });
    await expect(program.prepare({ m: 2 })).rejects.toMatchObject({ code: "unknown_size" });
    await expect(program.prepare({})).rejects.toMatchObject({ code: "unbound_size" });
    await expect(program.prepare({ n: 2 })).rejects.toMatchObject({ code: "untraceable_op" });
  });

  test("a constant of the signature and a tensor from outside are baked in when the function is traced", async () => {
    const outside = tf.tensor1d([1, 2]);
    const program = engine.compile(({ x }) => ({ y: tf.mul(x!, outside) }), { x: { shape: [2] } });
    await program.prepare({});
    outside.dispose();
    expect([...(await program.run({ x: floats([10, 10]) }))["y"]!.data]).toEqual([10, 20]);
  });

  test("inputs that the function does not use may be given, also empty ones", async () => {
    const program = engine.compile(({ x }) => ({ y: tf.neg(x!) }), { x: { shape: ["n"] }, unused: { shape: ["m"] } });
    expect((await program.run({ x: floats([1]), unused: empty([0]) }))["y"]!.data).toEqual(Float32Array.of(-1));
    expect((await program.run({ x: empty([0]), unused: floats([1]) }))["y"]).toEqual({
      data: new Float32Array(0),
      dtype: "float32",
      shape: [0],
    });
  });

  test("input names may look like names of ONNX values", async () => {
    const names = ["Add_0", "out/y", "fill_0", "0.Add", "y"];
    const program = engine.compile(
      (inputs) => ({ y: names.map((name) => inputs[name]!).reduce((sum, x) => tf.add(tf.mul(sum, 2), x)) }),
      Object.fromEntries(names.map((name) => [name, { shape: [1] }])),
    );
    const outputs = await program.run(Object.fromEntries(names.map((name, i) => [name, floats([i])])));
    expect([...outputs["y"]!.data]).toEqual([26]);
    const reserved = engine.compile((inputs) => ({ y: inputs["%x"]! }), { "%x": { shape: [1] } });
    await expect(reserved.prepare({})).rejects.toMatchObject({ code: "input_name" });
  });
});

describe("store", () => {
  test("put takes the array over; putting it again is an error", async () => {
    const tensor = floats([1, 2]);
    await engine.put("a", tensor);
    expect(tensor.data.length).toBe(0);
    await expect(engine.put("b", tensor)).rejects.toMatchObject({
      code: "host_size",
      message: expect.stringContaining("belongs to the engine") as string,
    });
    expect(engine.has("b")).toBe(false);
    expect([...(await engine.fetch("a")).data]).toEqual([1, 2]);
  });

  test("a tensor counts from the moment it is sent", async () => {
    const put = engine.put("w", floats([[1, 2]]));
    expect([engine.has("w"), engine.shapeOf("w"), engine.names()]).toEqual([true, [1, 2], ["w"]]);
    const removed = engine.remove("w");
    expect(engine.has("w")).toBe(false);
    await Promise.all([put, removed]);
    expect(engine.names()).toEqual([]);
  });

  test("what a failed run would have stored is not there", async () => {
    await engine.put("table", floats([1, 2]));
    const program = engine.compile(
      ({ table, i }) => ({ y: tf.gather(table!, i!) }),
      { table: { shape: [2], role: "state" }, i: { shape: [1], dtype: "int32" } },
      { name: "pick" },
    );
    const failed = program.run({ i: ints([5]) }, { keep: { y: "picked" } });
    expect(engine.has("picked")).toBe(true);
    await expect(failed).rejects.toMatchObject({
      code: "session",
      message: expect.stringMatching(/^pick: .*Gather.*out of.*bounds/s) as string,
    });
    expect(engine.has("picked")).toBe(false);
    await program.run({ i: ints([1]) }, { keep: { y: "picked" } });
    expect([...(await engine.fetch("picked")).data]).toEqual([2]);
  });
});

describe("worker", () => {
  /** About a second of arithmetic on one thread. */
  async function longProgram(): Promise<{ program: Program; run: () => Promise<unknown> }> {
    const size = 512;
    const program = engine.compile(
      ({ x }) => {
        let y: tf.Tensor = x!;
        for (let i = 0; i < 250; i++) y = tf.tanh(tf.matMul(y, x!));
        return { y: tf.sum(y) };
      },
      { x: { shape: [size, size], role: "state" } },
      { name: "long" },
    );
    await engine.put("x", hostTensor(new Float32Array(size * size).fill(1 / size), [size, size]));
    await program.prepare({});
    return { program, run: () => program.run({}) };
  }

  test("the calling thread goes on while the worker computes", async () => {
    const { run } = await longProgram();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    const started = performance.now();
    await run();
    const elapsed = performance.now() - started;
    clearInterval(timer);
    expect(elapsed).toBeGreaterThan(100);
    // A blocked thread would have ticked once or not at all.
    expect(ticks).toBeGreaterThan(Math.min(10, elapsed / 50));
  });

  test("abort lets the run under way complete and rejects those behind it", async () => {
    const { run } = await longProgram();
    const first = run();
    const second = run();
    const put = engine.put("later", floats([1]));
    await sleep(100);
    engine.abort();
    await expect(first).resolves.toHaveProperty("y");
    await expect(second).rejects.toMatchObject({ code: "aborted" });
    await expect(put).rejects.toMatchObject({ code: "aborted" });
    await expect(run()).resolves.toHaveProperty("y");
  });

  test("dispose waits for the run under way and rejects what is behind it", async () => {
    const { run } = await longProgram();
    const first = run();
    const second = Promise.allSettled([run(), engine.put("later", floats([1]))]);
    await sleep(100);
    await Promise.all([engine.dispose(), engine.dispose()]);
    await expect(first).resolves.toHaveProperty("y");
    for (const outcome of await second) expect(outcome).toMatchObject({ status: "rejected", reason: { code: "disposed" } });
  });

  test.runIf(process.platform === "linux")("its threads end with it", async () => {
    const threads = (): number => readdirSync("/proc/self/task").length;
    const before = threads();
    const own = new CompiledEngine({ threads: 3 });
    await own.compile(({ x }) => ({ y: tf.neg(x!) }), { x: { shape: [1] } }).run({ x: floats([1]) });
    expect(threads()).toBeGreaterThan(before);
    await own.dispose();
    for (let i = 0; i < 50 && threads() > before; i++) await sleep(20);
    expect(threads()).toBeLessThanOrEqual(before);
  });

  test.each([
    ["forgets to dispose", "", 0],
    ["exits during a run", "program.run({ x: ones }); await new Promise((resolve) => setTimeout(resolve, 100)); process.exit(3);", 3],
  ])("a process that %s ends as it should", async (_, rest, status) => {
    const compile = fileURLToPath(new URL("../../dist/src/compile/index.js", import.meta.url));
    const script = `
      import { compile, hostTensor, tf } from ${JSON.stringify(compile)};
      const chain = ({ x }) => { let y = x; for (let i = 0; i < 100; i++) y = tf.tanh(tf.matMul(y, x)); return { y: tf.sum(y) }; };
      const program = compile(chain, { x: { shape: ["n", "n"] } });
      await program.run({ x: hostTensor([1], [1, 1]) });
      const ones = hostTensor(new Float32Array(512 * 512).fill(1), [512, 512]);
      await program.prepare({ n: 512 });
      console.log("ready");
      ${rest}`;
    const folder = mkdtempSync(join(tmpdir(), "preflab-process-"));
    const file = join(folder, "script.mjs");
    writeFileSync(file, script);
    const child = execFile(process.execPath, [file]);
    let output = "";
    child.stdout!.on("data", (text: string) => (output += text));
    child.stderr!.on("data", (text: string) => (output += text));
    const [code, signal] = (await once(child, "close")) as [number | null, string | null];
    rmSync(folder, { recursive: true });
    expect({ code, signal, output: output.trim() }).toEqual({ code: status, signal: null, output: "ready" });
  });
});
