import { defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { CELL_ENTRIES, cellSettings } from "./cellOptions.js";
import { type Command, readCommandLine } from "./command.js";
import { onInterrupt } from "./interrupt.js";

const CHECK_OPTIONS = defineOptions("Options", {
  rtol: { type: "number", default: 1e-5, min: 0, help: "Numbers a and b are the same when |a - b| <= atol + rtol * |a|" },
  atol: { type: "number", default: 1e-8, min: 0, help: "See rtol" },
  ignore: {
    type: "string",
    list: true,
    repeat: true,
    default: [],
    placeholder: "REGEX",
    help: "Leave out what matches before texts are compared; repeat for more. A cell tagged nbval-ignore-output is run but not compared",
  },
  output: { type: "string", default: null, nullable: true, placeholder: "FILE", help: "Write the notebook as it was run now" },
  ...CELL_ENTRIES,
});

const WHERE = "preflab check";

export const check: Command = {
  name: "check",
  usage: "preflab check NOTEBOOK [--rtol X] [--atol X] [--ignore REGEX]... [--output FILE]",
  summary:
    "Restarts the kernel, runs all cells and compares with the outputs in the file; names cells that are stale, out of order or not run, and what has changed in the environment. The exit code is 1 when something differs.",
  tables: [CHECK_OPTIONS],
  async prepare(argv) {
    const { values, positionals } = await readCommandLine(WHERE, [CHECK_OPTIONS], argv);
    const [file, ...others] = positionals;
    if (file === undefined || others.length > 0)
      throw new ConfigError(
        "notebook",
        `${WHERE}: one NOTEBOOK must be given, got ${positionals.length === 0 ? "none" : positionals.join(" ")}`,
      );
    const options = CHECK_OPTIONS.resolve(values[0]!, { where: WHERE, prefix: "--" });
    const ignore = options.ignore.map((pattern) => {
      try {
        return new RegExp(pattern, "gu");
      } catch (cause) {
        throw new ConfigError("ignore", `${WHERE}: --ignore must be a regular expression, got ${pattern}; ${(cause as Error).message}`, {
          cause,
        });
      }
    });

    return async () => {
      const { compareNotebooks, readNotebook, runNotebook, terminalProgress } = await import("../notebook/index.js");
      const abort = new AbortController();
      const interrupt = onInterrupt(() => abort.abort(), "Interrupting the running cell; ctrl-C again ends at once.");
      try {
        const held = await readNotebook(file);
        const { notebook, seconds } = await runNotebook(file, {
          ...(options.output === null ? {} : { output: options.output }),
          ...cellSettings(options),
          onProgress: terminalProgress(),
          signal: abort.signal,
        });
        if (interrupt.exitCode !== undefined) return interrupt.exitCode;
        const findings = compareNotebooks(held, notebook, { rtol: options.rtol, atol: options.atol, ignore });
        for (const { index, id, kind, note, text } of findings)
          console.log(`${note ? "note" : "DIFFERS"}  ${index === undefined ? "" : `cell ${index + 1} (${id}) `}${kind}: ${text}`);
        const failed = findings.filter(({ note }) => !note).length;
        console.log(
          failed === 0
            ? `The same after a restart, in ${seconds.toFixed(1)} s`
            : `${failed} differences after a restart, in ${seconds.toFixed(1)} s`,
        );
        return failed === 0 ? 0 : 1;
      } finally {
        interrupt.release();
      }
    };
  },
};
