/**
 * Options of transformers' TrainingArguments that have nothing to do here. `removed`: accepted, with a note that says why nothing
 * changes. `refused`: an error, because the run would not be what was asked for. `off` lists values that mean "not used".
 */
import type { OptionEntries } from "../../config/index.js";

const FLOAT32 = "training computes in float32, which is more exact";
const ONE_PROCESS = "one process trains on one machine";
const NOT_PYTORCH = "there is no PyTorch: programs are compiled for ONNX Runtime in any case";
const ROWS_FIRST = "all rows are prepared before the first step, in this process";
const PUSH = "call trainer.push_to_hub after training";
const NO_TRACKIO = "this tracker is for Python only; see report_to";

/** For precompute_ref_batch_size. */
export const ONE_BY_ONE = "rows are computed one at a time";
/** For neftune_noise_alpha, of the trainers that have no noise. */
export const SFT_ONLY = "noise on the embeddings is for SFT: set it in SFTConfig";

const entries = <const T extends OptionEntries>(table: T): T => table;

export const ABSENT_ENTRIES = entries({
  fp16: { removed: FLOAT32 },
  bf16: { removed: FLOAT32 },
  fp16_full_eval: { removed: FLOAT32 },
  bf16_full_eval: { removed: FLOAT32 },
  tf32: { removed: FLOAT32 },

  torch_compile: { removed: NOT_PYTORCH },
  torch_compile_backend: { removed: NOT_PYTORCH },
  torch_compile_mode: { removed: NOT_PYTORCH },
  torch_empty_cache_steps: { removed: NOT_PYTORCH },
  use_liger_kernel: { removed: "the head never stores logits in any case, which is what that kernel is for" },
  liger_kernel_config: { removed: "see use_liger_kernel", off: [null, {}] },
  gradient_checkpointing_kwargs: { removed: "there is one way of recomputing activations", off: [null, {}] },
  activation_offloading: { removed: "a few rows at a time keep activations small; see gradient_checkpointing" },
  use_cache: { removed: "training needs no key/value cache" },
  auto_find_batch_size: { removed: "rows run one by one, so the batch size does not change the memory" },
  use_cpu: { removed: "choose where it computes with device and engine" },
  no_cuda: { removed: "choose where it computes with device and engine" },

  dataloader_num_workers: { removed: ROWS_FIRST, off: [0] },
  dataloader_pin_memory: { removed: ROWS_FIRST, off: [true, false] },
  dataloader_persistent_workers: { removed: ROWS_FIRST },
  dataloader_prefetch_factor: { removed: ROWS_FIRST },
  dataloader_multiprocessing_context: { removed: ROWS_FIRST },
  dataloader_in_order: { removed: ROWS_FIRST, off: [true] },
  dataset_num_proc: { removed: ROWS_FIRST },
  group_by_length: { removed: "each row runs at its own length, so nothing is won by grouping" },
  length_column_name: { removed: "each row runs at its own length, so nothing is won by grouping", off: ["length", null] },
  pad_to_multiple_of: { removed: "nothing is padded: one compiled program serves all lengths" },
  padding_free: { removed: "rows run one by one, without padding" },
  pad_token: { removed: "TRL deprecates it too: nothing is padded with a token" },
  remove_unused_columns: { removed: "columns that the trainer does not know are never passed to the model", off: [true, false] },
  label_names: { removed: "the trainer knows which columns are labels", off: [null, []] },
  train_sampling_strategy: {
    refused: "set shuffle_dataset instead: true (the default) is random, false is sequential; rows are not grouped by length",
    off: ["random"],
  },

  average_tokens_across_devices: { removed: ONE_PROCESS, off: [true, false] },
  local_rank: { removed: ONE_PROCESS, off: [-1, 0] },
  log_on_each_node: { removed: ONE_PROCESS, off: [true, false] },
  save_on_each_node: { removed: ONE_PROCESS },
  log_level: { removed: "messages cannot be filtered", off: ["passive"] },
  log_level_replica: { removed: ONE_PROCESS, off: ["warning"] },
  ddp_backend: { refused: ONE_PROCESS },
  ddp_find_unused_parameters: { removed: ONE_PROCESS },
  ddp_bucket_cap_mb: { removed: ONE_PROCESS },
  ddp_broadcast_buffers: { removed: ONE_PROCESS },
  ddp_static_graph: { removed: ONE_PROCESS },
  ddp_timeout: { removed: ONE_PROCESS, off: [1800, null] },
  deepspeed: { refused: ONE_PROCESS },
  fsdp: { refused: ONE_PROCESS, off: [null, false, "", []] },
  fsdp_config: { refused: ONE_PROCESS, off: [null, {}] },
  accelerator_config: { refused: `${ONE_PROCESS}: there is no Accelerate`, off: [null, {}] },
  parallelism_config: { refused: ONE_PROCESS, off: [null, {}] },

  logging_nan_inf_filter: { removed: "a loss that is not finite ends the run with an error that names the rows", off: [true, false] },
  include_num_input_tokens_seen: { removed: "num_tokens is always logged", off: ["no", false] },
  include_tokens_per_second: { removed: "the rates are in train_results.json", off: [false] },
  skip_memory_metrics: { refused: "memory is not measured during a run", off: [true] },
  debug: { refused: "its checks are PyTorch's", off: ["", null, []] },
  full_determinism: { removed: "two runs with equal options give equal files in any case" },
  prediction_loss_only: { removed: "an evaluation always gives loss and metrics" },
  eval_accumulation_steps: { removed: "an evaluation keeps sums, not outputs" },
  eval_do_concat_batches: { removed: "an evaluation keeps sums, not outputs", off: [true, false] },
  eval_use_gather_object: { removed: ONE_PROCESS },
  include_for_metrics: { refused: "metrics are computed from log-probs; score texts after training", off: [null, []] },
  batch_eval_metrics: { removed: "metrics are always computed batch by batch" },
  label_smoothing_factor: {
    refused: "transformers' label smoothing is not offered; for preference losses see label_smoothing",
    off: [0, null],
  },
  optim_target_modules: { refused: "optimizers that project gradients (GaLore, APOLLO) are not offered" },

  ignore_data_skip: { refused: "a resumed run always goes on with the next row" },
  restore_callback_states_from_checkpoint: { removed: "a callback that can save its state is always restored", off: [true, false] },
  enable_jit_checkpoint: { removed: "SIGINT and SIGTERM always save a checkpoint and stop" },
  save_safetensors: { removed: "files are always safetensors", off: [true] },
  overwrite_output_dir: { removed: "checkpoints of the same step are replaced, other files stay", off: [false] },
  do_train: { removed: "call train()", off: [true, false] },
  do_eval: { removed: "call evaluate(), or set eval_strategy", off: [true, false] },
  do_predict: { removed: "call model.generate" },

  push_to_hub: { refused: PUSH },
  hub_model_id: { refused: `${PUSH} with the name of the repository` },
  hub_token: { refused: "a token in options would be saved with them; set HF_TOKEN" },
  hub_strategy: { removed: PUSH, off: ["every_save"] },
  hub_private_repo: { removed: `${PUSH} with { private: true }` },
  hub_always_push: { removed: PUSH },
  hub_revision: { removed: `${PUSH} with { revision }` },
  project: { removed: NO_TRACKIO, off: ["huggingface"] },
  trackio_space_id: { removed: NO_TRACKIO, off: [null, "trackio"] },
  trackio_bucket_id: { removed: NO_TRACKIO },
  trackio_static_space_id: { removed: NO_TRACKIO },

  model_init_kwargs: { removed: "the model is passed ready-made: give them to AutoModelForCausalLM.from_pretrained", off: [null, {}] },
  ref_model_init_kwargs: { removed: "the reference is passed ready-made as ref_model", off: [null, {}] },
  trust_remote_code: { removed: "no code of a model's folder is ever run" },
  router_aux_loss_coef: { removed: "Qwen2 has no experts to balance", off: [0.001, 0] },
  tokenizer: { removed: "pass the tokenizer to the trainer as processing_class" },
  is_encoder_decoder: { removed: "TRL dropped it too: only decoder models are trained" },
  label_pad_token_id: { removed: "TRL dropped it too: labels are masked, not padded with an id", off: [-100] },
  padding_value: { removed: "TRL dropped it too: nothing is padded with a token" },
  generate_during_eval: { removed: "TRL dropped it too: call model.generate after training" },
  max_prompt_length: { removed: "TRL dropped it too: only max_length cuts" },
  max_completion_length: { removed: "TRL dropped it too: only max_length cuts" },
  max_target_length: { removed: "TRL dropped it too: only max_length cuts" },
});
