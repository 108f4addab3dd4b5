/** What happened since the last log entry. */
import type { LogEntry } from "./trainerState.js";

/** The values of one micro-batch that are logged, by their names. */
export type BatchMetrics = Record<string, number>;

/** Plain means of micro-batch values, as TRL averages them between two log entries; a value that a batch lacks is not counted for it. */
export class MeanOfBatches {
  #sums: Record<string, { sum: number; count: number }> = {};

  add(metrics: BatchMetrics): void {
    for (const [name, value] of Object.entries(metrics)) {
      const entry = (this.#sums[name] ??= { sum: 0, count: 0 });
      entry.sum += value;
      entry.count++;
    }
  }

  /** The means since the last call. */
  take(): BatchMetrics {
    const means = Object.fromEntries(Object.entries(this.#sums).map(([name, { sum, count }]) => [name, sum / count]));
    this.#sums = {};
    return means;
  }

  save(): unknown {
    return this.#sums;
  }

  restore(saved: unknown): void {
    this.#sums = structuredClone(saved) as Record<string, { sum: number; count: number }>;
  }
}

interface Sums {
  loss: number;
  steps: number;
  norm: number;
  learningRate: number;
}

const NOTHING: Sums = { loss: 0, steps: 0, norm: 0, learningRate: 0 };

/** Loss, norm and metrics since the last log entry. */
export class LogWindow {
  readonly metrics = new MeanOfBatches();
  #sums: Sums = { ...NOTHING };

  get isEmpty(): boolean {
    return this.#sums.steps === 0;
  }

  add(loss: number, norm: number, learningRate: number): void {
    const { loss: before, steps } = this.#sums;
    this.#sums = { loss: before + loss, steps: steps + 1, norm, learningRate };
  }

  take(): LogEntry {
    const { loss, steps, norm, learningRate } = this.#sums;
    this.#sums = { ...NOTHING };
    return { loss: loss / steps, grad_norm: norm, learning_rate: learningRate, ...this.metrics.take() };
  }

  save(): unknown {
    return { sums: this.#sums, metrics: this.metrics.save() };
  }

  restore(saved: unknown): void {
    const { sums, metrics } = saved as { sums: Sums; metrics: unknown };
    this.#sums = { ...sums };
    this.metrics.restore(metrics);
  }
}
