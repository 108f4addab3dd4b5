import { closeSync, openSync, readSync } from "node:fs";
import { endianness } from "node:os";
import { ModelError } from "../errors.js";

/**
 * Tensors that lie in a file as plain little-endian bytes, and the three float formats checkpoints use.
 * Knows nothing of headers or names: whoever parsed them says where the bytes are. Runs in any thread, without TensorFlow.js.
 */
export interface FileTensor {
  /** Path of the file that holds the bytes. */
  readonly file: string;
  /** Absolute offset of the first byte in the file. */
  readonly offset: number;
  readonly byteLength: number;
  /** Name of the number format as in safetensors: "F32", "F16", "BF16". */
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** Number formats that are read as, and written from, float32. */
export type FloatDtype = "F32" | "F16" | "BF16";

/** Bytes of one number. */
export const FLOAT_DTYPE_BYTES: Readonly<Record<FloatDtype, number>> = { F32: 4, F16: 2, BF16: 2 };

export function isFloatDtype(dtype: string): dtype is FloatDtype {
  return Object.hasOwn(FLOAT_DTYPE_BYTES, dtype);
}

/** One conversion block. It stays in the second-level cache between the read and the widening. */
const CHUNK_BYTES = 1 << 18;
/** Made once per thread: fresh memory costs a page fault for every 4 KiB. */
let chunk: Uint16Array | undefined;
/** `read` takes at most 2^31 - 1 bytes. */
const LARGEST_READ = 1 << 30;

/** Reads a whole tensor as float32; F16 and BF16 are widened exactly.
 *  @param target optional array of exactly as many numbers to read into; a new one is made without it
 *  @returns the target, row-major
 *  @throws ModelError `tensor_dtype`, `tensor_size`, `file_missing`, `file_truncated`, `file_unreadable` */
export function readFileTensor(tensor: FileTensor, target?: Float32Array): Float32Array {
  const { file, shape } = tensor;
  const { dtype, length } = requireFloats(tensor);
  if (target !== undefined && target.length !== length) {
    throw new ModelError(
      "tensor_size",
      `${file}: the array for [${shape.join(", ")}] must hold ${length} numbers, got ${target.length}; pass one of that length`,
    );
  }
  requireLittleEndian();
  const values = target ?? new Float32Array(length);
  if (dtype === "F32") {
    readFileBytes(tensor, bytesOf(values));
    return values;
  }
  const widen = dtype === "BF16" ? bfloat16ToFloat32 : float16ToFloat32;
  withFile(file, (descriptor) => {
    const block = (chunk ??= new Uint16Array(CHUNK_BYTES / 2));
    for (let done = 0; done < length; done += block.length) {
      const part = block.subarray(0, Math.min(block.length, length - done));
      readExactly(descriptor, bytesOf(part), tensor, done * 2);
      widen(part, values.subarray(done, done + part.length));
    }
  });
  return values;
}

/** Reads a tensor as float32 part by part, in row-major order.
 *  @param numbers length of all parts but the last; each part is overwritten by the next
 *  @throws ModelError as `readFileTensor` */
export function* readFileTensorParts(tensor: FileTensor, numbers: number): Generator<Float32Array> {
  const { dtype, length } = requireFloats(tensor);
  const bytes = FLOAT_DTYPE_BYTES[dtype];
  const part = new Float32Array(Math.min(numbers, length));
  for (let start = 0; start < length; start += numbers) {
    const count = Math.min(numbers, length - start);
    const place = { ...tensor, shape: [count], offset: tensor.offset + start * bytes, byteLength: count * bytes };
    yield readFileTensor(place, part.subarray(0, count));
  }
}

function requireFloats({ file, dtype, shape, byteLength }: FileTensor): { dtype: FloatDtype; length: number } {
  if (!isFloatDtype(dtype)) {
    throw new ModelError(
      "tensor_dtype",
      `${file}: a weight must be stored as ${Object.keys(FLOAT_DTYPE_BYTES).join(", ")}, got ${dtype}; convert the checkpoint`,
    );
  }
  const length = shape.reduce((product, size) => product * size, 1);
  if (length * FLOAT_DTYPE_BYTES[dtype] !== byteLength) {
    throw new ModelError(
      "tensor_size",
      `${file}: ${dtype} [${shape.join(", ")}] must take ${length * FLOAT_DTYPE_BYTES[dtype]} bytes, got ${byteLength}; the header is wrong`,
    );
  }
  return { dtype, length };
}

/** Reads a tensor's bytes as they are, whatever its format.
 *  @param target optional array of exactly `byteLength` bytes
 *  @throws ModelError `tensor_size`, `file_missing`, `file_truncated`, `file_unreadable` */
export function readFileBytes(tensor: Pick<FileTensor, "file" | "offset" | "byteLength">, target?: Uint8Array): Uint8Array {
  const { file, byteLength } = tensor;
  if (target !== undefined && target.length !== byteLength) {
    throw new ModelError("tensor_size", `${file}: the array must hold ${byteLength} bytes, got ${target.length}; pass one of that length`);
  }
  const bytes = target ?? new Uint8Array(byteLength);
  withFile(file, (descriptor) => readExactly(descriptor, bytes, tensor, 0));
  return bytes;
}

/** Widens bfloat16 bits to float32, exactly. @param target as long as the source */
export function bfloat16ToFloat32(source: Uint16Array, target: Float32Array): void {
  const bits = new Int32Array(target.buffer, target.byteOffset, target.length);
  const pairs = pairsOf(source);
  // Two numbers to a read and eight to a round: 1.7 times as fast as one by one.
  const rounds = pairs.length & ~3;
  for (let i = 0, to = 0; i < rounds; i += 4, to += 8) {
    const a = pairs[i]!;
    const b = pairs[i + 1]!;
    const c = pairs[i + 2]!;
    const d = pairs[i + 3]!;
    bits[to] = a << 16;
    bits[to + 1] = a & HIGH_HALF;
    bits[to + 2] = b << 16;
    bits[to + 3] = b & HIGH_HALF;
    bits[to + 4] = c << 16;
    bits[to + 5] = c & HIGH_HALF;
    bits[to + 6] = d << 16;
    bits[to + 7] = d & HIGH_HALF;
  }
  for (let i = 2 * rounds; i < source.length; i++) bits[i] = source[i]! << 16;
}

/** Widens IEEE half-precision bits to float32, exactly (subnormals, infinities and NaN included). @param target as long as the source */
export function float16ToFloat32(source: Uint16Array, target: Float32Array): void {
  const table = halfTable();
  const bits = new Int32Array(target.buffer, target.byteOffset, target.length);
  const pairs = pairsOf(source);
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i]!;
    bits[2 * i] = table[pair & 0xffff]!;
    bits[2 * i + 1] = table[pair >>> 16]!;
  }
  for (let i = 2 * pairs.length; i < source.length; i++) bits[i] = table[source[i]!]!;
}

