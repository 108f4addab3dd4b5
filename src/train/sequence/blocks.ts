/**
 * A sequence as blocks that each continue the first: `prompt | chosen | rejected`, or `prompt | completion`. Then attention multiplies what is
 * visible only, the last layer computes what is scored only, and one program serves all lengths (compile/anySize.ts).
 */
import type { SequenceLayout } from "./sequenceInputs.js";

export interface Blocks {
  /** Tokens of each block, at least 1 each. */
  readonly sizes: readonly number[];
  /** The tokens that are computed, by their index in the layout: a block's last token is left out when it predicts nothing. */
  readonly tokens: readonly number[];
  /** For each scored token, which state predicts it, counted from the last token of the first block. */
  readonly sources: readonly number[];
}

/**
 * undefined for what stands differently: packed texts, prompts that are not shared or empty, prompts that are scored too. The mask
 * of `blockMask` serves those, and several sequences at once.
 */
export function blocksOf(layout: SequenceLayout): Blocks | undefined {
  if (layout.sources.length === 0) return undefined;
  const bounds = blockBounds(layout);
  if (bounds === undefined) return undefined;
  const sizes = bounds.map(({ begin, end }, i) => (i === 0 ? end - begin : computed(layout, begin, end)));
  const pivot = bounds[0]!.end - 1;
  if (sizes.includes(0) || layout.sources.some((source) => source < pivot)) return undefined;
  const tokens = bounds.flatMap(({ begin }, i) => Array.from({ length: sizes[i]! }, (_, k) => begin + k));
  const place = new Map(tokens.map((token, i) => [token, i - pivot]));
  return { sizes, tokens, sources: layout.sources.map((source) => place.get(source)!) };
}

interface Bounds {
  readonly begin: number;
  readonly end: number;
}

function blockBounds({ segments, parents, sources }: SequenceLayout): Bounds[] | undefined {
  const begins = segments.map((_, i) => i).filter((i) => i === 0 || segments[i] !== segments[i - 1]);
  if (parents[0] !== -1) return undefined;
  if (begins.length === 1) {
    // One text: the first block ends with the first token that predicts something.
    const end = sources.reduce((least, source) => Math.min(least, source), Infinity) + 1;
    return [
      { begin: 0, end },
      { begin: end, end: segments.length },
    ];
  }
  if (begins.length > 3 || begins.slice(1).some((begin) => parents[begin] !== segments[0])) return undefined;
  return begins.map((begin, i) => ({ begin, end: begins[i + 1] ?? segments.length }));
}

/** Tokens of a later block up to the last that predicts something; one if none does. */
function computed({ sources }: SequenceLayout, begin: number, end: number): number {
  const last = sources.reduce((latest, source) => (source >= begin && source < end ? Math.max(latest, source) : latest), begin);
  return Math.min(end, last + 1) - begin;
}

/** The tokens of any layout that something is predicted from, by index: all of a segment that others continue, of the others those up to the last source, at least one. */
export function neededTokens({ segments, parents, sources }: SequenceLayout): number[] {
  const continued = new Set(parents);
  const last = new Map<number, number>();
  for (const source of sources) last.set(segments[source]!, Math.max(source, last.get(segments[source]!) ?? 0));
  return [...segments.keys()].filter((i) => {
    const isFirst = i === 0 || segments[i] !== segments[i - 1];
    return isFirst || continued.has(segments[i]!) || i <= (last.get(segments[i]!) ?? -1);
  });
}
