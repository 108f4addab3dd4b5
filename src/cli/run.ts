import { appendFileSync, writeFileSync } from "node:fs";
import { defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import type { Notebook, RunProgress } from "../notebook/index.js";
import { CELL_ENTRIES, cellSettings } from "./cellOptions.js";
import { type Command, readCommandLine } from "./command.js";
import { onInterrupt } from "./interrupt.js";
import { readParameters } from "./runParameters.js";

const RUN_OPTIONS = defineOptions("Options (papermill's, where they make sense here)", {
  parameters: {
    type: "pair",
    default: [],
    short: "p",
    aliases: ["parameter"],
    help: "Set a name that the notebook's cell tagged parameters declares; repeat for more. VALUE is JSON where it is JSON, else a text",
    differs: "A name that the notebook does not declare is an error: papermill only warns",
  },
  parameters_raw: { type: "pair", default: [], short: "r", help: "As -p, but VALUE is always a text" },
  parameters_yaml: {
    type: "string",
    list: true,
    repeat: true,
    default: [],
    short: "y",
    placeholder: "YAML",
    help: "Names and values as YAML text",
  },
  parameters_file: {
    type: "string",
    list: true,
    repeat: true,
    default: [],
    short: "f",
    placeholder: "FILE",
    help: "Names and values in a YAML or JSON file",
  },
  parameters_base64: {
    type: "string",
    list: true,
    repeat: true,
    default: [],
    short: "b",
    placeholder: "BASE64",
    help: "Names and values as YAML text in Base64. Where a name is given more than once, -b counts least, then -f, -y, -p, and -r most",
  },
  inject_input_path: { type: "boolean", default: false, help: "Also set PAPERMILL_INPUT_PATH to the path of NOTEBOOK" },
  inject_output_path: { type: "boolean", default: false, help: "Also set PAPERMILL_OUTPUT_PATH to the path of OUTPUT" },
  inject_paths: { type: "boolean", default: false, help: "Both" },
  output: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "FILE",
    help: "Write the executed notebook here, after every cell; the same as the word OUTPUT",
  },
  html: { type: "string", default: null, nullable: true, placeholder: "FILE", help: "Write a page with all cells and outputs here" },
  junit: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "FILE",
    help: "Write a JUnit report here, one test case a code cell",
  },
  kernel: {
    type: "string",
    default: null,
    nullable: true,
    short: "k",
    placeholder: "NAME",
    help: "Run with this installed Jupyter kernel; default Preflab's own, whatever the notebook names",
  },
  ...CELL_ENTRIES,
  cwd: { ...CELL_ENTRIES.cwd, differs: "papermill's default is the folder it is called from" },
  start_timeout: { type: "number", default: 60, exclusiveMin: 0, unit: "seconds", help: "Longest time for the kernel to answer" },
  log_output: { type: "boolean", default: true, help: "Print what the cells print", differs: "papermill's default is false" },
  progress_bar: { type: "boolean", default: true, help: "Print a line when a cell begins and ends" },
  stdout_file: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "FILE",
    help: "Write what the cells print to standard output here, too",
  },
  stderr_file: { type: "string", default: null, nullable: true, placeholder: "FILE", help: "And here what they print to standard error" },
  prepare_only: { type: "boolean", default: false, help: "Put the parameters in and write OUTPUT, but run nothing" },
  report_mode: { type: "boolean", default: false, help: "Hide the code of all cells in OUTPUT, as front ends understand it" },
  request_save_on_cell_execute: { removed: "the notebook is always written after every cell" },
  autosave_cell_every: { removed: "the notebook is written after every cell" },
  engine: { refused: "there is one engine, Jupyter's protocol; choose the kernel with --kernel" },
  language: { refused: "parameters are written in TypeScript" },
  log_level: { refused: "nothing is logged; --no_progress_bar and --no_log_output make it quiet" },
});

const WHERE = "preflab run";

