/** Whether an engine adds products of 8-bit codes up exactly. */
import type { Engine } from "./engine.js";
import { int8MatMul } from "./fused/int8MatMul.js";
import { hostTensor } from "./hostTensor.js";
import { INT8_LARGEST } from "./quantise/int8.js";
import type { tf } from "./tensorflow.js";

const [TOKENS, ROWS, COLUMNS] = [8, 32, 64];

/**
 * Multiplies the largest codes. Processors with AVX2 but without VNNI (AMD before Zen 4, Intel before Ice Lake and Alder Lake) add two products up
 * in 16 bits, where they do not fit; ONNX Runtime 1.30 uses that instruction for uint8 by int8, and its sums are silently too small. uint8 by
 * uint8 goes another way.
 */
export async function hasExactInt8(engine: Engine): Promise<boolean> {
  const program = engine.compile(
    ({ x, codes, absmax }) => ({
      y: int8MatMul(x as tf.Tensor2D, { codes: codes as tf.Tensor2D, absmax: absmax as tf.Tensor1D }),
    }),
    { x: { shape: [TOKENS, COLUMNS] }, codes: { shape: [COLUMNS, ROWS], dtype: "int8" }, absmax: { shape: [ROWS] } },
    { name: "int8 check" },
  );
  try {
    const { y } = await program.run({
      x: hostTensor(new Float32Array(TOKENS * COLUMNS).fill(1), [TOKENS, COLUMNS]),
      codes: hostTensor(new Int8Array(COLUMNS * ROWS).fill(INT8_LARGEST), [COLUMNS, ROWS]),
      absmax: hostTensor(new Float32Array(ROWS).fill(1), [ROWS]),
    });
    return y!.data.every((sum) => Math.abs(sum - COLUMNS) < 1e-3);
  } finally {
    await program.dispose();
  }
}
