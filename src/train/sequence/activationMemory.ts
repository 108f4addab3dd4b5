/** How many layers are computed again in the backward pass (gradient checkpointing), so that the activations of a run keep within a limit. */
import { ConfigError } from "../../errors.js";
import type { CausalLM } from "../../model/index.js";
import type { TrainingOptions } from "../options/trainingConfig.js";
import type { GradientProgram } from "../optimizer/gradientSums.js";
import { blocksOf, neededTokens } from "./blocks.js";
import { formOfRow } from "./runs.js";
import type { SequenceForm, SequenceLayout } from "./sequenceInputs.js";

type LimitOptions = Pick<
  TrainingOptions,
  "gradient_checkpointing" | "activation_memory_limit" | "tokens_per_run" | "per_device_train_batch_size"
>;

/** A training row. */
interface Row {
  readonly layout: SequenceLayout;
  /** For errors: file and row. */
  readonly origin: string;
}

/** Rows that may run together, and take most of their kind. */
interface LargeRun {
  readonly layouts: readonly SequenceLayout[];
  readonly form: SequenceForm;
  readonly origin: string;
}

const GB = 1e9;
const MB = 1e6;

/**
 * @param rows all training rows @param trainer for messages
 * @param programOf the gradient program with so many layers recomputed
 * @throws ConfigError `activation_memory` when even all layers are not enough
 */
export function recomputedLayers(
  trainer: string,
  model: CausalLM,
  args: LimitOptions,
  rows: Iterable<Row>,
  programOf: (recompute: number) => Pick<GradientProgram, "liveBytes">,
): number {
  const layers = model.config.num_hidden_layers;
  if (args.gradient_checkpointing) return layers;
  if (args.activation_memory_limit === null) return 0;
  const limit = args.activation_memory_limit * GB;
  const runs = largeRuns(model, args, rows);
  const needed = (recompute: number): { bytes: number; origin: string } => {
    const program = programOf(recompute);
    return runs
      .map(({ layouts, form, origin }) => ({ bytes: program.liveBytes(layouts, form) ?? 0, origin }))
      .reduce((most, one) => (one.bytes > most.bytes ? one : most), { bytes: 0, origin: "" });
  };
  const none = needed(0);
  if (none.bytes <= limit) return 0;
  const all = needed(layers);
  if (all.bytes > limit)
    throw new ConfigError(
      "activation_memory",
      `${trainer}: activation_memory_limit must be at least ${Math.ceil(all.bytes / MB) / 1e3} for ${all.origin}, whose activations take that with all ${layers} layers computed again, got ${args.activation_memory_limit}; raise it, or shorten the rows with max_length`,
    );
  // Each layer more takes about as much off.
  let chosen = Math.min(layers, Math.max(1, Math.ceil((layers * (none.bytes - limit)) / (none.bytes - all.bytes))));
  let found = needed(chosen);
  while (found.bytes > limit) found = needed(++chosen);
  console.log(
    `${trainer}: ${chosen} of ${layers} layers are computed again in the backward pass: the activations of ${found.origin} take ${gigabytes(found.bytes)} GB instead of ${gigabytes(none.bytes)} GB`,
  );
  return chosen;
}

function gigabytes(bytes: number): string {
  return (bytes / GB).toPrecision(3);
}

/** The row of each form that takes most, and the largest rows that run side by side. */
function largeRuns(model: CausalLM, { tokens_per_run, per_device_train_batch_size }: LimitOptions, rows: Iterable<Row>): LargeRun[] {
  const { hidden_size, intermediate_size, num_attention_heads } = model.config;
  const cost = ({ tokens, seen }: Extent): number => tokens * (2 * intermediate_size + 4 * hidden_size) + num_attention_heads * seen;
  const largest = new Map<SequenceForm, { row: Row; cost: number }>();
  const short: { row: Row; tokens: number }[] = [];
  for (const row of rows) {
    // Rows make their layout at each look.
    const { layout } = row;
    const form = formOfRow(layout);
    const extent = extentOf(layout);
    if (cost(extent) > (largest.get(form)?.cost ?? -1)) largest.set(form, { row, cost: cost(extent) });
    if (extent.tokens < tokens_per_run) short.push({ row, tokens: extent.tokens });
  }
  const runs = [...largest].map(([form, { row }]) => ({ layouts: [row.layout], form, origin: row.origin }));
  const together: Row[] = [];
  let room = tokens_per_run;
  for (const { row, tokens } of short.sort((a, b) => b.tokens - a.tokens)) {
    if (together.length === per_device_train_batch_size) break;
    if (tokens > room) continue;
    together.push(row);
    room -= tokens;
  }
  if (together.length < 2) return runs;
  const origin = `${together.length} rows that run together, ${together[0]!.origin} the largest`;
  return [...runs, { layouts: together.map(({ layout }) => layout), form: 0, origin }];
}

/** How many tokens a row has, and how many of them all its tokens see. */
interface Extent {
  readonly tokens: number;
  readonly seen: number;
}

function extentOf(layout: SequenceLayout): Extent {
  const sizes = blocksOf(layout)?.sizes;
  const tokens = neededTokens(layout).length;
  if (sizes === undefined) return { tokens, seen: tokens * tokens };
  return { tokens, seen: sizes.reduce((sum, size, block) => sum + size * (block === 0 ? size : sizes[0]! + size), 0) };
}
