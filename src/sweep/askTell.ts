/**
 * A sweep that somebody else drives, line by line of JSON: Optuna, Ax, or a shell. In comes `{"id": …, "params": {…}}`; the trial is run, and
 * out go `{"id", "trial", "step", "value"}` for every value on the way and `{"id", "trial", "state", "value", "reason"}` at its end.
 * `{"id": …, "prune": true}` ends the running trial. Trials are run in the order of the lines.
 */
import { ConfigError } from "../errors.js";
import { runTrial } from "./engine.js";
import type { Params } from "./space.js";
import type { SweepTrial } from "./study.js";
import type { OpenSweep } from "./sweep.js";

interface Line {
  readonly id?: unknown;
  readonly params?: Params;
  readonly prune?: boolean;
}

/** @param lines of JSON @param write takes one line @returns when the lines have ended and all trials are done */
export async function answerLines(
  open: OpenSweep,
  lines: AsyncIterable<string>,
  write: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let work: Promise<void> = Promise.resolve();
  const pruned = new Set<string>();
  for await (const text of lines) {
    if (text.trim() === "") continue;
    const { id = null, params, prune } = parse(text);
    if (prune === true) {
      pruned.add(JSON.stringify(id));
      continue;
    }
    if (params === undefined) throw new ConfigError("ask_tell", `sweep: a line must hold params or prune, got ${text}`);
    work = work.then(() =>
      answer(
        open,
        id,
        params,
        (answered) => write(JSON.stringify(answered)),
        () => pruned.has(JSON.stringify(id)),
        signal,
      ),
    );
    // Failures are thrown where the work is awaited.
    work.catch(() => undefined);
  }
  await work;
}

async function answer(
  { study, objective }: OpenSweep,
  id: unknown,
  params: Params,
  write: (line: object) => void,
  isPruned: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  const trial = study.ask(params) as SweepTrial;
  trial.listener = {
    onReport: (step, value) => write({ id, trial: trial.number, step, value }),
    verdict: () => (isPruned() ? "pruned from outside" : undefined),
  };
  await runTrial(trial, objective, signal);
  const record = study.ledger.trial(trial.number)!;
  write({ id, trial: trial.number, state: record.state, value: record.value, reason: record.reason });
}

function parse(text: string): Line {
  try {
    const line = JSON.parse(text) as unknown;
    if (typeof line === "object" && line !== null) return line;
  } catch {
    // Told below.
  }
  throw new ConfigError("ask_tell", `sweep: a line must be a JSON object, got ${text}; e.g. {"params": {"learning_rate": 1e-4}}`);
}
