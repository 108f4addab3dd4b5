/** What the two sides are asked to do, and what they answer. Plain JSON: both run in processes of their own. */
import type { BitsAndBytesConfigInput, DPOConfigInput } from "../../src/index.js";
import type { TokenPair } from "../shared/pairs.js";
import type { SgemmRows } from "../shared/sgemm.js";

interface Common {
  /** Folder of the checkpoint. */
  readonly model: string;
  /** A whole number of steps' pairs; taken in their order, from the first again behind the last. */
  readonly rows: readonly TokenPair[];
  /** Pairs of an optimizer step. */
  readonly pairs: number;
  readonly steps: number;
  readonly threads: number;
  /** Rank of an adapter on q_proj and v_proj, its alpha twice that; null for full weights. */
  readonly lora_r: number | null;
  /** A folder that may be filled; the caller deletes it. */
  readonly folder: string;
}

export interface PreflabRequest extends Common {
  readonly kind: "preflab";
  readonly quantization?: BitsAndBytesConfigInput;
  /** Beside those that all measurements share. */
  readonly options?: DPOConfigInput;
  /** Measure plain sgemm before each step but the first, in the same engine. */
  readonly sgemm?: boolean;
  /** Time the making of every program. */
  readonly watch?: boolean;
  /** The process is started as the notebook kernel starts its own: memory in pages of 2 MiB. */
  readonly huge_pages?: boolean;
  /** Several trainings on one base, one after the other. */
  readonly trials?: readonly { readonly learning_rate: number; readonly beta: number; readonly lora_r: number }[];
}

export interface SgemmRequest extends SgemmRows {
  readonly kind: "sgemm";
  readonly shape: string;
  readonly threads: number;
}

/** How TRL is to run: what `--search` looks for the best of. */
export interface TrlSetting {
  readonly per_device_train_batch_size: number;
  readonly gradient_accumulation_steps: number;
  readonly attn_implementation: "sdpa" | "eager";
  readonly gradient_checkpointing: boolean;
  /** A name in `MALLOCS`. */
  readonly malloc: MallocName;
}

export type MallocName = "default" | "kept" | "kept_huge";

/** glibc's allocator for torch. `kept`: freed memory is not given back to the system, which otherwise costs a page fault for every page of every
 *  activation. `kept_huge`: in pages of 2 MB besides. */
export const MALLOCS: Readonly<Record<MallocName, Readonly<Record<string, string>>>> = {
  default: {},
  kept: { GLIBC_TUNABLES: "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=68719476736:glibc.malloc.top_pad=268435456" },
  kept_huge: {
    GLIBC_TUNABLES: "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=68719476736:glibc.malloc.top_pad=268435456:glibc.malloc.hugetlb=1",
  },
};

export interface TrlRequest extends Common, Omit<TrlSetting, "malloc"> {
  readonly precompute_ref_log_probs: boolean;
  /** Leave everything but the batch as DPOConfig has it: what is said here of attention, checkpointing and reference does not count. */
  readonly defaults: boolean;
}

/** What a side measured. */
export interface Measured {
  /** Optimizer steps, without the first, which compiles or warms up. */
  readonly step_seconds: readonly number[];
  readonly first_step_seconds: number;
  /** From the start of the process to the begin of the first step. */
  readonly begin_seconds: number;
  /** The whole life of the process as the other side sees it, with what comes before its first line. */
  readonly process_seconds: number;
  readonly peak_bytes: number;
  /** The first step's `logps/chosen`: shows that both sides computed the same. */
  readonly first_logps: number | null;
  readonly first_grad_norm: number | null;
  /** GFLOP/s, before each step that counts and behind the last; empty unless asked for. */
  readonly sgemm: readonly number[];
  readonly programs: readonly MadeProgram[];
  readonly weights_bytes?: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** A program for one combination of sizes: seconds from the trace to the ready session. */
export interface MadeProgram {
  readonly name: string;
  readonly sizes: string;
  readonly seconds: number;
}
