import { statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join, resolve } from "node:path";
import { defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { type Command, readCommandLine } from "./command.js";
import { onInterrupt } from "./interrupt.js";

const GRADE_OPTIONS = defineOptions("Options", {
  assignment: {
    type: "string",
    required: true,
    placeholder: "NOTEBOOK",
    help: "The instructor's notebook, with solutions and hidden tests",
  },
  output: {
    type: "string",
    default: "grades",
    placeholder: "DIR",
    help: "Folder for grades.csv, grades.json, feedback/, gradescope/ and executed/",
  },
  parameters: {
    type: "pair",
    default: [],
    short: "p",
    aliases: ["parameter"],
    help: "Set a name that the cell tagged parameters declares; repeat for more. VALUE is JSON where it is JSON, else a text",
  },
  files: { type: "string", list: true, default: [], placeholder: "PATH", help: "Files and folders that are copied beside each notebook" },
  read: {
    type: "string",
    list: true,
    default: [],
    placeholder: "DIR",
    help: "Folders that submissions may read where they are, besides Preflab's own",
  },
  sandbox: {
    type: "string",
    default: "auto",
    choices: ["auto", "bubblewrap", "namespaces", "permissions", "none"],
    help: "How submissions are shut in. auto takes bubblewrap or namespaces, whichever works, and refuses to grade with less; permissions (Node's own) leaves the network open before Node 25; none trusts every submission",
  },
  execution_timeout: { type: "number", default: 300, exclusiveMin: 0, unit: "seconds", help: "Longest time for one cell" },
  time_limit: {
    type: "number",
    default: 1800,
    exclusiveMin: 0,
    unit: "seconds",
    help: "Longest time for one submission; then its processes are killed",
  },
  memory_limit: {
    type: "number",
    default: 4096,
    exclusiveMin: 0,
    unit: "MiB",
    help: "Most memory for one submission; beyond it its processes are killed",
  },
  jobs: { type: "integer", default: null, nullable: true, min: 1, help: "Submissions at the same time; default half the processors" },
});

const WHERE = "preflab grade";

export const grade: Command = {
  name: "grade",
  usage: "preflab grade SUBMISSION.ipynb... --assignment NOTEBOOK [--output DIR] [-p NAME VALUE]...",
  summary:
    "Grades submissions: hidden tests, partial credit, what was tampered with; each shut in, with limits of time and memory. The file's name is the student's. The exit code is 1 when a submission could not be run to its end.",
  tables: [GRADE_OPTIONS],
  async prepare(argv) {
    const { values, positionals } = await readCommandLine(WHERE, [GRADE_OPTIONS], argv);
    if (positionals.length === 0)
      throw new ConfigError("notebook", `${WHERE}: submissions must be given, got none; name the files, for example submissions/*.ipynb`);
    const options = GRADE_OPTIONS.resolve(values[0]!, { where: WHERE, prefix: "--" });
    const students = positionals.map((file) => basename(file, ".ipynb"));
    const twice = students.find((name, at) => students.indexOf(name) !== at);
    if (twice !== undefined)
      throw new ConfigError("submission_names", `${WHERE}: file names must tell the students apart, got ${twice} twice; rename one`);
    for (const path of [...positionals, ...options.files, ...options.read, options.assignment]) {
      if (statSync(path, { throwIfNoEntry: false }) === undefined)
        throw new ConfigError("path", `${WHERE}: files must exist, got ${path}; check the path`);
    }

    return async () => {
      const notebook = await import("../notebook/index.js");
      const assignment = notebook.readAssignment(await notebook.readNotebook(options.assignment), options.assignment);
      const protection = await notebook.chooseProtection(options.sandbox, notebook.ownPackageRoot());
      console.log(`Protection: ${notebook.PROTECTION_TEXT[protection]}`);
      const abort = new AbortController();
      const interrupt = onInterrupt(() => abort.abort(), "Stopping; ctrl-C again ends at once.");
      try {
        const results = await notebook.gradeSubmissions(assignment, positionals, {
          protection,
          parameters: Object.fromEntries(options.parameters.map(([name, value]) => [name, notebook.parseParameter(value)])),
          files: options.files,
          readable: options.read.map((path) => resolve(path)),
          hidden: [resolve(options.assignment)],
          cellTimeoutMs: options.execution_timeout * 1000,
          totalTimeoutMs: options.time_limit * 1000,
          memoryLimitBytes: options.memory_limit * 2 ** 20,
          jobs: options.jobs ?? Math.max(1, Math.floor(availableParallelism() / 2)),
          signal: abort.signal,
          onResult: (result, done, total) => {
            const manual = result.manual_points > 0 ? ` (+${result.manual_points} by hand)` : "";
            const found = result.findings.length === 0 ? "" : `; ${result.findings.map(({ kind, id }) => `${kind} ${id}`).join(", ")}`;
            const problem = result.problem === undefined ? "" : `; ${result.problem}`;
            console.log(
              `[${done}/${total}] ${result.student}: ${result.score} of ${result.max_score - result.manual_points}${manual}${found}${problem}`,
            );
          },
        });
        const write = (name: string, text: string): Promise<void> => notebook.writeAtomically(join(options.output, name), text);
        for (const result of results) {
          await write(join("feedback", `${result.student}.html`), notebook.renderFeedback(assignment, result));
          await write(join("gradescope", `${result.student}.json`), notebook.formatGradescope(result));
          if (result.notebook !== undefined)
            await notebook.writeNotebook(join(options.output, "executed", `${result.student}.ipynb`), result.notebook);
        }
        await write("grades.csv", notebook.formatCsv(results));
        await write("grades.json", notebook.formatJson(results));
        console.log(`${results.length} graded; see ${join(options.output, "grades.csv")} and ${join(options.output, "feedback")}`);
        return interrupt.exitCode ?? (results.some(({ problem }) => problem !== undefined) ? 1 : 0);
      } finally {
        interrupt.release();
      }
    };
  },
};
