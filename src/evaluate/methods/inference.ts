/** How long a model takes to answer, measured run by run. */
import { ConfigError } from "../../errors.js";
import { generateTokens } from "../../generate/index.js";
import type { CausalLM } from "../../model/index.js";
import type { PreTrainedTokenizer } from "../../text/index.js";
import { type Prompt, promptIds } from "../prompt.js";
import { mean, quantile } from "../statistics.js";

/** Only `measureInference` has it. */
const MEASURED = Symbol("measured");

export interface MeasureInferenceOptions {
  readonly model: CausalLM;
  readonly tokenizer: PreTrainedTokenizer;
  /** Answered in turn. */
  readonly prompts: readonly Prompt[];
  /** Default 100. */
  readonly runs?: number;
  /** Runs before the clock counts, in which programs are compiled; default 3. */
  readonly warmup_runs?: number;
  /** New tokens of each run, neither more nor fewer: an end token does not end it; default 16. */
  readonly max_new_tokens?: number;
}

export interface InferenceNumbers {
  /** Of each run, ms, in order. */
  readonly latencies_ms: readonly number[];
  readonly max_new_tokens: number;
  readonly prompts: number;
  /** Mean prompt tokens of a run. */
  readonly prompt_tokens: number;
}

/** Answers that were timed. Made by `measureInference` alone. */
export class InferenceMeasurement implements InferenceNumbers {
  readonly latencies_ms: readonly number[];
  readonly max_new_tokens: number;
  readonly prompts: number;
  readonly prompt_tokens: number;
  readonly runs: number;
  readonly mean_ms: number;
  readonly median_ms: number;
  readonly p95_ms: number;
  /** Runs over the time of all runs, one after the other. */
  readonly inferences_per_second: number;
  /** New tokens over the time of all runs; reading the prompts is part of that time. */
  readonly tokens_per_second: number;
  /** Makes the class nominal for the compiler. */
  readonly #measured: typeof MEASURED;

  /** @throws ConfigError `not_measured` */
  constructor(key: typeof MEASURED, numbers: InferenceNumbers) {
    if (key !== MEASURED)
      throw new ConfigError(
        "not_measured",
        "InferenceMeasurement: it must be measured, got numbers of another origin; call measureInference({ … })",
      );
    const { latencies_ms, max_new_tokens } = numbers;
    const total = latencies_ms.reduce((sum, ms) => sum + ms, 0) / 1000;
    this.#measured = key;
    this.latencies_ms = Object.freeze([...latencies_ms]);
    this.max_new_tokens = max_new_tokens;
    this.prompts = numbers.prompts;
    this.prompt_tokens = numbers.prompt_tokens;
    this.runs = latencies_ms.length;
    this.mean_ms = mean(latencies_ms);
    this.median_ms = quantile(latencies_ms, 0.5);
    this.p95_ms = quantile(latencies_ms, 0.95);
    this.inferences_per_second = this.runs / total;
    this.tokens_per_second = (this.runs * max_new_tokens) / total;
    Object.freeze(this);
  }

  /** Whether a value is a measurement, whatever it looks like. */
  static is(value: unknown): value is InferenceMeasurement {
    return typeof value === "object" && value !== null && #measured in value;
  }
}

/**
 * Times greedy answers of a fixed number of tokens, one after the other. Each run's prompt begins with another token, so that nothing is
 * taken from the key/value cache of an earlier run: a latency that only repeats a cached prompt would flatter.
 * @throws ConfigError `option_range`, `rows`; and as `generate`
 */
export async function measureInference(options: MeasureInferenceOptions): Promise<InferenceMeasurement> {
  const { model, tokenizer, prompts, runs = 100, warmup_runs = 3, max_new_tokens = 16 } = options;
  for (const [name, value, least] of [
    ["runs", runs, 1],
    ["warmup_runs", warmup_runs, 0],
    ["max_new_tokens", max_new_tokens, 1],
  ] as const) {
    if (!Number.isInteger(value) || value < least)
      throw new ConfigError("option_range", `measureInference: ${name} must be an integer >= ${least}, got ${String(value)}`);
  }
  if (prompts.length === 0) throw new ConfigError("rows", "measureInference: there must be at least one prompt, got none");
  const ids = prompts.map((prompt) => promptIds(prompt, tokenizer));
  const latencies_ms: number[] = [];
  let promptTokens = 0;
  for (let run = -warmup_runs; run < runs; run++) {
    const prompt = [(run + warmup_runs) % model.config.vocab_size, ...ids[(run + warmup_runs) % ids.length]!];
    const started = performance.now();
    let made = 0;
    const sampling = { do_sample: false, repetition_penalty: 1 };
    for await (const _ of generateTokens(model, prompt, { max_new_tokens, eos_token_id: null, ...sampling })) made++;
    const elapsed = performance.now() - started;
    if (run < 0) continue;
    if (made !== max_new_tokens)
      throw new ConfigError(
        "not_measured",
        `measureInference: a run must make ${max_new_tokens} tokens, got ${made}; nothing was measured`,
      );
    latencies_ms.push(elapsed);
    promptTokens += prompt.length;
  }
  return new InferenceMeasurement(MEASURED, { latencies_ms, max_new_tokens, prompts: prompts.length, prompt_tokens: promptTokens / runs });
}
