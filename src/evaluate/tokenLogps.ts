/** The log-probability of every scored token of a sequence: what likelihoods of labels and perplexity are made of. */
import { type Engine, headLogProbs, type tf } from "../compile/index.js";
import { EngineError } from "../errors.js";
import type { CausalLM } from "../model/index.js";
import { formOfRow } from "../train/sequence/runs.js";
import { scoredStates } from "../train/sequence/scoredStates.js";
import { type SequenceLayout, sequenceInputs, sequenceSignature } from "../train/sequence/sequenceInputs.js";
import { type SequenceProgram, sequenceProgram } from "../train/sequence/sequenceProgram.js";

/** A layout with the place that an error names. */
export interface ScoredSequence {
  /** At least one scored token. */
  readonly layout: SequenceLayout;
  /** File and row. */
  readonly origin: string;
}

export class TokenScorer {
  readonly #model: CausalLM;
  readonly #program: SequenceProgram;

  private constructor(model: CausalLM, program: SequenceProgram) {
    this.#model = model;
    this.#program = program;
  }

  /** Reads the weights if they are not there yet. @param where names the asker @throws ConfigError `inference_only` for q8 and q4 models */
  static async create(model: CausalLM, where: string): Promise<TokenScorer> {
    model.base.requireFloats(where);
    return new TokenScorer(model, tokenLogpProgram(await model.load(), model));
  }

  /** In nats, one a scored token, in the layout's order. @throws EngineError `logps_not_finite` naming the row */
  async logps({ layout, origin }: ScoredSequence): Promise<Float64Array> {
    const outputs = await this.#program.run(sequenceInputs([layout], formOfRow(layout), this.#model.config));
    const logps = Float64Array.from(outputs["logps"]!.data as Float32Array).subarray(0, layout.sources.length);
    const broken = logps.find((value) => !Number.isFinite(value));
    if (broken === undefined) return logps;
    throw new EngineError(
      "logps_not_finite",
      `evaluate: log-probs must be finite, got ${broken} at ${origin}; the model has NaN or infinite weights: training has diverged, or the files are broken`,
    );
  }

  dispose(): Promise<void> {
    return this.#program.dispose();
  }
}

/** Output: `logps` [C], one a scored token. */
function tokenLogpProgram(engine: Engine, model: CausalLM): SequenceProgram {
  return sequenceProgram(engine, {
    name: "log-probs of tokens",
    fn: (inputs, form) => {
      const { scored, weights } = scoredStates(model, inputs, form, {});
      return { logps: headLogProbs(scored, inputs["targets"] as tf.Tensor1D, model.base.head(weights, "none")).logps };
    },
    signature: (form) => sequenceSignature(model, form),
    key: [model.computation, "logps"],
  });
}
