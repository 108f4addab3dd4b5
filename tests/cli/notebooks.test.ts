import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { preflab } from "./command.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "preflab-run-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function notebook(name: string, ...sources: string[]): string {
  const cells = sources.map((source, i) => ({
    cell_type: "code",
    id: `cell-${i}`,
    metadata: i === 0 ? { tags: ["parameters"] } : {},
    source,
    outputs: [],
    execution_count: null,
  }));
  const path = join(folder, name);
  writeFileSync(
    path,
    JSON.stringify({
      cells,
      metadata: { kernelspec: { name: "preflab", display_name: "TypeScript", language: "typescript" } },
      nbformat: 4,
      nbformat_minor: 5,
    }),
  );
  return path;
}

describe("preflab run", () => {
  test("runs all cells with the given parameters, and writes the notebook and the page", async () => {
    const path = notebook("sum.ipynb", 'const n = 1;\nconst word: string = "a";', 'console.log(word + "=" + (n + 1))', "n * 100");
    const [output, html] = [join(folder, "sum.out.ipynb"), join(folder, "sum.html")];
    const result = await preflab(["run", path, "-p", "n", "41", "-p", "word", "answer", "--output", output, "--html", html]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toContain("answer=42");
    expect(result.stdout).toMatch(/^All cells ran: 4 code cells in [\d.]+ s; see .*sum\.out\.ipynb and .*sum\.html$/m);
    const cells = JSON.parse(readFileSync(output, "utf8")).cells;
    expect(cells.map((cell: { execution_count: number }) => cell.execution_count)).toEqual([1, 2, 3, 4]);
    expect(cells[3].outputs).toMatchObject([{ output_type: "execute_result", data: { "text/plain": ["4100"] } }]);
    expect(readFileSync(html, "utf8")).toContain("answer=42");
  });

  test("papermill's parameters in papermill's order; paths, report mode, files of what is printed, JUnit", async () => {
    const path = notebook(
      "papermill.ipynb",
      "const a = 1;\nconst b = 1;\nconst c: number = 1;\nconst d = '';\nlet e: boolean | null = null;",
      "console.log(`${a} ${b} ${c} ${d} ${e} ${PAPERMILL_INPUT_PATH}`); console.error('careful')",
    );
    const at = (name: string): string => join(folder, name);
    writeFileSync(at("values.yaml"), "a: 3\nb: 3\nc: 3\n");
    const base64 = Buffer.from("a: 2\nb: 2\nc: 2").toString("base64");
    const given = ["-b", base64, "-f", at("values.yaml"), "-y", "b: 4\nc: 4", "-p", "c", "5", "-r", "d", "6", "-p", "e", "True"];
    const files = ["--stdout-file", at("out.txt"), "--stderr-file", at("err.txt"), "--junit", at("junit.xml")];
    const quiet = [
      "--no-log-output",
      "--no-progress-bar",
      "--report-mode",
      "--inject-paths",
      "--start-timeout",
      "30",
      "--execution-timeout",
      "60",
    ];
    const result = await preflab(["run", path, at("papermill.out.ipynb"), ...given, ...files, ...quiet, "--cwd", folder]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toMatch(/^All cells ran: 3 code cells/);
    expect(readFileSync(at("out.txt"), "utf8")).toBe(`3 4 5 6 true ${path}\n`);
    expect(readFileSync(at("err.txt"), "utf8")).toBe("careful\n");
    expect(readFileSync(at("junit.xml"), "utf8")).toContain('tests="3" failures="0"');
    const { cells, metadata } = JSON.parse(readFileSync(at("papermill.out.ipynb"), "utf8"));
    expect(cells[2].metadata).toEqual({ jupyter: { source_hidden: true }, inputHidden: true });
    expect(metadata.preflab.run).toMatchObject({ seed: null, environment: { node: process.versions.node } });
  });

  test("--prepare-only puts the parameters in and runs nothing", async () => {
    const path = notebook("prepared.ipynb", "const n = 1;", "throw new Error('it ran')");
    const output = join(folder, "prepared.out.ipynb");
    expect(await preflab(["run", path, output, "-p", "n", "2", "--prepare-only"])).toMatchObject({
      code: 0,
      stdout: `Not run; see ${output}\n`,
    });
    expect(JSON.parse(readFileSync(output, "utf8")).cells[1].source.join("")).toBe("// Parameters of this run\nconst n = 2;");
  });

  test("--memory-limit: the processes are killed and the cell fails", async () => {
    const path = notebook("hungry.ipynb", "const held: Buffer[] = [];\nfor (;;) held.push(Buffer.alloc(32 * 2 ** 20, 1));");
    const result = await preflab(["run", path, "--memory-limit", "1000"]);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/^MemoryLimit: the cells must hold at most 1000 MiB, got \d+ MiB, and were ended/);
  });

  test("a failing cell: exit code 1, the traceback on stderr, later cells do not run", async () => {
    const path = notebook("fails.ipynb", "const n = 1;", 'throw new Error("no such pair")', 'console.log("after")');
    const result = await preflab(["run", path]);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain("no such pair");
    expect(result.stdout).toContain("Cell 2 failed: 2 code cells");
    expect(result.stdout).not.toContain("after");
  });

  test("ctrl-C interrupts the running cell and writes what there is: exit code 130", async () => {
    const path = notebook("long.ipynb", "const n = 1;", 'console.log("ready"); await new Promise((done) => setTimeout(done, 600_000));');
    const output = join(folder, "long.out.ipynb");
    let sent = false;
    const result = await preflab(["run", path, "--output", output], {
      onOutput: (stdout, child) => {
        if (sent || !stdout.includes("    ready")) return;
        sent = true;
        child.kill("SIGINT");
      },
    });
    expect(result.code).toBe(130);
    expect(JSON.parse(readFileSync(output, "utf8")).cells[0].execution_count).toBe(1);
  });

  test.each<[string[], number, RegExp]>([
    [[], 2, /^preflab run: one NOTEBOOK and at most one OUTPUT must be given, got none\n/],
    [
      ["a.ipynb", "b.ipynb", "c.ipynb"],
      2,
      /^preflab run: one NOTEBOOK and at most one OUTPUT must be given, got a\.ipynb b\.ipynb c\.ipynb\n/,
    ],
    [["a.ipynb", "b.ipynb", "--output", "c.ipynb"], 2, /^preflab run: OUTPUT must be given once, got b\.ipynb and --output c\.ipynb\n/],
    [["a.ipynb", "--prepare-only"], 2, /^preflab run: --prepare_only needs OUTPUT, got none/],
    [["a.ipynb", "-y", "[1]"], 2, /^preflab run: --parameters_yaml must map names to values, got \[1\]/],
    [["a.ipynb", "-y", "a: [1"], 2, /^preflab run: --parameters_yaml must be YAML or JSON/],
    [["a.ipynb", "-f", "absent.yaml"], 2, /^preflab run: --parameters_file must be a readable file, got absent\.yaml/],
    [["a.ipynb", "-b", "a: 1"], 2, /^preflab run: --parameters_base64 must be Base64, got a: 1/],
    [["a.ipynb", "--language", "python"], 2, /language.*parameters are written in TypeScript/],
    [["a.ipynb", "--kernel", "no-such-kernel"], 1, /^kernel: must be installed, got no-such-kernel/],
    [["a.ipynb", "-p", "n"], 2, /^preflab run: -p must be followed by NAME VALUE, got 1 of the two\n/],
    [["no-such.ipynb"], 1, /no-such\.ipynb/],
  ])("%j: exit code %i", async (argv, code, message) => {
    const result = await preflab(["run", ...argv], { cwd: folder });
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toMatch(message);
  });

  test("a parameter that the notebook does not declare is an error with the nearest name", async () => {
    const result = await preflab(["run", notebook("declared.ipynb", "const learningRate = 1;"), "-p", "learningRat", "2"]);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain("did you mean learningRate?");
  });
});

describe("preflab kernel install", () => {
  test("--prefix and --user write a kernelspec that names existing files, and doctor finds it", async () => {
    const prefix = join(folder, "prefix");
    const result = await preflab(["kernel", "install", "--prefix", prefix]);
    const directory = join(prefix, "share", "jupyter", "kernels", "preflab");
    expect(result).toMatchObject({ code: 0, stdout: `The kernel is in ${directory}\n`, stderr: "" });
    const { argv, language } = JSON.parse(readFileSync(join(directory, "kernel.json"), "utf8"));
    expect(language).toBe("typescript");
    expect(argv.slice(0, 2).every((path: string) => existsSync(path))).toBe(true);
    expect(argv.at(-1)).toBe("{connection_file}");

    const data = join(folder, "jupyter-data");
    expect((await preflab(["kernel", "install", "--user"], { env: { JUPYTER_DATA_DIR: data } })).stdout).toBe(
      `The kernel is in ${join(data, "kernels", "preflab")}\n`,
    );
    const { jupyter } = JSON.parse((await preflab(["doctor", "--json"], { env: { JUPYTER_DATA_DIR: data } })).stdout);
    expect(jupyter.kernelspecs).toContain(join(data, "kernels", "preflab"));
  });

  test("--sys-prefix is the active environment", async () => {
    const environment = join(folder, "venv");
    const result = await preflab(["kernel", "install", "--sys-prefix"], { env: { VIRTUAL_ENV: environment } });
    expect(result.stdout).toBe(`The kernel is in ${join(environment, "share", "jupyter", "kernels", "preflab")}\n`);
  });

  test.each<[string[], RegExp]>([
    [[], /^preflab kernel: one verb must be given, got none; the only one is install\n/],
    [["instal"], /^preflab kernel: one verb must be given, got instal; did you mean install\?\n/],
    [["install", "--user", "--prefix", "/x"], /^preflab kernel install: give one place, got --user and --prefix\n/],
    [["install", "--prefx", "/x"], /^preflab kernel install: unknown option --prefx; did you mean --prefix\?\n/],
  ])("%j: exit code 2", async (argv, message) => {
    const result = await preflab(["kernel", ...argv]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toMatch(message);
  });
});
