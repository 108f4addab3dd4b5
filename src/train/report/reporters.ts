import { join } from "node:path";
import type { TrainerCallback } from "../loop/callbacks.js";
import type { TrainerState } from "../loop/trainerState.js";
import { CsvReporter } from "./csvLog.js";
import { MlflowReporter } from "./mlflow.js";
import type { Patience } from "./mlflowClient.js";
import { type Environment, hasMlflow, mlflowSettings } from "./mlflowSettings.js";
import { type ReportedArgs, publicArgs } from "./reporter.js";
import { TensorBoardReporter } from "./tensorboard.js";

/** What the loggers are told beside the options. All is optional. */
export interface ReportContext {
  /** The model's config.json: shown in TensorBoard, among MLflow's parameters. */
  readonly model_config?: Readonly<Record<string, unknown>>;
  /** Whether the user ended the run (MLflow: KILLED). Default: it ended before its last step. */
  readonly interrupted?: (state: TrainerState) => boolean;
  /** Default process.env. */
  readonly environment?: Environment;
  /** Default console.warn. */
  readonly warn?: (text: string) => void;
  /** For MLflow; default PATIENCE. */
  readonly patience?: Patience;
}

/**
 * The callbacks that `report_to` names; none for "none". Files go to `logging_dir`, by default `output_dir`/runs.
 * @throws ConfigError `mlflow_uri`, `mlflow_login`, `mlflow_timeout` for an MLflow server that is not or wrongly set
 */
export function reporters(args: ReportedArgs, context: ReportContext = {}): TrainerCallback[] {
  const { environment = process.env, warn = (text) => console.warn(text) } = context;
  const { report_to } = args;
  const wants = (name: (typeof report_to)[number]): boolean => report_to.includes(name) || report_to.includes("all");
  const folder = args.logging_dir ?? join(args.output_dir, "runs");
  const resuming = args.resume_from_checkpoint !== null;
  const options = publicArgs(args);
  const list: TrainerCallback[] = [];
  if (wants("tensorboard")) {
    const texts = {
      args: JSON.stringify(options, null, 2),
      ...(context.model_config === undefined ? {} : { model_config: JSON.stringify(context.model_config, null, 2) }),
    };
    list.push(new TensorBoardReporter(folder, resuming, texts, warn));
  }
  if (wants("csv")) list.push(new CsvReporter(folder, resuming, warn));
  if (report_to.includes("mlflow") || (report_to.includes("all") && hasMlflow(environment))) {
    list.push(
      new MlflowReporter({
        settings: mlflowSettings(environment),
        runName: args.run_name ?? args.output_dir,
        params: { ...context.model_config, ...options },
        folder,
        resuming,
        interrupted: context.interrupted ?? ((state) => state.global_step < state.max_steps),
        warn,
        ...(context.patience === undefined ? {} : { patience: context.patience }),
      }),
    );
  }
  return list;
}
