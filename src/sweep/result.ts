/** What a sweep found: one table and one figure, while it goes on and afterwards. */
import { writeFile } from "node:fs/promises";
import type { JsonValue } from "../config/index.js";
import type { Chart } from "../evaluate/chart.js";
import {
  type Cell,
  EvaluationResult,
  type Shown,
  type TableRow,
  csvText,
  displaySymbol,
  numberText,
  plural,
  textTable,
} from "../evaluate/table.js";
import type { TrialRecord } from "./ledger.js";
import { type Importance, type Setting, importance, rankSettings, rankTrials } from "./ranking.js";
import type { Goal } from "./study.js";
import { sweepChart } from "./view.js";

export interface SweepFacts {
  readonly metric: string;
  readonly goal: Goal;
  /** By number. */
  readonly trials: readonly TrialRecord[];
  /** Trials of the whole sweep. */
  readonly planned: number;
  readonly severalSeeds: boolean;
  /** [step, value] of a trial's reports, for trials that have some. */
  readonly reports: ReadonlyMap<number, readonly (readonly [number, number])[]>;
  /** Folder with the best trial's model; undefined where nothing was trained. */
  readonly best_dir: string | undefined;
  readonly database: string;
  /** As a sweep file has it, for the notebook cell; undefined where it cannot be written down. */
  readonly definition: Readonly<Record<string, JsonValue>> | undefined;
}

/** Rows that are shown; `rows()` and the CSV have all. */
const SHOWN_ROWS = 100;

export class SweepResult extends EvaluationResult {
  readonly #facts: SweepFacts;
  readonly #ranked: TrialRecord[];

  /** Made by `sweep`. */
  constructor(facts: SweepFacts) {
    super();
    this.#facts = facts;
    this.#ranked = rankTrials(facts.trials, facts.goal);
  }

  get metric(): string {
    return this.#facts.metric;
  }
  get goal(): Goal {
    return this.#facts.goal;
  }
  /** By number. */
  get trials(): readonly TrialRecord[] {
    return this.#facts.trials;
  }
  /** The folder of the best trial's model, with its manifest. */
  get best_dir(): string | undefined {
    return this.#facts.best_dir;
  }
  /** The study's file. */
  get database(): string {
    return this.#facts.database;
  }

