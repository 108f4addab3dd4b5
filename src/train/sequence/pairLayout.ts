/**
 * A preference pair as one sequence, `prompt | chosen | rejected`: the prompt is computed once, both completions continue
 * it and do not see each other, and positions restart after the prompt. Gradients equal those of two sequences.
 */
import { type HostTensor, type HostTensors, hostTensor } from "../../compile/index.js";
import type { Qwen2Config } from "../../model/index.js";
import type { TokenizedPair } from "../../text/index.js";
import { type SequenceForm, scoredSize, sequenceInputs } from "./sequenceInputs.js";

/** Where the tokens of a pair stand. Arrays have one entry per token, without padding. */
export interface PairLayout {
  readonly ids: number[];
  readonly positions: number[];
  readonly segments: number[];
  /** The segment that a token's segment continues; −1 for none. */
  readonly parents: number[];
  /** For each scored token, the index of the token whose hidden state predicts it: completions, then the chosen prompt if wanted. */
  readonly sources: number[];
  readonly targets: number[];
  /** For each scored token of a completion: 1 where it belongs to the rejected one. */
  readonly rejected: (0 | 1)[];
  readonly chosenLength: number;
  readonly rejectedLength: number;
  /** Tokens of both sides as TRL counts them, prompt twice. */
  readonly attended: number;
}

/** What a loss looks at beside the plain log-probs of a pair's completions. */
export interface PairParts {
  /** LD-DPO: the weight of tokens beyond the length of the shorter completion; null for 1 */
  readonly ldAlpha: number | null;
  /** WPO's weights */
  readonly weights: boolean;
  /** Whether the chosen prompt is scored too */
  readonly prompt: boolean;
}

/** The log-probs of the completions and nothing else. */
export const NO_PARTS: PairParts = { ldAlpha: null, weights: false, prompt: false };

/** @param prompt whether the tokens of the chosen prompt are scored too */
export function layoutPair(pair: TokenizedPair, prompt = false): PairLayout {
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
  if (prompt) {
    chosenPrompt.slice(1).forEach((id, i) => {
      layout.sources.push(i);
      layout.targets.push(id);
    });
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

/** How many tokens of a pair have a log-prob. */
interface ScoredTokens {
  readonly chosen: number;
  readonly rejected: number;
  /** Of the chosen prompt. */
  readonly prompt: number;
}

export function scoredTokens({ sources, rejected }: PairLayout): ScoredTokens {
  const ofRejected = rejected.reduce<number>((count, side) => count + side, 0);
  return { chosen: rejected.length - ofRejected, rejected: ofRejected, prompt: sources.length - rejected.length };
}

/** LD-DPO, arXiv:2409.06411: 1 for the first tokens of both completions, as many as the shorter has, and alpha for the rest. */
function tokenWeights(layout: PairLayout, alpha: number): number[] {
  const tokens = scoredTokens(layout);
  const shared = Math.min(tokens.chosen, tokens.rejected);
  const seen = [0, 0];
  return layout.sources.map((_, i) => {
    const side = layout.rejected[i];
    return side === undefined || ++seen[side]! <= shared ? 1 : alpha;
  });
}

/** The R layouts of a run as program inputs: the sequences, and which scored tokens belong to which side of which row, [R, C] of 0 and 1. */
export function pairInputs(
  layouts: readonly PairLayout[],
  form: SequenceForm,
  config: Qwen2Config,
  { ldAlpha, prompt }: PairParts = NO_PARTS,
): HostTensors {
  const scored = scoredSize(layouts);
  /** @param belongs of the i-th scored token of a layout */
  const mask = (belongs: (layout: PairLayout, i: number) => boolean): HostTensor => {
    const array = new Float32Array(layouts.length * scored);
    let begin = 0;
    for (const [row, layout] of layouts.entries()) {
      layout.sources.forEach((_, i) => void (array[row * scored + begin + i] = belongs(layout, i) ? 1 : 0));
      begin += layout.sources.length;
    }
    return hostTensor(array, [layouts.length, scored]);
  };
  const inputs: Record<string, HostTensor> = {};
  if (ldAlpha !== null) {
    const weights = new Float32Array(scored);
    weights.set(layouts.flatMap((layout) => tokenWeights(layout, ldAlpha)));
    inputs["tokenWeights"] = hostTensor(weights, [scored]);
  }
  if (prompt) inputs["prompt"] = mask(({ rejected }, i) => i >= rejected.length);
  return {
    ...inputs,
    ...sequenceInputs(layouts, form, config),
    chosen: mask(({ rejected }, i) => rejected[i] === 0),
    rejected: mask(({ rejected }, i) => rejected[i] === 1),
  };
}
