/** Laid-out sequences as the tensors that programs take. */
import { type HostTensors, type InputSpec, hostTensor } from "../../compile/index.js";
import { type CausalLM, type Qwen2Config, positionAngles } from "../../model/index.js";
import { type Blocks, blocksOf } from "./blocks.js";

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

/** How a program takes its sequences: several, each as this many blocks (blocks.ts); or one of any kind under a mask, with 0 blocks. */
export interface SequenceForm {
  readonly blocks: 0 | 2 | 3;
  readonly rows: number;
}

export const MASKED: SequenceForm = { blocks: 0, rows: 1 };

/** The name of the input that carries the token ids of a block of a row. */
export function idsName(row: number, block: number): string {
  return `ids.${row}.${block}`;
}

/** The names of the lengths of all blocks, row by row. */
function lengthNames({ blocks, rows }: SequenceForm): string[][] {
  return Array.from({ length: rows }, (_, row) => Array.from({ length: blocks }, (_, block) => `T${row}.${block}`));
}

/** How many tokens a program computes, as a dimension of a signature. */
export function tokensDimension(form: SequenceForm): string {
  return form.blocks === 0 ? "T" : lengthNames(form).flat().join("+");
}

/** The model's weights and the sequences with C scored tokens in all, bound by each run. */
export function sequenceSignature(model: CausalLM, form: SequenceForm): Record<string, InputSpec> {
  const half = model.config.head_dim / 2;
  const tokens = tokensDimension(form);
  const ints = (shape: string): InputSpec => ({ shape: [shape], dtype: "int32" });
  const ids = lengthNames(form).flatMap((names, row) => names.map((name, block): [string, InputSpec] => [idsName(row, block), ints(name)]));
  const places: Record<string, InputSpec> =
    form.blocks === 0 ? { ids: ints("T"), segments: ints("T"), parents: ints("T") } : Object.fromEntries(ids);
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
  if (inputs["segments"] !== undefined) return MASKED;
  let rows = 0;
  while (inputs[idsName(rows, 0)] !== undefined) rows++;
  return { blocks: inputs[idsName(0, 2)] === undefined ? 2 : 3, rows };
}

/** All token ids of a program's inputs, shape [T]. */
export function sequenceIds(inputs: HostTensors): HostTensors[string] {
  const form = formOf(inputs);
  if (form.blocks === 0) return inputs["ids"]!;
  const ids: number[] = [];
  for (let row = 0; row < form.rows; row++)
    for (let block = 0; block < form.blocks; block++) ids.push(...(inputs[idsName(row, block)]!.data as Int32Array));
  return hostTensor(Int32Array.from(ids), [ids.length]);
}

/** C: the scored tokens of layouts; 1 where there is none, since no operator takes empty tensors. */
export function scoredSize(layouts: readonly SequenceLayout[]): number {
  return Math.max(
    1,
    layouts.reduce((sum, { sources }) => sum + sources.length, 0),
  );
}

/** How many tokens a program computes of a layout. */
export function tokensSize(layout: SequenceLayout): number {
  return blocksOf(layout)?.tokens.length ?? layout.ids.length;
}

/** What stands in for a row where a run has fewer than its program: one token a block, none scored. */
function filler(blocks: number): Pick<Blocks, "sizes"> & { readonly ids: number[]; readonly positions: number[] } {
  const zeros = Array<number>(blocks).fill(0);
  return { sizes: zeros.map(() => 1), ids: zeros, positions: zeros };
}

/** Tokens that are computed for a program of `rows` rows of `blocks` blocks beside those of the given ones. */
export function fillerTokens({ blocks, rows }: SequenceForm, given: number): number {
  return blocks * (rows - given);
}

/**
 * The inputs of `sequenceSignature`.
 * @param layouts at most as many as the form has rows, all of its number of blocks; the rest is filled
 */
export function sequenceInputs(layouts: readonly SequenceLayout[], form: SequenceForm, config: Qwen2Config): HostTensors {
  return form.blocks === 0 ? maskedInputs(layouts[0]!, config) : blockInputs(layouts, form, config);
}

function maskedInputs(layout: SequenceLayout, config: Qwen2Config): HostTensors {
  return {
    ids: ints(layout.ids),
    segments: ints(layout.segments),
    parents: ints(layout.parents),
    ...positionAngles(config, layout.positions),
    ...scores(layout.sources, layout.targets),
  };
}

function blockInputs(layouts: readonly SequenceLayout[], form: SequenceForm, config: Qwen2Config): HostTensors {
  const inputs: Record<string, HostTensors[string]> = {};
  const positions: number[] = [];
  const sources: number[] = [];
  // States are counted from each sequence's last prompt token on, one sequence after the other.
  let states = 0;
  for (let row = 0; row < form.rows; row++) {
    const layout = layouts[row];
    const found = layout && blocksOf(layout)!;
    const given =
      found === undefined
        ? filler(form.blocks)
        : {
            ...found,
            ids: found.tokens.map((token) => layout!.ids[token]!),
            positions: found.tokens.map((token) => layout!.positions[token]!),
          };
    let begin = 0;
    for (const [block, size] of given.sizes.entries()) inputs[idsName(row, block)] = ints(given.ids.slice(begin, (begin += size)));
    positions.push(...given.positions);
    if (found !== undefined) sources.push(...found.sources.map((source) => states + source));
    states += begin - given.sizes[0]! + 1;
  }
  const targets = layouts.flatMap((layout) => layout.targets);
  return { ...inputs, ...positionAngles(config, positions), ...scores(sources, targets) };
}

function scores(sources: readonly number[], targets: readonly number[]): HostTensors {
  return sources.length === 0 ? { sources: ints([0]), targets: ints([0]) } : { sources: ints(sources), targets: ints(targets) };
}

function ints(values: readonly number[]): HostTensors[string] {
  return hostTensor(Int32Array.from(values), [values.length]);
}
