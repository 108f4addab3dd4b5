import { defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { type Command, readCommandLine } from "./command.js";
import { onInterrupt } from "./interrupt.js";

const RUN_OPTIONS = defineOptions("Options", {
  parameter: {
    type: "pair",
    default: [],
    short: "p",
    help: "Set a name that the notebook's cell tagged parameters declares; repeat for more. VALUE is JSON where it is JSON, else a text",
  },
  output: { type: "string", default: null, nullable: true, placeholder: "FILE", help: "Write the executed notebook here (.ipynb)" },
  html: { type: "string", default: null, nullable: true, placeholder: "FILE", help: "Write a page with all cells and outputs here" },
});

const WHERE = "preflab run";

export const run: Command = {
  name: "run",
  usage: "preflab run NOTEBOOK [-p NAME VALUE]... [--output FILE] [--html FILE]",
  summary: "Runs a notebook from top to bottom through the real kernel, without Python. The exit code is 1 when a cell fails.",
  tables: [RUN_OPTIONS],
  async prepare(argv) {
    const { values, positionals } = await readCommandLine(WHERE, [RUN_OPTIONS], argv);
    const [notebook, ...others] = positionals;
    if (notebook === undefined || others.length > 0) {
      throw new ConfigError(
        "notebook",
        `${WHERE}: one NOTEBOOK must be given, got ${positionals.length === 0 ? "none" : positionals.join(" ")}`,
      );
    }
    const { parameter, output, html } = RUN_OPTIONS.resolve(values[0]!, { where: WHERE, prefix: "--" });

    return async () => {
      const { parseParameter, renderNotebookHtml, runNotebook, terminalProgress, writeAtomically } = await import("../notebook/index.js");
      const parameters = Object.fromEntries(parameter.map(([name, value]) => [name, parseParameter(value)]));
      const abort = new AbortController();
      const interrupt = onInterrupt(() => abort.abort(), "Interrupting the running cell; ctrl-C again ends at once.");
      try {
        const result = await runNotebook(notebook, {
          parameters,
          output: output ?? undefined,
          onProgress: terminalProgress(),
          signal: abort.signal,
        });
        if (html !== null) await writeAtomically(html, renderNotebookHtml(result.notebook));
        if (result.failed !== undefined) console.error(result.failed.traceback.join("\n"));
        const outcome = result.ok ? "All cells ran" : `Cell ${result.failed!.index + 1} failed`;
        const written = [output, html].filter((file) => file !== null);
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
