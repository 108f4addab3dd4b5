/** Whether the weights suit the numbers of desirable and undesirable rows. */
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
  const labelled = rows.filter(({ label }) => label).length;
  const desirable = Math.max(labelled, 1);
  const undesirable = Math.max(rows.length - desirable, 1);
  if (desirable === undesirable) return [];
  const round = (value: number): number => Number(value.toFixed(2));
  const forDesirable = (undesirable * undesirable_weight) / desirable;
  const forUndesirable = (desirable * desirable_weight) / undesirable;
  const desirableRange = [round(forDesirable), round(forDesirable * 1.33)] as const;
  const undesirableRange = [round(forUndesirable / 1.33), round(forUndesirable)] as const;
  const within = (value: number, [low, high]: readonly [number, number]): boolean => low <= value && value <= high;
  if (within(desirable_weight, desirableRange) || within(undesirable_weight, undesirableRange)) return [];
  return [
    `${labelled} rows are desirable and ${rows.length - labelled} are not, with weights ${desirable_weight} and ${undesirable_weight}; advised is either desirable_weight in [${desirableRange.join(", ")}] or undesirable_weight in [${undesirableRange.join(", ")}], not both`,
  ];
}
