import type { LogEntry } from "./trainerState.js";

/** The values of one micro-batch that are logged, by their names. */
export type BatchMetrics = Record<string, number>;

/** Plain means of micro-batch values, as TRL averages them between two log entries. */
export class MeanOfBatches {
  #sums: BatchMetrics = {};
  #count = 0;

  add(metrics: BatchMetrics): void {
    this.#count++;
    for (const [name, value] of Object.entries(metrics)) this.#sums[name] = (this.#sums[name] ?? 0) + value;
  }

  /** The means since the last call. */
  take(): BatchMetrics {
    const means = Object.fromEntries(Object.entries(this.#sums).map(([name, value]) => [name, value / this.#count]));
    this.#sums = {};
    this.#count = 0;
    return means;
  }
}

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
