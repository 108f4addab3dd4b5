/** What a model card is made of. All that is not given and was not recorded is left out. */
import type { CausalLM } from "../../model/index.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import type { Trainer } from "../../train/index.js";
import type { CardSample } from "./samples.js";

/** A measurement on one data set, as it goes into the card's model-index. */
export interface CardEvaluation {
  /** `type` is its id on the Hub, or "custom". */
  readonly dataset: {
    readonly name: string;
    readonly type?: string;
    readonly config?: string;
    readonly split?: string;
    readonly revision?: string;
  };
  /** `type` is the metric's id on the Hub where it has one, e.g. "accuracy". */
  readonly metrics: readonly { readonly type: string; readonly name?: string; readonly value: number }[];
}

/** What only the author of a model knows. */
export interface CardDetails {
  /** An identifier of the Hub, "other" with `license_name` and `license_link`. Default: what the base model's own card says, where it is at hand. */
  license?: string;
  license_name?: string;
  license_link?: string;
  /** ISO 639 codes. */
  language?: string | readonly string[];
  /** Texts before and after training; see `generateSamples`. */
  samples?: readonly CardSample[];
  /** Measurements beside those of the run's own evaluation sets. */
  evaluations?: readonly CardEvaluation[];
  /** Sentences about what the model should not be used for. */
  limitations?: string | readonly string[];
}

export const CARD_DETAILS: readonly (keyof CardDetails)[] = [
  ...(["license", "license_name", "license_link", "language", "samples", "evaluations", "limitations"] as const),
];

export interface CardFacts extends CardDetails {
  /** `owner/name` or `name` */
  readonly repo_id: string;
  readonly model: CausalLM;
  /** The run that made it. */
  readonly trainer?: Trainer;
  /** Default the trainer's. */
  readonly tokenizer?: PreTrainedTokenizer;
  /** Hub ids of the data. Data that the run itself has read from the Hub is added. */
  readonly datasets: readonly string[];
  readonly tags: readonly string[];
  /** Name of the figure beside the card. */
  readonly curves?: string;
}
