/** TensorFlow.js tensors as people want to see them: shape, type, a summary of the values, and the first of them. */
import type { MimeBundle } from "./mime.js";

export interface TensorLike {
  shape: number[];
  dtype: string;
  isDisposed: boolean;
  data(): Promise<ArrayLike<unknown>>;
}

/** TensorFlow.js may be loaded twice in one process, so its values are told by shape and not by class. */
export function isTensor(value: object): value is TensorLike {
  const tensor = value as Partial<TensorLike>;
  return "dataId" in value && "rankType" in value && Array.isArray(tensor.shape) && typeof tensor.data === "function";
}

const SHOWN_VALUES = 10;

function brief(value: unknown): string {
  return typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(5) : String(value);
}

/** Smallest, largest, mean and standard deviation of the finite values, and how many are not finite. */
function summary(values: ArrayLike<unknown>, dtype: string): string {
  if (dtype === "bool") return `${Array.from(values).filter(Boolean).length} of ${values.length} are true`;
  let count = 0;
  let min = Infinity;
  let max = -Infinity;
  let mean = 0;
  let squares = 0;
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    if (!Number.isFinite(value)) continue;
    // Welford's update: sums of squares would lose the digits of a small deviation.
    count++;
    const change = value - mean;
    mean += change / count;
    squares += change * (value - mean);
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const lost = values.length - count;
  const parts =
    count === 0 ? [] : [`min ${brief(min)}`, `max ${brief(max)}`, `mean ${brief(mean)}`, `std ${brief(Math.sqrt(squares / count))}`];
  return [...parts, ...(lost === 0 ? [] : [`${lost} not finite`])].join(", ");
}

export async function describeTensor(tensor: TensorLike): Promise<MimeBundle> {
  const head = `Tensor [${tensor.shape.join(", ")}] ${tensor.dtype}`;
  if (tensor.isDisposed) return { "text/plain": `${head} (disposed)` };
  const values = await tensor.data();
  const shown = Array.from({ length: Math.min(SHOWN_VALUES, values.length) }, (_, at) => brief(values[at]));
  const more = values.length > SHOWN_VALUES ? `, … ${values.length - SHOWN_VALUES} more` : "";
  const numeric = ["float32", "int32", "bool"].includes(tensor.dtype) && values.length > 1;
  return { "text/plain": [head, ...(numeric ? [summary(values, tensor.dtype)] : []), `[${shown.join(", ")}${more}]`].join("\n") };
}
