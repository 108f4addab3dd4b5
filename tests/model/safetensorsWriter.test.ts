import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readFileBytes, readFileTensor } from "../../src/compile/fileTensors.js";
import { readSafetensors } from "../../src/model/safetensors.js";
import { SafetensorsWriter } from "../../src/model/safetensorsWriter.js";
import { Random } from "../../src/random.js";

const golden = new URL("../golden/", import.meta.url).pathname;
let dir: string;
beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), "preflab-writer-"))));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("writing", () => {
  test("golden files are reproduced byte for byte, whatever the order of writing", async () => {
    for (const name of ["tiny-qwen2/model.safetensors", "bf16/model-00001-of-00002.safetensors", "lora_final/adapter_model.safetensors"]) {
      const { tensors } = readSafetensors(join(golden, name));
      const file = join(dir, "copy.safetensors");
      const entries = new Random(1).shuffle([...tensors.values()]);
      const writer = await SafetensorsWriter.create(
        file,
        entries.map(({ name, shape, dtype }) => ({ name, shape, dtype: dtype as "F32" | "BF16" })),
      );
      for (const entry of new Random(2).shuffle(entries)) await writer.write(entry.name, readFileTensor(entry));
      await writer.close();
      expect(readFileSync(file).equals(readFileSync(join(golden, name)))).toBe(true);
    }
  });

  test("mixed formats, odd sizes: aligned, and read back exactly", async () => {
    const file = join(dir, "mixed.safetensors");
    const plans = [
      { name: "half", shape: [3], dtype: "F16" as const },
      { name: "bf", shape: [1, 5], dtype: "BF16" as const },
      { name: "full", shape: [2, 3], dtype: "F32" as const },
      { name: "none", shape: [0], dtype: "F32" as const },
    ];
    const values: Record<string, number[]> = {
      half: [1, -2.5, 65504],
      bf: [1, 2, 3, 0.5, -1.5],
      full: [1e-30, -0, 3, 4, 5, 6.7],
      none: [],
    };
    const writer = await SafetensorsWriter.create(file, plans, {});
    for (const { name } of plans) await writer.write(name, new Float32Array(values[name]!));
    await writer.close();
    const { tensors, metadata } = readSafetensors(file);
    expect(metadata).toEqual({});
    expect([...tensors.keys()]).toEqual(
      ["full", "none", "bf", "half"].sort(
        (a, b) => tensors.get(a)!.offset - tensors.get(b)!.offset || tensors.get(a)!.byteLength - tensors.get(b)!.byteLength,
      ),
    );
    expect(tensors.get("full")!.offset % 8).toBe(0);
    for (const [name, entry] of tensors) expect([...readFileTensor(entry)]).toEqual([...new Float32Array(values[name]!)]);
    expect(statSync(file).size).toBe(tensors.get("half")!.offset + 6);
  });

  test("bytes stay bytes, after the wider formats", async () => {
    const file = join(dir, "bytes.safetensors");
    const plans = [
      { name: "codes", shape: [2, 3], dtype: "U8" as const },
      { name: "scales", shape: [2], dtype: "F32" as const },
    ];
    const writer = await SafetensorsWriter.create(file, plans, {});
    await expect(writer.write("codes", new Float32Array(6))).rejects.toMatchObject({
      code: "tensor_dtype",
      message: `${file}: codes is planned as U8 and must be given as bytes, got float32`,
    });
    await expect(writer.write("scales", new Uint8Array(2))).rejects.toMatchObject({
      code: "tensor_dtype",
      message: `${file}: scales is planned as F32 and must be given as float32, got bytes`,
    });
    await writer.write("codes", Uint8Array.of(0, 1, 127, 128, 254, 255));
    await writer.write("scales", Float32Array.of(0.5, -2));
    await writer.close();
    const { tensors } = readSafetensors(file);
    expect([...tensors.keys()]).toEqual(["scales", "codes"]);
    expect(tensors.get("codes")).toMatchObject({ dtype: "U8", shape: [2, 3], byteLength: 6 });
    expect([...readFileBytes(tensors.get("codes")!)]).toEqual([0, 1, 127, 128, 254, 255]);
    expect([...readFileTensor(tensors.get("scales")!)]).toEqual([0.5, -2]);
  });

  test("what may not be written", async () => {
    const file = join(dir, "refused.safetensors");
    const plan = { name: "a", shape: [2], dtype: "F16" as const };
    await expect(SafetensorsWriter.create(file, [plan, plan])).rejects.toMatchObject({ code: "safetensors_duplicate" });
    const writer = await SafetensorsWriter.create(file, [plan, { ...plan, name: "b" }]);
    await expect(writer.write("c", new Float32Array(2))).rejects.toMatchObject({ code: "tensor_unknown" });
    await expect(writer.write("a", new Float32Array(3))).rejects.toMatchObject({
      code: "tensor_size",
      message: `${file}: a [2] must have 2 numbers, got 3; check the shape`,
    });
    await expect(writer.write("a", new Float32Array([1, 70000]))).rejects.toMatchObject({
      code: "float16_overflow",
      message: `${file}: a must stay below 65520 to be stored as F16, got a larger number; use BF16 or F32`,
    });
    await writer.write("a", new Float32Array([1, Infinity]));
    await expect(writer.write("a", new Float32Array(2))).rejects.toMatchObject({ code: "tensor_unknown" });
    await expect(writer.close()).rejects.toMatchObject({
      code: "tensors_missing",
      message: `${file}: every planned tensor must be written, got none for b; write them before close`,
    });
  });
});
