/** `preflab evaluate`: one model, one data set, one task. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { OptionTable, OptionValues } from "../config/index.js";
import type { Dataset, Message } from "../data/index.js";
import { ConfigError, DataError } from "../errors.js";
import type { EvaluationResult, LabelWords, Prompt, TableRow } from "../evaluate/index.js";
import type { CausalLM } from "../model/index.js";
import type { PreTrainedTokenizer } from "../text/index.js";
import { type Command, readCommandLine } from "./command.js";
import { CLASSIFICATION_OPTIONS, EVALUATE_OPTIONS, PERPLEXITY_OPTIONS, PREFERENCE_OPTIONS } from "./evaluateOptions.js";
import { MODEL_OPTIONS, checkModelOptions, loadModel } from "./modelOptions.js";

const WHERE = "preflab evaluate";
const TASK_TABLES: Readonly<Record<Task, OptionTable>> = {
  preference: PREFERENCE_OPTIONS,
  classification: CLASSIFICATION_OPTIONS,
  perplexity: PERPLEXITY_OPTIONS,
};
const TABLES = [EVALUATE_OPTIONS, MODEL_OPTIONS, PREFERENCE_OPTIONS, CLASSIFICATION_OPTIONS, PERPLEXITY_OPTIONS];

type EvaluateOptions = OptionValues<(typeof EVALUATE_OPTIONS)["entries"]>;
type Task = EvaluateOptions["task"];
type ClassificationOptions = OptionValues<(typeof CLASSIFICATION_OPTIONS)["entries"]>;

/** What a task works on. */
interface Subject {
  readonly model: CausalLM;
  readonly tokenizer: PreTrainedTokenizer;
  readonly dataset: Dataset;
  readonly options: EvaluateOptions;
}

/** A result, with a row for every row of the data. */
interface Evaluated {
  readonly result: EvaluationResult;
  readonly details: TableRow[];
}

export const evaluate: Command = {
  name: "evaluate",
  usage: `${WHERE} MODEL --dataset FILE_OR_DIR_OR_HUB_ID --task preference|classification|perplexity [flags]`,
  summary: "Measures a model on a data set, with 95 % intervals. Rows that are dropped, cut or unreadable are counted and told.",
  tables: TABLES,
  async prepare(argv) {
    const { values, positionals, names } = await readCommandLine(WHERE, TABLES, argv);
    const check = { where: WHERE, prefix: "--" };
    const [options, model, preference, classification, perplexity] = [
      EVALUATE_OPTIONS.resolve(values[0]!, check),
      MODEL_OPTIONS.resolve({ ...values[1]!, ...modelOf(positionals, names) }, check),
      PREFERENCE_OPTIONS.resolve(values[2]!, check),
      CLASSIFICATION_OPTIONS.resolve(values[3]!, check),
      PERPLEXITY_OPTIONS.resolve(values[4]!, check),
    ];
    checkModelOptions(model, names, WHERE);
    refuseOtherTasks(options.task, names);
    if (preference.against_base && preference.reference_model_name_or_path !== null)
      throw new ConfigError(
        "option_conflict",
        `${WHERE}: --against_base and --reference_model_name_or_path exclude each other, got both; give one`,
      );
    if (classification.labels !== null && classification.label_words !== null)
      throw new ConfigError("option_conflict", `${WHERE}: --labels and --label_words exclude each other, got both; give one`);

    return async () => {
      const [{ AutoTokenizer }, { PeftModel }, { load_dataset }] = await Promise.all([
        import("../text/index.js"),
        import("../model/index.js"),
        import("../data/index.js"),
        // Importing it lets Hub ids stand where a path can.
        import("../hub/index.js"),
      ]);
      const { model_name_or_path: path, model_revision } = model;
      // A download reports its progress on stdout, where only JSON may stand.
      const repository = options.json ? ({ progress: false } as const) : {};
      const split = options.dataset_split ?? ((await isFile(options.dataset_name)) ? undefined : "test");
      const dataset = await load_dataset(options.dataset_name, {
        ...repository,
        ...(split === undefined ? {} : { split }),
        ...(options.dataset_config === null ? {} : { name: options.dataset_config }),
      });
      const tokenizer = await AutoTokenizer.from_pretrained(path, { ...repository, revision: model_revision ?? undefined });
      const loaded = await loadModel(model);
      let adapted = loaded;
      try {
        if (options.adapter !== null)
          adapted = await PeftModel.from_pretrained(loaded.base, options.adapter, { ...repository, is_trainable: false });
        const subject: Subject = { model: adapted, tokenizer, dataset, options };
        const work: Readonly<Record<Task, () => Promise<Evaluated>>> = {
          preference: () => evaluatePreference(subject, preference),
          classification: () => evaluateLabels(subject, classification, names),
          perplexity: () => evaluatePerplexity(subject, perplexity),
        };
        const evaluated = await work[options.task]();
        await report(evaluated, options, path);
        return 0;
      } finally {
        await adapted.dispose();
        await loaded.dispose();
        await loaded.base.dispose();
      }
    };
  },
};

