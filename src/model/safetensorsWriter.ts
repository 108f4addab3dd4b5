import { open, type FileHandle } from "node:fs/promises";
import { bytesOf, float32ToBfloat16, float32ToFloat16, FLOAT_DTYPE_BYTES, type FloatDtype } from "../compile/fileTensors.js";
import { ModelError } from "../errors.js";
import { alignmentRank } from "./safetensors.js";

/** A tensor that a file will hold. */
export interface TensorPlan {
  readonly name: string;
  readonly shape: readonly number[];
  /** The format on disk. For floats values are given as float32 and rounded, ties to even; for U8 as bytes. */
  readonly dtype: FloatDtype | "U8";
}

/** Bytes of a tensor in its file. */
export function plannedBytes({ shape, dtype }: TensorPlan): number {
  const length = shape.reduce((product, size) => product * size, 1);
  return length * (dtype === "U8" ? 1 : FLOAT_DTYPE_BYTES[dtype]);
}

interface PlannedTensor extends TensorPlan {
  readonly offset: number;
  readonly length: number;
}

/** Numbers rounded at a time. */
const BLOCK = 1 << 18;

/**
 * Writes one safetensors file as its tensors come, in any order, never holding more than one of them. All names and shapes are known
 * beforehand, so the header is written first and each tensor goes straight to its place: the same content gives the same bytes,
 * and they are the bytes Python's safetensors writes.
 */
export class SafetensorsWriter {
  readonly #handle: FileHandle;
  readonly #pending: Map<string, PlannedTensor>;
  readonly file: string;

  private constructor(file: string, handle: FileHandle, pending: Map<string, PlannedTensor>) {
    this.file = file;
    this.#handle = handle;
    this.#pending = pending;
  }

  /** Creates the file (over an older one) and writes the header. End with `close` or `abandon`.
   *  @param metadata strings for `__metadata__`; the default is what transformers asks for
   *  @throws ModelError `safetensors_duplicate` */
  static async create(
    file: string,
    plans: readonly TensorPlan[],
    metadata: Record<string, string> = { format: "pt" },
  ): Promise<SafetensorsWriter> {
    const { header, tensors } = layOut(file, plans, metadata);
    const handle = await open(file, "w");
    const writer = new SafetensorsWriter(file, handle, tensors);
    try {
      await writer.#put(header, 0);
    } catch (cause) {
      await handle.close();
      throw cause;
    }
    return writer;
  }

  /** Writes one tensor's values, row-major: bytes for U8, else float32.
   *  @throws ModelError `tensor_unknown` for a name not planned or written before, `tensor_size`, `tensor_dtype`, `float16_overflow` */
  async write(name: string, values: Float32Array | Uint8Array): Promise<void> {
    const tensor = this.#pending.get(name);
    if (tensor === undefined) {
      throw new ModelError(
        "tensor_unknown",
        `${this.file}: a tensor must be planned and be written once, got ${name}; check the list given to the writer`,
      );
    }
    if (values.length !== tensor.length) {
      throw new ModelError(
        "tensor_size",
        `${this.file}: ${name} [${tensor.shape.join(", ")}] must have ${tensor.length} numbers, got ${values.length}; check the shape`,
      );
    }
    const isBytes = values instanceof Uint8Array;
    if (isBytes !== (tensor.dtype === "U8")) {
      const [wanted, got] = isBytes ? ["float32", "bytes"] : ["bytes", "float32"];
      throw new ModelError(
        "tensor_dtype",
        `${this.file}: ${name} is planned as ${tensor.dtype} and must be given as ${wanted}, got ${got}`,
      );
    }
    if (isBytes) await this.#put(values, tensor.offset);
    else if (tensor.dtype === "F32") await this.#put(bytesOf(values), tensor.offset);
    else await this.#putRounded(tensor, values);
    this.#pending.delete(name);
  }

  /** Ends the file; its bytes are on the disk afterwards. @throws ModelError `tensors_missing` when a planned tensor was not written */
  async close(): Promise<void> {
    try {
      if (this.#pending.size > 0) {
        const names = [...this.#pending.keys()];
        throw new ModelError(
          "tensors_missing",
          `${this.file}: every planned tensor must be written, got none for ${names.slice(0, 5).join(", ")}${names.length > 5 ? ` and ${names.length - 5} more` : ""}; write them before close`,
        );
      }
      await this.#handle.sync();
    } finally {
      await this.#handle.close();
    }
  }

  /** Ends without a whole file, after an error. */
  async abandon(): Promise<void> {
    await this.#handle.close();
  }

  async #putRounded(tensor: PlannedTensor, values: Float32Array): Promise<void> {
    const block = new Uint16Array(Math.min(BLOCK, values.length));
    for (let done = 0; done < values.length; done += block.length) {
      const source = values.subarray(done, Math.min(done + block.length, values.length));
      const rounded = block.subarray(0, source.length);
      if (tensor.dtype === "BF16") {
        float32ToBfloat16(source, rounded);
      } else if (float32ToFloat16(source, rounded) > 0) {
        throw new ModelError(
          "float16_overflow",
          `${this.file}: ${tensor.name} must stay below 65520 to be stored as F16, got a larger number; use BF16 or F32`,
        );
      }
      await this.#put(bytesOf(rounded), tensor.offset + done * 2);
    }
  }

  async #put(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, done, Math.min(bytes.length - done, 1 << 30), position + done);
      done += bytesWritten;
    }
  }
}

/** Header bytes (length prefix included) and the absolute place of each tensor. */
function layOut(
  file: string,
  plans: readonly TensorPlan[],
  metadata: Record<string, string>,
): { header: Buffer; tensors: Map<string, PlannedTensor> } {
  const sorted = [...plans].sort(
    (a, b) => alignmentRank(a.dtype) - alignmentRank(b.dtype) || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
  const json: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0)
    json.__metadata__ = Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1)));
  const relative = new Map<string, PlannedTensor>();
  let end = 0;
  for (const plan of sorted) {
    if (relative.has(plan.name) || plan.name === "__metadata__") {
      throw new ModelError(
        "safetensors_duplicate",
        `${file}: each tensor must have a name of its own, got ${plan.name} twice or reserved; rename it`,
      );
    }
    const length = plan.shape.reduce((product, size) => product * size, 1);
    const begin = end;
    end += plannedBytes(plan);
    json[plan.name] = { dtype: plan.dtype, shape: plan.shape, data_offsets: [begin, end] };
    relative.set(plan.name, { ...plan, offset: begin, length });
  }
  const text = Buffer.from(JSON.stringify(json));
  // Spaces after the JSON keep the data on a multiple of 8 bytes.
  const header = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, " ");
  header.writeBigUInt64LE(BigInt(header.length - 8));
  text.copy(header, 8);
  const tensors = new Map([...relative].map(([name, tensor]) => [name, { ...tensor, offset: tensor.offset + header.length }]));
  return { header, tensors };
}