export const run: Command = {
  name: "run",
  usage: "preflab run NOTEBOOK [OUTPUT] [-p NAME VALUE]... [--html FILE] [--junit FILE]",
  summary: "Runs a notebook from top to bottom through the real kernel, without Python. The exit code is 1 when a cell fails.",
  tables: [RUN_OPTIONS],
  async prepare(argv) {
    const { values, positionals } = await readCommandLine(WHERE, [RUN_OPTIONS], argv);
    const [notebook, word, ...others] = positionals;
    if (notebook === undefined || others.length > 0) {
      throw new ConfigError(
        "notebook",
        `${WHERE}: one NOTEBOOK and at most one OUTPUT must be given, got ${positionals.length === 0 ? "none" : positionals.join(" ")}`,
      );
    }
    const options = RUN_OPTIONS.resolve(values[0]!, { where: WHERE, prefix: "--" });
    if (word !== undefined && options.output !== null)
      throw new ConfigError("option_conflict", `${WHERE}: OUTPUT must be given once, got ${word} and --output ${options.output}`);
    const output = options.output ?? word;
    for (const name of ["prepare_only", "report_mode", "inject_output_path"] as const) {
      if (options[name] && output === undefined)
        throw new ConfigError("output", `${WHERE}: --${name} needs OUTPUT, got none; name the file to write`);
    }
    const parameters = await readParameters(WHERE, options);
    const runParameters = {
      ...(options.inject_input_path || options.inject_paths ? { PAPERMILL_INPUT_PATH: notebook } : {}),
      ...((options.inject_output_path || options.inject_paths) && output !== undefined ? { PAPERMILL_OUTPUT_PATH: output } : {}),
    };

    return async () => {
      const library = await import("../notebook/index.js");
      const prepare = (present: Notebook): Notebook => (options.report_mode ? library.hideSources(present) : present);
      if (options.prepare_only) {
        const injected = library.injectParameters(await library.readNotebook(notebook), parameters, runParameters);
        await library.writeNotebook(output!, prepare(injected));
        console.log(`Not run; see ${output}`);
        return 0;
      }
      const abort = new AbortController();
      const interrupt = onInterrupt(() => abort.abort(), "Interrupting the running cell; ctrl-C again ends at once.");
      try {
        const result = await library.runNotebook(notebook, {
          ...{ parameters, runParameters, prepare, signal: abort.signal },
          ...(output === undefined ? {} : { output }),
          ...cellSettings(options),
          ...(options.kernel === null ? {} : { kernel: library.findKernel(options.kernel) }),
          startTimeoutMs: options.start_timeout * 1000,
          onProgress: reportProgress(options, library.terminalProgress()),
        });
        const { html, junit } = options;
        if (html !== null) await library.writeAtomically(html, library.renderNotebookHtml(result.notebook));
        if (junit !== null) await library.writeAtomically(junit, library.formatJUnit(notebook, result));
        if (result.failed !== undefined) console.error(result.failed.traceback.join("\n"));
        const outcome = result.ok ? "All cells ran" : `Cell ${result.failed!.index + 1} failed`;
        const written = [output, html, junit].filter((file) => file !== null && file !== undefined);
        console.log(
          `${outcome}: ${result.executed} code cells in ${result.seconds.toFixed(1)} s${written.length === 0 ? "" : `; see ${written.join(" and ")}`}`,
        );
        if (interrupt.exitCode !== undefined) return interrupt.exitCode;
        return result.ok ? 0 : 1;
      } finally {
        interrupt.release();
      }
    };
  },
};

interface ReportOptions {
  log_output: boolean;
  progress_bar: boolean;
  stdout_file: string | null;
  stderr_file: string | null;
}

/** What of the progress is printed, and the copies in files, which begin empty. */
function reportProgress(options: ReportOptions, print: (event: RunProgress) => void): (event: RunProgress) => void {
  const files = { stdout: options.stdout_file, stderr: options.stderr_file };
  for (const file of Object.values(files)) if (file !== null) writeFileSync(file, "");
  return (event) => {
    if (event.type === "stream") {
      const file = files[event.name];
      if (file !== null) appendFileSync(file, event.text);
      if (options.log_output) print(event);
    } else if (options.progress_bar) print(event);
  };
}
