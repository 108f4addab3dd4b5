/** Which rows run together: products are faster with more rows in them, and take more memory. */
import { blocksOf } from "./blocks.js";
import { MASKED, type SequenceForm, type SequenceLayout, tokensSize } from "./sequenceInputs.js";

/** Rows of one run of a program. */
export interface Run {
  readonly form: SequenceForm;
  /** Their places among the rows that were asked for. */
  readonly rows: readonly number[];
}

/** Most rows of one run; every form of a program is a session of its own, and more win nothing. */
const MOST_ROWS = 4;

/**
 * How many rows run together so that they have about `tokens` tokens in all: one number for a data set, so that a run has one program.
 * @param batch rows of a micro-batch, beyond which none are there to join
 */
export function rowsPerRun(layouts: Iterable<SequenceLayout>, tokens: number, batch: number): number {
  let [count, sum] = [0, 0];
  for (const layout of layouts) {
    count++;
    sum += tokensSize(layout);
  }
  return Math.max(1, Math.min(MOST_ROWS, batch, Math.floor((tokens * count) / Math.max(1, sum))));
}

/** @param rows most rows of a run. Rows that stand under a mask run alone. */
export function planRuns(layouts: readonly SequenceLayout[], rows: number): Run[] {
  const runs: Run[] = [];
  const open = new Map<number, number[]>();
  for (const [i, layout] of layouts.entries()) {
    const blocks = blocksOf(layout)?.sizes.length;
    if (blocks === undefined) {
      runs.push({ form: MASKED, rows: [i] });
      continue;
    }
    const joined = open.get(blocks);
    if (joined !== undefined && joined.length < rows) {
      joined.push(i);
      continue;
    }
    const begun = [i];
    open.set(blocks, begun);
    runs.push({ form: { blocks: blocks as 2 | 3, rows }, rows: begun });
  }
  return runs;
}
