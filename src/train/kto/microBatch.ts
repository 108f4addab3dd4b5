/**
 * Forward and backward of one micro-batch, run by run; the gradient stays in the engine's store. The KL estimate must be known before
 * the first gradient, and it has none itself: so a forward pass of `prompt | mismatched completion` for every row, then the gradient
 * pass of `prompt | completion` with the loss inside. One forward pass over both completions would share the prompt, but the gradient
 * pass could keep nothing of it, and would compute prompt and completion again.
 */
import type { Engine, HostTensors } from "../../compile/index.js";
import type { CausalLM } from "../../model/index.js";
import type { Random } from "../../random.js";
import { type GradientProgram, headIsFrozen } from "../optimizer/gradientSums.js";
import { type KTOConfig, estimatesKl } from "../options/ktoConfig.js";
import { recomputedLayers } from "../sequence/activationMemory.js";
import { dropoutMasks, dropoutWidths } from "../sequence/dropout.js";
import { type MicroBatchPlace, requireFiniteLoss } from "../sequence/microBatch.js";
import { type Run, drawnRows, planRuns, rowInput } from "../sequence/runs.js";
import type { SequenceProgram } from "../sequence/sequenceProgram.js";
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

/** A user's loss is written for one row. */
function tokensPerRun({ loss_type, tokens_per_run }: KTOConfig): number {
  return typeof loss_type === "function" ? 0 : tokens_per_run;
}

/** Rows that run together, as program inputs. */
interface RowRun extends Run {
  /** Made when they are asked for: dropout masks of all runs at once would fill the memory. */
  readonly inputs: () => HostTensors;
}

export class MicroBatchRunner {
  readonly #args: KTOConfig;
  readonly #model: CausalLM;
  readonly #widths: Map<string, number>;
  readonly #gradient: GradientProgram;
  readonly #mismatched: SequenceProgram;

  private constructor(engine: Engine, model: CausalLM, args: KTOConfig, rows: readonly PreparedRow[]) {
    this.#args = args;
    this.#model = model;
    this.#widths = args.disable_dropout ? new Map<string, number>() : dropoutWidths(model);
    const gradient = (recompute: number): GradientProgram => gradientProgram(engine, model, args, this.#widths, recompute);
    const own = rows.map((row) => ({
      origin: row.origin,
      get layout() {
        return row.layout("own");
      },
    }));
    this.#gradient = gradient(recomputedLayers("KTOTrainer", model, { ...args, tokens_per_run: tokensPerRun(args) }, own, gradient));
    this.#mismatched = scoringProgram(engine, model, { metrics: false, dropoutWidths: this.#widths });
  }

  /**
   * Compiles nothing yet: programs are made for each form of a sequence when it is first met.
   * @param rows all that will be trained on, for `activation_memory_limit`
   * @throws ConfigError `activation_memory`
   */
  static async create(engine: Engine, model: CausalLM, args: KTOConfig, rows: readonly PreparedRow[] = []): Promise<MicroBatchRunner> {
    if (headIsFrozen(model)) await model.base.storeHeadMean();
    return new MicroBatchRunner(engine, model, args, rows);
  }

  /** @throws EngineError `loss_not_finite` naming the rows */
  async run(rows: readonly PreparedRow[], references: readonly ReferenceLogps[], place: MicroBatchPlace): Promise<MicroBatchResult> {
    const kl = estimatesKl(this.#args) ? await this.#kl(rows, references, place.random) : 0;
    const scores: RowScores[] = [];
    const losses: number[] = [];
    for (const [i, run] of this.#plan(rows, "own", place.random, "row").entries()) {
      const given = {
        ...run.inputs(),
        weight: rowInput(run, (row) => rowWeight(rows[row]!, this.#args) / (rows.length * place.of)),
        reference: rowInput(run, (row) => references[row]!.own),
        kl: rowInput(run, () => kl),
        label: rowInput(run, (row) => (rows[row]!.label ? 1 : 0)),
      };
      const outputs = await this.#gradient.run(given, place.index === 0 && i === 0);
      for (const [at, row] of run.rows.entries()) {
        scores[row] = rowScores(outputs, at);
        losses[row] = outputs["loss"]!.data[at]!;
      }
    }
    const loss = rows.reduce((sum, row, i) => sum + (rowWeight(row, this.#args) * losses[i]!) / rows.length, 0);
    requireFiniteLoss(loss, rows, "KTOTrainer");
    return { loss, kl, scores };
  }

  async #kl(rows: readonly PreparedRow[], references: readonly ReferenceLogps[], random: Random): Promise<number> {
    const policy: number[] = [];
    for (const { inputs, rows: places } of this.#plan(rows, "mismatched", random, "mismatched")) {
      const { mismatchedLogps } = await this.#mismatched.run(inputs());
      for (const [at, row] of places.entries()) policy[row] = mismatchedLogps!.data[at]!;
    }
    return klEstimate(policy, references);
  }

  /** With the rows' dropout masks, which TRL draws for the mismatched completions too. */
  #plan(rows: readonly PreparedRow[], part: RowPart, random: Random, stream: string): RowRun[] {
    const layouts = rows.map((row) => row.layout(part));
    const inputsOf = (run: Run): HostTensors => {
      const own = run.rows.map((row) => rows[row]!);
      const inputs = rowInputs(own, part, run.form, this.#model.config);
      if (this.#widths.size === 0) return inputs;
      const drawn = drawnRows(run, layouts, random, stream);
      return { ...inputs, ...dropoutMasks(this.#widths, drawn, this.#model.peft_config!.lora_dropout) };
    };
    return planRuns(layouts, tokensPerRun(this.#args)).map((run) => ({ ...run, inputs: () => inputsOf(run) }));
  }

  async dispose(): Promise<void> {
    for (const program of [this.#gradient, this.#mismatched]) await program.dispose();
  }
}