async function evaluatePreference(
  { model, tokenizer, dataset, options }: Subject,
  given: OptionValues<(typeof PREFERENCE_OPTIONS)["entries"]>,
): Promise<Evaluated> {
  const { preferenceAccuracy } = await import("../evaluate/index.js");
  if (given.against_base && model.peft_config === undefined)
    throw new ConfigError("option_conflict", `${WHERE}: --against_base needs a model with an adapter, got one without; give --adapter`);
  const { AutoModelForCausalLM } = await import("../model/index.js");
  const path = given.reference_model_name_or_path;
  const other = path === null ? undefined : await AutoModelForCausalLM.from_pretrained(path, options.json ? { progress: false } : {});
  const reference = other ?? (given.against_base ? model.base : undefined);
  try {
    const { max_length, seed } = options;
    const { truncation_mode } = given;
    const result = await preferenceAccuracy({ model, reference, tokenizer, dataset, max_length, truncation_mode, seed });
    return { result, details: result.pairRows() };
  } finally {
    await other?.dispose();
  }
}

async function evaluatePerplexity(
  { model, tokenizer, dataset, options: { max_length, seed } }: Subject,
  given: OptionValues<(typeof PERPLEXITY_OPTIONS)["entries"]>,
): Promise<Evaluated> {
  const { perplexity } = await import("../evaluate/index.js");
  const result = await perplexity({ model, tokenizer, dataset, max_length, seed, ...given });
  return { result, details: result.textRows() };
}

async function evaluateLabels(
  { model, tokenizer, dataset, options: { seed } }: Subject,
  given: ClassificationOptions,
  names: ReadonlySet<string>,
): Promise<Evaluated> {
  const { evaluateClassification } = await import("../evaluate/index.js");
  const truth = dataset.column(given.label_column).map((value, row) => labelOf(value, given.label_column, dataset, row));
  const prompts = dataset.column(given.prompt_column).map((value, row) => promptOf(value, given, dataset, row));
  const words = given.label_words as LabelWords | null;
  const result = await evaluateClassification({
    model,
    tokenizer,
    prompts,
    truth,
    labels: words ?? given.labels ?? [...new Set(truth)].sort(),
    method: given.method,
    pos_label: given.pos_label ?? undefined,
    seed,
    // Only what is given: an option of the other method is refused by name.
    ...(names.has("length_normalised") ? { length_normalised: given.length_normalised } : {}),
    ...(names.has("end_token") ? { end_token: given.end_token } : {}),
    ...(names.has("max_new_tokens") ? { max_new_tokens: given.max_new_tokens } : {}),
  });
  return { result, details: result.predictionRows() };
}

function labelOf(value: unknown, column: string, dataset: Dataset, row: number): string {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return String(value);
  throw new DataError(
    "data_type",
    `${column} must be text, a number or a boolean, got ${JSON.stringify(value)}; fill it in or drop the row`,
    dataset.origin(row),
  );
}

function promptOf(value: unknown, { prompt_column, chat }: ClassificationOptions, dataset: Dataset, row: number): Prompt {
  if (typeof value === "string") return chat ? [{ role: "user", content: value }] : value;
  if (Array.isArray(value)) return value as Message[];
  throw new DataError(
    "data_type",
    `${prompt_column} must be text or a list of messages, got ${JSON.stringify(value)}; name the column with --prompt_column`,
    dataset.origin(row),
  );
}

async function report(
  { result, details }: Evaluated,
  { task, dataset_name, json, output_dir }: EvaluateOptions,
  model: string,
): Promise<void> {
  const object = { task, model, dataset: dataset_name, summary: result.summary(), metrics: result.rows() };
  console.log(json ? JSON.stringify(object) : String(result));
  if (output_dir === null) return;
  const [{ mkdir }, { writeFileAtomic }, { csvText }] = await Promise.all([
    import("node:fs/promises"),
    import("../text/atomicFile.js"),
    import("../evaluate/table.js"),
  ]);
  await mkdir(output_dir, { recursive: true });
  await writeFileAtomic(join(output_dir, "evaluation.json"), `${JSON.stringify(object, null, 2)}\n`);
  await writeFileAtomic(join(output_dir, "rows.csv"), csvText(details));
}

/** The model stands alone, or behind --model_name_or_path. */
function modelOf(positionals: readonly string[], names: ReadonlySet<string>): { model_name_or_path?: string } {
  const given = names.has("model_name_or_path");
  if (positionals.length === (given ? 0 : 1)) return given ? {} : { model_name_or_path: positionals[0]! };
  throw new ConfigError(
    "model",
    `${WHERE}: one MODEL must be given, got ${positionals.length + (given ? 1 : 0)}${positionals.length === 0 ? "" : `, ${positionals.join(" ")}`}; write it as the first word`,
  );
}

/** @throws ConfigError `option_conflict` for a flag of another task */
function refuseOtherTasks(task: Task, names: ReadonlySet<string>): void {
  for (const [other, table] of Object.entries(TASK_TABLES)) {
    const stray = other === task ? undefined : [...table.specs.keys()].find((name) => names.has(name));
    if (stray !== undefined)
      throw new ConfigError("option_conflict", `${WHERE}: --${stray} is for --task ${other}, got it with --task ${task}; leave it out`);
  }
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}
