/** Laid-out sequences as the tensors that programs take. */
import { type HostTensors, type InputSpec, hostTensor } from "../../compile/index.js";
import { type CausalLM, type Qwen2Config, positionAngles } from "../../model/index.js";
import { blocksOf, neededTokens } from "./blocks.js";

/** Where tokens stand and which are scored. The first four have one entry per token, the others one per scored token. */
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

/** How a program takes its sequences: one as this many blocks (blocks.ts); or 0, any of them side by side, under a mask. */
export type SequenceForm = 0 | 2 | 3;

/** The name of the input that carries a block's token ids. */
export function idsName(block: number): string {
  return `ids.${block}`;
}

/** How many tokens a program computes, as a dimension of a signature. */
export function tokensDimension(form: SequenceForm): string {
  return form === 0 ? "T" : Array.from({ length: form }, (_, i) => `T${i}`).join("+");
}

/** The model's weights and sequences with C scored tokens, bound by each run. */
export function sequenceSignature(model: CausalLM, form: SequenceForm): Record<string, InputSpec> {
  const half = model.config.head_dim / 2;
  const tokens = tokensDimension(form);
  const ints = (shape: string): InputSpec => ({ shape: [shape], dtype: "int32" });
  const places: Record<string, InputSpec> =
    form === 0
      ? { ids: ints("T"), segments: ints("T"), parents: ints("T"), wanted: ints("W") }
      : Object.fromEntries(Array.from({ length: form }, (_, i) => [idsName(i), ints(`T${i}`)]));
  return {
    ...model.signature(),
    ...places,
    cos: { shape: [tokens, half] },
    sin: { shape: [tokens, half] },
    sources: ints("C"),
    targets: ints("C"),
  };
}

/** The form of a program's inputs. */
export function formOf(inputs: HostTensors): SequenceForm {
  if (inputs["segments"] !== undefined) return 0;
  return inputs[idsName(2)] === undefined ? 2 : 3;
}

/** All token ids of a program's inputs, shape [T]. */
export function sequenceIds(inputs: HostTensors): HostTensors[string] {
  const form = formOf(inputs);
  if (form === 0) return inputs["ids"]!;
  const ids = Array.from({ length: form }, (_, i) => [...(inputs[idsName(i)]!.data as Int32Array)]).flat();
  return hostTensor(Int32Array.from(ids), [ids.length]);
}

/** C: the scored tokens of layouts; 1 where there is none, since no operator takes empty tensors. */
export function scoredSize(layouts: readonly SequenceLayout[]): number {
  return Math.max(1, scoredTokens(layouts));
}

function scoredTokens(layouts: readonly SequenceLayout[]): number {
  return layouts.reduce((sum, { sources }) => sum + sources.length, 0);
}

/** The sizes of a program's inputs for these layouts: of `sequenceSignature`, and R of the rows. */
export function sequenceSizes(layouts: readonly SequenceLayout[], form: SequenceForm): Record<string, number> {
  const common = { C: scoredSize(layouts), R: layouts.length };
  if (form !== 0) return { ...common, ...Object.fromEntries(blocksOf(layouts[0]!)!.sizes.map((size, i) => [`T${i}`, size])) };
  const sum = (of: (layout: SequenceLayout) => number): number => layouts.reduce((total, layout) => total + of(layout), 0);
  return {
    ...common,
    T: sum((layout) => neededTokens(layout).length),
    W: Math.max(
      1,
      sum(({ sources }) => new Set(sources).size),
    ),
  };
}

/** The tokens of a layout that a program computes, by index. */
export function computedTokens(layout: SequenceLayout, form: SequenceForm): readonly number[] {
  return form === 0 ? neededTokens(layout) : blocksOf(layout)!.tokens;
}

/**
 * The inputs of `sequenceSignature`.
 * @param layouts one for a form of blocks, which it must have; any number under a mask
 */
export function sequenceInputs(layouts: readonly SequenceLayout[], form: SequenceForm, config: Qwen2Config): HostTensors {
  return form === 0 ? maskedInputs(layouts, config) : blockInputs(layouts[0]!, config);
}

function blockInputs(layout: SequenceLayout, config: Qwen2Config): HostTensors {
  const { sizes, tokens, sources } = blocksOf(layout)!;
  const ids = tokens.map((token) => layout.ids[token]!);
  let begin = 0;
  return {
    ...Object.fromEntries(sizes.map((size, i) => [idsName(i), ints(ids.slice(begin, (begin += size)))])),
    ...positionAngles(
      config,
      tokens.map((token) => layout.positions[token]!),
    ),
    sources: ints(sources),
    targets: ints(layout.targets),
  };
}

/** Side by side: segments are numbered on, so that no sequence sees another. */
function maskedInputs(layouts: readonly SequenceLayout[], config: Qwen2Config): HostTensors {
  const [ids, positions, segments, parents, wanted, sources]: number[][] = [[], [], [], [], [], []];
  let firstSegment = 0;
  for (const layout of layouts) {
    const places = new Map<number, number>();
    for (const token of neededTokens(layout)) {
      places.set(token, ids!.length);
      ids!.push(layout.ids[token]!);
      positions!.push(layout.positions[token]!);
      segments!.push(firstSegment + layout.segments[token]!);
      parents!.push(layout.parents[token]! < 0 ? -1 : firstSegment + layout.parents[token]!);
    }
    const states = new Map<number, number>();
    for (const source of [...new Set(layout.sources)].sort((a, b) => a - b)) {
      states.set(source, wanted!.length);
      wanted!.push(places.get(source)!);
    }
    sources!.push(...layout.sources.map((source) => states.get(source)!));
    firstSegment += layout.segments.reduce((most, segment) => Math.max(most, segment), 0) + 1;
  }
  const some = (values: readonly number[]): readonly number[] => (values.length === 0 ? [0] : values);
  return {
    ids: ints(ids!),
    segments: ints(segments!),
    parents: ints(parents!),
    wanted: ints(some(wanted!)),
    ...positionAngles(config, positions!),
    sources: ints(some(sources!)),
    targets: ints(some(layouts.flatMap(({ targets }) => targets))),
  };
}

function ints(values: readonly number[]): HostTensors[string] {
  return hostTensor(Int32Array.from(values), [values.length]);
}
