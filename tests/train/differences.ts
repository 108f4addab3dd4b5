/** Comparing with golden numbers: what is too far fails, and the largest differences are printed after a file's tests. */
import { afterAll, expect } from "vitest";

export const far = (got: number, golden: number): number => Math.abs(got - golden);
export const relative = (got: number, golden: number): number => Math.abs(got / golden - 1);

const worst: Record<string, number> = {};
afterAll(() => {
  const found = Object.entries(worst).map(([name, value]) => `${name} ${value.toExponential(1)}`);
  console.log(`largest differences from TRL: ${found.join(", ")}`);
});

/** @param name under which the largest difference is printed @param where the number belongs, for the failure */
export function note(name: string, difference: number, tolerance: number, where: string): void {
  expect(difference, where).toBeLessThanOrEqual(tolerance);
  worst[name] = Math.max(worst[name] ?? 0, difference);
}
