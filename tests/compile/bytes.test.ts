/** Bytes in the store: in and out of a program, as a state, and what they hold, on both engines. */
import { describe, expect, test } from "vitest";
import { bytesAsInt32, CompiledEngine, EagerEngine, type Engine, hostTensor, int32AsBytes, tf } from "../../src/compile/index.js";

describe.each<[string, () => Engine]>([
  ["compiled", () => new CompiledEngine({ threads: 1 })],
  ["eager", () => new EagerEngine("cpu")],
])("%s", (_kind, make) => {
  test("a state of bytes is read, changed and stored again as bytes", async () => {
    const engine = make();
    try {
      await engine.put("bytes", hostTensor(Uint8Array.of(0, 1, 128, 200), [4]));
      const program = engine.compile(
        ({ bytes, by }) => {
          const numbers = bytesAsInt32(bytes!);
          return { bytes: int32AsBytes(tf.add(numbers, by!)), numbers: tf.cast(numbers, "float32") };
        },
        { bytes: { shape: [4], dtype: "uint8", role: "state" }, by: { shape: [4], dtype: "int32" } },
      );
      const run = async (...by: number[]) => [...(await program.run({ by: hostTensor(Int32Array.from(by), [4]) }))["numbers"]!.data];
      expect(await run(1, 2, 3, 55)).toEqual([0, 1, 128, 200]);
      expect(await run(0, 0, 0, 0)).toEqual([1, 3, 131, 255]);
      expect([...(await engine.fetch("bytes")).data]).toEqual([1, 3, 131, 255]);
    } finally {
      await engine.dispose();
    }
  });
});
