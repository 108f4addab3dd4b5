/** How sure a share of right answers is. */

/** Two-sided 95 % of the normal distribution. */
const Z = 1.96;
/** Smallest lead over chance that is worth finding: 5 points. */
const SMALLEST_LEAD = 0.05;

/** Wilson's 95 % interval of a share (J. Am. Stat. Assoc. 22, 1927). @param share in [0, 1] @param count of trials, >= 1 */
export function wilsonInterval(share: number, count: number): { low: number; high: number } {
  const z2 = Z ** 2;
  const middle = (share + z2 / (2 * count)) / (1 + z2 / count);
  const half = (Z / (1 + z2 / count)) * Math.sqrt((share * (1 - share)) / count + z2 / (4 * count ** 2));
  return { low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/** Trials that tell this share from 1/2: the interval excludes 1/2 where (share − ½)² > z² / (4 count). */
export function trialsNeeded(share: number): number {
  const lead = Math.max(SMALLEST_LEAD, Math.abs(share - 0.5));
  return Math.floor(Z ** 2 / (4 * lead ** 2)) + 1;
}
