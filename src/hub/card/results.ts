/** What was measured, for the model-index and for people. */
import { basename } from "node:path";
import type { DataRecord } from "../../train/manifest/runManifest.js";
import type { LogEntry, Trainer } from "../../train/index.js";
import type { CardEvaluation, CardFacts } from "./facts.js";
import { brief, table } from "./markdown.js";

/** Logged values that go into the model-index: the Hub's metric where there is one, and a name. */
const METRICS: Readonly<Record<string, readonly [type: string, name: string]>> = {
  loss: ["loss", "Loss"],
  "rewards/accuracies": ["accuracy", "Reward accuracy"],
  "rewards/margins": ["rewards/margins", "Reward margin"],
  "rewards/chosen": ["rewards/chosen", "Reward of chosen"],
  "rewards/rejected": ["rewards/rejected", "Reward of rejected"],
  mean_token_accuracy: ["accuracy", "Token accuracy"],
  entropy: ["entropy", "Entropy a token (nats)"],
  kl: ["kl", "KL estimate (nats)"],
  nll_loss: ["nll_loss", "Negative log-likelihood a token (nats)"],
  log_odds_ratio: ["log_odds_ratio", "Log odds ratio"],
};

/** Everything that was measured: on the run's evaluation sets, its training loss, and what the author adds. */
export function evaluationsOf(facts: CardFacts): CardEvaluation[] {
  const { trainer, evaluations = [] } = facts;
  return [...(trainer === undefined ? [] : runEvaluations(trainer, facts.datasets[0])), ...evaluations];
}

function runEvaluations({ state, args, manifest }: Trainer, id: string | undefined): CardEvaluation[] {
  const data = manifest?.data;
  const found = Object.entries(data?.eval ?? {}).flatMap(([name, record]) => {
    const prefix = name === "" ? "eval_" : `eval_${name}_`;
    const entries = state.log_history.filter((entry) => entry[`${prefix}loss`] !== undefined);
    const step = args.load_best_model_at_end ? state.best_global_step : null;
    // What is saved is the best model, so its evaluation counts, not the last one.
    const entry = step === null ? entries.at(-1) : entries.find((each) => each["step"] === step);
    const metrics = entry === undefined ? [] : metricsOf(entry, prefix);
    return metrics.length === 0 ? [] : [{ dataset: describeData(record, id, name === "" ? undefined : name), metrics }];
  });
  const loss = state.log_history.findLast((entry) => entry["train_loss"] !== undefined)?.["train_loss"];
  if (loss === undefined || !Number.isFinite(loss) || data === undefined) return found;
  const metrics = [{ type: "training_loss", name: "Training loss, mean over all steps", value: rounded(loss) }];
  return [...found, { dataset: describeData(data.train, id, "train"), metrics }];
}

function metricsOf(entry: LogEntry, prefix: string): CardEvaluation["metrics"] {
  return Object.entries(METRICS).flatMap(([name, [type, title]]) => {
    const value = entry[prefix + name];
    return value === undefined || !Number.isFinite(value) ? [] : [{ type, name: title, value: rounded(value) }];
  });
}

/** By its id on the Hub where it has one, else by its files' names. */
function describeData(record: DataRecord, given: string | undefined, split: string | undefined): CardEvaluation["dataset"] {
  const [file] = record.files;
  const id = file?.repository ?? given;
  const own = [...new Set(record.files.map(({ path }) => basename(path)))].join(", ");
  const name = id ?? (own === "" ? "rows made in memory" : own);
  const revision = file?.commit === undefined ? {} : { revision: file.commit };
  return { name, type: id ?? "custom", ...(split === undefined ? {} : { split }), ...revision };
}

function rounded(value: number): number {
  return Number(value.toPrecision(6));
}

/** @returns undefined where nothing was measured */
export function modelIndex(name: string, evaluations: readonly CardEvaluation[]): unknown {
  if (evaluations.length === 0) return undefined;
  const results = evaluations.map(({ dataset, metrics }) => ({
    task: { type: "text-generation", name: "Text Generation" },
    dataset: { type: "custom", ...dataset },
    metrics: metrics.map(({ type, name: title, value }) => ({ type, value, ...(title === undefined ? {} : { name: title }) })),
  }));
  return [{ name, results }];
}

export function evaluationTable(evaluations: readonly CardEvaluation[]): string {
  const rows = evaluations.flatMap(({ dataset: { name, split }, metrics }) =>
    metrics.map((metric) => [split === undefined ? name : `${name} (${split})`, metric.name ?? metric.type, metric.value]),
  );
  return table(["data", "metric", "value"], rows);
}

/** The last values of every logged number of training. */
export function lastValues({ state }: Trainer): string {
  const last = Object.assign({}, ...state.log_history) as LogEntry;
  const hidden = /^(epoch|step|learning_rate|eval_.*|train_.*|.*(runtime|per_second))$/;
  const rows = Object.entries(last).filter(([name]) => !hidden.test(name));
  const ended = `After ${state.global_step} of ${state.max_steps} steps (epoch ${brief(state.epoch)}), the last logged values of training:`;
  return `${ended}\n\n${table(["metric", "value"], rows)}`;
}
