import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { FileTensor } from "../compile/fileTensors.js";
import { ModelError } from "../errors.js";
import { findRepeatedKey, nestingDepth } from "./jsonStructure.js";

/**
 * The safetensors format, reading side: 8 bytes little-endian header length, a JSON header, then the tensors' bytes without gaps.
 * A header is checked completely before anything is allocated or read for it, so that a damaged or hostile file is an error
 * that says what is wrong, never a crash. The rules are those of the reference implementation (huggingface/safetensors, `SafeTensors::read_metadata`).
 */

/** One tensor of a file, ready for `readFileTensor`. */
export interface TensorEntry extends FileTensor {
  readonly name: string;
  readonly dtype: TensorDtype;
}

export interface SafetensorsFile {
  readonly file: string;
  /** Tensors in the order of their bytes. */
  readonly tensors: Map<string, TensorEntry>;
  /** The `__metadata__` strings; empty when there are none. */
  readonly metadata: Record<string, string>;
}

/** Bits of one number, for every format the reference implementation knows; the order is its order of alignment. */
const DTYPE_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type TensorDtype = keyof typeof DTYPE_BITS;

/** The reference implementation's own limit. */
const LARGEST_HEADER = 100_000_000;
/** name → description → shape is three deep; a little room is left for what later writers may add. */
const DEEPEST_HEADER = 8;
const DAMAGED = "the file is damaged or not safetensors: fetch it again";

/** Reads and checks the header of one file.
 *  @throws ModelError `file_missing`, `file_unreadable`, `safetensors_truncated`, `safetensors_header`, `safetensors_metadata`,
 *  `safetensors_duplicate`, `safetensors_dtype`, `safetensors_shape`, `safetensors_offsets` */
export function readSafetensors(file: string): SafetensorsFile {
  let descriptor: number;
  try {
    descriptor = openSync(file, "r");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") {
      throw new ModelError("file_missing", `${file}: the file must exist, got nothing there; check the path`, { cause });
    }
    throw unreadable(file, cause);
  }
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile())
      throw new ModelError("file_unreadable", `${file}: a safetensors file must be a plain file, got a folder or device; check the path`);
    const fileBytes = status.size;
    if (fileBytes < 8) throw fail("safetensors_truncated", file, `the file must have at least 8 bytes, got ${fileBytes}`);
    const headerBytes = Number(readBytes(descriptor, file, 0, 8).readBigUInt64LE());
    requireHeaderLength(file, headerBytes, fileBytes);
    return parseSafetensorsHeader(readBytes(descriptor, file, 8, headerBytes), fileBytes, file);
  } catch (cause) {
    throw cause instanceof ModelError ? cause : unreadable(file, cause);
  } finally {
    closeSync(descriptor);
  }
}

/** Checks a header's bytes (without the length before them) against the size of the file they come from.
 *  @param fileBytes size of the whole file
 *  @throws ModelError as `readSafetensors` */
export function parseSafetensorsHeader(header: Uint8Array, fileBytes: number, file: string): SafetensorsFile {
  requireHeaderLength(file, header.length, fileBytes);
  const dataStart = 8 + header.length;
  const dataBytes = fileBytes - dataStart;
  const json = parseHeaderJson(header, file);
  const metadata = readMetadata(json.__metadata__, file);
  const tensors = Object.entries(json)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, description]) => readEntry(name, description, dataStart, dataBytes, file));
  // An empty tensor shares its offset with the next one and comes first.
  tensors.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  requireWithoutGaps(tensors, dataStart, dataBytes, file);
  return { file, metadata, tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])) };
}

/** The place of a format in the file: wider formats are stored first, so that all stay aligned. */
export function alignmentRank(dtype: TensorDtype): number {
  return -Object.keys(DTYPE_BITS).indexOf(dtype);
}

function requireHeaderLength(file: string, headerBytes: number, fileBytes: number): void {
  if (headerBytes > LARGEST_HEADER) {
    throw fail("safetensors_header", file, `the header must be at most ${LARGEST_HEADER} bytes long, got ${headerBytes}`);
  }
  if (headerBytes > fileBytes - 8) {
    throw fail(
      "safetensors_truncated",
      file,
      `the header must fit into the file, got a header of ${headerBytes} bytes in a file of ${fileBytes}`,
    );
  }
}

