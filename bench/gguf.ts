/**
 * Writes a checkpoint as GGUF, the file format of llama.cpp, version 3 (ggml's docs/gguf.md), for comparing speeds with the same weights.
 * Matrices are Q8_0 or Q4_0 (embedding and head then Q8_0, as llama.cpp's own tool has them), the rest is F32. The tokenizer is a stand-in
 * that loads: ids mean nothing.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { readFileTensor } from "../src/compile/index.js";
import { float32ToFloat16 } from "../src/compile/fileTensors.js";
import { QUANT_BLOCK, quantiseBlocks } from "../src/compile/quantise/blockQuant.js";
import { type Checkpoint, type Qwen2Config, openCheckpoint } from "../src/model/index.js";

const ALIGNMENT = 32;
/** ggml_type */
const TENSOR_TYPE = { F32: 0, Q4_0: 2, Q8_0: 8 } as const;
type TensorType = keyof typeof TENSOR_TYPE;
/** gguf_metadata_value_type */
const VALUE_TYPE = { u32: 4, i32: 5, f32: 6, string: 8, array: 9 } as const;

/** llama.cpp's names by the end of the checkpoint's. */
const NAMES: readonly [RegExp, string][] = [
  [/^model\.embed_tokens\.weight$/, "token_embd.weight"],
  [/^model\.norm\.weight$/, "output_norm.weight"],
  [/^lm_head\.weight$/, "output.weight"],
  [/^model\.layers\.(\d+)\.self_attn\.([qkv])_proj\.(weight|bias)$/, "blk.$1.attn_$2.$3"],
  [/^model\.layers\.(\d+)\.self_attn\.o_proj\.weight$/, "blk.$1.attn_output.weight"],
  [/^model\.layers\.(\d+)\.mlp\.(gate|up|down)_proj\.weight$/, "blk.$1.ffn_$2.weight"],
  [/^model\.layers\.(\d+)\.input_layernorm\.weight$/, "blk.$1.attn_norm.weight"],
  [/^model\.layers\.(\d+)\.post_attention_layernorm\.weight$/, "blk.$1.ffn_norm.weight"],
];

/** @param dir a checkpoint in Hugging Face's layout @param file the `.gguf` file to make */
export async function writeGguf(dir: string, file: string, type: "Q8_0" | "Q4_0"): Promise<void> {
  const checkpoint = await openCheckpoint(dir);
  const tensors = [...checkpoint.tensors].map(([name, entry]) => {
    const isTable = name === "model.embed_tokens.weight" || name === "lm_head.weight";
    const kind: TensorType = entry.shape.length === 1 ? "F32" : isTable ? "Q8_0" : type;
    return { name: ggufName(name), entry, kind, bytes: tensorBytes(entry.shape, kind) };
  });
  const out = openSync(file, "w");
  try {
    let length = 0;
    const write = (bytes: Uint8Array): void => {
      for (let done = 0; done < bytes.length;) done += writeSync(out, bytes, done);
      length += bytes.length;
    };
    const pad = (): void => write(new Uint8Array((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT));
    write(header(checkpoint, tensors));
    pad();
    for (const { entry, kind } of tensors) {
      write(encoded(readFileTensor(entry), kind));
      pad();
    }
  } finally {
    closeSync(out);
  }
}

function ggufName(name: string): string {
  const [pattern, to] = NAMES.find(([candidate]) => candidate.test(name))!;
  return name.replace(pattern, to);
}

function tensorBytes(shape: readonly number[], kind: TensorType): number {
  const numbers = shape.reduce((product, size) => product * size, 1);
  return kind === "F32" ? 4 * numbers : (numbers / QUANT_BLOCK) * (2 + (kind === "Q8_0" ? 32 : 16));
}

interface TensorPlace {
  readonly name: string;
  readonly entry: { readonly shape: readonly number[] };
  readonly kind: TensorType;
  readonly bytes: number;
}

function header({ config }: Checkpoint, tensors: readonly TensorPlace[]): Uint8Array {
  const writer = new Writer();
  const metadata = metadataOf(config);
  writer.raw(new TextEncoder().encode("GGUF"));
  writer.u32(3);
  writer.u64(tensors.length);
  writer.u64(metadata.length);
  for (const [key, value] of metadata) {
    writer.string(key);
    writer.value(value);
  }
  let offset = 0;
  for (const { name, entry, kind, bytes } of tensors) {
    writer.string(name);
    writer.u32(entry.shape.length);
    // The fastest axis is first.
    for (const size of [...entry.shape].reverse()) writer.u64(size);
    writer.u32(TENSOR_TYPE[kind]);
    writer.u64(offset);
    offset += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  }
  return writer.bytes();
}

type Value = { u32: number } | { f32: number } | { string: string } | { strings: readonly string[] } | { i32s: readonly number[] };

function metadataOf(config: Qwen2Config): [string, Value][] {
  const size = config.vocab_size;
  return [
    ["general.architecture", { string: "qwen2" }],
    ["general.name", { string: "random" }],
    ["qwen2.block_count", { u32: config.num_hidden_layers }],
    ["qwen2.context_length", { u32: config.max_position_embeddings }],
    ["qwen2.embedding_length", { u32: config.hidden_size }],
    ["qwen2.feed_forward_length", { u32: config.intermediate_size }],
    ["qwen2.attention.head_count", { u32: config.num_attention_heads }],
    ["qwen2.attention.head_count_kv", { u32: config.num_key_value_heads }],
    ["qwen2.attention.layer_norm_rms_epsilon", { f32: config.rms_norm_eps }],
    ["qwen2.rope.freq_base", { f32: config.rope_theta }],
    ["tokenizer.ggml.model", { string: "gpt2" }],
    ["tokenizer.ggml.pre", { string: "qwen2" }],
    ["tokenizer.ggml.tokens", { strings: Array.from({ length: size }, (_, id) => BYTES[id] ?? `t${id}`) }],
    // 1 is a normal token, 3 a control token.
    ["tokenizer.ggml.token_type", { i32s: Array.from({ length: size }, (_, id) => (id < size - 1 ? 1 : 3)) }],
    ["tokenizer.ggml.merges", { strings: [`${BYTES[0]} ${BYTES[1]}`] }],
    ["tokenizer.ggml.bos_token_id", { u32: size - 1 }],
    ["tokenizer.ggml.eos_token_id", { u32: size - 1 }],
  ];
}

/** The 256 bytes as byte-level BPE writes them: printable ones as themselves, the others from U+0100 on. */
const BYTES: readonly string[] = (() => {
  const printable = (byte: number): boolean => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : 256 + others++));
})();

