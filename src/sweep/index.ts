/** Sweeps: many settings, one ranked table, durable in one file. */
export { type OpenSweep, type SweepInput, STUDY_FILE, openSweep, sweep } from "./sweep.js";
export { SWEEP_OPTIONS, type SweepFileInput, readSweepFile } from "./sweepOptions.js";
export { SweepResult } from "./result.js";
export type { Importance, Setting } from "./ranking.js";
export { type Goal, Study, SweepTrial } from "./study.js";
export {
  type Objective,
  type SweepRunOptions,
  type SweepEngine,
  type TrialProgress,
  type TrialResult,
  TrialPruned,
  TrialStopped,
  localEngine,
  runTrial,
} from "./engine.js";
export type { Ended, Ledger, TrialFacts, TrialRecord, TrialState } from "./ledger.js";
export type { PrunerInput } from "./pruner.js";
export type { DimensionInput, Params } from "./space.js";
export { type OptunaExport, exportToOptuna } from "./optuna.js";
export { answerLines } from "./askTell.js";
export { type BullmqInput, bullmqEngine, cancelBullmq } from "./bullmq/engine.js";
export { type BullmqWorkerInput, serveBullmq } from "./bullmq/worker.js";
export { type SlurmInput, cancelSlurm, slurmEngine } from "./slurm/engine.js";
export { type SlurmTaskInput, runSlurmTask } from "./slurm/worker.js";
export type { SweepPlan } from "./plan.js";
