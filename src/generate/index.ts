/** Sampling and generation. */
export { type GenerateOptions, generateTokens } from "./generate.js";
export { SAMPLING_OPTIONS, type SamplingInput } from "./sampling.js";
