import type { SaveCheckpointOptions } from "./checkpointWriter.js";

export interface AdapterOptions {
  /** Name of the adapter in the model; default "default". */
  readonly adapter_name?: string;
  /** Whether a trainer changes it; default true. (PEFT's is false, to save the memory of gradients; here none is taken before training.) */
  readonly is_trainable?: boolean;
}

export interface SaveAdapterOptions extends SaveCheckpointOptions {
  /** Adapters to save; default those that are trained, or all when none is. "default" goes into the folder, others into sub-folders by name. */
  readonly selected_adapters?: readonly string[];
}
