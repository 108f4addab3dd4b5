/** What a diagnosis is made of. Every rule is a pure function from what was seen to a finding, or to nothing. */
import type { History } from "./history.js";

export type Method = "dpo" | "kto" | "sft";

/** ok: as it should be · note: worth knowing · warning: look at it before you trust the model · problem: the run is broken. */
export type Severity = "ok" | "note" | "warning" | "problem";

export interface Finding {
  /** Stable: scripts may rely on it. */
  readonly code: string;
  readonly severity: Severity;
  readonly title: string;
  /** What was seen, what it means, what to do. */
  readonly text: string;
  /** The numbers behind it, by name. */
  readonly evidence: Readonly<Record<string, number>>;
}

/** The options that rules look at: those of any trainer. What a method does not have is left out. */
export interface DiagnosedArgs {
  readonly learning_rate: number;
  readonly max_grad_norm: number;
  readonly per_device_train_batch_size: number;
  readonly gradient_accumulation_steps: number;
  readonly beta?: number;
  readonly loss_type?: unknown;
  readonly loss_weights?: readonly number[] | null;
  readonly label_smoothing?: number;
  readonly f_divergence_type?: string;
  readonly use_weighting?: boolean;
  readonly disable_dropout?: boolean;
  readonly desirable_weight?: number;
  readonly undesirable_weight?: number;
}

/** What the log does not tell. */
export interface DiagnosisFacts {
  readonly method: Method;
  /** Rows trained on; a preference pair is one row. */
  readonly trainRows: number;
  /** Rows evaluated on. */
  readonly evalRows?: number;
  /** Whether the reference is the policy as it was before the first step. Default true. */
  readonly startsAtReference?: boolean;
  /** Size of the vocabulary, for sft: guessing blindly costs its logarithm. */
  readonly vocabSize?: number;
  /** Rows with label true and false, for kto. */
  readonly desirableRows?: number;
  readonly undesirableRows?: number;
}

/** What a rule sees. */
export interface Seen {
  readonly history: History;
  readonly args: DiagnosedArgs;
  readonly facts: DiagnosisFacts;
}

export type Rule = (seen: Seen) => Finding | undefined;

/** A number in a sentence: four significant digits. */
export function brief(value: number): string {
  if (!Number.isFinite(value) || Number.isInteger(value)) return String(value);
  return Math.abs(value) < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}

/** 0.634 → "63 %" */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
