/** Checkpoints, Qwen2 and its adapters. */
export { openAdapter, readAdapterConfig, saveAdapter } from "./adapterFiles.js";
export { AutoPeftModelForCausalLM } from "./autoPeftModel.js";
export { AutoModelForCausalLM, CausalLM, type ModelTensors, type PretrainedModelOptions, Qwen2ForCausalLM } from "./causalLM.js";
export { BitsAndBytesConfig, type BitsAndBytesConfigInput } from "./bitsAndBytesConfig.js";
export type { EngineChoice } from "./engineChoice.js";
export { type Checkpoint, openCheckpoint } from "./checkpoint.js";
export { type NamedTensor, type SaveCheckpointOptions, saveCheckpoint } from "./checkpointWriter.js";
export { type Qwen2Config, readConfig } from "./config.js";
export type { GenerationConfig } from "./generationConfig.js";
export type { Adapter } from "./lora.js";
export { HEAD_MEAN, headBlocks, headLogits, headName } from "./head.js";
export { LoraConfig, type LoraConfigInput, type LoraStart, type ModulePattern } from "./loraConfig.js";
export type { AdapterOptions, SaveAdapterOptions } from "./adapterOptions.js";
export { PeftModel, get_peft_model } from "./peftModel.js";
export { positionAngles } from "./positionAngles.js";
export { type Attend, type ForwardOptions, type Sequence, blockwiseAttention, maskedAttention, qwen2Hidden } from "./qwen2.js";
export { type ProjectionName, parameterShapes } from "./shapes.js";
export type { ModelDtype } from "./weightFormats.js";
