/**
 * `npm run notebooks [-- NAME...] [--except NAME]...`: every notebook of `notebooks/` as it stands, with the parameters of its own cell, through
 * the real kernel. Writes the executed notebook and a page with its plots into `runs/NAME/`, prints one line each, and fails if a cell fails.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ConfigError } from "../src/errors.js";
import { renderNotebookHtml, runNotebook, writeAtomically } from "../src/notebook/index.js";
import { packageRoot } from "./corpus/pairs.js";

/**
 * The notebooks that the arguments ask for, without `.ipynb`, in alphabetical order.
 * @param known the names of all notebooks
 * @throws ConfigError for a name that is not there
 */
export function chooseNotebooks(known: readonly string[], args: readonly string[]): string[] {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { except: { type: "string", multiple: true, default: [] } },
    allowPositionals: true,
  });
  for (const name of [...positionals, ...values.except]) {
    if (!known.includes(name))
      throw new ConfigError(
        "notebook",
        `notebooks: a name must be one of ${known.join(", ")}, got ${name}; give it without folder and .ipynb`,
      );
  }
  const wanted = positionals.length === 0 ? known : positionals;
  return known.filter((name) => wanted.includes(name) && !values.except.includes(name)).sort();
}

/** Runs one notebook and prints its line. @returns whether all cells ran */
async function execute(name: string): Promise<boolean> {
  const folder = join(packageRoot(), "runs", name);
  const output = join(folder, `${name}.ipynb`);
  const result = await runNotebook(join(packageRoot(), "notebooks", `${name}.ipynb`), { output });
  await writeAtomically(join(folder, `${name}.html`), renderNotebookHtml(result.notebook));
  const seconds = result.seconds.toFixed(0);
  if (result.failed === undefined) {
    console.log(`ok      ${name}: ${result.executed} code cells in ${seconds} s; see ${output}`);
    return true;
  }
  console.log(`FAILED  ${name}: cell ${result.failed.index + 1} (${result.failed.id}) after ${seconds} s; see ${output}`);
  console.error(result.failed.traceback.join("\n"));
  return false;
}

async function main(): Promise<void> {
  const files = readdirSync(join(packageRoot(), "notebooks")).filter((file) => file.endsWith(".ipynb"));
  const names = chooseNotebooks(
    files.map((file) => file.slice(0, -".ipynb".length)),
    process.argv.slice(2),
  );
  for (const name of names) if (!(await execute(name))) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