const HIGH_HALF = -0x10000;

/** The numbers two at a time, the first in the low half; none where they do not lie so, and without an odd last one. */
function pairsOf(source: Uint16Array): Int32Array {
  const paired = endianness() === "LE" && source.byteOffset % 4 === 0;
  return new Int32Array(source.buffer, paired ? source.byteOffset : 0, paired ? source.length >> 1 : 0);
}

/** Rounds float32 to bfloat16 bits, ties to even, as PyTorch does. NaN stays NaN. @param target as long as the source */
export function float32ToBfloat16(source: Float32Array, target: Uint16Array): void {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i]!;
    // Rounding a NaN up could carry into the exponent and give infinity or zero.
    target[i] = (value & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (value + 0x7fff + ((value >>> 16) & 1)) >>> 16;
  }
}

/** Rounds float32 to IEEE half-precision bits, ties to even. Beyond 65,504 it becomes infinity; NaN stays NaN.
 *  @param target as long as the source
 *  @returns how many finite numbers became infinity */
export function float32ToFloat16(source: Float32Array, target: Uint16Array): number {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  const scratch = new Float32Array(1);
  const scratchBits = new Uint32Array(scratch.buffer);
  let overflows = 0;
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i]!;
    const sign = (value >>> 16) & 0x8000;
    const magnitude = value & 0x7fffffff;
    if (magnitude >= 0x477ff000) {
      // From 65,520 on, the nearest half is infinity.
      if (magnitude < 0x7f800000) overflows++;
      target[i] = sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
    } else if (magnitude < 0x38800000) {
      // Below 2^-14 halves are multiples of 2^-24, the spacing of float32 just above 0.5: adding 0.5 does the rounding.
      scratch[0] = Math.abs(source[i]!) + 0.5;
      target[i] = sign | (scratchBits[0]! - 0x3f000000);
    } else {
      target[i] = sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13);
    }
  }
  return overflows;
}

/** The bytes behind a typed array, without a copy. */
export function bytesOf(array: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

let halves: Int32Array | undefined;

/** float32 bits of each of the 65,536 halves (256 KiB, made on first use). */
function halfTable(): Int32Array {
  if (halves !== undefined) return halves;
  const table = new Int32Array(0x10000);
  const scratch = new Float32Array(1);
  const scratchBits = new Uint32Array(scratch.buffer);
  for (let half = 0; half < 0x10000; half++) {
    const sign = (half & 0x8000) << 16;
    const exponent = (half >>> 10) & 31;
    const mantissa = half & 0x3ff;
    if (exponent === 31) {
      table[half] = sign | 0x7f800000 | (mantissa << 13);
    } else {
      scratch[0] = exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25);
      table[half] = sign | scratchBits[0]!;
    }
  }
  halves = table;
  return table;
}

function requireLittleEndian(): void {
  if (endianness() !== "LE") {
    throw new ModelError(
      "big_endian",
      `fileTensors: this machine must be little-endian, got ${endianness()}; checkpoints are little-endian and are not swapped here`,
    );
  }
}

function withFile(file: string, use: (descriptor: number) => void): void {
  let descriptor: number;
  try {
    descriptor = openSync(file, "r");
  } catch (cause) {
    throw unreadable(file, cause);
  }
  try {
    use(descriptor);
  } catch (cause) {
    throw cause instanceof ModelError ? cause : unreadable(file, cause);
  } finally {
    closeSync(descriptor);
  }
}

function unreadable(file: string, cause: unknown): ModelError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === "ENOENT")
    return new ModelError("file_missing", `${file}: the file must exist, got nothing there; check the path`, { cause });
  return new ModelError("file_unreadable", `${file}: the file must be readable, got ${message}; check its permissions and the disk`, {
    cause,
  });
}

function readExactly(
  descriptor: number,
  bytes: Uint8Array,
  tensor: Pick<FileTensor, "file" | "offset" | "byteLength">,
  start: number,
): void {
  let done = 0;
  while (done < bytes.length) {
    const count = readSync(descriptor, bytes, done, Math.min(bytes.length - done, LARGEST_READ), tensor.offset + start + done);
    if (count === 0) {
      const needed = tensor.offset + tensor.byteLength;
      const got = tensor.offset + start + done;
      throw new ModelError(
        "file_truncated",
        `${tensor.file}: the file must have at least ${needed} bytes, got ${got}; it changed since it was opened, load it again`,
      );
    }
    done += count;
  }
}
