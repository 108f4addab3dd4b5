/** Forward and backward of the rows of a micro-batch, run by run; the gradient stays in the engine's store. */
import type { Engine, HostTensors } from "../../compile/index.js";
import type { CausalLM, Qwen2Config } from "../../model/index.js";
import type { Random } from "../../random.js";
import type { BatchMetrics } from "../loop/logWindow.js";
import type { SFTLossName, SFTOptions } from "../options/sftConfig.js";
import type { GradientProgram } from "../optimizer/gradientSums.js";
import { recomputedLayers } from "../sequence/activationMemory.js";
import { type DrawnRow, dropoutMasks, dropoutWidths } from "../sequence/dropout.js";
import { embeddingNoise } from "../sequence/embeddingNoise.js";
import { requireFiniteLoss } from "../sequence/microBatch.js";
import { drawnRows, planRuns } from "../sequence/runs.js";
import type { SequenceProgram } from "../sequence/sequenceProgram.js";
import { textInputs } from "../sequence/textLayout.js";
import { type TokenLoss, textGradientProgram } from "../sequence/textProgram.js";
import { type PreparedText } from "./preparedTexts.js";

/** Sums over the label tokens of a micro-batch. */
export interface TextScores {
  /** Times the weight of a token. */
  readonly loss: number;
  /** Nats. */
  readonly entropy: number;
  /** Tokens that were the likeliest. */
  readonly correct: number;
}

/** `nll` and `chunked_nll` differ in TRL by where logits are kept; here they never are. */
export function tokenLoss(name: SFTLossName): TokenLoss {
  return name === "dft" ? "dft" : "nll";
}

export function labelTokens(texts: readonly PreparedText[]): number {
  return texts.reduce((sum, { scored }) => sum + scored, 0);
}

/** What TRL logs for a micro-batch. */
export function batchMetrics(texts: readonly PreparedText[], { entropy, correct }: TextScores): BatchMetrics {
  const tokens = labelTokens(texts);
  return { entropy: entropy / tokens, mean_token_accuracy: correct / tokens };
}

/** Without gradient; the loss is a plain sum. @param program of `textScoringProgram` @param tokensPerRun as in `planRuns` */
export async function scoreTexts(
  program: SequenceProgram,
  texts: readonly PreparedText[],
  config: Qwen2Config,
  tokensPerRun: number,
): Promise<TextScores> {
  const layouts = texts.map(({ layout }) => layout);
  let total: TextScores = { loss: 0, entropy: 0, correct: 0 };
  for (const { form, rows } of planRuns(layouts, tokensPerRun)) {
    const together = rows.map((row) => layouts[row]!);
    total = plus(total, await program.run(textInputs(together, form, config, 1)));
  }
  return total;
}

export interface TextPlace {
  /** Of a label token in the step's loss. */
  readonly weight: number;
  /** Whether the step's gradient begins here. */
  readonly first: boolean;
  /** Random numbers of this micro-batch. */
  readonly random: Random;
}

export class TextRunner {
  readonly #args: SFTOptions;
  readonly #model: CausalLM;
  readonly #widths: Map<string, number>;
  readonly #program: GradientProgram;

  /**
   * Compiles nothing yet: programs are made for each form of a sequence when it is first met.
   * @param rows all that will be trained on, for `activation_memory_limit`
   * @throws ConfigError `activation_memory`
   */
  constructor(engine: Engine, model: CausalLM, args: SFTOptions, rows: readonly PreparedText[] = []) {
    this.#args = args;
    this.#model = model;
    this.#widths = dropoutWidths(model);
    const program = (recompute: number): GradientProgram =>
      textGradientProgram(engine, model, {
        loss: tokenLoss(args.loss_type),
        dropoutWidths: this.#widths,
        noise: args.neftune_noise_alpha !== null,
        recompute,
      });
    this.#program = program(recomputedLayers("SFTTrainer", model, args, rows, program));
  }

  /** @throws EngineError `loss_not_finite` naming the rows of the run */
  async run(texts: readonly PreparedText[], { weight, first, random }: TextPlace): Promise<TextScores> {
    const layouts = texts.map(({ layout }) => layout);
    let total: TextScores = { loss: 0, entropy: 0, correct: 0 };
    for (const [i, run] of planRuns(layouts, this.#args.tokens_per_run).entries()) {
      const together = run.rows.map((row) => layouts[row]!);
      const given = {
        ...textInputs(together, run.form, this.#model.config, weight),
        ...this.#drawn(drawnRows(run, layouts, random, "row"), this.#noiseLength(texts)),
      };
      total = plus(total, await this.#program.run(given, first && i === 0));
      const rows = run.rows.map((row) => texts[row]!);
      requireFiniteLoss(total.loss, rows, "SFTTrainer");
    }
    return total;
  }

  /** Dropout masks and embedding noise. */
  #drawn(rows: readonly DrawnRow[], noiseLength: number): HostTensors {
    const { neftune_noise_alpha: alpha } = this.#args;
    const { peft_config, config } = this.#model;
    const masks = this.#widths.size === 0 ? {} : dropoutMasks(this.#widths, rows, peft_config!.lora_dropout);
    if (alpha === null) return masks;
    const noisy = rows.map(({ tokens, random }) => ({ tokens, random: random.fork("noise") }));
    return { ...masks, ...embeddingNoise(noisy, config.hidden_size, noiseLength, alpha) };
  }

  /** transformers takes the width of the padded batch; rows that are packed without crossing are one long sequence in TRL. */
  #noiseLength(texts: readonly PreparedText[]): number {
    const lengths = texts.map(({ tokens }) => tokens);
    const joined = this.#args.packing && this.#args.packing_strategy !== "wrapped";
    return joined ? lengths.reduce((sum, length) => sum + length, 0) : Math.max(...lengths);
  }

  dispose(): Promise<void> {
    return this.#program.dispose();
  }
}

function plus(total: TextScores, outputs: HostTensors): TextScores {
  const added = (name: keyof TextScores): number => total[name] + outputs[name]!.data[0]!;
  return { loss: added("loss"), entropy: added("entropy"), correct: added("correct") };
}
