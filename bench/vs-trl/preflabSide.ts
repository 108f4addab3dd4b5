/** Preflab's side of a measurement: what a user would write, through the public trainer, timed by callbacks. Runs in a process of its own. */
import {
  AutoModelForCausalLM,
  AutoTokenizer,
  Dataset,
  DPOConfig,
  type DPOConfigInput,
  DPOTrainer,
  LoraConfig,
  type TrainerCallback,
} from "../../src/index.js";
import { CompiledEngine } from "../../src/compile/index.js";
import { join } from "node:path";
import { packageRoot } from "../../scripts/corpus/pairs.js";
import { describeMachine } from "../shared/machine.js";
import { plainSgemm, sgemmRows } from "../shared/sgemm.js";
import type { MadeProgram, Measured, PreflabRequest } from "./requests.js";
import { watchEngine } from "./watchedEngine.js";

/** Options that all measurements share. Token ids are taken in their order, as TRL's side takes them. */
function configOf(request: PreflabRequest, more: DPOConfigInput = {}): DPOConfig {
  return new DPOConfig({
    output_dir: join(request.folder, "preflab"),
    max_steps: request.steps,
    per_device_train_batch_size: request.pairs,
    shuffle_dataset: false,
    max_length: null,
    logging_steps: 1,
    save_strategy: "no",
    disable_tqdm: true,
    learning_rate: 1e-6,
    threads: request.threads,
    ...request.options,
    ...more,
  });
}

const adapter = (r: number): LoraConfig => new LoraConfig({ r, lora_alpha: 2 * r, target_modules: ["q_proj", "v_proj"] });

/** Loads, trains, and tells what it took; plain sgemm is measured outside the steps' time. */
export async function measurePreflab(request: PreflabRequest): Promise<Omit<Measured, "process_seconds">> {
  const { lora_r, quantization, trials, steps } = request;
  const programs: MadeProgram[] = [];
  const engine = request.watch
    ? watchEngine(new CompiledEngine({ threads: request.threads }), (made) => void programs.push(made))
    : undefined;
  const model = await AutoModelForCausalLM.from_pretrained(request.model, {
    threads: request.threads,
    ...(engine !== undefined && { engine }),
    ...(quantization !== undefined && { quantization_config: quantization }),
  });
  try {
    const store = await model.load({ threads: request.threads });
    const weights_bytes = store.bytes();
    const common = {
      model,
      train_dataset: Dataset.from_rows(request.rows.map((row) => ({ ...row }))),
      // Rows of token ids need none of its own.
      processing_class: await AutoTokenizer.from_pretrained(join(packageRoot(), "datasets", "tiny-qwen2-chat")),
    };
    const sgemm: number[] = [];
    let measureSgemm: (() => Promise<number>) | undefined;
    const clock = stepClock(async (step) => {
      if (!request.sgemm || step === 1) return;
      measureSgemm ??= await plainSgemm(store, model.config, sgemmRows(request.rows));
      sgemm.push(await measureSgemm());
    });
    const runs: { args: DPOConfig; r: number | null }[] =
      trials === undefined
        ? [{ args: configOf(request), r: lora_r }]
        : trials.map(({ learning_rate, beta, lora_r: r }, i) => ({
            args: configOf(request, { learning_rate, beta, output_dir: join(request.folder, `trial-${i}`) }),
            r,
          }));
    let first: Record<string, unknown> | undefined;
    for (const { args, r } of runs) {
      const trainer = new DPOTrainer({
        ...common,
        args,
        callbacks: [clock.callback],
        ...(r !== null && { peft_config: adapter(r) }),
      });
      await trainer.train();
      first ??= trainer.state.log_history[0];
    }
    if (request.sgemm && steps > 1) sgemm.push(await measureSgemm!());
    const number = (name: string): number | null => (typeof first?.[name] === "number" ? first[name] : null);
    return {
      ...clock.read(),
      // Linux counts in KiB.
      peak_bytes: process.resourceUsage().maxRSS * 1024,
      first_logps: number("logps/chosen"),
      first_grad_norm: number("grad_norm"),
      sgemm,
      programs,
      weights_bytes,
      versions: { node: process.versions.node, "onnxruntime-node": describeMachine()["onnxruntime-node"] },
    };
  } finally {
    await model.dispose();
  }
}

/** @param before called before each step, outside its time; steps count from 1 */
function stepClock(before: (step: number) => Promise<void>): {
  callback: TrainerCallback;
  read(): Pick<Measured, "step_seconds" | "first_step_seconds" | "begin_seconds">;
} {
  const steps: number[] = [];
  let [begun, begin] = [0, NaN];
  return {
    callback: {
      on_step_begin: async ({ global_step }) => {
        await before(global_step + 1);
        begun = performance.now();
        // Counted from the start of the process.
        if (steps.length === 0) begin = begun / 1000;
      },
      on_step_end: () => void steps.push((performance.now() - begun) / 1000),
    },
    read: () => ({ first_step_seconds: steps[0]!, step_seconds: steps.slice(1), begin_seconds: begin }),
  };
}
