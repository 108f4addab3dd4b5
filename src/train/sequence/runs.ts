/** Which rows run together: products are faster with more rows in them, and take more memory. */
import { type HostTensor, type HostTensors, hostTensor } from "../../compile/index.js";
import { blocksOf } from "./blocks.js";
import { MASKED, type SequenceForm, type SequenceLayout } from "./sequenceInputs.js";

/** Rows of one run of a program. */
export interface Run {
  /** Has places for at least as many rows. */
  readonly form: SequenceForm;
  /** Their places among the rows that were asked for. */
  readonly rows: readonly number[];
}

/** How many rows a program may have places for: few, since each is a program of its own. */
const PLACES = [1, 2, 4] as const;
const MOST_ROWS = PLACES.at(-1)!;

/**
 * Each row joins the run before it while the run keeps within `tokens`; the sequences that stand under a mask run alone.
 * @param tokens most tokens of a run of several rows; 0 for one row a run
 */
export function planRuns(layouts: readonly SequenceLayout[], tokens: number): Run[] {
  const runs: { blocks: 0 | 2 | 3; rows: number[]; tokens: number }[] = [];
  const open = new Map<number, (typeof runs)[number]>();
  for (const [i, layout] of layouts.entries()) {
    const found = blocksOf(layout);
    const size = found?.tokens.length ?? layout.ids.length;
    const blocks = (found?.sizes.length ?? 0) as 0 | 2 | 3;
    const joined = open.get(blocks);
    if (joined !== undefined && joined.rows.length < MOST_ROWS && joined.tokens + size <= tokens) {
      joined.rows.push(i);
      joined.tokens += size;
      continue;
    }
    const begun = { blocks, rows: [i], tokens: size };
    runs.push(begun);
    if (blocks !== 0) open.set(blocks, begun);
  }
  return runs.map(({ blocks, rows }) => ({
    form: blocks === 0 ? MASKED : { blocks, rows: PLACES.find((places) => places >= rows.length)! },
    rows,
  }));
}

/** One number a row, shape [rows of the form]. @param filler for places without a row */
export function rowInput({ form, rows }: Run, of: (row: number) => number, filler = 0): HostTensor {
  const values = new Float32Array(form.rows).fill(filler);
  for (const [place, row] of rows.entries()) values[place] = of(row);
  return hostTensor(values, [form.rows]);
}

/** What places without a row add to their log-probs, 0 elsewhere: a log-prob of 0 would make some losses infinite. */
export const FILLER = "filler";
export const FILLER_LOGP = -1;

export function fillerInput(run: Run): HostTensors {
  return { [FILLER]: rowInput(run, () => 0, FILLER_LOGP) };
}
