/**
 * The signed 8-bit dynamic map, arXiv:2110.02861: a byte is a sign, an exponent in powers of ten by leading zeros, and linear steps in
 * what bits are left. Double quantisation keeps the scales of 4-bit blocks in it.
 */

/** Numbers that share one second-level scale. */
export const DYNAMIC_BLOCK = 256;

/** The 256 numbers, rising from −0.993 to 1; 127 is 0. Each decade from 1e-6 has twice as many steps as the one below. */
export const DYNAMIC_MAP: Float32Array = dynamicMap();

function dynamicMap(): Float32Array {
  const values = [0, 1];
  for (let decade = 0; decade < 7; decade++) {
    const edges = evenlySpaced(0.1, 1, 2 ** decade + 1);
    for (let i = 1; i < edges.length; i++) {
      const middle = Math.fround(edges[i - 1]! + edges[i]!) / 2;
      const value = Math.fround(middle * Math.fround(10 ** (decade - 6)));
      values.push(value, -value);
    }
  }
  return Float32Array.from(values).sort();
}

/** Rounded as torch.linspace rounds, in float32 and from both ends: the map is a published table of these very numbers. */
function evenlySpaced(from: number, to: number, count: number): Float32Array {
  const first = Math.fround(from);
  const step = Math.fround((to - first) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) => (i < count >> 1 ? first + step * i : to - step * (count - 1 - i)));
}

export interface DynamicBytes {
  /** Places in the map. */
  readonly codes: Uint8Array;
  /** The largest magnitude of each block of 256. */
  readonly absmax: Float32Array;
}

/** The nearest entries of the map, block by block. @param values finite */
export function quantiseDynamic(values: Float32Array): DynamicBytes {
  const codes = new Uint8Array(values.length);
  const absmax = new Float32Array(Math.ceil(values.length / DYNAMIC_BLOCK));
  for (let block = 0; block < absmax.length; block++) {
    const part = values.subarray(block * DYNAMIC_BLOCK, (block + 1) * DYNAMIC_BLOCK);
    const largest = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    absmax[block] = largest;
    for (let i = 0; i < part.length; i++) codes[block * DYNAMIC_BLOCK + i] = nearest(largest === 0 ? 0 : part[i]! / largest);
  }
  return { codes, absmax };
}

/** Where the map comes closest to a number in [−1, 1]; the lower place in the middle between two. */
function nearest(value: number): number {
  let low = 0;
  let high = DYNAMIC_MAP.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (DYNAMIC_MAP[middle]! <= value) low = middle;
    else high = middle;
  }
  return value - DYNAMIC_MAP[low]! <= DYNAMIC_MAP[high]! - value ? low : high;
}
