/** How a model was trained: data, options, machine, and how to do it again. */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { isRepositoryId } from "../../data/repository.js";
import type { Trainer } from "../../train/index.js";
import type { DataRecord, ModelRecord, RunManifest } from "../../train/manifest/runManifest.js";
import { table } from "./markdown.js";
import { fence } from "./usage.js";

/** Shown in every card of a run; others where they differ from their defaults. */
const MAIN_OPTIONS = [
  ...["learning_rate", "beta", "loss_type", "per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_steps"],
  ...["max_length", "lr_scheduler_type", "warmup_steps", "optim", "weight_decay", "max_grad_norm", "seed"],
];
/** Where files lie on one machine and how that machine computes concerns nobody else. */
const LOCAL_OPTIONS = [
  ...[
    "output_dir",
    "engine",
    "device",
    "threads",
    "backend",
    "disable_tqdm",
    "resume_from_checkpoint",
    "logging_dir",
    "run_name",
    "report_to",
  ],
  "chat_template_path",
];

/** A Hub id stays one; of a path only its last part is told. */
export function publicName(name: string): string {
  return isHubId(name) ? name : basename(name);
}

/** An existing path is a path, as for the loaders. */
export function isHubId(name: string): boolean {
  return isRepositoryId(name) && !existsSync(name);
}

function shownOptions({ args }: Trainer): [string, unknown][] {
  const values = args.to_json();
  const defaults = args.defaults();
  const changed = Object.keys(values).filter((name) => JSON.stringify(values[name]) !== JSON.stringify(defaults[name]));
  const names = [...new Set([...MAIN_OPTIONS.filter((name) => name in values), ...changed])];
  return names.filter((name) => !LOCAL_OPTIONS.includes(name)).map((name) => [name, values[name]]);
}

/** Options, and those of the adapter and of the quantisation. */
export function optionTable(trainer: Trainer): string {
  const { model } = trainer;
  const rows = shownOptions(trainer);
  const lora = model.peft_config;
  if (lora !== undefined) {
    const { r, lora_alpha, lora_dropout, targets, use_dora, use_rslora, modules_to_save } = lora;
    rows.push(["lora r", r], ["lora_alpha", lora_alpha], ["lora_dropout", lora_dropout], ["target_modules", targets]);
    if (use_dora) rows.push(["use_dora", true]);
    if (use_rslora) rows.push(["use_rslora", true]);
    if (modules_to_save !== null) rows.push(["modules_to_save", modules_to_save]);
  }
  const quantization = model.base.quantization_config;
  if (quantization !== undefined) rows.push(["base model", quantization.load_in_4bit ? "4 bits (NF4)" : "8 bits (LLM.int8())"]);
  return table(["option", "value"], rows);
}

/** What the run's manifest tells of data, machine and time. */
export function runTable({ data, hardware, results, started_at, seeds }: RunManifest): string {
  const rows: [string, unknown][] = [["training rows", data.train.rows]];
  for (const [name, set] of Object.entries(data.eval)) rows.push([`evaluation rows${name === "" ? "" : ` (${name})`}`, set.rows]);
  rows.push(["seed", seeds.seed]);
  if (results !== null) rows.push(["steps", results.global_step], ["duration", duration(results.train_runtime)]);
  rows.push(["date", started_at.slice(0, 10)], ["processor", `${hardware.cpu}, ${hardware.threads} threads`]);
  rows.push(["memory", `${(hardware.memory_bytes / 2 ** 30).toFixed(1)} GiB`], ["system", hardware.platform]);
  return table(["run", ""], rows);
}

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function versions({ software }: RunManifest): string {
  const { preflab, node, packages } = software;
  const rows = [["Preflab", preflab], ["Node.js", node], ...Object.entries(packages)];
  return rows.map(([name, version]) => `- ${name}: ${version}`).join("\n");
}

/** The command, the hashes of what goes in and comes out, and what stands in the way. */
export function reproduction(trainer: Trainer, manifest: RunManifest): string {
  const { data, model, results, software, not_reproducible } = manifest;
  const hashes: [string, string][] = [
    ...dataHashes("training", data.train),
    ...Object.entries(data.eval).flatMap(([name, set]) => dataHashes(`evaluation${name === "" ? "" : ` ${name}`}`, set)),
    ...model.files.map((file): [string, string] => [`base model: ${basename(file.path)}`, file.sha256]),
    ...(results === null
      ? []
      : ([
          ["trained tensors", results.weights_sha256],
          ["log", results.log_sha256],
        ] as [string, string][])),
  ];
  const commit = software.commit === null ? "" : ` (commit ${software.commit.slice(0, 12)})`;
  const how = `With Preflab ${software.preflab}${commit} and the same files:\n\n${fence("bash", [command(trainer, manifest)])}`;
  const why = not_reproducible.map((reason) => `- ${reason}`).join("\n");
  const whether =
    not_reproducible.length === 0
      ? `${how}\n\nWho has the run's folder can also write \`preflab reproduce RUN_DIR\`, which compares every logged value and the weights.`
      : `A command alone cannot repeat this run:\n\n${why}`;
  return `${whether}\n\n${table(["content", "SHA-256"], hashes)}`;
}

function dataHashes(what: string, record: DataRecord): [string, string][] {
  const files = record.files.map((file): [string, string] => [`${what} data: ${nameOf(file.repository, file.path)}`, file.sha256]);
  return [...files, [`${what} rows`, record.sha256]];
}

function nameOf(repository: string | undefined, path: string): string {
  return repository === undefined ? basename(path) : `${repository}/${path}`;
}

function command(trainer: Trainer, { method, data, model, adapter }: RunManifest): string {
  const [file] = data.train.files;
  const flags: [string, unknown][] = [
    ["model_name_or_path", modelName(model)],
    ["dataset_name", file?.repository ?? (data.train.files.length === 1 ? basename(file!.path) : "FOLDER_OF_THE_DATA")],
  ];
  const { args } = trainer;
  const defaults = args.defaults();
  for (const [name, value] of Object.entries(args.to_json())) {
    const local = LOCAL_OPTIONS.includes(name) && !["engine", "device", "backend", "threads"].includes(name);
    if (!local && JSON.stringify(value) !== JSON.stringify(defaults[name])) flags.push([name, value]);
  }
  const lora = adapter === null ? undefined : trainer.model.peft_config;
  if (lora !== undefined) {
    flags.push(["use_peft", true], ["lora_r", lora.r], ["lora_alpha", lora.lora_alpha], ["lora_dropout", lora.lora_dropout]);
    flags.push(["lora_target_modules", lora.toJson()["target_modules"]]);
    if (lora.modules_to_save !== null) flags.push(["lora_modules_to_save", lora.modules_to_save]);
    if (lora.use_dora) flags.push(["use_dora", true]);
    if (lora.use_rslora) flags.push(["use_rslora", true]);
  }
  const quantization = trainer.model.base.quantization_config;
  if (quantization !== undefined) flags.push([quantization.load_in_4bit ? "load_in_4bit" : "load_in_8bit", true]);
  return [`preflab ${method}`, ...flags.map(([name, value]) => `--${name} ${flagValue(value)}`)].join(" \\\n  ");
}

function modelName({ name_or_path, place }: ModelRecord): string {
  return place.repository ?? publicName(name_or_path);
}

function flagValue(value: unknown): string {
  if (Array.isArray(value)) return value.map(flagValue).join(" ");
  const text = typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
  return /^[\w./:-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
