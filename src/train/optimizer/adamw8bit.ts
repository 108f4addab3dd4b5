/**
 * AdamW with both means in 8 bits (arXiv:2110.02861, bitsandbytes' AdamW8bit): each update is computed in float32 from the decoded
 * means, which are then coded again in blocks of 256. As with transformers, embeddings and small tensors keep float32 means.
 * Differences from bitsandbytes: the weight decays before the update, as in torch, and a mean is coded as the nearest number, also
 * where that is 0.
 */
import { BlockCodec, type CodedBlocks, type Engine, type TensorMap, tf } from "../../compile/index.js";
import type { CausalLM } from "../../model/index.js";
import { AdamW, type AdamOptions } from "./adamw.js";
import type { Member, Slot } from "./groupedOptimizer.js";
import { type OptimizerKind, sizeOf } from "./optimizer.js";

const BLOCK = 256;
/** bitsandbytes' min_8bit_size. */
const SMALLEST_CODED = 4096;

export class AdamW8bit extends AdamW {
  override readonly kind: OptimizerKind = "adamw8bit";

  static override async create(engine: Engine, model: CausalLM, options: AdamOptions, groupElements?: number): Promise<AdamW8bit> {
    return new AdamW8bit(engine, model, options).begin(groupElements);
  }

  protected override slots(name: string, shape: readonly number[]): Slot[] {
    const size = sizeOf(shape);
    if (size < SMALLEST_CODED || name.endsWith("embed_tokens.weight")) return super.slots(name, shape);
    const blocks = Math.ceil(size / BLOCK);
    return ["mean", "square"].flatMap((slot): Slot[] => [
      { slot: `${slot}_codes`, shape: [blocks, BLOCK], dtype: "uint8" },
      { slot: `${slot}_absmax`, shape: [blocks], dtype: "float32" },
    ]);
  }

  protected override updated(member: Member): { weight: tf.Tensor } & TensorMap {
    const { shape, weight, gradient, state } = member;
    if (state["mean_codes"] === undefined) return super.updated(member);
    const [means, squares] = [new BlockCodec(true), new BlockCodec(false)];
    const blocks = inBlocks(gradient, sizeOf(shape));
    const mean = this.newMean(means.decode(coded("mean", state)), blocks) as tf.Tensor2D;
    const square = this.newSquare(squares.decode(coded("square", state)), blocks) as tf.Tensor2D;
    const change = outOfBlocks(this.change(mean, square, member), shape);
    return {
      weight: tf.sub(this.decayed(weight, member), change),
      ...slotsOf("mean", means.encode(mean)),
      ...slotsOf("square", squares.encode(square)),
    };
  }
}

function coded(slot: string, state: TensorMap): CodedBlocks {
  return { codes: state[`${slot}_codes`] as tf.Tensor2D, absmax: state[`${slot}_absmax`] as tf.Tensor1D };
}

function slotsOf(slot: string, { codes, absmax }: CodedBlocks): TensorMap {
  return { [`${slot}_codes`]: codes, [`${slot}_absmax`]: absmax };
}

/** Row-major in rows of a block, zeros at the end. */
function inBlocks(tensor: tf.Tensor, size: number): tf.Tensor2D {
  const missing = (BLOCK - (size % BLOCK)) % BLOCK;
  const flat = tf.reshape(tensor, [size]);
  return tf.reshape(missing === 0 ? flat : tf.pad(flat, [[0, missing]]), [-1, BLOCK]);
}

function outOfBlocks(blocks: tf.Tensor, shape: readonly number[]): tf.Tensor {
  const size = sizeOf(shape);
  const flat = tf.reshape(blocks, [-1]);
  return tf.reshape(flat.size === size ? flat : tf.slice(flat, [0], [size]), [...shape]);
}
