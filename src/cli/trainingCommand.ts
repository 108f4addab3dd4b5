/** What `preflab dpo`, `sft`, `kto`, … share: read the flags, load model and data, train, save, say what came out. */
import { type OptionTable, defineOptions } from "../config/index.js";
import type { Dataset } from "../data/index.js";
import { ConfigError } from "../errors.js";
import type { TrainOutput, Trainer, TrainerState } from "../train/index.js";
import type { TrainerInput } from "../train/loop/trainerInput.js";
import type { TrainingConfig } from "../train/options/trainingConfig.js";
import { type Command, readCommandLine, refusePositionals } from "./command.js";
import { onInterrupt } from "./interrupt.js";
import { LORA_FLAGS, toLoraConfig } from "./loraOptions.js";
import { MODEL_OPTIONS, checkModelOptions, loadModel } from "./modelOptions.js";

const dataTable = (rows: string) =>
  defineOptions("Data", {
    dataset_name: {
      type: "string",
      required: true,
      placeholder: "FILE_OR_DIR_OR_HUB_ID",
      help: `${rows}: a .jsonl, .json, .csv, .parquet or .xlsx file, a folder of them, or an id on the Hugging Face Hub`,
    },
    dataset_config: { type: "string", default: null, nullable: true, help: "Configuration of a Hub data set that has several" },
    dataset_train_split: { type: "string", default: "train", help: "Split to train on, when the data set has splits" },
    dataset_test_split: { type: "string", default: "test", help: "Split to evaluate on; used with eval_strategy steps or epoch" },
    config: {
      type: "string",
      default: null,
      nullable: true,
      placeholder: "FILE",
      help: "YAML or JSON file of these options; flags override it",
    },
  });

/** One training method as a command. */
export interface TrainingCommand<Config extends TrainingConfig> {
  /** e.g. "dpo" */
  readonly name: string;
  readonly summary: string;
  /** What a row is called, in the plural. */
  readonly rows: "pairs" | "rows";
  /** What the rows hold, for help. */
  readonly data: string;
  readonly table: OptionTable;
  readonly config: new (options: object, check: { where: string; prefix: string }) => Config;
  /** Loaded late: a wrong flag is told before TensorFlow.js is there. */
  readonly trainer: () => Promise<new (input: TrainerInput<Config>) => Trainer>;
}

export function trainingCommand<Config extends TrainingConfig>(method: TrainingCommand<Config>): Command {
  const where = `preflab ${method.name}`;
  const dataOptions = dataTable(method.data);
  const tables = [MODEL_OPTIONS, dataOptions, method.table, LORA_FLAGS];
  return {
    name: method.name,
    usage: `${where} --model_name_or_path DIR --dataset_name FILE_OR_DIR_OR_HUB_ID [flags]`,
    summary: method.summary,
    tables,
    async prepare(argv) {
      const { values, positionals, names } = await readCommandLine(where, tables, argv);
      refusePositionals(where, positionals);
      const check = { where, prefix: "--" };
      const modelOptions = MODEL_OPTIONS.resolve(values[0]!, check);
      checkModelOptions(modelOptions, names, where);
      const data = dataOptions.resolve(values[1]!, check);
      const args = new method.config(values[2]!, check);
      const peft_config = toLoraConfig(LORA_FLAGS.resolve(values[3]!, check), names, where);
      if (names.has("dataset_test_split") && args.eval_strategy === "no") {
        throw new ConfigError("option_conflict", `${where}: --dataset_test_split needs --eval_strategy steps or epoch, got no`);
      }

      return async () => {
        const [{ AutoTokenizer }, { load_dataset }, { registerBackend }] = await Promise.all([
          import("../text/index.js"),
          import("../data/index.js"),
          import("../compile/installedBackends.js"),
          // Importing it lets Hub ids stand where a path can.
          import("../hub/index.js"),
        ]);
        const MethodTrainer = await method.trainer();
        if (args.backend !== null) await registerBackend(args.backend);
        const split = (name: string): Promise<Dataset> =>
          load_dataset(data.dataset_name, { split: name, ...(data.dataset_config === null ? {} : { name: data.dataset_config }) });
        const processing_class = await AutoTokenizer.from_pretrained(modelOptions.model_name_or_path, {
          revision: modelOptions.model_revision ?? undefined,
        });
        const train_dataset = await split(data.dataset_train_split);
        const eval_dataset = args.eval_strategy === "no" ? undefined : await split(data.dataset_test_split);
        const model = await loadModel(modelOptions);
        const trainer = new MethodTrainer({ model, args, train_dataset, eval_dataset, processing_class, peft_config });
        const interrupt = onInterrupt(() => trainer.stop(), "Stopping after this step and saving a checkpoint; ctrl-C again ends at once.");
        try {
          const output = await trainer.train();
          if (output.finished) {
            await trainer.save_model();
            await trainer.create_model_card();
          }
          console.log(formatResult(trainer.state, output, args.output_dir, method.rows));
          return interrupt.exitCode ?? 0;
        } finally {
          interrupt.release();
          await trainer.dispose();
        }
      };
    },
  };
}

/** The headline numbers: first and last logged values, the rate, and where everything is. */
function formatResult(state: TrainerState, { finished, global_step, metrics }: TrainOutput, outputDir: string, rows: string): string {
  const logged = state.log_history.filter((entry) => entry["loss"] !== undefined);
  const change = (name: string): string => {
    const [first, last] = [logged[0]?.[name], logged.at(-1)?.[name]];
    return first === undefined || last === undefined ? "" : `  ${name} ${first.toFixed(4)} -> ${last.toFixed(4)}`;
  };
  const stoppedEarly = `stopped; the checkpoint is ${outputDir}/checkpoint-${global_step}`;
  return [
    `${global_step} of ${state.max_steps} steps in ${metrics["train_runtime"]!.toFixed(1)} s, ${metrics["train_samples_per_second"]!.toFixed(2)} ${rows}/s`,
    `mean loss ${metrics["train_loss"]!.toFixed(4)}${["loss", "rewards/margins", "rewards/accuracies", "mean_token_accuracy"].map(change).join("")}`,
    finished ? `saved in ${outputDir}` : stoppedEarly,
  ].join("\n");
}
