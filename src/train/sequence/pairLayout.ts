/**
 * A preference pair as one sequence, `prompt | chosen | rejected`: the prompt is computed once, both completions continue
 * it and do not see each other, and positions restart after the prompt. Gradients equal those of two sequences.
 */
import { type HostTensors, hostTensor } from "../../compile/index.js";
import type { Qwen2Config } from "../../model/index.js";
import type { TokenizedPair } from "../../text/index.js";
import { sequenceInputs } from "./sequenceInputs.js";

/** A sequence length T and a number of scored tokens C that one compiled program serves. */
export interface Bucket {
  readonly tokens: number;
  readonly scored: number;
}

/** Where the tokens of a pair stand. Arrays have one entry per token, without padding. */
export interface PairLayout {
  readonly ids: number[];
  readonly positions: number[];
  readonly segments: number[];
  /** The segment that a token's segment continues; −1 for none. */
  readonly parents: number[];
  /** For each scored token, the index of the token whose hidden state predicts it. */
  readonly sources: number[];
  readonly targets: number[];
  /** 1 where the scored token belongs to the rejected completion. */
  readonly rejected: (0 | 1)[];
  readonly chosenLength: number;
  readonly rejectedLength: number;
  /** Tokens of both sides as TRL counts them, prompt twice. */
  readonly attended: number;
}

export function layoutPair(pair: TokenizedPair): PairLayout {
  const shared = pair.chosen_prompt_start === pair.rejected_prompt_start;
  const layout: PairLayout = {
    ids: [],
    positions: [],
    segments: [],
    parents: [],
    sources: [],
    targets: [],
    rejected: [],
    chosenLength: pair.chosen_ids.length,
    rejectedLength: pair.rejected_ids.length,
    attended:
      2 * pair.prompt_ids.length -
      pair.chosen_prompt_start -
      pair.rejected_prompt_start +
      pair.chosen_ids.length +
      pair.rejected_ids.length,
  };
  const chosenPrompt = pair.prompt_ids.slice(pair.chosen_prompt_start);
  append(layout, chosenPrompt, 0, -1, 0);
  appendCompletion(layout, pair.chosen_ids, 1, 0, chosenPrompt.length - 1, chosenPrompt.length, 0);
  if (shared) {
    appendCompletion(layout, pair.rejected_ids, 2, 0, chosenPrompt.length - 1, chosenPrompt.length, 1);
  } else {
    // Cut at different places, the two sides saw different prompts: nothing can be shared.
    const rejectedPrompt = pair.prompt_ids.slice(pair.rejected_prompt_start);
    append(layout, rejectedPrompt, 3, -1, 0);
    appendCompletion(layout, pair.rejected_ids, 2, 3, layout.ids.length - 1, rejectedPrompt.length, 1);
  }
  return layout;
}

function append(layout: PairLayout, ids: readonly number[], segment: number, parent: number, position: number): void {
  ids.forEach((id, i) => {
    layout.ids.push(id);
    layout.positions.push(position + i);
    layout.segments.push(segment);
    layout.parents.push(parent);
  });
}

/** @param before index of the token that predicts the first one; its prompt may be empty, then the first token is not scored */
function appendCompletion(
  layout: PairLayout,
  ids: readonly number[],
  segment: number,
  parent: number,
  before: number,
  promptLength: number,
  rejected: 0 | 1,
): void {
  const first = layout.ids.length;
  append(layout, ids, segment, parent, promptLength);
  ids.forEach((id, i) => {
    if (i === 0 && promptLength === 0) return;
    layout.sources.push(i === 0 ? before : first + i - 1);
    layout.targets.push(id);
    layout.rejected.push(rejected);
  });
}

/** The layout as program inputs, padded to a bucket. */
export function pairInputs(layout: PairLayout, bucket: Bucket, config: Qwen2Config): HostTensors {
  const mask = (side: 0 | 1): Float32Array => {
    const array = new Float32Array(bucket.scored);
    layout.rejected.forEach((value, i) => void (array[i] = value === side ? 1 : 0));
    return array;
  };
  return {
    ...sequenceInputs(layout, bucket, config),
    chosen: hostTensor(mask(0), [bucket.scored]),
    rejected: hostTensor(mask(1), [bucket.scored]),
  };
}
