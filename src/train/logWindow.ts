import { MeanOfBatches } from "./pairBatch.js";
import type { LogEntry } from "./trainerState.js";

/** Loss, norm and metrics since the last log entry. */
export class LogWindow {
  readonly metrics = new MeanOfBatches();
  #loss = 0;
  #steps = 0;
  #norm = 0;
  #learningRate = 0;

  add(loss: number, norm: number, learningRate: number): void {
    this.#loss += loss;
    this.#steps++;
    this.#norm = norm;
    this.#learningRate = learningRate;
  }

  take(): LogEntry {
    const entry = { loss: this.#loss / this.#steps, grad_norm: this.#norm, learning_rate: this.#learningRate, ...this.metrics.take() };
    this.#loss = 0;
    this.#steps = 0;
    return entry;
  }
}
