/** Which rows run together: one graph serves all of them side by side, and products of few rows do not use the machine well. */
import { type HostTensor, hostTensor, tf } from "../../compile/index.js";
import type { Random } from "../../random.js";
import { blocksOf, neededTokens } from "./blocks.js";
import type { DrawnRow } from "./dropout.js";
import { type SequenceForm, type SequenceLayout, computedTokens } from "./sequenceInputs.js";

/** Rows of one run of a program. */
export interface Run {
  readonly form: SequenceForm;
  /** Their places among the rows that were asked for; several stand under a mask. */
  readonly rows: readonly number[];
}

/**
 * Each row joins the run before it while that keeps within `tokens`. A row that is alone runs as blocks where it can.
 * @param tokens most tokens of a run of several rows; 0 for one row a run
 */
export function planRuns(layouts: readonly SequenceLayout[], tokens: number): Run[] {
  const runs: number[][] = [];
  let sum = 0;
  for (const [row, layout] of layouts.entries()) {
    const size = neededTokens(layout).length;
    const last = runs.at(-1);
    if (last !== undefined && sum + size <= tokens) {
      last.push(row);
      sum += size;
    } else {
      runs.push([row]);
      sum = size;
    }
  }
  return runs.map((rows) => ({ form: rows.length > 1 ? 0 : formOfRow(layouts[rows[0]!]!), rows }));
}

/** How a row runs that is alone. */
export function formOfRow(layout: SequenceLayout): SequenceForm {
  return (blocksOf(layout)?.sizes.length ?? 0) as SequenceForm;
}

/** What random numbers are drawn for: each row has a stream of its own, whatever it runs with. @param layouts of all rows @param name of the streams */
export function drawnRows({ form, rows }: Run, layouts: readonly SequenceLayout[], random: Random, name: string): DrawnRow[] {
  return rows.map((row) => ({ tokens: computedTokens(layouts[row]!, form).length, random: random.fork(`${name} ${row}`) }));
}

/** One number a row, shape [R]. */
export function rowInput({ rows }: Run, of: (row: number) => number): HostTensor {
  return hostTensor(Float32Array.from(rows, of), [rows.length]);
}

/**
 * For every row the sum of its values. A product, since the gradient of TensorFlow.js' sum fills an array of the mask's size, also when it is traced.
 * @param values shape [C] @param mask shape [R, C], weights of the values in each row's sum @returns shape [R]
 */
export function rowSums(values: tf.Tensor, mask: tf.Tensor): tf.Tensor1D {
  const [rows, count] = mask.shape as [number, number];
  return tf.reshape(tf.matMul(mask as tf.Tensor2D, tf.reshape(values, [count, 1])), [rows]);
}
