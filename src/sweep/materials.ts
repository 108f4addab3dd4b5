/** What the trainings of a sweep are made from: rows, tokenizer, options. The same on this machine and on a worker's. */
import { join } from "node:path";
import type { JsonObject } from "../config/index.js";
import { Dataset, load_dataset } from "../data/index.js";
import { ConfigError } from "../errors.js";
import { AutoTokenizer } from "../text/index.js";
import { recordData } from "../train/manifest/fingerprint.js";
import { splitOptions } from "./methods.js";
import { type SweepValues, methodOf, readDimensions } from "./sweepOptions.js";
import { TrainingRuns, type TrainingPlan } from "./training.js";

export interface Sets {
  readonly train: Dataset;
  readonly eval: Dataset | undefined;
  /** SHA-256 of the rows: a sweep does not go on with others. */
  readonly record: JsonObject;
}

type GivenData = string | Dataset | { readonly train: Dataset; readonly eval?: Dataset } | undefined;

export async function dataOf(values: SweepValues, given: GivenData, where: string): Promise<Sets> {
  if (given !== undefined && typeof given !== "string") {
    const { train, eval: judged } = given instanceof Dataset ? { train: given, eval: undefined } : given;
    return { train, eval: judged, record: await recordOf(train, judged) };
  }
  if (values.data === null) throw new ConfigError("option_missing", `${where}: data must be given; rows to train on and to judge by`);
  const split = (name: string): Promise<Dataset> =>
    load_dataset(values.data!, { split: name, ...(values.dataset_config === null ? {} : { name: values.dataset_config }) });
  const train = await split(values.train_split);
  const judged = values.test_split === null ? undefined : await split(values.test_split);
  return { train, eval: judged, record: await recordOf(train, judged) };
}

async function recordOf(train: Dataset, judged: Dataset | undefined): Promise<JsonObject> {
  return { train: (await recordData(train)).sha256, eval: judged === undefined ? null : (await recordData(judged)).sha256 };
}

/** Folder of a trial below the sweep's. */
export const trialFolder = (sweep: string, number: number): string => join(sweep, "trials", String(number).padStart(4, "0"));

/** Whether all trials keep their weights: of several seeds the best setting is known at the end only. */
export const keepsAll = (values: SweepValues): boolean => values.keep === "all" || (values.seeds?.length ?? 0) > 1;

/** @param options of `values`, with functions where code gave some */
export async function trainingRuns(
  values: SweepValues,
  sets: Sets,
  options: Readonly<Record<string, unknown>>,
  metric: string,
  onComplete: TrainingPlan["onComplete"],
): Promise<TrainingRuns> {
  const space = readDimensions(values, "sweep");
  const method = methodOf(values.method);
  const varied = Object.fromEntries([...space.dimensions.keys()].map((name) => [name, null]));
  const { lora } = splitOptions(method, { ...options, ...varied }, "sweep");
  return new TrainingRuns({
    ...{ base: values.base!, train: sets.train, eval: sets.eval, method, options, metric, onComplete },
    folder: (number) => trialFolder(values.output_dir, number),
    adapter: values.peft ?? lora !== undefined,
    quantization: values.quantization ?? undefined,
    tokenizer: await AutoTokenizer.from_pretrained(values.base!),
  });
}
