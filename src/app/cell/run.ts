/** Calls from a cell: the same queue as over HTTP. */
import type { App } from "../app.js";
import { readInputs } from "../endpoint.js";
import type { Job } from "../jobs.js";

export interface CellCall {
  /** Told all outputs, again and again as they grow. */
  onOutputs: (outputs: readonly unknown[]) => void;
  /** One line on how it stands; at the end too. */
  onStatus: (text: string) => void;
}

/** @returns the job; it never throws: what goes wrong is a status */
export function callFromCell(app: App, name: string, data: () => unknown, { onOutputs, onStatus }: CellCall): Job | undefined {
  try {
    const endpoint = app.endpoints.find((each) => each.name === name)!;
    const job = app.queue.submit(endpoint, readInputs(endpoint, data()));
    job.listen((state) => {
      switch (state.type) {
        case "queued":
          return onStatus(state.rank === 0 ? "Waiting: you are next" : `Waiting: ${state.rank} before you`);
        case "running":
          return onStatus("Working…");
        case "output":
          return onOutputs(state.outputs);
        case "done":
          if (state.outputs !== null) onOutputs(state.outputs);
          return onStatus(state.stopped ? "Stopped" : "Done");
        case "failed":
          return onStatus(state.error.message);
      }
    });
    return job;
  } catch (error) {
    onStatus(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}
