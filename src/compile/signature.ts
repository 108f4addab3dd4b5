/** Checks the inputs of a run against a signature and binds its named dimensions. */
import { EngineError, nearestName } from "../errors.js";
import type { InputSpec, RunOptions, Signature } from "./engine.js";
import { sameShape } from "./graph.js";
import type { HostTensor } from "./hostTensor.js";

export type Sizes = Readonly<Record<string, number>>;

/** The store name a state input reads. */
export function storeName(name: string, spec: InputSpec, options: RunOptions = {}): string {
  return options.bind?.[name] ?? spec.store ?? name;
}

/**
 * @param shapeOf the shape of a stored tensor
 * @returns a number for every named dimension
 * @throws EngineError `missing_input`, `unknown_input`, `input_type`, `input_shape`, `unbound_size`, `unknown_size`
 */
export function bindSizes(
  where: string,
  signature: Signature,
  inputs: Readonly<Record<string, HostTensor>>,
  options: RunOptions,
  shapeOf: (name: string) => readonly number[],
): Sizes {
  const sizes: Record<string, number> = { ...options.sizes };
  requireSizes(where, signature, sizes);
  for (const name of Object.keys(options.bind ?? {})) {
    if (signature[name]?.role !== "state") {
      const states = Object.keys(signature).filter((known) => signature[known]!.role === "state");
      throw new EngineError("unknown_input", `${where}: no state "${name}" to bind; states: ${states.join(", ")}`);
    }
  }
  for (const name of Object.keys(inputs)) {
    if (signature[name] === undefined || (signature[name].role ?? "input") !== "input") {
      const near = nearestName(name, Object.keys(signature));
      throw new EngineError(
        "unknown_input",
        `${where}: no input "${name}"${near === undefined ? "" : `; did you mean "${near}"?`} Inputs: ${Object.keys(signature).join(", ")}`,
      );
    }
  }
  for (const [name, spec] of Object.entries(signature)) {
    if (spec.role === "constant") continue;
    const given = inputs[name];
    if (spec.role !== "state" && given === undefined) throw new EngineError("missing_input", `${where}: input "${name}" is missing`);
    const wanted = spec.dtype ?? "float32";
    if (given !== undefined && given.dtype !== wanted)
      throw new EngineError("input_type", `${where}: input "${name}" must be ${wanted}, got ${given.dtype}`);
    const shape = given?.shape ?? visibleShape(shapeOf(storeName(name, spec, options)), options.rows?.[name]);
    const fits =
      shape.length === spec.shape.length &&
      spec.shape.every((dimension, axis) => {
        if (typeof dimension === "number") return dimension === shape[axis];
        sizes[dimension] ??= shape[axis]!;
        return sizes[dimension] === shape[axis];
      });
    if (!fits) {
      const bound = Object.entries(sizes)
        .map(([size, value]) => `${size}=${value}`)
        .join(", ");
      throw new EngineError(
        "input_shape",
        `${where}: input "${name}" must have shape [${spec.shape.join(", ")}]${bound === "" ? "" : ` with ${bound}`}, got [${shape.join(", ")}]`,
      );
    }
  }
  for (const [name, spec] of Object.entries(signature)) boundShape(where, name, spec, sizes);
  return sizes;
}

/** The shape of a stored tensor, or of its first rows. */
export function visibleShape(shape: readonly number[], rows: number | undefined): readonly number[] {
  return rows === undefined ? shape : [rows, ...shape.slice(1)];
}

/** @throws EngineError `unknown_size` for a dimension that the signature does not name */
export function requireSizes(where: string, signature: Signature, sizes: Sizes): void {
  const known = new Set(Object.values(signature).flatMap(({ shape }) => shape.filter((dimension) => typeof dimension === "string")));
  for (const name of Object.keys(sizes)) {
    if (!known.has(name))
      throw new EngineError("unknown_size", `${where}: no dimension "${name}" in the signature; dimensions: ${[...known].join(", ")}`);
  }
}

/** @throws EngineError `unknown_output`, `output_target` for outputs to keep or write that do not exist or have two places to go */
export function requireOutputs(
  where: string,
  outputs: { has(name: string): boolean; keys(): Iterable<string> },
  { keep = {}, write = {}, place = {} }: RunOptions,
): void {
  for (const [name, { into, axis }] of Object.entries(place)) {
    if (axis !== 0)
      throw new EngineError(
        "place_axis",
        `${where}: output "${name}" must be placed along axis 0 of "${into}", got ${axis}; write it instead`,
      );
  }
  for (const name of [...Object.keys(keep), ...Object.keys(write), ...Object.keys(place)]) {
    if (!outputs.has(name))
      throw new EngineError(
        "unknown_output",
        `${where}: no output "${name}" to ${name in keep ? "keep" : name in write ? "write" : "place"}; outputs: ${[...outputs.keys()].join(", ")}`,
      );
    if (Number(name in keep) + Number(name in write) + Number(name in place) > 1)
      throw new EngineError("output_target", `${where}: output "${name}" cannot go to two places; keep, write or place it`);
  }
}

/** @throws EngineError `missing_value`, `input_type`, `input_shape` */
export function constantValue(where: string, name: string, { value, dtype = "float32" }: InputSpec, shape: readonly number[]): HostTensor {
  if (value === undefined) throw new EngineError("missing_value", `${where}: constant "${name}" needs a value`);
  if (value.dtype !== dtype) throw new EngineError("input_type", `${where}: constant "${name}" must be ${dtype}, got ${value.dtype}`);
  if (!sameShape(value.shape, shape))
    throw new EngineError(
      "input_shape",
      `${where}: constant "${name}" must have shape [${shape.join(", ")}], got [${value.shape.join(", ")}]`,
    );
  return value;
}

export function boundShape(where: string, name: string, spec: Pick<InputSpec, "shape">, sizes: Sizes): number[] {
  return spec.shape.map((dimension) => {
    const size = typeof dimension === "number" ? dimension : sizes[dimension];
    if (size === undefined)
      throw new EngineError("unbound_size", `${where}: dimension "${dimension}" of "${name}" has no value; pass it in \`sizes\``);
    return size;
  });
}

/** One text per combination of sizes. */
export function sizesKey(sizes: Sizes): string {
  return Object.keys(sizes)
    .sort()
    .map((name) => `${name}=${sizes[name]}`)
    .join(",");
}
