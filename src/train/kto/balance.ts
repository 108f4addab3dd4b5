/** Whether the weights suit the numbers of desirable and undesirable rows, and whether the rows are mixed. */
import type { KTOOptions } from "../options/ktoConfig.js";
import type { PreparedRow } from "./preparedRows.js";

/**
 * arXiv:2402.01306 eq. 8: desirable_weight × desirable rows should be 1 to 4/3 times undesirable_weight × undesirable rows. As TRL,
 * the range is 1 to 1.33, bounds are rounded to two digits, and equal numbers of rows are never warned about.
 */
export function balanceWarning(
  rows: readonly PreparedRow[],
  { desirable_weight, undesirable_weight }: Pick<KTOOptions, "desirable_weight" | "undesirable_weight">,
): string[] {
  const desirable = rows.filter(({ label }) => label).length;
  const undesirable = rows.length - desirable;
  if (desirable === undesirable) return [];
  if (desirable === 0 || undesirable === 0)
    return [`all ${rows.length} rows are ${undesirable === 0 ? "desirable" : "undesirable"}; KTO learns from rows of both labels`];
  const round = (value: number): number => Number(value.toFixed(2));
  const forDesirable = (undesirable * undesirable_weight) / desirable;
  const forUndesirable = (desirable * desirable_weight) / undesirable;
  const desirableRange = [round(forDesirable), round(forDesirable * 1.33)] as const;
  const undesirableRange = [round(forUndesirable / 1.33), round(forUndesirable)] as const;
  const within = (value: number, [low, high]: readonly [number, number]): boolean => low <= value && value <= high;
  if (within(desirable_weight, desirableRange) || within(undesirable_weight, undesirableRange)) return [];
  return [
    `${desirable} rows are desirable and ${undesirable} are not, with weights ${desirable_weight} and ${undesirable_weight}; advised is either desirable_weight in [${desirableRange.join(", ")}] or undesirable_weight in [${undesirableRange.join(", ")}], not both`,
  ];
}

/** Fewer mixed micro-batches than can be chance. */
const FEW = 1 / 4;

/**
 * In file order, rows sorted by label make micro-batches of one label: unpaired preference data are such, since TRL's unpairing puts
 * the chosen completions of 1000 pairs before the rejected ones. Told when a fair shuffle would mix four times as many.
 */
export function orderWarning(rows: readonly PreparedRow[], options: KTOOptions): string[] {
  const { per_device_train_batch_size: size, shuffle_dataset } = options;
  if (shuffle_dataset || size === 1) return [];
  const batches = Math.floor(rows.length / size);
  const share = rows.filter(({ label }) => label).length / rows.length;
  const expected = batches * (1 - share ** size - (1 - share) ** size);
  let mixed = 0;
  for (let begin = 0; begin < batches * size; begin += size)
    if (new Set(rows.slice(begin, begin + size).map(({ label }) => label)).size === 2) mixed++;
  if (expected < 4 || mixed >= expected * FEW) return [];
  return [
    `${batches - mixed} of ${batches} micro-batches hold rows of one label only, because the rows are sorted by it; set shuffle_dataset true, or mix the rows of the file`,
  ];
}
