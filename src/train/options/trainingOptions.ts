/** The options that all trainers share: transformers' TrainingArguments by name, and where training computes. */
import type { OptionEntries } from "../../config/index.js";
import { REFUSED_OPTIMIZERS } from "./optimizerNames.js";

const entries = <const T extends OptionEntries>(table: T): T => table;

const STEPS_RULE = "a whole number of steps, or a share of all steps in (0, 1)";
const isSteps = (value: number): boolean => value > 0 && (value < 1 || Number.isInteger(value));

/** Names that transformers knows. */
const REFUSED_TRACKERS = Object.fromEntries(
  [
    ...["azure_ml", "comet_ml", "neptune", "trackio", "wandb", "codecarbon", "clearml", "dagshub", "flyte", "dvclive", "swanlab"],
    "kubeflow",
  ].map((name) => [name, "it has no client here; use tensorboard, csv or mlflow"]),
);

/** Batches, passes, optimizer, logging, evaluation, saving. A trainer's table spreads these and may change a default. */
export const TRAINING_ENTRIES = entries({
  output_dir: {
    type: "string",
    default: "trainer_output",
    placeholder: "DIR",
    help: "Folder for checkpoints, the final model and trainer_state.json",
    differs: "TRL's default null stands for the same folder",
  },

  learning_rate: { type: "number", default: 5e-5, min: 0, help: "Peak learning rate of AdamW" },
  lr_scheduler_type: {
    type: "string",
    choices: [
      "linear",
      "cosine",
      "cosine_with_restarts",
      "polynomial",
      "constant",
      "constant_with_warmup",
      "inverse_sqrt",
      "reduce_lr_on_plateau",
      "cosine_with_min_lr",
      "cosine_warmup_with_min_lr",
      "warmup_stable_decay",
      "greedy",
    ],
    default: "linear",
    help: "Learning rate after the warmup. reduce_lr_on_plateau and greedy follow metric_for_best_model instead, without a warmup",
  },
  lr_scheduler_kwargs: {
    type: "json",
    default: null,
    nullable: true,
    help: 'Arguments of the schedule, e.g. {"num_cycles": 2} for cosine_with_restarts; names and defaults are transformers\'',
  },
  warmup_steps: {
    type: "number",
    default: 0,
    rule: {
      text: "a whole number of steps, or a share of all steps in [0, 1)",
      accepts: (value: number) => value >= 0 && (value < 1 || Number.isInteger(value)),
    },
    unit: "optimizer steps",
    help: "Steps over which the learning rate rises from 0; below 1 it is a share of all steps",
  },
  warmup_ratio: {
    type: "number",
    default: null,
    nullable: true,
    min: 0,
    exclusiveMax: 1,
    help: "Share of all steps used for warmup; the older name of a warmup_steps below 1",
  },
  optim: {
    type: "string",
    choices: ["adamw_torch_fused", "adamw_torch", "adamw_8bit", "adamw_bnb_8bit", "paged_adamw_32bit", "paged_adamw_8bit", "sgd"],
    refusedChoices: REFUSED_OPTIMIZERS,
    default: "adamw_torch_fused",
    help: "Optimizer. The 8bit ones keep AdamW's two means in 8 bits a number where a tensor has 4,096 numbers or more, embeddings excepted: 2 bytes instead of 8. fused and paged make no difference here",
  },
  optim_args: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "NAME=VALUE,…",
    help: "Arguments of the optimizer. sgd knows momentum, dampening and nesterov; AdamW has options of its own (adam_beta1, …)",
  },
  weight_decay: { type: "number", default: 0, min: 0, help: "Weight decay, decoupled in AdamW; biases and norms are left out" },
  adam_beta1: { type: "number", default: 0.9, min: 0, exclusiveMax: 1, help: "Decay of AdamW's mean of gradients" },
  adam_beta2: { type: "number", default: 0.999, min: 0, exclusiveMax: 1, help: "Decay of AdamW's mean of squared gradients" },
  adam_epsilon: { type: "number", default: 1e-8, exclusiveMin: 0, help: "Added to AdamW's denominator" },
  max_grad_norm: { type: "number", default: 1, min: 0, help: "Gradients are scaled down to this L2 norm; 0 switches clipping off" },

  per_device_train_batch_size: {
    type: "integer",
    default: 8,
    min: 1,
    unit: "rows",
    help: "Rows in one micro-batch; a preference pair is one row",
  },
  per_device_eval_batch_size: { type: "integer", default: 8, min: 1, unit: "rows", help: "Rows in one batch of an evaluation" },
  gradient_accumulation_steps: {
    type: "integer",
    default: 1,
    min: 1,
    unit: "micro-batches",
    help: "Micro-batches whose gradients make one optimizer step",
  },
  num_train_epochs: {
    type: "number",
    default: 3,
    exclusiveMin: 0,
    unit: "epochs",
    help: "Passes over the training rows; a fraction ends inside a pass",
  },
  max_steps: {
    type: "integer",
    default: -1,
    rule: { text: "-1 (num_train_epochs decides) or an integer >= 1", accepts: (value: number) => value === -1 || value >= 1 },
    unit: "optimizer steps",
    help: "Steps to train; overrides num_train_epochs unless -1",
  },
  dataloader_drop_last: {
    type: "boolean",
    default: false,
    help: "Leave out the last micro-batch of an epoch when it is smaller than the others",
  },
  shuffle_dataset: { type: "boolean", default: true, help: "Shuffle the training rows anew in each epoch; false keeps file order" },
  seed: {
    type: "integer",
    default: 42,
    min: 0,
    help: "Seed of shuffling, dropout and adapter initialisation",
    differs: "The random numbers are not PyTorch's: an equal seed gives another order and other adapters than in Python",
  },
  data_seed: { type: "integer", default: null, nullable: true, min: 0, help: "Seed of shuffling alone; null for seed" },

  logging_strategy: { type: "string", choices: ["no", "steps", "epoch"], default: "steps", help: "When to log" },
  logging_steps: {
    type: "number",
    default: 10,
    rule: { text: STEPS_RULE, accepts: isSteps },
    unit: "optimizer steps",
    help: "Steps between log entries with logging_strategy steps; an entry holds means over them. Below 1 it is a share of all steps",
  },
  logging_first_step: { type: "boolean", default: false, help: "Log the first step too" },
  eval_strategy: {
    type: "string",
    choices: ["no", "steps", "epoch"],
    default: "no",
    aliases: ["evaluation_strategy"],
    help: "When to evaluate on the evaluation rows",
  },
  eval_steps: {
    type: "number",
    default: null,
    nullable: true,
    rule: { text: STEPS_RULE, accepts: isSteps },
    unit: "optimizer steps",
    help: "Steps between evaluations with eval_strategy steps; below 1 a share of all steps; null for logging_steps",
  },
  eval_delay: { type: "number", default: 0, min: 0, help: "Steps (with eval_strategy epoch: epochs) before the first evaluation" },
  eval_on_start: { type: "boolean", default: false, help: "Evaluate before the first step too" },
  save_strategy: {
    type: "string",
    choices: ["no", "steps", "epoch", "best"],
    default: "steps",
    help: "When to save a checkpoint; best: whenever an evaluation is better than all before",
  },
  save_steps: {
    type: "number",
    default: 500,
    rule: { text: STEPS_RULE, accepts: isSteps },
    unit: "optimizer steps",
    help: "Steps between checkpoints with save_strategy steps; below 1 a share of all steps",
  },
  save_total_limit: {
    type: "integer",
    default: null,
    nullable: true,
    min: 1,
    unit: "checkpoints",
    help: "Older checkpoints beyond this number are deleted, the best one excepted with load_best_model_at_end; null keeps all",
  },
  save_only_model: {
    type: "boolean",
    default: false,
    help: "Leave the optimizer out of checkpoints: they are smaller, and training cannot be resumed from them",
  },
  load_best_model_at_end: {
    type: "boolean",
    default: false,
    help: "After training, go back to the checkpoint with the best metric_for_best_model",
  },
  metric_for_best_model: {
    type: "string",
    default: null,
    nullable: true,
    help: 'Evaluation metric that says which checkpoint is best, with or without "eval_"; null for eval_loss',
  },
  greater_is_better: {
    type: "boolean",
    default: null,
    nullable: true,
    help: "Whether a greater metric_for_best_model is better; null: not for a name that ends in loss, else yes",
  },
  resume_from_checkpoint: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "DIR",
    help: 'Checkpoint folder to continue from, or "true" for the newest in output_dir; the remaining steps equal those of an uninterrupted run',
    differs: "TRL's trainers leave this option to scripts, which pass it to train(); here train() reads it",
  },
  report_to: {
    type: "string",
    list: true,
    choices: ["none", "all", "tensorboard", "csv", "mlflow"],
    refusedChoices: REFUSED_TRACKERS,
    default: ["none"],
    help: "Where logged values also go: tensorboard event files, a csv, MLflow's server at MLFLOW_TRACKING_URI; all: tensorboard and csv, and mlflow where that is set",
    differs: "TRL's other trackers (wandb, trackio, comet_ml, …) are refused",
  },
  logging_dir: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "DIR",
    help: "Folder of the event files and of the csv; null for output_dir/runs",
  },
  run_name: { type: "string", default: null, nullable: true, help: "Name of the run for MLflow; null for output_dir" },
  disable_tqdm: {
    type: "boolean",
    default: false,
    help: "Show no progress line",
    differs: "TRL's default null follows the log level, which comes to false by default",
  },

  gradient_checkpointing: {
    type: "boolean",
    default: false,
    help: "Compute each layer's activations again in the backward pass instead of keeping them: less memory, about a third more time",
    differs: "On in TRL; off here, since a few rows at a time keep activations small",
  },
  activation_memory_limit: {
    type: "number",
    default: null,
    nullable: true,
    exclusiveMin: 0,
    unit: "GB",
    help: "What the activations of a run may take: as few layers as possible are computed again in the backward pass, so that those of the largest row keep within it; null for no limit",
  },
  tokens_per_run: {
    type: "integer",
    default: 256,
    min: 0,
    unit: "tokens",
    help: "Rows of a micro-batch are computed together while they have no more tokens than this (a pair's prompt counts once): faster, with more memory; 0 for one row at a time",
  },
  engine: {
    type: "string",
    choices: ["compiled", "eager"],
    default: "compiled",
    help: "compiled: traced once, run by ONNX Runtime; eager: each operation by a TensorFlow.js backend",
  },
  device: {
    type: "string",
    choices: ["cpu", "webgpu", "cuda"],
    default: "cpu",
    help: "ONNX Runtime's execution provider for engine compiled",
  },
  threads: {
    type: "integer",
    default: null,
    nullable: true,
    min: 1,
    help: "CPU threads for engine compiled; null for OMP_NUM_THREADS, or all cores where that is not set",
  },
  backend: {
    type: "string",
    default: null,
    nullable: true,
    help: "TensorFlow.js backend for engine eager, e.g. tensorflow, webgpu, wasm, cpu; null for the registered one",
  },
});
