/** Seeded dropout masks for an adapter's inputs. */
import { type HostTensors, type InputSpec, type TensorMap, hostTensor } from "../../compile/index.js";
import type { CausalLM } from "../../model/index.js";
import type { Random } from "../../random.js";
import { type SequenceForm, tokensDimension } from "./sequenceInputs.js";

/** A row that random numbers are drawn for, one for each element of each of its tokens. */
export interface DrawnRow {
  readonly tokens: number;
  readonly random: Random;
}

/** Name of the input that carries a module's dropout mask. */
function maskName(path: string): string {
  return `mask/${path}`;
}

/** The masks as inputs of a program. */
export function maskSignature(widths: ReadonlyMap<string, number>, form: SequenceForm): Record<string, InputSpec> {
  return Object.fromEntries([...widths].map(([path, width]) => [maskName(path), { shape: [tokensDimension(form), width] }]));
}

/** The masks of a program by module path; undefined without dropout. */
export function dropoutMasksOf(inputs: TensorMap, widths: ReadonlyMap<string, number>): TensorMap | undefined {
  if (widths.size === 0) return undefined;
  return Object.fromEntries([...widths.keys()].map((path) => [path, inputs[maskName(path)]!]));
}

/** Module paths that get a mask, with the width of their input; empty without dropout. */
export function dropoutWidths(model: CausalLM): Map<string, number> {
  const widths = new Map<string, number>();
  if ((model.peft_config?.lora_dropout ?? 0) === 0) return widths;
  for (const [name, shape] of model.trainable()) {
    if (name.endsWith(".lora_A.weight")) widths.set(name.replace("base_model.model.", "").replace(".lora_A.weight", ""), shape[1]!);
  }
  return widths;
}

/**
 * A mask for every module: 1/(1−p) with probability 1−p, else 0.
 * @param rows that run together; each draws from its own stream, whatever it runs with
 */
export function dropoutMasks(widths: ReadonlyMap<string, number>, rows: readonly DrawnRow[], probability: number): HostTensors {
  const kept = 1 / (1 - probability);
  const total = rows.reduce((sum, { tokens }) => sum + tokens, 0);
  return Object.fromEntries(
    [...widths].map(([path, width]) => {
      const mask = new Float32Array(total * width);
      let at = 0;
      for (const { tokens, random } of rows) {
        const stream = random.fork(path);
        for (const end = at + tokens * width; at < end; at++) mask[at] = stream.uniform() < probability ? 0 : kept;
      }
      return [maskName(path), hostTensor(mask, [total, width])];
    }),
  );
}
