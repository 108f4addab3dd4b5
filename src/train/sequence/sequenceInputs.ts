/** A laid-out sequence as the tensors that programs take. */
import { type HostTensors, hostTensor, rotaryAngles } from "../../compile/index.js";
import type { Qwen2Config } from "../../model/index.js";
import type { Bucket } from "./pairLayout.js";

/** Where tokens stand and which are scored. The first four have one entry per token, the others one per scored token; no padding. */
export interface SequenceLayout {
  readonly ids: readonly number[];
  readonly positions: readonly number[];
  readonly segments: readonly number[];
  /** The segment that a token's segment continues; −1 for none. */
  readonly parents: readonly number[];
  /** For each scored token, the index of the token whose hidden state predicts it. */
  readonly sources: readonly number[];
  readonly targets: readonly number[];
}

/** Padding sees and is seen by nothing that counts. */
const PADDING_SEGMENT = -2;

/** The inputs of `sequenceSignature`, padded to a bucket. */
export function sequenceInputs(layout: SequenceLayout, { tokens, scored }: Bucket, config: Qwen2Config): HostTensors {
  const padded = (values: readonly number[], length: number, padding: number): Int32Array => {
    const array = new Int32Array(length).fill(padding);
    array.set(values);
    return array;
  };
  const { cos, sin } = rotaryAngles(padded(layout.positions, tokens, 0), config.head_dim, config.rope_theta);
  const half = config.head_dim / 2;
  return {
    ids: hostTensor(padded(layout.ids, tokens, 0), [tokens]),
    cos: hostTensor(cos, [tokens, half]),
    sin: hostTensor(sin, [tokens, half]),
    segments: hostTensor(padded(layout.segments, tokens, PADDING_SEGMENT), [tokens]),
    parents: hostTensor(padded(layout.parents, tokens, -1), [tokens]),
    sources: hostTensor(padded(layout.sources, scored, 0), [scored]),
    targets: hostTensor(padded(layout.targets, scored, 0), [scored]),
  };
}
