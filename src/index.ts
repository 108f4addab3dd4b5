/** The public surface, in the order of the pipeline. */
export * from "./errors.js";
export { Random } from "./random.js";
export * from "./data/index.js";
export * from "./text/index.js";
export * from "./compile/index.js";
export * from "./model/index.js";
export * from "./train/index.js";
export * from "./notebook/index.js";
export * from "./generate/index.js";
export * from "./evaluate/index.js";
export * from "./sweep/index.js";
export * from "./hub/index.js";
export * from "./app/index.js";
