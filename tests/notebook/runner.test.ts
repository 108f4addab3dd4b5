import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readNotebook, type CodeCell } from "../../src/notebook/nbformat.js";
import { runNotebook, terminalProgress, type RunProgress } from "../../src/notebook/runner.js";
import { code, markdown, notebookOf, writeTemporary } from "./notebooks.js";

const plain = (cell: unknown): unknown => {
  const output = (cell as CodeCell).outputs.at(-1);
  return output?.output_type === "execute_result" ? output.data["text/plain"] : output;
};

describe("runNotebook", () => {
  test("runs all cells through the real kernel and writes a valid executed notebook", async () => {
    const { path, folder } = await writeTemporary(
      notebookOf(
        markdown("# Title\n\ntext"),
        code(
          "import { display } from 'preflab';\nconst handle = await display('waiting');\nconsole.log('one');\nconsole.log('two');\nconsole.error('careful');",
        ),
        code("await handle.update('ready');\n6 * 7"),
        code("   "),
        code("console.log('x'); throw new RangeError('expected')", ["raises-exception"]),
        code("throw new Error('skipped')", ["skip-execution"]),
        code("import { clear_output } from 'preflab';\nconsole.log('old'); clear_output({ wait: true }); console.log('new')"),
      ),
    );
    const output = join(folder, "out.ipynb");
    const events: RunProgress[] = [];
    const result = await runNotebook(path, { output, onProgress: (event) => events.push(event) });
    expect(result).toMatchObject({ ok: true, executed: 4 });
    expect(result.failed).toBeUndefined();

    const [, shown, answer, blank, raised, skipped, cleared] = (await readNotebook(output)).cells as [unknown, ...CodeCell[]];
    expect(shown!.outputs).toEqual([
      { output_type: "display_data", data: { "text/plain": "'ready'" }, metadata: {} },
      { output_type: "stream", name: "stdout", text: "one\ntwo\n" },
      { output_type: "stream", name: "stderr", text: "careful\n" },
    ]);
    expect(answer!.outputs).toEqual([{ output_type: "execute_result", data: { "text/plain": "42" }, metadata: {}, execution_count: 2 }]);
    expect([shown, answer, blank, raised, skipped, cleared].map((cell) => cell!.execution_count)).toEqual([1, 2, null, 3, null, 4]);
    expect(raised!.outputs[1]).toMatchObject({ output_type: "error", ename: "RangeError", evalue: "expected" });
    expect(cleared!.outputs).toEqual([{ output_type: "stream", name: "stdout", text: "new\n" }]);
    // Jupyter's own layout: lists of lines, one space, a final newline; no draft is left behind.
    const text = readFileSync(output, "utf8");
    expect(text).toMatch(/^\{\n "cells": \[/);
    expect(text.endsWith("}\n")).toBe(true);
    expect(JSON.parse(text).cells[0].source).toEqual(["# Title\n", "\n", "text"]);
    expect(JSON.parse(text).metadata).toMatchObject({ kernelspec: { name: "preflab" }, language_info: { name: "typescript" } });
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);

    expect(events.filter((event) => event.type === "cell_start")).toMatchObject([
      { number: 1, total: 4, title: "import { display } from 'preflab';" },
      { number: 2 },
      { number: 3 },
      { number: 4 },
    ]);
    expect(events.filter((event) => event.type === "cell_end").map((event) => event.ok)).toEqual([true, true, true, true]);
    expect(events.flatMap((event) => (event.type === "stream" && event.name === "stdout" ? [event.text] : [])).join("")).toBe(
      "one\ntwo\nx\nold\nnew\n",
    );
  });

  test("stops at the first error, records it, and leaves later cells without outputs", async () => {
    const stale = {
      ...(code("'later'") as CodeCell),
      execution_count: 9,
      outputs: [{ output_type: "stream" as const, name: "stdout" as const, text: "from an earlier run" }],
    };
    const { path, folder } = await writeTemporary(notebookOf(code("const beta = 0.1;"), code("beta.nothing", [], "bad"), stale));
    const output = join(folder, "out.ipynb");
    const result = await runNotebook(path, { output });
    expect(result).toMatchObject({
      ok: false,
      executed: 2,
      failed: { index: 1, id: "bad", source: "beta.nothing", ename: "TypeScriptError" },
    });
    expect(result.failed!.evalue).toContain("Property 'nothing' does not exist on type '0.1'");
    const [, bad, later] = (await readNotebook(output)).cells as CodeCell[];
    expect(bad!.outputs).toMatchObject([{ output_type: "error", ename: "TypeScriptError" }]);
    expect(later).toMatchObject({ outputs: [], execution_count: null });
  });

  test("parameters go into a new cell after the tagged one, keep keyword and type, and reach the cells", async () => {
    const { path } = await writeTemporary(
      notebookOf(
        code("const model: string = 'tiny';\nlet rates: number[] = [1e-4];\nconst other = 1;", ["parameters"]),
        code("rates.push(1); `${model} ${rates} ${other}`"),
      ),
    );
    const result = await runNotebook(path, { parameters: { model: "big\"'`${1}", rates: [0.5] } });
    const [, injected, last] = result.notebook.cells;
    expect(injected).toMatchObject({
      cell_type: "code",
      metadata: { tags: ["injected-parameters"] },
      source: '// Parameters of this run\nconst model: string = "big\\"\'`${1}";\nlet rates: number[] = [0.5];',
    });
    expect(plain(last)).toBe("'big\"\\'`${1} 0.5,1 1'");
  });

  test("cells run in the notebook's folder, with the given environment", async () => {
    const { path, folder } = await writeTemporary(notebookOf(code("`${process.cwd()} ${process.env.PREFLAB_TEST}`")));
    const result = await runNotebook(path, { env: { PREFLAB_TEST: "yes" } });
    expect(plain(result.notebook.cells[0])).toBe(`'${folder} yes'`);
  });

  test("a cell beyond the time limit is interrupted and counts as failed", async () => {
    const { path } = await writeTemporary(notebookOf(code("1"), code("console.log('working'); for (;;);"), code("2")));
    const result = await runNotebook(path, { timeoutMs: 3_000 });
    expect(result.failed).toMatchObject({
      index: 1,
      ename: "CellTimeout",
      evalue: "the cell must end within 3000 ms, and was interrupted",
    });
    expect((result.notebook.cells[1] as CodeCell).outputs).toMatchObject([
      { output_type: "stream", text: "working\n" },
      { output_type: "error", ename: "CellTimeout" },
    ]);
  });

  test("an abort signal interrupts the running cell and writes what there is", async () => {
    const { path, folder } = await writeTemporary(
      notebookOf(code("console.log('done')"), code("console.log('go'); await new Promise(() => {});")),
    );
    const output = join(folder, "out.ipynb");
    const controller = new AbortController();
    const result = await runNotebook(path, {
      output,
      signal: controller.signal,
      onProgress: (event) => event.type === "stream" && event.text.includes("go") && controller.abort(),
    });
    expect(result.failed).toMatchObject({ index: 1, ename: "Interrupted" });
    expect((await readNotebook(output)).cells[0]).toMatchObject({ outputs: [{ text: "done\n" }] });
  });

  test("process.exit() in a cell is a failed cell, not the end of the run's process", async () => {
    const { path } = await writeTemporary(notebookOf(code("process.exit(0)")));
    expect((await runNotebook(path)).failed).toMatchObject({ ename: "ProcessDied" });
  });

  test("a kernel that does not start says why", async () => {
    const { path } = await writeTemporary(notebookOf(code("1")));
    await expect(runNotebook(path, { kernel: [process.execPath, "-e", "console.error('no licence'); process.exit(4)"] })).rejects.toThrow(
      "kernel: must start, got: it ended with exit code 4; no licence",
    );
    await expect(runNotebook(path, { kernel: ["/no/such/program"] })).rejects.toThrow(/could not be started: .*ENOENT/);
  });

  test("wrong parameters and broken files are refused before a kernel starts", async () => {
    const { path, folder } = await writeTemporary(notebookOf(code("const learning_rate = 1;", ["parameters"])));
    const neverStarts = { kernel: ["/no/such/program"] };
    await expect(runNotebook(path, { ...neverStarts, parameters: { learnig_rate: 2 } })).rejects.toThrow(
      'parameters: names must be declared in the cell tagged "parameters", got learnig_rate; did you mean learning_rate?',
    );
    await expect(runNotebook(path, { ...neverStarts, parameters: { learning_rate: () => 1 } })).rejects.toThrow(
      "learning_rate must be a value of JSON, got function",
    );
    const bare = await writeTemporary(notebookOf(code("1")));
    await expect(runNotebook(bare.path, { ...neverStarts, parameters: { a: 1 } })).rejects.toThrow(
      'must have a code cell tagged "parameters", got none',
    );
    await expect(runNotebook(join(folder, "absent.ipynb"))).rejects.toThrow("must be a readable file, got ENOENT");
    writeFileSync(path, "{ not json");
    await expect(runNotebook(path)).rejects.toThrow("must be JSON");
    writeFileSync(path, JSON.stringify({ nbformat: 3, worksheets: [] }));
    await expect(runNotebook(path)).rejects.toThrow("must have nbformat 4 and cells, got nbformat 3");
    expect(existsSync(join(folder, "out.ipynb"))).toBe(false);
  });
});

test("terminal progress: number, first line, indented output, seconds", () => {
  let text = "";
  const report = terminalProgress((piece) => (text += piece));
  report({ type: "cell_start", number: 1, total: 2, title: "train()" });
  report({ type: "stream", name: "stdout", text: "step 1\nste" });
  report({ type: "stream", name: "stdout", text: "p 2" });
  report({ type: "cell_end", number: 1, total: 2, seconds: 1.26, ok: true });
  report({ type: "cell_start", number: 2, total: 2, title: "check()" });
  report({ type: "cell_end", number: 2, total: 2, seconds: 0, ok: false });
  expect(text).toBe("[1/2] train()\n    step 1\n    step 2\n[1/2] done in 1.3 s\n[2/2] check()\n[2/2] FAILED in 0.0 s\n");
});