function encoded(values: Float32Array, kind: TensorType): Uint8Array {
  if (kind === "F32") return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bits = kind === "Q8_0" ? 8 : 4;
  const blocks = values.length / QUANT_BLOCK;
  const size = (QUANT_BLOCK * bits) / 8;
  const codes = new Uint8Array(blocks * size);
  const scales = new Float32Array(blocks);
  quantiseBlocks(values, bits, { codes, scales });
  const halves = new Uint16Array(blocks);
  float32ToFloat16(scales, halves);
  const bytes = new Uint8Array(blocks * (2 + size));
  const nibble = (block: number, i: number): number => (codes[block * size + (i >> 1)]! >> (4 * (i & 1))) & 15;
  for (let block = 0; block < blocks; block++) {
    const at = block * (2 + size);
    bytes[at] = halves[block]! & 255;
    bytes[at + 1] = halves[block]! >> 8;
    for (let i = 0; i < size; i++)
      // Signed bytes; or the first 16 numbers in the low halves of the bytes, the others in the high ones.
      bytes[at + 2 + i] = bits === 8 ? codes[block * size + i]! - 128 : nibble(block, i) | (nibble(block, i + 16) << 4);
  }
  return bytes;
}

class Writer {
  readonly #parts: Uint8Array[] = [];

  raw(bytes: Uint8Array): void {
    this.#parts.push(bytes);
  }
  u32(value: number): void {
    this.raw(new Uint8Array(Uint32Array.of(value).buffer));
  }
  u64(value: number): void {
    this.raw(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }
  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.raw(bytes);
  }
  value(value: Value): void {
    if ("u32" in value) {
      this.u32(VALUE_TYPE.u32);
      this.u32(value.u32);
    } else if ("f32" in value) {
      this.u32(VALUE_TYPE.f32);
      this.raw(new Uint8Array(Float32Array.of(value.f32).buffer));
    } else if ("string" in value) {
      this.u32(VALUE_TYPE.string);
      this.string(value.string);
    } else if ("strings" in value) {
      this.#array(VALUE_TYPE.string, value.strings.length);
      for (const text of value.strings) this.string(text);
    } else {
      this.#array(VALUE_TYPE.i32, value.i32s.length);
      this.raw(new Uint8Array(Int32Array.from(value.i32s).buffer));
    }
  }
  #array(type: number, length: number): void {
    this.u32(VALUE_TYPE.array);
    this.u32(type);
    this.u64(length);
  }
  bytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}
