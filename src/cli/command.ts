import { formatHelp, loadOptionFile, type OptionTable, parseFlags, unknownOption } from "../config/index.js";
import { ConfigError } from "../errors.js";

/** One word of `preflab WORD …`. `prepare` reads and checks the command line (what it throws ends with exit code 2) and returns the
 *  work, which returns the exit code (what it throws ends with exit code 1). */
export interface Command {
  readonly name: string;
  /** How it is called, one line. */
  readonly usage: string;
  /** What it does, one or two sentences. */
  readonly summary: string;
  readonly tables: readonly OptionTable[];
  prepare(argv: readonly string[]): Promise<Work>;
}

export type Work = () => Promise<number>;

export function formatCommandHelp(command: Command): string {
  const flags = "Flags are written --name value or --name=value; true-or-false flags also --name and --no_name.";
  const parts = [`${command.usage}\n\n${command.summary}`, ...command.tables.map((table) => formatHelp(table))];
  return [...parts, ...(command.tables.some((table) => table.specs.size > 0) ? [flags] : [])].join("\n\n");
}

/** What the user gave, per table, before it is checked: the config file's values overridden by the flags. */
export interface Given {
  /** In the order of the tables. */
  values: Record<string, unknown>[];
  positionals: string[];
  /** Names that were given at all, as a flag or in the file. */
  names: ReadonlySet<string>;
}

/** Reads the command line, and the file that `--config` names. @throws ConfigError for unknown names and ill-typed flags */
export async function readCommandLine(where: string, tables: readonly OptionTable[], argv: readonly string[]): Promise<Given> {
  const flags = parseFlags(tables, argv, { where });
  const path = flags.values["config"];
  const merged: Record<string, unknown> = {};
  if (typeof path === "string") {
    for (const [name, value] of Object.entries(await loadOptionFile(path))) {
      const table = tableOf(tables, name);
      if (table === undefined || name === "config")
        throw unknownOption(
          name,
          tables.flatMap((known) => known.knownNames),
          { where: path },
        );
      // The file's own values are checked here so that the message can name the file.
      table.check({ [name]: value }, { where: path, onNote: () => undefined });
      merged[table.canonicalName(name) ?? name] = value;
    }
  }
  Object.assign(merged, flags.values);
  const values = tables.map((table) => Object.fromEntries(Object.entries(merged).filter(([name]) => tableOf(tables, name) === table)));
  return { values, positionals: flags.positionals, names: new Set(Object.keys(merged)) };
}

/** @throws ConfigError when words stand on the command line that belong to no flag */
export function refusePositionals(where: string, positionals: readonly string[]): void {
  if (positionals.length > 0)
    throw new ConfigError("unexpected_word", `${where}: unexpected ${positionals.join(" ")}; flags are written --name value`);
}

function tableOf(tables: readonly OptionTable[], name: string): OptionTable | undefined {
  return tables.find((table) => table.canonicalName(name) !== undefined || Object.hasOwn(table.entries, name));
}
