/** Forward and backward of one micro-batch, run by run; the gradient stays in the engine's store. */
import type { Engine, HostTensor, HostTensors } from "../../compile/index.js";
import type { CausalLM } from "../../model/index.js";
import type { Random } from "../../random.js";
import type { TrainingOptions } from "../options/trainingConfig.js";
import { batchLoss, countColumns } from "./batchLoss.js";
import { recomputedLayers } from "../sequence/activationMemory.js";
import { dropoutMasks, dropoutWidths } from "../sequence/dropout.js";
import { type PairScores, type PreparedPair, type ReferenceLogps, pairScores } from "./pairBatch.js";
import { type MicroBatchPlace, requireFiniteLoss } from "../sequence/microBatch.js";
import { pairInputs } from "../sequence/pairLayout.js";
import { type Run, drawnRows, planRuns, rowInput } from "../sequence/runs.js";
import type { SequenceProgram } from "../sequence/sequenceProgram.js";
import { type GradientProgram, headIsFrozen } from "../optimizer/gradientSums.js";
import { COUNTS, type PairObjective, gradientProgram, scoringProgram } from "./pairProgram.js";
import type { Preference } from "./preference.js";

/** The options that a micro-batch depends on, whatever the loss. */
type RunnerOptions = Pick<
  TrainingOptions,
  "per_device_train_batch_size" | "gradient_checkpointing" | "activation_memory_limit" | "tokens_per_run"
> & { readonly disable_dropout: boolean };

export interface MicroBatchResult {
  /** Mean over the pairs, before division by the accumulation count. */
  readonly loss: number;
  readonly scores: PairScores[];
}

/** Pairs that run together, as program inputs. */
interface PairRun extends Run {
  /** Made when they are asked for: dropout masks of all runs at once would fill the memory. */
  readonly inputs: () => HostTensors;
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
  readonly #tokensPerRun: number;

  private constructor(engine: Engine, model: CausalLM, args: RunnerOptions, preference: Preference, rows: readonly PreparedPair[]) {
    const { loss, reference, coupled, parts, key } = preference;
    this.#preference = preference;
    // Decided by the configured size: a last, smaller batch must not be the first to trace a user's function.
    this.#couples = coupled && args.per_device_train_batch_size > 1;
    this.#model = model;
    this.#tokensPerRun = args.tokens_per_run;
    this.#widths = args.disable_dropout ? new Map<string, number>() : dropoutWidths(model);
    const gradient = (objective: PairObjective, recompute: number): GradientProgram =>
      gradientProgram(engine, model, objective, parts, this.#widths, recompute);
    const ofLoss: PairObjective = { kind: "loss", loss, reference, key };
    const slopes: PairObjective = { kind: "slopes" };
    const used = this.#couples ? slopes : ofLoss;
    const recompute = recomputedLayers(preference.trainer, model, args, rows, (layers) => gradient(used, layers));
    this.#lossProgram = gradient(ofLoss, recompute);
    this.#slopesProgram = gradient(slopes, recompute);
    this.#scoring = scoringProgram(engine, model, { metrics: true, dropoutWidths: this.#widths, parts });
  }

  /**
   * Compiles nothing yet: programs are made for each form of a sequence when it is first met.
   * @param rows all that will be trained on, for `activation_memory_limit`
   * @throws ConfigError `activation_memory`
   */
  static async create(
    engine: Engine,
    model: CausalLM,
    args: RunnerOptions,
    preference: Preference,
    rows: readonly PreparedPair[] = [],
  ): Promise<MicroBatchRunner> {
    if (headIsFrozen(model)) await model.base.storeHeadMean();
    return new MicroBatchRunner(engine, model, args, preference, rows);
  }

  /** @param references as many as pairs, or none for a loss without a reference @throws EngineError `loss_not_finite` naming the rows */
  async run(pairs: readonly PreparedPair[], references: readonly ReferenceLogps[], place: MicroBatchPlace): Promise<MicroBatchResult> {
    const runs = this.#plan(pairs, place.random);
    const result = await (this.#couples ? this.#coupled(pairs, runs, references, place) : this.#pairwise(pairs, runs, references, place));
    requireFiniteLoss(result.loss, pairs, this.#preference.trainer);
    return result;
  }

  async #pairwise(
    pairs: readonly PreparedPair[],
    runs: readonly PairRun[],
    references: readonly ReferenceLogps[],
    place: MicroBatchPlace,
  ): Promise<MicroBatchResult> {
    const scores: PairScores[] = [];
    const losses: number[] = [];
    const counts = countColumns(pairs);
    const weight = 1 / (pairs.length * place.of);
    for (const [i, run] of runs.entries()) {
      const columns = Object.fromEntries(COUNTS.map((name) => [name, rowInput(run, (row) => counts[name][row]!)]));
      if (references.length > 0) {
        columns["referenceChosen"] = rowInput(run, (row) => references[row]!.chosen);
        columns["referenceRejected"] = rowInput(run, (row) => references[row]!.rejected);
      }
      const given = { ...run.inputs(), ...columns, weight: rowInput(run, () => weight) };
      const outputs = await this.#lossProgram.run(given, place.index === 0 && i === 0);
      for (const [at, row] of run.rows.entries()) {
        scores[row] = pairScores(outputs, at);
        losses[row] = outputs["loss"]!.data[at]!;
      }
    }
    return { loss: losses.reduce((sum, loss) => sum + loss / pairs.length, 0), scores };
  }

  async #coupled(
    pairs: readonly PreparedPair[],
    runs: readonly PairRun[],
    references: readonly ReferenceLogps[],
    place: MicroBatchPlace,
  ): Promise<MicroBatchResult> {
    const scores: PairScores[] = [];
    for (const { inputs, rows } of runs) {
      const outputs = await this.#scoring.run(inputs());
      for (const [at, row] of rows.entries()) scores[row] = pairScores(outputs, at);
    }
    const { loss, slopes } = await batchLoss(this.#preference, pairs, scores, references);
    if (!Number.isFinite(loss)) return { loss, scores };
    for (const [i, run] of runs.entries()) {
      const slope = (of: ArrayLike<number>): HostTensor => rowInput(run, (row) => of[row]!);
      const given = {
        ...run.inputs(),
        weight: rowInput(run, () => 1 / place.of),
        chosenSlope: slope(slopes.policyChosen),
        rejectedSlope: slope(slopes.policyRejected),
        nllSlope: slope(slopes.chosenNll),
      };
      await this.#slopesProgram.run(given, place.index === 0 && i === 0);
    }
    return { loss, scores };
  }

  #plan(pairs: readonly PreparedPair[], random: Random): PairRun[] {
    const layouts = pairs.map(({ layout }) => layout);
    const inputsOf = (run: Run): HostTensors => {
      const own = run.rows.map((row) => layouts[row]!);
      const inputs = pairInputs(own, run.form, this.#model.config, this.#preference.parts);
      if (this.#widths.size === 0) return inputs;
      const drawn = drawnRows(run, layouts, random, "pair");
      return { ...inputs, ...dropoutMasks(this.#widths, drawn, this.#model.peft_config!.lora_dropout) };
    };
    return planRuns(layouts, this.#tokensPerRun).map((run) => ({ ...run, inputs: () => inputsOf(run) }));
  }

  async dispose(): Promise<void> {
    for (const program of [this.#lossProgram, this.#slopesProgram, this.#scoring]) await program.dispose();
  }
}
