/**
 * The 8-bit dynamic data type of bitsandbytes (arXiv:2110.02861): 256 numbers in [−1, 1], or in [0, 1], that lie closer together the
 * nearer they are to 0. Each of seven decades from 1e-7 to 1 holds evenly spaced numbers, twice as many as the one below; 0 and 1 stand for themselves.
 */
import { EngineError } from "../../errors.js";

const DECADES = 7;

/**
 * The 256 numbers in rising order, in float32 as torch computes them. @param signed in [−1, 1], without −1 itself; else in [0, 1] with
 * twice as many in each decade
 */
export function dynamicMap(signed: boolean): Float32Array {
  const numbers = [0, 1];
  for (let decade = 0; decade < DECADES; decade++) {
    const count = 2 ** (decade + (signed ? 0 : 1));
    const scale = Math.fround(10 ** (decade - DECADES + 1));
    const edges = evenly(0.1, 1, count + 1);
    for (let k = 0; k < count; k++) {
      const number = scale * Math.fround(Math.fround(edges[k]! + edges[k + 1]!) / 2);
      numbers.push(number);
      if (signed) numbers.push(-number);
    }
  }
  return Float32Array.from(numbers).sort();
}

/** torch.linspace in float32, which counts from both ends. */
function evenly(start: number, end: number, count: number): Float32Array {
  const first = Math.fround(start);
  const step = Math.fround(Math.fround(end - first) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) => (i < Math.floor(count / 2) ? first + step * i : end - step * (count - 1 - i)));
}

/** Halfway points between neighbours of a rising list, rounded down to float32: exactly the float32 numbers above one are nearer to the upper neighbour. */
function midpoints(map: Float32Array): Float32Array {
  const points = new Float32Array(map.length - 1);
  const bits = new Int32Array(points.buffer);
  for (let i = 0; i < points.length; i++) {
    const exact = (map[i]! + map[i + 1]!) / 2;
    points[i] = exact;
    if (points[i]! > exact) bits[i]!--;
  }
  return points;
}

/** Bins of the finder. */
const BINS = 4096;

/**
 * How the nearest of rising numbers m₀ = 0 … in [0, 1] is found without a search. Bins are even on √x, which spreads the small numbers out
 * so far that no bin meets two midpoints. A bin then says which number is nearest at its lower end, and from which x on it is the next one.
 */
export interface NearestFinder {
  /** √x times this is the bin. */
  readonly scale: number;
  /** Index of the nearest number at each bin's lower end, int32. */
  readonly lower: Int32Array;
  /** Above this x the next number is nearer. */
  readonly above: Float32Array;
}

/** @param map rising numbers from 0 to 1 */
export function nearestFinder(map: Float32Array): NearestFinder {
  const bounds = midpoints(map);
  const lower = new Int32Array(BINS + 1);
  const above = new Float32Array(BINS + 1);
  // The bin of an x near a bin's edge may come out one too high or low in float32.
  const slack = 1e-3;
  let index = 0;
  for (let bin = 0; bin <= BINS; bin++) {
    const begin = Math.max(0, (bin - slack) / BINS) ** 2;
    const end = ((bin + 1 + slack) / BINS) ** 2;
    while (index < bounds.length && bounds[index]! < begin) index++;
    if (index + 1 < bounds.length && bounds[index + 1]! <= end)
      throw new EngineError("map_too_fine", `nearestFinder: a bin must meet one midpoint, got two in bin ${bin}; use more bins`);
    lower[bin] = index;
    above[bin] = bounds[index] ?? Infinity;
  }
  return { scale: BINS, lower, above };
}
