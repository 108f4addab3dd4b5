/** The small matrix product that every backend is tried with, [32, 48] × [48, 40]. Its entries are small whole numbers, so that TF32 and
 *  half precision give the exact result too, and a difference means a broken backend. */
export interface Product {
  readonly a: Float32Array; // [m, k]
  readonly b: Float32Array; // [k, n]
  readonly shapeA: [number, number];
  readonly shapeB: [number, number];
}

/** @returns a product with [m, k] × [k, n] entries between -4 and 4 */
export function makeProduct(m = 32, k = 48, n = 40): Product {
  const a = Float32Array.from({ length: m * k }, (_, i) => ((i * 7) % 9) - 4);
  const b = Float32Array.from({ length: k * n }, (_, i) => ((i * 5 + 3) % 9) - 4);
  return { a, b, shapeA: [m, k], shapeB: [k, n] };
}

/** Largest absolute difference between `result` (shape [m, n]) and the product in plain JavaScript. Infinity when the length is wrong or a value is NaN. */
export function largestError({ a, b, shapeA: [m, k], shapeB: [, n] }: Product, result: ArrayLike<number>): number {
  if (result.length !== m * n) return Infinity;
  let largest = 0;
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++) sum += a[i * k + p]! * b[p * n + j]!;
      const difference = Math.abs(sum - result[i * n + j]!);
      if (Number.isNaN(difference)) return Infinity;
      largest = Math.max(largest, difference);
    }
  }
  return largest;
}
