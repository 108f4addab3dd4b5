/** Sampling and generation. */
export { type GenerateOptions, generateTokens } from "./generate.js";
export {
  PIPELINE_DEFAULTS,
  pipeline,
  type GeneratedChat,
  type GeneratedText,
  type PipelineOptions,
  type TextGenerationOptions,
  type TextGenerationPipeline,
} from "./pipeline.js";
export { SAMPLING_OPTIONS, type SamplingInput } from "./sampling.js";
