/**
 * Forward and backward of one micro-batch, row by row; the gradient stays in the engine's store. The KL estimate must be known before
 * the first gradient, and it has none itself: so a forward pass of `prompt | mismatched completion` for every row, then the gradient
 * pass of `prompt | completion` with the loss inside. One forward pass over both completions would share the prompt, but the gradient
 * pass could keep nothing of it, and would compute prompt and completion again.
 */
import type { Engine, HostTensors } from "../../compile/index.js";
import type { CausalLM } from "../../model/index.js";
import type { Random } from "../../random.js";
import { type GradientProgram, headIsFrozen } from "../optimizer/gradientSums.js";
import { type KTOConfig, estimatesKl } from "../options/ktoConfig.js";
import { dropoutMasks, dropoutWidths } from "../sequence/dropout.js";
import { type MicroBatchPlace, one, requireFiniteLoss, weightInput } from "../sequence/microBatch.js";
import { tokensSize } from "../sequence/sequenceInputs.js";
import type { SequenceProgram } from "../sequence/sequenceProgram.js";
import { lossFunction } from "./losses.js";
import { type PreparedRow, type RowPart, rowInputs } from "./preparedRows.js";
import { type ReferenceLogps, type RowScores, klEstimate, rowScores } from "./rowBatch.js";
import { gradientProgram, scoringProgram } from "./rowProgram.js";

export interface MicroBatchResult {
  /** Mean of the rows' weighted losses, before division by the accumulation count. */
  readonly loss: number;
  /** 0 for a loss without a KL estimate. */
  readonly kl: number;
  readonly scores: RowScores[];
}

/** desirable_weight or undesirable_weight. */
export function rowWeight(row: PreparedRow, { desirable_weight, undesirable_weight }: KTOConfig): number {
  return row.label ? desirable_weight : undesirable_weight;
}

export class MicroBatchRunner {
  readonly #args: KTOConfig;
  readonly #model: CausalLM;
  readonly #widths: Map<string, number>;
  readonly #gradient: GradientProgram;
  readonly #mismatched: SequenceProgram;

  private constructor(engine: Engine, model: CausalLM, args: KTOConfig) {
    this.#args = args;
    this.#model = model;
    this.#widths = args.disable_dropout ? new Map<string, number>() : dropoutWidths(model);
    this.#gradient = gradientProgram(engine, model, lossFunction(args), args.beta, this.#widths, args.gradient_checkpointing);
    this.#mismatched = scoringProgram(engine, model, { metrics: false, dropoutWidths: this.#widths });
  }

  /** Compiles nothing yet: programs are made for each form of a sequence when it is first met. */
  static async create(engine: Engine, model: CausalLM, args: KTOConfig): Promise<MicroBatchRunner> {
    if (headIsFrozen(model)) await model.base.storeHeadMean();
    return new MicroBatchRunner(engine, model, args);
  }

  /** @throws EngineError `loss_not_finite` naming the rows */
  async run(rows: readonly PreparedRow[], references: readonly ReferenceLogps[], place: MicroBatchPlace): Promise<MicroBatchResult> {
    const kl = estimatesKl(this.#args) ? await this.#kl(rows, references, place.random) : 0;
    const scores: RowScores[] = [];
    let loss = 0;
    for (const [i, row] of rows.entries()) {
      const weight = rowWeight(row, this.#args);
      const given = {
        ...this.#inputs(row, "own", place.random.fork(`row ${i}`)),
        ...weightInput(weight / (rows.length * place.of)),
        reference: one(references[i]!.own),
        kl: one(kl),
        label: one(row.label ? 1 : 0),
      };
      const outputs = await this.#gradient.run(given, place.index === 0 && i === 0);
      scores.push(rowScores(outputs));
      loss += (weight * outputs["loss"]!.data[0]!) / rows.length;
    }
    requireFiniteLoss(loss, rows, "KTOTrainer");
    return { loss, kl, scores };
  }

  async #kl(rows: readonly PreparedRow[], references: readonly ReferenceLogps[], random: Random): Promise<number> {
    const policy: number[] = [];
    for (const [i, row] of rows.entries()) {
      const { mismatchedLogps } = await this.#mismatched.run(this.#inputs(row, "mismatched", random.fork(`mismatched ${i}`)));
      policy.push(mismatchedLogps!.data[0]!);
    }
    return klEstimate(policy, references);
  }

  /** With the row's dropout masks, which TRL draws for the mismatched completions too. */
  #inputs(row: PreparedRow, part: RowPart, random: Random): HostTensors {
    const inputs = rowInputs(row, part, this.#model.config);
    if (this.#widths.size === 0) return inputs;
    return { ...inputs, ...dropoutMasks(this.#widths, tokensSize(row.layout(part)), this.#model.peft_config!.lora_dropout, random) };
  }

  async dispose(): Promise<void> {
    for (const program of [this.#gradient, this.#mismatched]) await program.dispose();
  }
}
