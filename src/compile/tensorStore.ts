/** The named tensors of the compute worker. */
import { EngineError, nearestName } from "../errors.js";
import type { SliceTarget } from "./engine.js";
import { type HostData, type HostTensor, emptyArray } from "./hostTensor.js";
import { sizeOf } from "./graph.js";

interface View {
  readonly from: string;
  readonly start: number;
  readonly rows: number;
}

export class TensorStore {
  readonly #tensors = new Map<string, HostTensor>();
  readonly #views = new Map<string, View>();

  set(name: string, tensor: HostTensor): void {
    this.#views.delete(name);
    this.#tensors.set(name, tensor);
  }

  /** A view is looked up anew at each read, so it follows a tensor that is replaced. */
  setView(name: string, view: View): void {
    rowsOf(this.get(view.from), view.start, view.rows);
    this.#tensors.delete(name);
    this.#views.set(name, view);
  }

  /** @throws EngineError `unknown_tensor` */
  get(name: string): HostTensor {
    const tensor = this.#tensors.get(name);
    if (tensor !== undefined) return tensor;
    const view = this.#views.get(name);
    if (view !== undefined) return rowsOf(this.get(view.from), view.start, view.rows);
    const near = nearestName(name, [...this.#tensors.keys()]);
    throw new EngineError("unknown_tensor", `store: no tensor "${name}"${near === undefined ? "" : `; did you mean "${near}"?`}`);
  }

  remove(name: string): void {
    this.#tensors.delete(name);
    this.#views.delete(name);
  }

  copyOf(name: string): HostTensor {
    const { data, dtype, shape } = this.get(name);
    return { data: emptyArray(dtype, data.length, data), dtype, shape };
  }

  /** Overwrites part of a stored tensor: the source's extent along `axis`, from `offset`. All other axes must agree. */
  writeSlice(source: HostTensor, { into, axis, offset }: SliceTarget): void {
    const target = this.get(into);
    const fits =
      source.shape.length === target.shape.length &&
      source.shape.every((size, i) => (i === axis ? offset + size <= target.shape[i]! : size === target.shape[i]));
    if (!fits || source.dtype !== target.dtype) {
      throw new EngineError(
        "slice_shape",
        `store: cannot write [${source.shape.join(",")}] into "${into}" [${target.shape.join(",")}] at ${offset} along axis ${axis}`,
      );
    }
    const inner = sizeOf(target.shape.slice(axis + 1));
    const outer = sizeOf(target.shape.slice(0, axis));
    const run = source.shape[axis]! * inner;
    const stride = target.shape[axis]! * inner;
    for (let i = 0; i < outer; i++) {
      const part = source.data.subarray(i * run, (i + 1) * run);
      (target.data as HostData & { set(values: ArrayLike<number>, at: number): void }).set(part, i * stride + offset * inner);
    }
  }
}

/** A part of a tensor along its first axis, in the same memory. */
export function rowsOf({ data, dtype, shape }: HostTensor, start: number, rows: number): HostTensor {
  const inner = sizeOf(shape.slice(1));
  if (start < 0 || start + rows > shape[0]!) {
    throw new EngineError("view_range", `store: rows ${start} to ${start + rows} must lie within [${shape.join(",")}]`);
  }
  return { data: data.subarray(start * inner, (start + rows) * inner), dtype, shape: [rows, ...shape.slice(1)] };
}
