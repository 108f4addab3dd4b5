/** Checks the inputs of a run against a signature and binds its named dimensions. */
import { EngineError, nearestName } from "../errors.js";
import type { InputSpec, RunOptions, Signature } from "./engine.js";
import { sameShape, sizeOf } from "./graph.js";
import type { HostTensor } from "./hostTensor.js";

export type Sizes = Readonly<Record<string, number>>;

/** The terms of a dimension: "T" is a name, "P+A+1" a sum of names and a number. */
export function sizeTerms(dimension: string): { names: string[]; offset: number } {
  const terms = dimension.split("+");
  const names = terms.filter((term) => !/^\d+$/.test(term));
  return { names, offset: terms.filter((term) => !names.includes(term)).reduce((sum, term) => sum + Number(term), 0) };
}

/** The names of a signature's dimensions, in order. */
export function sizeNames(signature: Signature): string[] {
  const dimensions = Object.values(signature).flatMap(({ shape }) => shape.filter((dimension) => typeof dimension === "string"));
  return [...new Set(dimensions.flatMap((dimension) => sizeTerms(dimension).names))];
}

/** The store name a state input reads. */
export function storeName(name: string, spec: InputSpec, options: RunOptions = {}): string {
  return options.bind?.[name] ?? spec.store ?? name;
}

/** What a program sees of a stored tensor: its first `rows`, or one of the `pieces` into which a run cuts it. @throws EngineError `pieces_size` */
function seenShape(where: string, shape: readonly number[], rows: number | undefined, pieces: number | undefined): readonly number[] {
  const seen = rows === undefined ? shape : [rows, ...shape.slice(1)];
  if (pieces === undefined) return seen;
  const size = sizeOf(seen) / pieces;
  if (Number.isInteger(pieces) && pieces > 0 && Number.isInteger(size)) return [size];
  throw new EngineError(
    "pieces_size",
    `${where}: pieces must divide the states, got ${pieces} pieces of [${shape.join(", ")}]; choose a divisor`,
  );
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
  const shapes = new Map<string, readonly number[]>();
  for (const [name, spec] of Object.entries(signature)) {
    if (spec.role === "constant") continue;
    const given = inputs[name];
    if (spec.role !== "state" && given === undefined) throw new EngineError("missing_input", `${where}: input "${name}" is missing`);
    const wanted = spec.dtype ?? "float32";
    if (given !== undefined && given.dtype !== wanted)
      throw new EngineError("input_type", `${where}: input "${name}" must be ${wanted}, got ${given.dtype}`);
    shapes.set(name, given?.shape ?? seenShape(where, shapeOf(storeName(name, spec, options)), options.rows?.[name], options.pieces));
    spec.shape.forEach((dimension, axis) => {
      const length = shapes.get(name)![axis];
      if (typeof dimension === "string" && !dimension.includes("+") && length !== undefined) sizes[dimension] ??= length;
    });
  }
  for (const [name, shape] of shapes) {
    const spec = signature[name]!;
    if (sameShape(shape, boundShape(where, name, spec, sizes))) continue;
    const bound = Object.entries(sizes)
      .map(([size, value]) => `${size}=${value}`)
      .join(", ");
    throw new EngineError(
      "input_shape",
      `${where}: input "${name}" must have shape [${spec.shape.join(", ")}]${bound === "" ? "" : ` with ${bound}`}, got [${shape.join(", ")}]`,
    );
  }
  for (const [name, spec] of Object.entries(signature)) boundShape(where, name, spec, sizes);
  return sizes;
}

/** @throws EngineError `unknown_size` for a dimension that the signature does not name */
export function requireSizes(where: string, signature: Signature, sizes: Sizes): void {
  const known = sizeNames(signature);
  for (const name of Object.keys(sizes)) {
    if (!known.includes(name))
      throw new EngineError("unknown_size", `${where}: no dimension "${name}" in the signature; dimensions: ${known.join(", ")}`);
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
    if (typeof dimension === "number") return dimension;
    const { names, offset } = sizeTerms(dimension);
    const unbound = names.find((part) => sizes[part] === undefined);
    if (unbound !== undefined)
      throw new EngineError("unbound_size", `${where}: dimension "${unbound}" of "${name}" has no value; pass it in \`sizes\``);
    return names.reduce((sum, part) => sum + sizes[part]!, offset);
  });
}

/** One text per combination of sizes. */
export function sizesKey(sizes: Sizes): string {
  return Object.keys(sizes)
    .sort()
    .map((name) => `${name}=${sizes[name]}`)
    .join(",");
}
