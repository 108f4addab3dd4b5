/** The Python that the comparison runs TRL with: found, never installed. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { PreflabError } from "../../src/errors.js";
import { packageRoot } from "../corpus/pairs.js";

/** What TRL's side imports. */
export const PYTHON_LIBRARIES = ["torch", "transformers", "trl", "peft", "datasets", "accelerate"] as const;

/** No Python with all libraries. */
export class PythonStackError extends PreflabError {
  /** @param faults what was found, one line a Python */
  constructor(faults: readonly string[]) {
    super(
      "python_stack",
      `compare-with-trl: TRL's side needs a Python with ${PYTHON_LIBRARIES.join(", ")}, got\n${faults.map((fault) => `  ${fault}`).join("\n")}\n` +
        "Install them with  scripts/install-python-checks.sh --all  (into .cache/python-checks), or with\n" +
        `  python3 -m venv trl && trl/bin/pip install ${PYTHON_LIBRARIES.join(" ")}\n` +
        "and set PREFLAB_PYTHON=trl/bin/python. Nothing was compared.",
    );
  }
}

/**
 * The Python to use. With PREFLAB_PYTHON set, that one or none; else the first of python3, /usr/bin/python3 and the virtual environment of
 * scripts/install-python-checks.sh that has all libraries.
 * @throws PythonStackError
 */
export function findPython(): string {
  const wish = process.env["PREFLAB_PYTHON"];
  const candidates =
    wish !== undefined && wish !== ""
      ? [wish]
      : ["python3", "/usr/bin/python3", join(packageRoot(), ".cache", "python-checks", "bin", "python3")];
  const faults: string[] = [];
  for (const python of candidates) {
    const fault = describeLack(python);
    if (fault === undefined) return python;
    faults.push(`${python}${python === wish ? " (PREFLAB_PYTHON)" : ""}: ${fault}`);
  }
  throw new PythonStackError(faults);
}

/** Looks for the libraries without importing them, which would take seconds, and not in the working folder, where Preflab's own `datasets/`
 *  would pass for one of them. @returns undefined when none is missing */
function describeLack(python: string): string | undefined {
  const script = `import importlib.util as u, sys; sys.path = [p for p in sys.path if p]; print(", ".join(m for m in ${JSON.stringify(PYTHON_LIBRARIES)} if u.find_spec(m) is None))`;
  const { status, stdout, error } = spawnSync(python, ["-c", script], { encoding: "utf8" });
  if (error !== undefined) return `cannot be run (${(error as NodeJS.ErrnoException).code ?? error.message})`;
  if (status !== 0) return `cannot be run (exit code ${String(status)})`;
  return stdout.trim() === "" ? undefined : `lacks ${stdout.trim()}`;
}
