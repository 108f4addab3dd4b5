import { EngineError } from "../errors.js";

/**
 * Threads of one operator where the caller names none: OMP_NUM_THREADS, with which schedulers and JupyterHub tell a process its share of the
 * machine (of a list, the first number, as OpenMP 5.2, section 21.1.2 has it); 0, which is all cores, where that is not set.
 * @throws EngineError `threads_variable`
 */
export function defaultThreads(environment: Readonly<Record<string, string | undefined>> = process.env): number {
  const value = environment["OMP_NUM_THREADS"]?.trim();
  if (value === undefined || value === "") return 0;
  const threads = Number(value.split(",")[0]);
  if (Number.isInteger(threads) && threads >= 1) return threads;
  throw new EngineError(
    "threads_variable",
    `OMP_NUM_THREADS must be a whole number of at least 1, got ${JSON.stringify(value)}; correct it, unset it, or name threads yourself`,
  );
}
