import { defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { DPO_OPTIONS, DPOConfig } from "../train/options/dpoConfig.js";
import type { TrainOutput, TrainerState } from "../train/index.js";
import { type Command, readCommandLine, refusePositionals } from "./command.js";
import { EXIT_INTERRUPTED, onInterrupt } from "./interrupt.js";
import { LORA_FLAGS, toLoraInput } from "./loraOptions.js";

const INPUT_OPTIONS = defineOptions("Model and data", {
  model_name_or_path: {
    type: "string",
    required: true,
    placeholder: "DIR",
    help: "Folder of a Qwen2 or Qwen2.5 checkpoint with its tokenizer, or its id on the Hugging Face Hub",
  },
  dataset_name: {
    type: "string",
    required: true,
    placeholder: "FILE_OR_DIR_OR_HUB_ID",
    help: "Preference rows: a .jsonl, .json, .csv, .parquet or .xlsx file, a folder of them, or an id on the Hugging Face Hub",
  },
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

const WHERE = "preflab dpo";
const TABLES = [INPUT_OPTIONS, DPO_OPTIONS, LORA_FLAGS];

export const dpo: Command = {
  name: "dpo",
  usage: "preflab dpo --model_name_or_path DIR --dataset_name FILE_OR_DIR_OR_HUB_ID [flags]",
  summary:
    "Fine-tunes a model on preference pairs with Direct Preference Optimization. Flags are TRL's; the model, its tokenizer and trainer_state.json go to output_dir.",
  tables: TABLES,
  async prepare(argv) {
    const { values, positionals, names } = await readCommandLine(WHERE, TABLES, argv);
    refusePositionals(WHERE, positionals);
    const check = { where: WHERE, prefix: "--" };
    const input = INPUT_OPTIONS.resolve(values[0]!, check);
    const args = new DPOConfig(values[1], check);
    const lora = toLoraInput(LORA_FLAGS.resolve(values[2]!, check), names, WHERE);
    if (names.has("dataset_test_split") && args.eval_strategy === "no") {
      throw new ConfigError("option_conflict", `${WHERE}: --dataset_test_split needs --eval_strategy steps or epoch, got no`);
    }

    return async () => {
      const [{ AutoTokenizer }, { AutoModelForCausalLM, LoraConfig }, { load_dataset }, { DPOTrainer }, { registerBackend }] =
        await Promise.all([
          import("../text/index.js"),
          import("../model/index.js"),
          import("../data/index.js"),
          import("../train/index.js"),
          import("../compile/installedBackends.js"),
          // Importing it lets Hub ids stand where a path can.
          import("../hub/index.js"),
        ]);
      if (args.backend !== null) await registerBackend(args.backend);
      const processing_class = await AutoTokenizer.from_pretrained(input.model_name_or_path);
      const train_dataset = await load_dataset(input.dataset_name, { split: input.dataset_train_split });
      const eval_dataset =
        args.eval_strategy === "no" ? undefined : await load_dataset(input.dataset_name, { split: input.dataset_test_split });
      const model = await AutoModelForCausalLM.from_pretrained(input.model_name_or_path);
      const peft_config = lora === null ? undefined : new LoraConfig(lora);
      const trainer = new DPOTrainer({ model, args, train_dataset, eval_dataset, processing_class, peft_config });
      const interrupt = onInterrupt(() => trainer.stop(), "Stopping after this step and saving a checkpoint; ctrl-C again ends at once.");
      try {
        const output = await trainer.train();
        if (output.finished) await trainer.save_model();
        console.log(formatResult(trainer.state, output, args.output_dir));
        return interrupt.happened ? EXIT_INTERRUPTED : 0;
      } finally {
        interrupt.release();
        await trainer.dispose();
      }
    };
  },
};

/** The headline numbers: first and last logged values, the rate, and where everything is. */
function formatResult(state: TrainerState, { finished, global_step, metrics }: TrainOutput, outputDir: string): string {
  const logged = state.log_history.filter((entry) => entry["loss"] !== undefined);
  const change = (name: string): string => {
    const [first, last] = [logged[0]?.[name], logged.at(-1)?.[name]];
    return first === undefined || last === undefined ? "" : `  ${name} ${first.toFixed(4)} -> ${last.toFixed(4)}`;
  };
  const where = finished ? `saved in ${outputDir}` : `stopped; the checkpoint is ${outputDir}/checkpoint-${global_step}`;
  return [
    `${global_step} of ${state.max_steps} steps in ${metrics["train_runtime"]!.toFixed(1)} s, ${metrics["train_samples_per_second"]!.toFixed(2)} pairs/s`,
    `mean loss ${metrics["train_loss"]!.toFixed(4)}${["loss", "rewards/margins", "rewards/accuracies"].map(change).join("")}`,
    where,
  ].join("\n");
}
