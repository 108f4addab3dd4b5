/** Submissions through the real kernel, shut in for real. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { gradeSubmission, gradeSubmissions, type GradeOptions, type SubmissionResult } from "../../../src/notebook/grade/grader.js";
import { chooseProtection, sandboxCommand, type Protection } from "../../../src/notebook/grade/sandbox.js";
import { formatNotebook } from "../../../src/notebook/nbformat.js";
import { code } from "../notebooks.js";
import { exercise, handIn, SOLVED, temporaryFolder } from "./exercise.js";

const ROOT = resolve(import.meta.dirname, "../../..");
const MiB = 2 ** 20;
const assignment = exercise();
const folder = temporaryFolder();

async function working(protection: Protection): Promise<boolean> {
  return chooseProtection(protection, ROOT).then(
    () => true,
    () => false,
  );
}
const available = new Set<Protection>();
for (const protection of ["bubblewrap", "namespaces", "permissions"] as const) if (await working(protection)) available.add(protection);
const strongest: Protection = available.has("bubblewrap") ? "bubblewrap" : available.has("namespaces") ? "namespaces" : "permissions";

const OPTIONS: GradeOptions = {
  ...{ protection: strongest, parameters: {}, files: [], readable: [], hidden: [] },
  ...{ cellTimeoutMs: 30_000, totalTimeoutMs: 90_000, memoryLimitBytes: 2048 * MiB },
};

function write(name: string, notebook = handIn(SOLVED)): string {
  const path = join(folder, `${name}.ipynb`);
  writeFileSync(path, formatNotebook(notebook));
  return path;
}
const points = (result: SubmissionResult): Record<string, string> =>
  Object.fromEntries(result.tests.map((one) => [one.id, `${one.status} ${one.points}`]));

describe("submissions", () => {
  let results: SubmissionResult[];
  beforeAll(async () => {
    const files = [
      write("good"),
      // Knows the visible tests by heart.
      write(
        "hardcoded",
        handIn({ double: "function double(x: number): number { return 4; }", root: "function root(x: number): number { return 2; }" }),
      ),
      write("edited", handIn({ "test-double": "1", "test-root": "3" })),
      write("broken"),
    ];
    writeFileSync(files[3]!, "{ no notebook");
    results = await gradeSubmissions(assignment, files, { ...OPTIONS, jobs: 2, parameters: { n: 5 } });
  });

  test("results come in the order of the files; a solved one has all points but those of a person", () => {
    expect(results.map(({ student }) => student)).toEqual(["good", "hardcoded", "edited", "broken"]);
    expect(results[0]).toMatchObject({ score: 5, max_score: 9, manual_points: 4, findings: [], protection: strongest });
    expect(points(results[0]!)).toEqual({ "test-double": "passed 2", "test-root": "passed 3", why: "manual 0" });
    expect(results[0]).not.toHaveProperty("problem");
  });

  test("hard-coded results: the hidden tests give nothing, or their part", () => {
    expect(points(results[1]!)).toEqual({ "test-double": "failed 0", "test-root": "partial 1", why: "failed 0" });
    expect(results[1]!.tests[0]!.note).toBe("Error: check failed: double(5) is 10");
  });

  test("edited tests are named and not run", () => {
    expect(results[2]!.findings.map(({ kind, id }) => `${kind} ${id}`)).toEqual(["edited test-double", "edited test-root"]);
    expect(results[2]!.score).toBe(0);
  });

  test("a broken file is a result, not the end", () => {
    expect(results[3]).toMatchObject({ score: 0, max_score: 9, problem: expect.stringContaining("must be JSON") });
    expect(points(results[3]!)["test-double"]).toBe("not_run 0");
  });
});

describe.each(["bubblewrap", "namespaces", "permissions"] as const)("a break-out from %s", (protection) => {
  let server: Server;
  let requests = 0;
  beforeAll(async () => {
    server = createServer((_, response) => {
      requests++;
      response.end("secret");
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  });
  afterAll(() => void server.close());

  test.skipIf(!available.has(protection))("reads no hidden tests and no token, writes nothing outside, reaches no network", async () => {
    const source = join(folder, "source.ipynb");
    const data = join(folder, "data");
    mkdirSync(data, { recursive: true });
    writeFileSync(source, "the solutions");
    writeFileSync(join(data, "table.csv"), "42");
    const outside = join(folder, `outside-${protection}`);
    const { port } = server.address() as AddressInfo;
    const attempts = {
      source: `readFileSync(${JSON.stringify(source)}, "utf8")`,
      shipped: `readFileSync(${JSON.stringify(join(ROOT, "notebooks/assignments/source/a5-dpo.ipynb"))}, "utf8")`,
      data: `readFileSync(${JSON.stringify(join(data, "table.csv"))}, "utf8")`,
      inside: `(writeFileSync("mine", "ok"), readFileSync("mine", "utf8"))`,
      outside: `writeFileSync(${JSON.stringify(outside)}, "x")`,
      package: `writeFileSync(${JSON.stringify(join(ROOT, "dist/broken"))}, "x")`,
      shell: `execFileSync("sh", ["-c", "echo x > '${outside}'"], { stdio: "ignore" })`,
      token: `process.env.HF_TOKEN`,
    };
    const lines = Object.entries(attempts).map(
      ([name, attempt]) => `try { got.${name} = String(${attempt}); } catch { got.${name} = "held"; }`,
    );
    const cheat = [
      'import { readFileSync, writeFileSync } from "node:fs";',
      'import { execFileSync } from "node:child_process";',
      "const got: Record<string, string> = {};",
      ...lines,
      `try { got.network = await (await fetch("http://127.0.0.1:${port}/")).text(); } catch { got.network = "held"; }`,
      "console.log(JSON.stringify(got));",
    ].join("\n");
    const notebook = handIn(SOLVED);
    notebook.cells.splice(2, 0, code(cheat, [], "cheat"));
    process.env["HF_TOKEN"] = "hf_secret";
    const result = await gradeSubmission(assignment, write(`cheat-${protection}`, notebook), {
      ...OPTIONS,
      ...{ protection, readable: [data], hidden: [source] },
    });
    delete process.env["HF_TOKEN"];
    expect(result).toMatchObject({ score: 5, protection });
    const cell = result.notebook!.cells.find(({ id }) => id === "cheat")!;
    const output = cell.cell_type === "code" ? cell.outputs[0] : undefined;
    const got = JSON.parse(output?.output_type === "stream" ? output.text : JSON.stringify(output)) as Record<string, string>;
    const { network, ...files } = got;
    expect(files).toEqual({
      ...{ source: "held", shipped: "held", data: "42", inside: "ok", outside: "held", package: "held", shell: "held", token: "undefined" },
    });
    expect(existsSync(outside)).toBe(false);
    expect(existsSync(join(ROOT, "dist/broken"))).toBe(false);
    if (protection !== "permissions" || Number(process.versions.node.split(".")[0]) >= 25) {
      expect(network).toBe("held");
      expect(requests).toBe(0);
    }
  });
});

describe("limits", () => {
  const run = (source: string, options: Partial<GradeOptions>) => {
    const notebook = handIn(SOLVED);
    notebook.cells.splice(2, 0, code(source, [], "greedy"));
    return gradeSubmission(assignment, write("greedy", notebook), { ...OPTIONS, ...options });
  };

  test("memory: the processes are killed, the tests after it are not run", async () => {
    const result = await run(
      "const held: Buffer[] = [];\nfor (;;) { held.push(Buffer.alloc(64 * 2 ** 20, 1)); await new Promise((next) => setTimeout(next, 20)); }",
      { memoryLimitBytes: 1200 * MiB },
    );
    expect(result.problem).toMatch(/^MemoryLimit: the cells must hold at most 1200 MiB, got \d+ MiB, and were ended$/);
    expect(result).toMatchObject({ score: 0 });
    expect(result.tests[0]).toMatchObject({ status: "not_run" });
  });

  test("time of all cells: killed at once", async () => {
    const result = await run("for (;;);", { totalTimeoutMs: 2_000 });
    expect(result.problem).toBe("RunTimeout: all cells together must end within 2000 ms, and were ended");
  });

  test("time of one cell: it is interrupted, the others are run", async () => {
    const result = await run("for (;;);", { cellTimeoutMs: 1_500, protection: strongest });
    expect(result.problem).toBe("CellTimeout: the cell must end within 1500 ms, and was interrupted");
    expect(result.score).toBe(5);
  });
});

test("permissions: a hidden file must not lie in a readable folder", () => {
  const request = { scratch: join(folder, "s"), readable: [folder], hidden: [join(folder, "source.ipynb")], packageRoot: ROOT };
  expect(() => sandboxCommand("permissions", request)).toThrow("no file to be hidden may lie in a folder that submissions read");
});
