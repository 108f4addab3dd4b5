/**
 * The stop button of a notebook reaches long work: training ends after its present step with a checkpoint, generation after its
 * present token, and then the cell ends. Without this the cell would end and the work would go on unseen.
 * The methods belong to their classes for the users, and to this folder in the order of the pipeline: training knows no notebooks.
 */
import { EngineError } from "../errors.js";
import { CausalLM } from "../model/index.js";
import { type TrainOptions, type TrainOutput, Trainer } from "../train/index.js";
import "../generate/index.js";
import { notebookHost } from "./display.js";
import { showLive } from "./liveTraining.js";

const { train } = Trainer.prototype as { train: (this: Trainer, options?: TrainOptions) => Promise<TrainOutput> };

Trainer.prototype.train = async function trainUntilInterrupted(this: Trainer, options?: TrainOptions): Promise<TrainOutput> {
  const signal = notebookHost()?.interruptSignal();
  if (signal === undefined) return train.call(this, options);
  showLive(this);
  const stop = (): void => this.stop();
  signal.addEventListener("abort", stop);
  try {
    const output = await train.call(this, options);
    if (!signal.aborted || output.finished) return output;
  } finally {
    signal.removeEventListener("abort", stop);
  }
  const { global_step, max_steps } = this.state;
  throw new EngineError(
    "interrupted",
    `${this.constructor.name}: training was stopped by the interrupt button after step ${global_step} of ${max_steps}; the model is as it was then, and ${this.args.output_dir}/checkpoint-${global_step} holds it`,
  );
};

type Generate = (this: CausalLM, input_ids: readonly number[], options?: { signal?: AbortSignal }) => Promise<number[]>;
const { generate } = CausalLM.prototype as unknown as { generate: Generate };

CausalLM.prototype.generate = async function generateUntilInterrupted(
  this: CausalLM,
  input_ids: readonly number[],
  options: { signal?: AbortSignal } = {},
) {
  const signal = options.signal === undefined ? notebookHost()?.interruptSignal() : undefined;
  if (signal === undefined) return generate.call(this, input_ids, options);
  const ids = await generate.call(this, input_ids, { ...options, signal });
  if (signal.aborted) throw new EngineError("interrupted", "generate: stopped by the interrupt button");
  return ids;
} as CausalLM["generate"];
