import { ConfigError, DataError, nearestName } from "../errors.js";
import { Random } from "../random.js";
import { rowsFromDataFrame, rowsToDataFrame, type DataFrame, type DataFrameLike, type FromDataFrameOptions } from "./dataframe.js";
import { isPlainObject, describeValue, type Row, type RowOrigin } from "./row.js";

/** The seed of `shuffle` and `train_test_split` when none is given: results never depend on the clock. */
const DEFAULT_SEED = 42;

/**
 * A table of rows that never changes: every method returns a new data set that shares the rows. Names follow Python's `datasets`.
 * Each row keeps the file and row number it came from through filter, select, map, shuffle and split, for error messages.
 */
export class Dataset implements Iterable<Row> {
  readonly column_names: readonly string[];
  readonly #rows: readonly Row[];
  readonly #origins: readonly RowOrigin[];

  private constructor(rows: readonly Row[], origins: readonly RowOrigin[], columns: readonly string[]) {
    this.#rows = rows;
    this.#origins = origins;
    this.column_names = columns;
  }

  /** A data set of plain objects; a column that a row lacks is null there. Rows are copied (not deeply) and frozen.
   *  @param at.file the file named in errors; row numbers count from 0 */
  static from_rows(rows: Iterable<Row>, at: { file?: string } = {}): Dataset {
    const list = [...rows];
    list.forEach((row, i) => {
      if (!isPlainObject(row))
        throw new DataError("data_malformed", `a row must be an object, got ${describeValue(row)}`, { file: at.file, row: i });
    });
    return Dataset.#build(
      list,
      list.map((_, row) => (at.file === undefined ? { row } : { file: at.file, row })),
    );
  }

  /** A data set of a danfojs DataFrame; see `to_dataframe` for how values come back.
   *  @throws DataError when a cell that should be JSON is not */
  static from_dataframe(frame: DataFrameLike, options: FromDataFrameOptions = {}): Dataset {
    const { rows, origins } = rowsFromDataFrame(frame, options);
    return Dataset.#build(rows, origins, frame.columns.map(String));
  }

  /** One data set after the other; columns are united, missing values null. */
  static concatenate(parts: readonly Dataset[]): Dataset {
    if (parts.length === 1) return parts[0]!;
    const columns = [...new Set(parts.flatMap((part) => part.column_names))];
    return Dataset.#build(
      parts.flatMap((part) => part.#rows),
      parts.flatMap((part) => part.#origins),
      columns,
    );
  }

  static #build(rows: readonly Row[], origins: readonly RowOrigin[], known: readonly string[] = []): Dataset {
    const names = new Set(known);
    for (const row of rows) for (const name of Object.keys(row)) names.add(name);
    const columns = [...names];
    const complete = rows.map((row): Row =>
      Object.freeze(Object.fromEntries(columns.map((name) => [name, (row[name] as unknown) ?? null]))),
    );
    return new Dataset(complete, origins, columns);
  }

  /** Number of rows. */
  get length(): number {
    return this.#rows.length;
  }

  /** Number of rows, as in Python's `datasets`. */
  get num_rows(): number {
    return this.#rows.length;
  }

  /** All rows, in order (a new array of the data set's own frozen rows). */
  rows(): Row[] {
    return [...this.#rows];
  }

  [Symbol.iterator](): Iterator<Row> {
    return this.#rows[Symbol.iterator]();
  }

  /** Row `i`; a negative index counts from the end. @throws DataError `data_range` */
  at(i: number): Row {
    return this.#rows[this.#position(i)]!;
  }

  /** File and row number that row `i` came from. @throws DataError `data_range` */
  origin(i: number): RowOrigin {
    return this.#origins[this.#position(i)]!;
  }

  /** All values of one column. @throws DataError `data_columns` */
  column(name: string): unknown[] {
    this.#requireColumn(name);
    return this.#rows.map((row) => row[name] as unknown);
  }

  /** The rows for which `keep` returns true. A DataError thrown by `keep` gets the row's file and number. */
  filter(keep: (row: Row, index: number) => boolean): Dataset {
    return this.#take(this.#indices().filter((i) => this.#withOrigin(i, () => keep(this.#rows[i]!, i))));
  }

  /** The first `n` rows, or the rows at the given positions in the given order.
   *  @throws DataError `data_range` when there are fewer rows */
  select(n: number | Iterable<number>): Dataset {
    if (typeof n !== "number") return this.#take([...n].map((i) => this.#position(i)));
    if (!Number.isInteger(n) || n < 0 || n > this.length) {
      throw new DataError(
        "data_range",
        `select: n must be an integer in 0..${this.length} (the number of rows), got ${n}; write select(Math.min(n, dataset.length)) to take what is there`,
      );
    }
    return this.#take(this.#indices().slice(0, n));
  }

  /** Each row with the fields that `change` returns added or replaced; columns in `remove_columns` are left out afterwards.
   *  @throws DataError when `change` returns something else than an object */
  map(change: (row: Row, index: number) => Row, options: { remove_columns?: string | readonly string[] } = {}): Dataset {
    const removed = toList(options.remove_columns ?? []);
    for (const name of removed) this.#requireColumn(name);
    const rows = this.#rows.map((row, i) => {
      const fields: unknown = this.#withOrigin(i, () => change(row, i));
      if (!isPlainObject(fields)) {
        throw new DataError(
          "data_type",
          `map: the function must return an object of fields, got ${fields === undefined ? "nothing" : describeValue(fields)}`,
          this.#origins[i],
        );
      }
      return { ...Object.fromEntries(Object.entries(row).filter(([name]) => !removed.includes(name))), ...fields };
    });
    return Dataset.#build(
      rows,
      this.#origins,
      this.column_names.filter((name) => !removed.includes(name)),
    );
  }

  /** The rows in random order. @param options.seed any integer, default 42; equal seeds give equal orders */
  shuffle(options: { seed?: number } = {}): Dataset {
    return this.#take(new Random(checkSeed("shuffle", options.seed)).fork("shuffle").shuffle(this.#indices()));
  }

  /**
   * Two data sets without common rows. `test_size` is a share in (0, 1), rounded up, or a number of rows; default 0.25.
   * With `shuffle: false` the test rows are the last ones, in order; else both are in random order.
   * @throws ConfigError when a side would be empty
   */
  train_test_split(options: { test_size?: number; seed?: number; shuffle?: boolean } = {}): { train: Dataset; test: Dataset } {
    const { test_size = 0.25, shuffle = true } = options;
    const isShare = test_size > 0 && test_size < 1;
    if (!isShare && !(Number.isInteger(test_size) && test_size >= 1)) {
      throw new ConfigError("option_range", `train_test_split: test_size must be a share in (0, 1) or a number of rows, got ${test_size}`);
    }
    const testRows = isShare ? Math.ceil(test_size * this.length) : test_size;
    if (testRows < 1 || testRows >= this.length) {
      throw new ConfigError(
        "option_range",
        `train_test_split: both sides must have rows, got test_size ${test_size} of ${this.length} rows; choose another test_size`,
      );
    }
    const random = new Random(checkSeed("train_test_split", options.seed)).fork("train_test_split");
    const order = shuffle ? random.shuffle(this.#indices()) : this.#indices();
    const cut = this.length - testRows;
    return { train: this.#take(order.slice(0, cut)), test: this.#take(order.slice(cut)) };
  }

  /** Column `from` under the name `to`, at the same place. @throws DataError when `from` is missing or `to` is there already */
  rename_column(from: string, to: string): Dataset {
    this.#requireColumn(from);
    if (from !== to && this.column_names.includes(to)) {
      throw new DataError(
        "data_columns",
        `rename_column: the new name must be free, got ${to}; the columns are ${this.column_names.join(", ")}`,
      );
    }
    const columns = this.column_names.map((name) => (name === from ? to : name));
    const rows = this.#rows.map((row) => Object.fromEntries(this.column_names.map((name, i) => [columns[i]!, row[name] as unknown])));
    return Dataset.#build(rows, this.#origins, columns);
  }

  /** Without the named columns. @throws DataError for a column that is not there */
  remove_columns(names: string | readonly string[]): Dataset {
    for (const name of toList(names)) this.#requireColumn(name);
    return this.select_columns(this.column_names.filter((name) => !toList(names).includes(name)));
  }

  /** Only the named columns, in the given order. @throws DataError for a column that is not there */
  select_columns(names: string | readonly string[]): Dataset {
    const columns = toList(names);
    for (const name of columns) this.#requireColumn(name);
    const rows = this.#rows.map((row) => Object.fromEntries(columns.map((name) => [name, row[name] as unknown])));
    return Dataset.#build(rows, this.#origins, columns);
  }

  /**
   * A danfojs DataFrame, one line a row. Text, numbers, booleans and null stay; conversations and other nested values become JSON
   * text (a data frame cell cannot hold them safely), dates ISO text, bigint decimal text. `from_dataframe` turns JSON text back
   * into messages in every column whose cells are all message lists, and in the columns its `json_columns` names.
   */
  async to_dataframe(): Promise<DataFrame> {
    return rowsToDataFrame(this.#rows, this.column_names);
  }

  #indices(): number[] {
    return this.#rows.map((_, i) => i);
  }

  #take(indices: readonly number[]): Dataset {
    return new Dataset(
      indices.map((i) => this.#rows[i]!),
      indices.map((i) => this.#origins[i]!),
      this.column_names,
    );
  }

  #position(i: number): number {
    const position = i < 0 ? this.length + i : i;
    if (!Number.isInteger(i) || position < 0 || position >= this.length) {
      throw new DataError("data_range", `a row index must be an integer in ${-this.length}..${this.length - 1}, got ${i}`);
    }
    return position;
  }

  #requireColumn(name: string): void {
    if (this.column_names.includes(name)) return;
    const nearest = nearestName(name, this.column_names);
    const advice = nearest === undefined ? "" : `; did you mean ${nearest}?`;
    throw new DataError(
      "data_columns",
      `the column must exist, got ${name}; the columns are ${this.column_names.join(", ") || "none"}${advice}`,
      { file: this.#origins[0]?.file },
    );
  }

  #withOrigin<T>(i: number, call: () => T): T {
    try {
      return call();
    } catch (error) {
      if (!(error instanceof DataError) || error.row !== undefined) throw error;
      throw new DataError(error.code, error.message, this.#origins[i], { cause: error });
    }
  }
}

function toList(names: string | readonly string[]): readonly string[] {
  return typeof names === "string" ? [names] : names;
}

function checkSeed(where: string, seed: number = DEFAULT_SEED): number {
  if (!Number.isInteger(seed)) throw new ConfigError("option_type", `${where}: seed must be an integer, got ${String(seed)}`);
  return seed;
}