function parseHeaderJson(header: Uint8Array, file: string): Record<string, unknown> {
  if (header[0] !== 0x7b) {
    const got = header.length === 0 ? "an empty header" : `byte 0x${header[0]!.toString(16).padStart(2, "0")}`;
    throw fail("safetensors_header", file, `the header must begin with "{", got ${got}`);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(header);
  } catch {
    throw fail("safetensors_header", file, "the header must be UTF-8, got bytes that are not");
  }
  if (nestingDepth(text, DEEPEST_HEADER) > DEEPEST_HEADER) {
    throw fail("safetensors_header", file, `the header must nest at most ${DEEPEST_HEADER} levels deep, got more`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw fail("safetensors_header", file, `the header must be JSON, got an error at: ${shorten((cause as Error).message, 160)}`, cause);
  }
  // JSON.parse keeps the last of two equal keys without a word.
  const repeated = findRepeatedKey(text);
  if (repeated !== undefined)
    throw fail("safetensors_duplicate", file, `each name must occur once in the header, got ${quote(repeated)} twice`);
  return json as Record<string, unknown>;
}

function readMetadata(metadata: unknown, file: string): Record<string, string> {
  if (metadata === undefined) return {};
  if (!isObject(metadata)) throw fail("safetensors_metadata", file, `__metadata__ must be an object of strings, got ${show(metadata)}`);
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== "string")
      throw fail("safetensors_metadata", file, `__metadata__ must be an object of strings, got ${show(value)} for ${quote(key)}`);
  }
  return metadata as Record<string, string>;
}

function readEntry(name: string, description: unknown, dataStart: number, dataBytes: number, file: string): TensorEntry {
  const where = `tensor ${quote(name)}`;
  if (!isObject(description))
    throw fail("safetensors_header", file, `${where} must be an object with dtype, shape and data_offsets, got ${show(description)}`);
  const { dtype, shape, data_offsets: offsets } = description;
  if (typeof dtype !== "string" || !Object.hasOwn(DTYPE_BITS, dtype)) {
    throw fail("safetensors_dtype", file, `${where}: dtype must be one of ${Object.keys(DTYPE_BITS).join(", ")}, got ${show(dtype)}`);
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw fail("safetensors_shape", file, `${where}: shape must be a list of integers >= 0, got ${show(shape)}`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw fail("safetensors_offsets", file, `${where}: data_offsets must be two integers >= 0, got ${show(offsets)}`);
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes) {
    const advice = begin <= end ? "the file is cut short or damaged: fetch it again" : DAMAGED;
    throw new ModelError(
      "safetensors_offsets",
      `${file}: ${where}: data_offsets must rise within the ${dataBytes} bytes of data, got [${begin}, ${end}]; ${advice}`,
    );
  }
  const bits = DTYPE_BITS[dtype as TensorDtype];
  let count = 1;
  for (const size of shape) count *= size;
  if (!Number.isSafeInteger(count * bits)) {
    throw fail("safetensors_shape", file, `${where}: shape must multiply to a countable number, got ${show(shape)}`);
  }
  if (count * bits !== (end - begin) * 8) {
    throw fail(
      "safetensors_shape",
      file,
      `${where}: ${dtype} ${show(shape)} must take ${(count * bits) / 8} bytes, got ${end - begin} in data_offsets`,
    );
  }
  return { name, dtype: dtype as TensorDtype, shape: shape, file, offset: dataStart + begin, byteLength: end - begin };
}

function requireWithoutGaps(sorted: readonly TensorEntry[], dataStart: number, dataBytes: number, file: string): void {
  let expected = 0;
  let previous: TensorEntry | undefined;
  for (const tensor of sorted) {
    const begin = tensor.offset - dataStart;
    if (begin !== expected) {
      const after = previous === undefined ? "at byte 0" : `at byte ${expected}, where ${quote(previous.name)} ends`;
      const fault = begin < expected ? "overlaps" : "leaves a gap";
      throw fail("safetensors_offsets", file, `tensor ${quote(tensor.name)}: data must begin ${after}, got ${begin} (${fault})`);
    }
    expected = begin + tensor.byteLength;
    previous = tensor;
  }
  if (expected !== dataBytes) {
    throw fail("safetensors_offsets", file, `the tensors must fill all ${dataBytes} bytes of data, got tensors up to byte ${expected}`);
  }
}

function readBytes(descriptor: number, file: string, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const count = readSync(descriptor, bytes, done, length - done, position + done);
    if (count === 0)
      throw fail("safetensors_truncated", file, `the file must have at least ${position + length} bytes, got ${position + done}`);
    done += count;
  }
  return bytes;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function quote(name: string): string {
  return JSON.stringify(shorten(name, 120));
}

function show(value: unknown): string {
  return value === undefined ? "nothing" : shorten(JSON.stringify(value), 120);
}

function shorten(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest)}…`;
}

function unreadable(file: string, cause: unknown): ModelError {
  return new ModelError(
    "file_unreadable",
    `${file}: the file must be readable, got ${(cause as Error).message}; check its permissions and the disk`,
    { cause },
  );
}

function fail(code: string, file: string, rule: string, cause?: unknown): ModelError {
  return new ModelError(code, `${file}: ${rule}; ${DAMAGED}`, cause === undefined ? undefined : { cause });
}
