/** A laid-out sequence as the tensors that programs take. */
import { type HostTensors, type InputSpec, hostTensor } from "../../compile/index.js";
import { type CausalLM, type Qwen2Config, positionAngles } from "../../model/index.js";
import { blocksOf } from "./blocks.js";

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

/** How a program takes a sequence: as this many blocks (blocks.ts), or 0 for any sequence, under a mask. */
export type SequenceForm = 0 | 2 | 3;

/** The name of the input that carries a block's token ids. */
export function idsName(block: number): string {
  return `ids.${block}`;
}

/** How many tokens a program computes, as a dimension of a signature. */
export function tokensDimension(form: SequenceForm): string {
  return form === 0 ? "T" : Array.from({ length: form }, (_, i) => `T${i}`).join("+");
}

/** The model's weights and one sequence with C scored tokens, bound by each run. */
export function sequenceSignature(model: CausalLM, form: SequenceForm): Record<string, InputSpec> {
  const half = model.config.head_dim / 2;
  const tokens = tokensDimension(form);
  const ints = (shape: string): InputSpec => ({ shape: [shape], dtype: "int32" });
  const places: Record<string, InputSpec> =
    form === 0
      ? { ids: ints("T"), segments: ints("T"), parents: ints("T") }
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

/** C: the scored tokens of a layout; 1 where there is none, since no operator takes empty tensors. */
export function scoredSize({ sources }: SequenceLayout): number {
  return Math.max(1, sources.length);
}

/** How many tokens a program computes of a layout. */
export function tokensSize(layout: SequenceLayout): number {
  return blocksOf(layout)?.tokens.length ?? layout.ids.length;
}

/** The inputs of `sequenceSignature`, in the form that fits the layout best. */
export function sequenceInputs(layout: SequenceLayout, config: Qwen2Config): HostTensors {
  const blocks = blocksOf(layout);
  const tokens = blocks?.tokens ?? layout.ids.map((_, i) => i);
  const scored = scoredSize(layout);
  const ints = (values: readonly number[], length = values.length): HostTensors[string] => {
    const array = new Int32Array(length);
    array.set(values);
    return hostTensor(array, [length]);
  };
  const ids = tokens.map((token) => layout.ids[token]!);
  let begin = 0;
  const places =
    blocks === undefined
      ? { ids: ints(ids), segments: ints(layout.segments), parents: ints(layout.parents) }
      : Object.fromEntries(blocks.sizes.map((size, i) => [idsName(i), ints(ids.slice(begin, (begin += size)))]));
  return {
    ...places,
    ...positionAngles(
      config,
      tokens.map((token) => layout.positions[token]!),
    ),
    sources: ints(blocks?.sources ?? layout.sources, scored),
    targets: ints(layout.targets, scored),
  };
}
