/**
 * An optimizer's state as a safetensors file, `optimizer.safetensors` of a checkpoint: the states as they lie in the store, bit by bit,
 * named SLOT/PARAMETER, and the number of updates in the metadata. One tensor at a time is in memory.
 */
import { type Engine, type HostTensor, hostTensor } from "../../compile/index.js";
import { readFileBytes } from "../../compile/fileTensors.js";
import { ModelError } from "../../errors.js";
import { type SafetensorsFile, type TensorEntry, readSafetensors } from "../../model/safetensors.js";
import { SafetensorsWriter } from "../../model/safetensorsWriter.js";
import type { Optimizer, StateTensor } from "./optimizer.js";

const DTYPES = { float32: "F32", uint8: "U8" } as const;

/** Writes a new file, over an older one; it is on the disk afterwards. After an error the file is of no use. */
export async function saveOptimizer(optimizer: Optimizer, file: string): Promise<void> {
  const metadata = { format: "preflab-optimizer", optimizer: optimizer.kind, steps: String(optimizer.steps) };
  await saveStored(optimizer.engine, optimizer.states(), file, metadata);
}

/** Stored tensors as a safetensors file, one at a time in memory. @param metadata as `SafetensorsWriter.create` */
export async function saveStored(
  engine: Engine,
  states: readonly StateTensor[],
  file: string,
  metadata?: Record<string, string>,
): Promise<void> {
  const plans = states.map(({ name, shape, dtype }) => ({ name, shape, dtype: DTYPES[dtype] }));
  const writer = await SafetensorsWriter.create(file, plans, metadata);
  try {
    for (const { name, store, dtype } of states) await writer.write(name, valuesOf(await engine.fetch(store), dtype));
  } catch (error) {
    await writer.abandon();
    throw error;
  }
  await writer.close();
}

/** The eager engine keeps bytes as int32. */
function valuesOf({ data }: HostTensor, dtype: StateTensor["dtype"]): Float32Array | Uint8Array {
  if (dtype === "float32") return data as Float32Array;
  return data instanceof Uint8Array ? data : Uint8Array.from(data);
}

/**
 * Takes the states of a file over into the store. The whole file is checked before anything is changed.
 * @throws ModelError `optimizer_file` for a file that `saveOptimizer` did not write, `optimizer_kind` for another optimizer's,
 *   `optimizer_tensors` for another model's, and as `readSafetensors`
 */
export async function loadOptimizer(optimizer: Optimizer, file: string): Promise<void> {
  const saved = readSafetensors(file);
  const steps = requireMetadata(saved, optimizer);
  const entries = optimizer.states().map((state) => [state, requireEntry(saved, state)] as const);
  const names = new Set(entries.map(([{ name }]) => name));
  const more = [...saved.tensors.keys()].find((name) => !names.has(name));
  if (more !== undefined) throw unfit(file, "a state that training changes", more);
  for (const [{ store, shape, dtype }, entry] of entries) {
    if (dtype === "float32") await optimizer.engine.load(store, entry);
    else await optimizer.engine.put(store, hostTensor(readFileBytes(entry), shape));
  }
  optimizer.resume(steps);
}

function requireMetadata({ file, metadata }: SafetensorsFile, { kind }: Optimizer): number {
  const steps = Number(metadata["steps"] ?? NaN);
  if (metadata["format"] !== "preflab-optimizer" || !Number.isSafeInteger(steps) || steps < 0) {
    const got = JSON.stringify(metadata);
    throw new ModelError(
      "optimizer_file",
      `${file}: must be the state of an optimizer, got a file with metadata ${got}; choose a checkpoint's`,
    );
  }
  if (metadata["optimizer"] !== kind) {
    throw new ModelError(
      "optimizer_kind",
      `${file}: must be the state of ${kind}, got that of ${metadata["optimizer"]}; resume with the optim of the checkpoint`,
    );
  }
  return steps;
}

function requireEntry({ file, tensors }: SafetensorsFile, { name, shape, dtype }: StateTensor): TensorEntry {
  const entry = tensors.get(name);
  const wanted = `${name} as ${DTYPES[dtype]} [${shape.join(", ")}]`;
  if (entry === undefined) throw unfit(file, wanted, "nothing of that name");
  const got = `${entry.dtype} [${entry.shape.join(", ")}]`;
  if (`${name} as ${got}` !== wanted) throw unfit(file, wanted, got);
  return entry;
}

function unfit(file: string, wanted: string, got: string): ModelError {
  return new ModelError(
    "optimizer_tensors",
    `${file}: must hold ${wanted}, got ${got}; resume with the model, the adapter options and the optim_args of the checkpoint`,
  );
}
