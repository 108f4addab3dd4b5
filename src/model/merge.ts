/** Merging adapters into the weights they stand beside, one projection at a time. */
import { type Engine, type InputSpec, type TensorMap, tf } from "../compile/index.js";
import { ModelError } from "../errors.js";
import { type AdaptedModule, type AdapterPlan, adapterBiasName, adapterTensorName, magnitudeName } from "./adapterPlan.js";
import { baseWeight } from "./baseWeight.js";
import { rowLengths } from "./lora.js";

/** One adapter's part in a projection. */
export interface MergedPart {
  readonly module: AdaptedModule;
  /** Told apart from other parts' tensors by this; see `AdapterLayer`. */
  readonly prefix: string;
}

/**
 * What several adapters do to each projection, in order. @param states of the adapters
 * @throws ModelError `lora_bias_merge` for a trained bias behind a projection that has none
 */
export function mergedParts(states: readonly { plan: AdapterPlan; prefix: string }[]): Map<string, MergedPart[]> {
  const parts = new Map<string, MergedPart[]>();
  for (const { plan, prefix } of states) {
    for (const [path, module] of plan.modules) {
      if (module.loraBias && !module.hasBias)
        throw new ModelError(
          "lora_bias_merge",
          `PeftModel.merge_and_unload: lora_bias needs projections with a bias of their own (q_proj, k_proj, v_proj), got ${path}; keep the adapter beside the model`,
        );
      parts.set(path, [...(parts.get(path) ?? []), { module, prefix }]);
    }
  }
  return parts;
}

/**
 * The projection's weight, and its bias where a part changes it, with all parts merged in order: `W + scaling · B A`, with DoRA times
 * `m / ‖W + scaling · B A‖` by row, where W is the unmerged weight as in the forward pass.
 * Outputs: `PATH.weight` [out, in] and, where it changes, `PATH.bias` [out].
 */
export function mergedProjection(path: string, parts: readonly MergedPart[]): (inputs: TensorMap) => TensorMap {
  return (inputs) => {
    const unmerged = baseWeight(inputs, path);
    let weight = unmerged;
    let shift: tf.Tensor | undefined;
    for (const { module, prefix } of parts) {
      const tensor = (name: string): tf.Tensor => inputs[prefix + name]!;
      const a = tensor(adapterTensorName(path, "A")) as tf.Tensor2D;
      const b = tensor(adapterTensorName(path, "B")) as tf.Tensor2D;
      weight = tf.add(weight, tf.mul(tf.matMul(b, a), module.scaling));
      if (module.loraBias) {
        const own = tf.mul(tensor(adapterBiasName(path)), module.scaling);
        shift = shift === undefined ? own : tf.add(shift, own);
      }
      if (module.dora) {
        const factor = tf.div(tensor(magnitudeName(path)), rowLengths(unmerged, a, b, module.scaling));
        weight = tf.mul(tf.expandDims(factor, 1), weight);
        // What an earlier adapter has added is scaled with the rest; the projection's own bias is not.
        if (shift !== undefined) shift = tf.mul(shift, factor);
      }
    }
    const merged: TensorMap = { [`${path}.weight`]: weight };
    if (shift !== undefined) merged[`${path}.bias`] = tf.add(inputs[`${path}.bias`]!, shift);
    return merged;
  };
}

/** Merges the parts into one projection of the store.
 *  @param signature the base model's and the adapters' tensors; only those of this projection are used */
export async function mergeProjection(
  engine: Engine,
  path: string,
  parts: readonly MergedPart[],
  signature: Readonly<Record<string, InputSpec>>,
): Promise<void> {
  const own = Object.entries(signature).filter(([name]) => name.startsWith(`${path}.`) || name.includes(`.${path}.`));
  const program = engine.compile(mergedProjection(path, parts), Object.fromEntries(own), { name: "merge_and_unload" });
  try {
    // A quantised weight has no float32 to replace: the merged one is put beside its parts.
    await program.run({}, { keep: { [`${path}.weight`]: `${path}.weight` } });
  } finally {
    await program.dispose();
  }
}
