/** Checks the inputs of a run against a signature and binds its named dimensions. */
import { EngineError, nearestName } from "../errors.js";
import type { InputSpec, RunOptions, Signature } from "./engine.js";
import type { HostTensor } from "./hostTensor.js";

export type Sizes = Readonly<Record<string, number>>;

/** The store name a state input reads. */
export function storeName(name: string, spec: InputSpec, options: RunOptions = {}): string {
  return options.bind?.[name] ?? spec.store ?? name;
}

/**
 * @param shapeOf the shape of a stored tensor
 * @returns a number for every named dimension
 * @throws EngineError `missing_input`, `unknown_input`, `input_type`, `input_shape`, `unbound_size`
 */
export function bindSizes(
  where: string,
  signature: Signature,
  inputs: Readonly<Record<string, HostTensor>>,
  options: RunOptions,
  shapeOf: (name: string) => readonly number[],
): Sizes {
  const sizes: Record<string, number> = { ...options.sizes };
  for (const name of Object.keys(inputs)) {
    if (signature[name] === undefined || (signature[name].role ?? "input") !== "input") {
      const near = nearestName(name, Object.keys(signature));
      throw new EngineError("unknown_input", `${where}: no input "${name}"${near === undefined ? "" : `; did you mean "${near}"?`} Inputs: ${Object.keys(signature).join(", ")}`);
    }
  }
  for (const [name, spec] of Object.entries(signature)) {
    if (spec.role === "constant") continue;
    const given = inputs[name];
    if (spec.role !== "state" && given === undefined) throw new EngineError("missing_input", `${where}: input "${name}" is missing`);
    const wanted = spec.dtype ?? "float32";
    if (given !== undefined && given.dtype !== wanted) throw new EngineError("input_type", `${where}: input "${name}" must be ${wanted}, got ${given.dtype}`);
    const shape = given?.shape ?? shapeOf(storeName(name, spec, options));
    const fits = shape.length === spec.shape.length && spec.shape.every((dimension, axis) => {
      if (typeof dimension === "number") return dimension === shape[axis];
      sizes[dimension] ??= shape[axis]!;
      return sizes[dimension] === shape[axis];
    });
    if (!fits) {
      const bound = Object.entries(sizes).map(([size, value]) => `${size}=${value}`).join(", ");
      throw new EngineError("input_shape", `${where}: input "${name}" must have shape [${spec.shape.join(", ")}]${bound === "" ? "" : ` with ${bound}`}, got [${shape.join(", ")}]`);
    }
  }
  for (const [name, spec] of Object.entries(signature)) boundShape(where, name, spec, sizes);
  return sizes;
}

export function boundShape(where: string, name: string, spec: InputSpec, sizes: Sizes): number[] {
  return spec.shape.map((dimension) => {
    const size = typeof dimension === "number" ? dimension : sizes[dimension];
    if (size === undefined) throw new EngineError("unbound_size", `${where}: dimension "${dimension}" of "${name}" has no value; pass it in \`sizes\``);
    return size;
  });
}

/** One text per combination of sizes. */
export function sizesKey(sizes: Sizes): string {
  return Object.keys(sizes).sort().map((name) => `${name}=${sizes[name]}`).join(",");
}
