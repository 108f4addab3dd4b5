import { basename, dirname, join, resolve } from "node:path";
import { defineOptions } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { type Command, readCommandLine } from "./command.js";

const ASSIGN_OPTIONS = defineOptions("Options", {
  output: {
    type: "string",
    default: null,
    nullable: true,
    placeholder: "FILE",
    help: "The student version; default: ../release/NAME from NOTEBOOK's folder, as nbgrader lays out its folders",
  },
  check: {
    type: "boolean",
    default: true,
    help: "Run the instructor's version, which must pass all its tests, and the student's, which should pass none, before anything is written",
  },
  parameters: {
    type: "pair",
    default: [],
    short: "p",
    aliases: ["parameter"],
    help: "Set a name that the cell tagged parameters declares, for these runs; repeat for more",
  },
  execution_timeout: { type: "number", default: 600, exclusiveMin: 0, unit: "seconds", help: "Longest time for one cell" },
});

const WHERE = "preflab assign";

export const assign: Command = {
  name: "assign",
  usage: "preflab assign NOTEBOOK [--output FILE] [--no_check] [-p NAME VALUE]...",
  summary:
    "Makes the students' version of an instructor's notebook: no solutions, no hidden tests, locked tests with nbgrader's metadata. Refuses a notebook that fails its own tests.",
  tables: [ASSIGN_OPTIONS],
  async prepare(argv) {
    const { values, positionals } = await readCommandLine(WHERE, [ASSIGN_OPTIONS], argv);
    const [source, ...others] = positionals;
    if (source === undefined || others.length > 0) {
      throw new ConfigError(
        "notebook",
        `${WHERE}: one NOTEBOOK must be given, got ${positionals.length === 0 ? "none" : positionals.join(" ")}`,
      );
    }
    const options = ASSIGN_OPTIONS.resolve(values[0]!, { where: WHERE, prefix: "--" });
    const output = options.output ?? join(dirname(source), "..", "release", basename(source));
    if (resolve(output) === resolve(source))
      throw new ConfigError("output", `${WHERE}: --output must not be NOTEBOOK itself, got ${output}; the solutions would be lost`);

    return async () => {
      const { checkAssignment, injectParameters, parseParameter, readAssignment, readNotebook, runCells, studentNotebook, writeNotebook } =
        await import("../notebook/index.js");
      const assignment = readAssignment(await readNotebook(source), source);
      const student = studentNotebook(assignment);
      if (options.check) {
        const parameters = Object.fromEntries(options.parameters.map(([name, value]) => [name, parseParameter(value)]));
        const run = (notebook: typeof student): ReturnType<typeof runCells> =>
          runCells(injectParameters(notebook, parameters), dirname(resolve(source)), {
            onError: "continue",
            timeoutMs: options.execution_timeout * 1000,
          });
        const { problems, warnings } = await checkAssignment(assignment, run, student);
        for (const text of problems) console.error(`${source}: ${text}`);
        for (const text of warnings) console.error(`warning: ${text}`);
        if (problems.length > 0) return 1;
      }
      await writeNotebook(output, student);
      const count = (role: string): number => assignment.cells.filter((cell) => cell.role === role).length;
      console.log(
        `${output}: ${count("solution") + count("manual")} cells to write, ${count("test")} tests, ${assignment.maxPoints} points${options.check ? "; the instructor's version passes" : "; not run"}`,
      );
      return 0;
    };
  },
};
