/** The README.md of a pushed model: what is known of it, and nothing else. */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { stringify } from "yaml";
import { isRepositoryId } from "../data/repository.js";
import { type CausalLM, PeftModel } from "../model/index.js";
import type { LogEntry, Trainer } from "../train/index.js";

export interface CardFacts {
  /** `owner/name` or `name` */
  readonly repo_id: string;
  readonly model: CausalLM;
  /** The run that made it. */
  readonly trainer?: Trainer;
  /** Hub ids of the data. */
  readonly datasets: readonly string[];
  readonly tags: readonly string[];
}

/** Shown in every card of a run; others where they differ from their defaults. */
const MAIN_OPTIONS = [
  "learning_rate",
  "beta",
  "loss_type",
  "per_device_train_batch_size",
  "gradient_accumulation_steps",
  "num_train_epochs",
  "max_steps",
  "max_length",
  "lr_scheduler_type",
  "warmup_steps",
  "weight_decay",
  "max_grad_norm",
  "seed",
];
/** Where files lie on one machine and how that machine computes concerns nobody else. */
const LOCAL_OPTIONS = ["output_dir", "engine", "device", "threads", "backend", "disable_tqdm"];

/** How a card names a method, by the trainer's tag. */
const METHODS: Readonly<Record<string, string>> = {
  dpo: "Direct Preference Optimization ([DPO](https://arxiv.org/abs/2305.18290))",
  kto: "Kahneman-Tversky Optimization ([KTO](https://arxiv.org/abs/2402.01306))",
  cpo: "Contrastive Preference Optimization ([CPO](https://arxiv.org/abs/2401.08417))",
  orpo: "Odds Ratio Preference Optimization ([ORPO](https://arxiv.org/abs/2403.07691))",
  sft: "supervised fine-tuning (SFT)",
};

/** Markdown with a YAML head that the Hub reads. */
export function modelCard(facts: CardFacts): string {
  const { repo_id, model, trainer, datasets } = facts;
  const base = baseModel(model);
  const head = {
    ...(isHubId(base) ? { base_model: base } : {}),
    library_name: model instanceof PeftModel ? "peft" : "transformers",
    model_name: basename(repo_id),
    pipeline_tag: "text-generation",
    tags: cardTags(facts),
    ...(datasets.length > 0 ? { datasets } : {}),
  };
  const sections = [
    `# ${basename(repo_id)}`,
    introduction(facts, base),
    ...(repo_id.includes("/") && (!(model instanceof PeftModel) || isHubId(base)) ? [`## Use`, usage(repo_id, model, base)] : []),
    ...(trainer === undefined ? [] : [`## Training`, trainingTable(trainer), `## Results`, results(trainer)]),
  ];
  // Readers in Python know YAML 1.1, where a bare yes is true.
  return `---\n${stringify(head, { version: "1.1" })}---\n\n${sections.join("\n\n")}\n`;
}

function cardTags({ model, trainer, tags }: CardFacts): string[] {
  const method = trainer === undefined ? [] : ["generated_from_trainer", trainer.method, "trl-compatible"];
  return [...new Set(["preflab", ...method, ...(model instanceof PeftModel ? ["lora"] : []), ...tags])];
}

/** What the model was made from: a Hub id or a local path. */
function baseModel(model: CausalLM): string {
  return model.peft_config?.base_model_name_or_path ?? model.name_or_path;
}

/** An existing path is a path, as for the loaders. */
function isHubId(name: string): boolean {
  return isRepositoryId(name) && !existsSync(name);
}

function introduction({ model, trainer, datasets }: CardFacts, base: string): string {
  // The path itself would tell about somebody's machine.
  const from = isHubId(base) ? `[${base}](https://huggingface.co/${base})` : `a local model, \`${basename(base)}\``;
  const what = model instanceof PeftModel ? `A LoRA adapter for ${from}` : `A language model that started from ${from}`;
  if (trainer === undefined) return `${what}, saved by Preflab.`;
  const data = datasets.length === 0 ? "" : ` on ${datasets.map((id) => `[${id}](https://huggingface.co/datasets/${id})`).join(", ")}`;
  return `${what}, trained with ${METHODS[trainer.method] ?? trainer.method}${data} by Preflab.`;
}

function usage(repo_id: string, model: CausalLM, base: string): string {
  const adapter = model instanceof PeftModel;
  const source = adapter ? base : repo_id;
  const python = [
    "from transformers import AutoModelForCausalLM, AutoTokenizer",
    ...(adapter ? ["from peft import PeftModel"] : []),
    "",
    `tokenizer = AutoTokenizer.from_pretrained("${source}")`,
    `model = AutoModelForCausalLM.from_pretrained("${source}")`,
    ...(adapter ? [`model = PeftModel.from_pretrained(model, "${repo_id}")`] : []),
  ];
  const typescript = [
    `import { AutoModelForCausalLM, AutoTokenizer${adapter ? ", PeftModel" : ""} } from "preflab";`,
    "",
    `const tokenizer = await AutoTokenizer.from_pretrained("${source}");`,
    `const ${adapter ? "base" : "model"} = await AutoModelForCausalLM.from_pretrained("${source}");`,
    ...(adapter ? [`const model = await PeftModel.from_pretrained(base, "${repo_id}");`] : []),
  ];
  return [fence("python", python), fence("typescript", typescript)].join("\n\n");
}

function fence(language: string, lines: readonly string[]): string {
  return `\`\`\`${language}\n${lines.join("\n")}\n\`\`\``;
}

function trainingTable({ args, model }: Trainer): string {
  const values = args.to_json();
  const defaults = args.defaults();
  const changed = Object.keys(values).filter((name) => JSON.stringify(values[name]) !== JSON.stringify(defaults[name]));
  const names = [...new Set([...MAIN_OPTIONS.filter((name) => name in values), ...changed])].filter(
    (name) => !LOCAL_OPTIONS.includes(name),
  );
  const rows = names.map((name) => [name, values[name]] as const);
  const lora = model.peft_config;
  if (lora !== undefined)
    rows.push(["lora r", lora.r], ["lora_alpha", lora.lora_alpha], ["lora_dropout", lora.lora_dropout], ["target_modules", lora.targets]);
  return table(["option", "value"], rows);
}

/** The last values of every logged number. */
function results({ state }: Trainer): string {
  if (state.global_step === 0) return "The model has not been trained yet.";
  const last: LogEntry = Object.assign({}, ...state.log_history) as LogEntry;
  const rows = Object.entries(last).filter(([name]) => !["epoch", "step", "learning_rate"].includes(name));
  const ended = `After ${state.global_step} of ${state.max_steps} steps (epoch ${brief(state.epoch)}), the last logged values:`;
  return `${ended}\n\n${table(["metric", "value"], rows)}`;
}

function table(head: readonly [string, string], rows: readonly (readonly [string, unknown])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), "| --- | --- |", ...rows.map(([name, value]) => line([name, cell(value)]))].join("\n");
}

function cell(value: unknown): string {
  const text = typeof value === "number" ? brief(value) : Array.isArray(value) ? value.join(", ") : String(value);
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function brief(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
}
