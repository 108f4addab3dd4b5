/** The public surface, in the order of the pipeline. */
export * from "./errors.js";
export { Random } from "./random.js";
