/** The prepared rows of a method: those it trains on, and its evaluation sets by name. */
import type { Dataset } from "../../data/index.js";

/** @param name of the data set, for errors @param evaluated whether it is an evaluation set */
export type PrepareRows<Row> = (
  dataset: Dataset,
  name: string,
  evaluated: boolean,
) => {
  readonly rows: Row[];
  /** What a user should read once. */
  readonly warnings: readonly string[];
};

export class MethodRows<Row extends { readonly origin: string }> {
  readonly train: Row[];
  readonly #eval = new Map<string, Row[]>();

  /** Prepares everything, and prints the warnings. @param trainer for them, e.g. "DPOTrainer" */
  constructor(trainer: string, train: Dataset, evalSets: Readonly<Record<string, Dataset>>, prepare: PrepareRows<Row>) {
    const prepared = (dataset: Dataset, name: string, evaluated: boolean): Row[] => {
      const { rows, warnings } = prepare(dataset, name, evaluated);
      warnings.forEach((warning) => console.log(`${trainer}: ${name}: ${warning}`));
      return rows;
    };
    this.train = prepared(train, "train_dataset", false);
    for (const [set, dataset] of Object.entries(evalSets))
      this.#eval.set(set, prepared(dataset, set === "" ? "eval_dataset" : `eval_dataset ${set}`, true));
  }

  get evalSets(): string[] {
    return [...this.#eval.keys()];
  }

  ofSet(set: string): Row[] {
    return this.#eval.get(set)!;
  }

  /** Training rows by index. */
  at(indices: readonly number[]): Row[] {
    return indices.map((row) => this.train[row]!);
  }

  /** Training rows, and all rows of the evaluation sets. @param visited indices of the training rows, all by default */
  all(visited: readonly number[] = [...this.train.keys()]): Row[] {
    return [...this.at(visited), ...[...this.#eval.values()].flat()];
  }

  /** For `diagnose`. */
  get counts(): { trainRows: number; evalRows?: number } {
    const evalRows = [...this.#eval.values()].reduce((sum, rows) => sum + rows.length, 0);
    return { trainRows: this.train.length, ...(evalRows === 0 ? {} : { evalRows }) };
  }
}
