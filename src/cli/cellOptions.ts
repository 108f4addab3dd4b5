/** What `run` and `check` have in common: where the cells run, and within which limits. */
import { resolve } from "node:path";
import type { OptionEntries, OptionValues } from "../config/index.js";

export const CELL_ENTRIES = {
  cwd: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "DIR",
    help: "Working directory of the cells; default the notebook's folder",
  },
  execution_timeout: {
    type: "number",
    default: null,
    nullable: true,
    exclusiveMin: 0,
    unit: "seconds",
    help: "Longest time for one cell; then it is interrupted, and killed when that does not help",
  },
  memory_limit: {
    type: "number",
    default: null,
    nullable: true,
    exclusiveMin: 0,
    unit: "MiB",
    help: "Most memory that the cells may hold; beyond it their processes are killed",
  },
} as const satisfies OptionEntries;

/** Values of `CELL_ENTRIES` as options of `runNotebook`; what is not given is left out. */
export function cellSettings(options: OptionValues<typeof CELL_ENTRIES>) {
  return {
    ...(options.cwd === null ? {} : { cwd: resolve(options.cwd) }),
    ...(options.execution_timeout === null ? {} : { timeoutMs: options.execution_timeout * 1000 }),
    ...(options.memory_limit === null ? {} : { memoryLimitBytes: options.memory_limit * 2 ** 20 }),
  };
}