  /** Settings with the mean over their seeds, best first. */
  settings(): Setting[] {
    return rankSettings(this.#facts.trials, this.goal, this.#facts.severalSeeds);
  }

  /** The best trial of the best setting; undefined while none is complete. */
  get best(): TrialRecord | undefined {
    const setting = this.settings()[0];
    return setting === undefined ? undefined : rankTrials(setting.trials, this.goal)[0];
  }

  /** How much of the variance of the metric each dimension explains alone, largest first. */
  importance(): Importance[] {
    return importance(this.#facts.trials);
  }

  override summary(): string[] {
    const { trials, planned, metric, goal } = this.#facts;
    const count = (state: TrialRecord["state"]): number => trials.filter((trial) => trial.state === state).length;
    const parts = [`${count("complete")} of ${plural(planned, "trial")} complete`];
    for (const [state, words] of [
      ["pruned", "pruned"],
      ["fail", "failed"],
      ["running", "running"],
      ["waiting", "waiting"],
    ] as const)
      if (count(state) > 0) parts.push(`${count(state)} ${words}`);
    const lines = [`${parts.join(", ")}; ${goal} ${metric}.`];
    const { best } = this;
    if (best !== undefined) {
      const setting = this.settings()[0]!;
      const seeds =
        setting.trials.length > 1
          ? `mean ${numberText(setting.mean)} ± ${numberText(setting.deviation!)} over ${setting.trials.length} seeds; `
          : "";
      lines.push(
        `Best: trial ${best.number} with ${numberText(best.value!)} (${seeds}${Object.entries(best.params)
          .map(([name, value]) => `${name} ${cellText(value)}`)
          .join(", ")}).`,
      );
      const ties = trials.filter(({ state, value }) => state === "complete" && value === best.value).length;
      if (ties > 1)
        lines.push(`${ties} trials share this value: the first of them is called the best, and the data cannot tell them apart.`);
    }
    const scaled = new Set(trials.map(({ params }) => JSON.stringify([params["beta"], params["loss_type"]]))).size > 1;
    if (scaled && /(^|_)(loss|rewards\/margins)$/.test(metric))
      lines.push(
        `${metric} is another quantity for each beta and loss_type; to compare such trials take eval_rewards/accuracies as the metric.`,
      );
    if (trials.length > SHOWN_ROWS) lines.push(`The first ${SHOWN_ROWS} of ${trials.length} rows are shown.`);
    return lines;
  }

  /** One row a trial, best first. */
  override rows(): TableRow[] {
    const names = [...new Set(this.#facts.trials.flatMap(({ params }) => Object.keys(params)))];
    const reasons = this.#facts.trials.some(({ reason }) => reason !== null);
    return this.#ranked.map((trial): TableRow => {
      const evaluation = Object.entries((trial.facts["evaluation"] ?? {}) as Record<string, number>);
      const fact = (name: string): Cell => (trial.facts[name] as Cell | undefined) ?? null;
      return {
        trial: trial.number,
        ...Object.fromEntries(names.map((name) => [name, cellOf(trial.params[name])])),
        state: trial.state,
        [this.metric]: trial.value,
        ...Object.fromEntries(evaluation.filter(([name]) => name !== this.metric && SHOWN_METRICS.test(name))),
        ...(trial.facts["steps"] === undefined ? {} : { train_loss: fact("train_loss"), steps: fact("steps"), seconds: fact("seconds") }),
        ...(reasons ? { reason: trial.reason } : {}),
      };
    });
  }

  override toString(): string {
    return [...this.summary(), "", textTable(this.rows().slice(0, SHOWN_ROWS))].join("\n");
  }

  override [displaySymbol](): Shown {
    const shown = new ShownRows(this.summary(), this.rows().slice(0, SHOWN_ROWS))[displaySymbol]();
    if (this.best === undefined) return shown;
    return { ...shown, "text/html": `${String(shown["text/html"])}<div class="preflab-figure">${this.chart().svg}</div>` };
  }

  /** Parallel coordinates, curves and importance in one figure. */
  chart(): Chart {
    const { metric, goal, reports } = this.#facts;
    return sweepChart({ title: `Sweep: ${metric}`, metric, goal, ranked: this.#ranked, reports: (number) => reports.get(number) ?? [] });
  }

  /** The table as CSV. */
  to_csv(): string {
    return csvText(this.rows());
  }

  async save_csv(file: string): Promise<void> {
    await writeFile(file, this.to_csv());
  }

  /** A code cell that repeats the sweep, with table and figure as its outputs: nbformat 4.5. */
  to_notebook_cell(): Record<string, unknown> {
    const { definition } = this.#facts;
    const call =
      definition === undefined
        ? "// The sweep ran a function, which a cell cannot repeat."
        : `const result = await sweep(${JSON.stringify(definition, null, 2)});`;
    const import_ = definition === undefined ? [] : ['import { sweep } from "preflab";'];
    const figure = this.chart();
    const output = (data: Shown): object => ({ output_type: "display_data", data, metadata: {} });
    const table = new ShownRows(this.summary(), this.rows().slice(0, SHOWN_ROWS))[displaySymbol]();
    return {
      cell_type: "code",
      id: "preflab-sweep",
      metadata: {},
      execution_count: null,
      source: [...import_, call, ...(definition === undefined ? [] : ["result"])].join("\n"),
      outputs: [output(table), output(figure[displaySymbol]())],
    };
  }

  /** The section of a model card: how the settings were chosen. */
  to_card_section(): string {
    const rows = this.rows().slice(0, CARD_ROWS);
    const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => name !== "reason");
    const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
    const cell = (value: Cell): string =>
      (typeof value === "number" ? numberText(value) : String(value ?? "")).replaceAll("|", "\\|").replaceAll("\n", " ");
    const shares = this.importance().map(({ name, share }) => `${name} ${share.toFixed(2)}`);
    return [
      "### How the settings were chosen",
      ["By a sweep.", ...this.summary().filter((text) => !text.startsWith("The first "))].join(" "),
      [line(columns), line(columns.map(() => "---")), ...rows.map((row) => line(columns.map((name) => cell(row[name] ?? null))))].join(
        "\n",
      ),
      ...(this.trials.length > rows.length ? [`The best ${rows.length} of ${plural(this.trials.length, "trial")}.`] : []),
      ...(shares.length === 0 ? [] : [`Share of the variance of ${this.metric} that each option explains alone: ${shares.join(", ")}.`]),
    ].join("\n\n");
  }
}

const CARD_ROWS = 20;
/** Of the evaluation's numbers, what a table has room for. */
const SHOWN_METRICS = /^eval_(loss|rewards\/(accuracies|margins)|mean_token_accuracy)$/;

class ShownRows extends EvaluationResult {
  constructor(
    private readonly lines: string[],
    private readonly shown: TableRow[],
  ) {
    super();
  }
  override summary(): string[] {
    return this.lines;
  }
  override rows(): TableRow[] {
    return this.shown;
  }
}

function cellOf(value: JsonValue | undefined): Cell {
  return value === undefined ? null : typeof value === "object" && value !== null ? cellText(value) : value;
}

function cellText(value: JsonValue): string {
  return typeof value === "string" ? value : Array.isArray(value) ? value.map(cellText).join(" ") : JSON.stringify(value);
}
