import { execFileSync } from "node:child_process";
import { defineOptions } from "../config/index.js";
import { ConfigError, nearestName } from "../errors.js";
import { type Command, readCommandLine } from "./command.js";

const PLACE_OPTIONS = defineOptions("Where (one of them; the default is --user)", {
  user: { type: "boolean", default: false, help: "For this user: in Jupyter's own data folder" },
  "sys-prefix": {
    type: "boolean",
    default: false,
    help: "In the active Python environment (venv or conda), else in that of the python3 command",
  },
  prefix: { type: "string", default: null, nullable: true, placeholder: "PATH", help: "In PATH/share/jupyter, e.g. /usr/local" },
});

const WHERE = "preflab kernel install";

export const kernel: Command = {
  name: "kernel",
  usage: "preflab kernel install [--user | --sys-prefix | --prefix PATH]",
  summary: "Makes Jupyter, JupyterLab and VS Code offer the TypeScript kernel. Install again after moving Preflab or Node.js.",
  tables: [PLACE_OPTIONS],
  async prepare(argv) {
    const { values, positionals } = await readCommandLine(WHERE, [PLACE_OPTIONS], argv);
    const [verb, ...others] = positionals;
    if (verb !== "install" || others.length > 0) {
      const advice =
        verb !== undefined && nearestName(verb, ["install"]) !== undefined ? "did you mean install?" : "the only one is install";
      throw new ConfigError(
        "kernel_verb",
        `preflab kernel: one verb must be given, got ${positionals.length === 0 ? "none" : positionals.join(" ")}; ${advice}`,
      );
    }
    const place = PLACE_OPTIONS.resolve(values[0]!, { where: WHERE, prefix: "--" });
    const named = [place.user ? "--user" : "", place["sys-prefix"] ? "--sys-prefix" : "", place.prefix === null ? "" : "--prefix"].filter(
      (name) => name !== "",
    );
    if (named.length > 1) throw new ConfigError("option_conflict", `${WHERE}: give one place, got ${named.join(" and ")}`);

    return async () => {
      const { installKernel } = await import("../../kernel-ext/install.js");
      const { directory } = await installKernel({
        user: place.user,
        sysPrefix: place["sys-prefix"] ? pythonPrefix() : undefined,
        prefix: place.prefix ?? undefined,
      });
      console.log(`The kernel is in ${directory}`);
      return 0;
    };
  },
};

/** The folder of the active Python environment: Python's sys.prefix. */
function pythonPrefix(): string {
  const active = process.env["VIRTUAL_ENV"] ?? process.env["CONDA_PREFIX"];
  if (active !== undefined && active !== "") return active;
  try {
    return execFileSync("python3", ["-c", "import sys; print(sys.prefix)"], { encoding: "utf8", timeout: 20_000 }).trim();
  } catch (error) {
    throw new ConfigError(
      "python_missing",
      `${WHERE}: --sys-prefix needs an active environment or a python3 command, got neither; use --user or --prefix`,
      {
        cause: error,
      },
    );
  }
}
