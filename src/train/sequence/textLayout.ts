/** A text, or several that were packed, as one sequence in which some tokens are to be predicted. */
import { type HostTensors, hostTensor } from "../../compile/index.js";
import type { Qwen2Config } from "../../model/index.js";
import { IGNORED_LABEL } from "../../text/index.js";
import { type SequenceForm, type SequenceLayout, scoredSize, sequenceInputs } from "./sequenceInputs.js";

/**
 * @param ids all tokens @param labels for each token itself: what is to be predicted there, or −100
 * @param lengths of the segments one after the other: each sees only itself, its positions count from 0, and its first token is
 *   not predicted, since nothing stands before it
 */
export function layoutText(ids: readonly number[], labels: readonly number[], lengths: readonly number[]): SequenceLayout {
  const positions: number[] = [];
  const segments: number[] = [];
  const sources: number[] = [];
  const targets: number[] = [];
  lengths.forEach((length, segment) => {
    for (let i = 0; i < length; i++) {
      const at = positions.length;
      if (i > 0 && labels[at] !== IGNORED_LABEL) {
        sources.push(at - 1);
        targets.push(labels[at]!);
      }
      positions.push(i);
      segments.push(segment);
    }
  });
  return { ids, positions, segments, parents: ids.map(() => -1), sources, targets };
}

/** The layouts of a run as inputs of a text program. @param weight of every scored token in the loss */
export function textInputs(layouts: readonly SequenceLayout[], form: SequenceForm, config: Qwen2Config, weight: number): HostTensors {
  const scored = scoredSize(layouts);
  const count = layouts.reduce((sum, { sources }) => sum + sources.length, 0);
  const weights = new Float32Array(scored).fill(weight, 0, count);
  return { ...sequenceInputs(layouts, form, config), weights: hostTensor(weights, [scored]) };
}
