/** Forward and backward of one micro-batch, pair by pair; the gradient stays in the engine's store. */
import type { Engine, HostTensors } from "../../compile/index.js";
import type { CausalLM } from "../../model/index.js";
import type { Random } from "../../random.js";
import type { TrainingOptions } from "../options/trainingConfig.js";
import { batchLoss, countColumns } from "./batchLoss.js";
import { dropoutMasks, dropoutWidths } from "../sequence/dropout.js";
import { type PairScores, type PreparedPair, type ReferenceLogps, pairScores } from "./pairBatch.js";
import { type MicroBatchPlace, one, requireFiniteLoss, weightInput } from "../sequence/microBatch.js";
import { pairInputs } from "../sequence/pairLayout.js";
import { tokensSize } from "../sequence/sequenceInputs.js";
import type { SequenceProgram } from "../sequence/sequenceProgram.js";
import { type GradientProgram, headIsFrozen } from "../optimizer/gradientSums.js";
import { COUNTS, gradientProgram, scoringProgram } from "./pairProgram.js";
import type { Preference } from "./preference.js";

/** The options that a micro-batch depends on, whatever the loss. */
type RunnerOptions = Pick<TrainingOptions, "per_device_train_batch_size" | "gradient_checkpointing"> & {
  readonly disable_dropout: boolean;
};

export interface MicroBatchResult {
  /** Mean over the pairs, before division by the accumulation count. */
  readonly loss: number;
  readonly scores: PairScores[];
}

export class MicroBatchRunner {
  readonly #couples: boolean;
  readonly #preference: Preference;
  readonly #model: CausalLM;
  readonly #widths: Map<string, number>;
  /** One pass with the loss inside, or with given slopes for a loss that couples the pairs of a batch. */
  readonly #lossProgram: GradientProgram;
  readonly #slopesProgram: GradientProgram;
  readonly #scoring: SequenceProgram;

  private constructor(engine: Engine, model: CausalLM, args: RunnerOptions, preference: Preference) {
    const { loss, reference, coupled, parts } = preference;
    const recompute = args.gradient_checkpointing;
    this.#preference = preference;
    // Decided by the configured size: a last, smaller batch must not be the first to trace a user's function.
    this.#couples = coupled && args.per_device_train_batch_size > 1;
    this.#model = model;
    this.#widths = args.disable_dropout ? new Map<string, number>() : dropoutWidths(model);
    this.#lossProgram = gradientProgram(engine, model, { kind: "loss", loss, reference }, parts, this.#widths, recompute);
    this.#slopesProgram = gradientProgram(engine, model, { kind: "slopes" }, parts, this.#widths, recompute);
    this.#scoring = scoringProgram(engine, model, { metrics: true, dropoutWidths: this.#widths, parts });
  }

  /** Compiles nothing yet: programs are made for each form of a sequence when it is first met. */
  static async create(engine: Engine, model: CausalLM, args: RunnerOptions, preference: Preference): Promise<MicroBatchRunner> {
    if (headIsFrozen(model)) await model.base.storeHeadMean();
    return new MicroBatchRunner(engine, model, args, preference);
  }

  /** @param references as many as pairs, or none for a loss without a reference @throws EngineError `loss_not_finite` naming the rows */
  async run(pairs: readonly PreparedPair[], references: readonly ReferenceLogps[], place: MicroBatchPlace): Promise<MicroBatchResult> {
    const inputs = pairs.map((pair, i) => ({
      ...pairInputs(pair.layout, this.#model.config, this.#preference.parts),
      ...this.#masks(pair, place.random.fork(`pair ${i}`)),
    }));
    const result = await (this.#couples
      ? this.#coupled(pairs, inputs, references, place)
      : this.#pairwise(pairs, inputs, references, place));
    requireFiniteLoss(result.loss, pairs, this.#preference.trainer);
    return result;
  }

  async #pairwise(
    pairs: readonly PreparedPair[],
    inputs: readonly HostTensors[],
    references: readonly ReferenceLogps[],
    place: MicroBatchPlace,
  ): Promise<MicroBatchResult> {
    const scores: PairScores[] = [];
    const counts = countColumns(pairs);
    let loss = 0;
    for (const i of pairs.keys()) {
      const reference = references[i];
      const given = {
        ...inputs[i]!,
        ...weightInput(1 / (pairs.length * place.of)),
        ...(reference === undefined ? {} : { referenceChosen: one(reference.chosen), referenceRejected: one(reference.rejected) }),
        ...Object.fromEntries(COUNTS.map((name) => [name, one(counts[name][i]!)])),
      };
      const outputs = await this.#lossProgram.run(given, place.index === 0 && i === 0);
      scores.push(pairScores(outputs));
      loss += outputs["loss"]!.data[0]! / pairs.length;
    }
    return { loss, scores };
  }

  async #coupled(
    pairs: readonly PreparedPair[],
    inputs: readonly HostTensors[],
    references: readonly ReferenceLogps[],
    place: MicroBatchPlace,
  ): Promise<MicroBatchResult> {
    const scores: PairScores[] = [];
    for (const tensors of inputs) scores.push(pairScores(await this.#scoring.run(tensors)));
    const { loss, slopes } = await batchLoss(this.#preference, pairs, scores, references);
    if (!Number.isFinite(loss)) return { loss, scores };
    for (const [i, tensors] of inputs.entries()) {
      const given = {
        ...tensors,
        ...weightInput(1 / place.of),
        chosenSlope: one(slopes.policyChosen[i]!),
        rejectedSlope: one(slopes.policyRejected[i]!),
        nllSlope: one(slopes.chosenNll[i]!),
      };
      await this.#slopesProgram.run(given, place.index === 0 && i === 0);
    }
    return { loss, scores };
  }

  #masks(pair: PreparedPair, random: Random): HostTensors {
    if (this.#widths.size === 0) return {};
    return dropoutMasks(this.#widths, tokensSize(pair.layout), this.#model.peft_config!.lora_dropout, random);
  }

  async dispose(): Promise<void> {
    for (const program of [this.#lossProgram, this.#slopesProgram, this.#scoring]) await program.dispose();
  }
}
