/** The same kernel under Python's own client: what JupyterLab, nbconvert, papermill and graders use. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { installKernel } from "../../kernel-ext/install.js";
import { formatNotebook, type Cell } from "../../src/notebook/nbformat.js";

const python = process.env.PREFLAB_PYTHON ?? "python3";
const missing = spawnSync(python, ["-c", "import nbclient, nbformat"], { encoding: "utf8" });
const reason =
  missing.error !== undefined
    ? `${python} cannot be run`
    : missing.status !== 0
      ? `${python} has no nbclient; set PREFLAB_PYTHON to a Python that has it`
      : undefined;

const RUN = `
import json, sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, kernel_name="preflab", timeout=60, allow_errors=True, resources={"metadata": {"path": sys.argv[2]}}).execute()
nbformat.validate(notebook)
nbformat.write(notebook, sys.argv[3])
`;

describe.skipIf(reason !== undefined)(`nbclient${reason === undefined ? "" : ` (skipped: ${reason})`}`, () => {
  test("runs a notebook: streams, results, errors, display updates, valid nbformat", async () => {
    const folder = mkdtempSync(join(tmpdir(), "preflab-nbclient-"));
    const { directory } = await installKernel({ prefix: folder });
    const sources = [
      "import { display, plotTraining } from 'preflab';\nfor (let i = 0; i < 20_000; i++) console.log(`line ${i}`);",
      "const handle = await display('first');\nawait handle.update('second');",
      "plotTraining([{ step: 1, loss: 0.69 }, { step: 2, loss: 0.5 }])",
      "const wrong: number = 'x';",
      "1 + 1",
    ];
    const cells = sources.map((source, at): Cell => ({
      cell_type: "code",
      id: `c${at}`,
      source,
      metadata: {},
      outputs: [],
      execution_count: null,
    }));
    const input = join(folder, "in.ipynb");
    const output = join(folder, "out.ipynb");
    writeFileSync(
      input,
      formatNotebook({
        cells,
        metadata: { kernelspec: { name: "preflab", display_name: "TypeScript (Preflab)" } },
        nbformat: 4,
        nbformat_minor: 5,
      }),
    );
    const run = spawnSync(python, ["-c", RUN, input, folder, output], {
      encoding: "utf8",
      env: { ...process.env, JUPYTER_PATH: join(directory, "..", "..") },
      timeout: 110_000,
    });
    expect(run.stderr.split("\n").filter((line) => /error|traceback/i.test(line))).toEqual([]);
    expect(run.status).toBe(0);

    const executed = JSON.parse(readFileSync(output, "utf8")) as {
      cells: {
        execution_count: number;
        outputs: { output_type: string; text?: string[]; data?: Record<string, unknown>; ename?: string; traceback?: string[] }[];
      }[];
    };
    expect(executed.cells.map((cell) => cell.execution_count)).toEqual([1, 2, 3, 4, 5]);
    const [lines, updated, figure, failed, sum] = executed.cells.map((cell) => cell.outputs);
    expect(lines!.every((output) => output.output_type === "stream")).toBe(true);
    expect(lines!.flatMap((output) => output.text!).join("")).toBe(Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join(""));
    expect(updated![0]!.data).toEqual({ "text/plain": ["'second'"] });
    expect(Object.keys(figure![0]!.data!).sort()).toEqual(["application/vnd.plotly.v1+json", "text/html", "text/plain"]);
    expect(failed![0]).toMatchObject({ output_type: "error", ename: "TypeScriptError" });
    expect(sum![0]!.data).toEqual({ "text/plain": ["2"] });
  });
});
