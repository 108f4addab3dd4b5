/** The way of an assignment through the commands: assign, grade, check. On a model with random weights, in a sandbox where there is one. */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { randomModel } from "../notebook/randomModel.js";
import { preflab } from "./command.js";

const ASSIGNMENTS = resolve(import.meta.dirname, "../../notebooks/assignments");
const SOURCE = join(ASSIGNMENTS, "source/a5-dpo.ipynb");
const RELEASE = join(ASSIGNMENTS, "release/a5-dpo.ipynb");

interface RawCell {
  id: string;
  source: string[];
}
const folder = realpathSync(mkdtempSync(join(tmpdir(), "preflab-a5-")));

/** A submission: the release with cells taken from the instructor's version, changed, or left out. */
function submit(name: string, change: (cell: RawCell, solved: string) => string | undefined): string {
  const solutions = new Map((JSON.parse(readFileSync(SOURCE, "utf8")).cells as RawCell[]).map((cell) => [cell.id, cell.source.join("")]));
  const notebook = JSON.parse(readFileSync(RELEASE, "utf8")) as { cells: RawCell[] };
  notebook.cells = notebook.cells.flatMap((cell) => {
    const source = change(cell, solutions.get(cell.id)!);
    return source === undefined ? [] : [{ ...cell, source: [source] }];
  });
  const path = join(folder, "submissions", `${name}.ipynb`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify(notebook));
  return path;
}
const SOLUTIONS = ["data", "loss", "training", "choice", "saving", "beta"];
const as = (cell: RawCell, solved: string): string => (SOLUTIONS.includes(cell.id) ? solved : cell.source.join(""));

describe("the A5 assignment", () => {
  let grades: Record<
    string,
    { score: number; tests: { id: string; points: number; status: string; note?: string }[]; findings: { kind: string; id: string }[] }
  >;
  let output: string;
  let stdout: string;
  beforeAll(async () => {
    const model = await randomModel();
    const good = submit("good", as);
    const wrong = submit("wrong", (cell, solved) =>
      cell.id === "loss"
        ? solved.replace("Math.max(0, -margin) + Math.log1p(Math.exp(-Math.abs(margin)))", "Math.log(1 + Math.exp(-margin))")
        : cell.id === "choice"
          ? solved.replace("!Number.isNaN(trial.eval_accuracy) && ", "")
          : cell.id === "beta"
            ? cell.source.join("")
            : as(cell, solved),
    );
    const cheat = submit("cheat", (cell, solved) =>
      cell.id === "training"
        ? "const trainer: any = { state: { log_history: [{ loss: 0.693 }], global_step: 1 }, args: {}, evaluate: async () => ({}), save_model: async () => {} };"
        : cell.id === "test-loss"
          ? "3"
          : cell.id === "test-choice"
            ? undefined
            : cell.id === "choice"
              ? 'interface Trial { name: string; eval_accuracy: number }\nfunction pick_best(trials: Trial[]): any { return { name: "gentle" }; }'
              : as(cell, solved),
    );
    output = join(folder, "grades");
    const parameters = [
      "-p",
      "model_name",
      model,
      "-p",
      "dataset_name",
      resolve(ASSIGNMENTS, "../../datasets/truthy-dpo-mini"),
      "-p",
      "num_examples",
      "10",
      "-p",
      "num_eval_examples",
      "4",
      "-p",
      "output_dir",
      "out",
    ];
    const result = await preflab([
      "grade",
      good,
      wrong,
      cheat,
      "--assignment",
      SOURCE,
      "--output",
      output,
      "--read",
      model,
      "--jobs",
      "2",
      ...parameters,
    ]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    stdout = result.stdout;
    grades = Object.fromEntries(
      (JSON.parse(readFileSync(join(output, "grades.json"), "utf8")) as { student: string }[]).map((one) => [one.student, one]),
    ) as never;
  }, 300_000);
  const points = (student: string): Record<string, number> =>
    Object.fromEntries(grades[student]!.tests.map(({ id, points: earned }) => [id, earned]));

  test("which protection was active is said first", () => {
    expect(stdout).toMatch(/^Protection: (bubblewrap|Linux namespaces): no network/);
  });

  test("a good submission has all points but the written answer's", () => {
    expect(grades["good"]!.tests.filter(({ status }) => status !== "passed").map(({ id, status, note }) => [id, status, note])).toEqual([
      ["beta", "manual", "a person marks this"],
    ]);
    expect(grades["good"]).toMatchObject({ score: 12, max_score: 15, manual_points: 3, findings: [] });
    expect(stdout).toContain("good: 12 of 12 (+3 by hand)");
  });

  test("a wrong one has its part: a loss that overflows, NaN that wins", () => {
    expect(points("wrong")).toEqual({ "test-data": 2, "test-loss": 2, "test-training": 3, "test-choice": 0, "test-saving": 2, beta: 0 });
    expect(grades["wrong"]!.findings).toEqual([]);
  });

  test("a cheating one is named and gets nothing for it", () => {
    expect(grades["cheat"]!.findings.map(({ kind, id }) => `${kind} ${id}`)).toEqual(["edited test-loss", "deleted test-choice"]);
    expect(points("cheat")).toMatchObject({ "test-data": 2, "test-loss": 3, "test-training": 0, "test-choice": 0, "test-saving": 0 });
  });

  test("the files: CSV, feedback, Gradescope, executed notebooks", () => {
    expect(readFileSync(join(output, "grades.csv"), "utf8").split("\n")[0]).toBe(
      "student,score,max_score,manual_points,test-data,test-loss,test-training,test-choice,test-saving,beta,findings,problem,seconds,protection",
    );
    for (const [kind, ending] of [
      ["feedback", "html"],
      ["gradescope", "json"],
      ["executed", "ipynb"],
    ])
      expect(readdirSync(join(output, kind!)).sort()).toEqual(["cheat", "good", "wrong"].map((name) => `${name}.${ending}`));
    expect(readFileSync(join(output, "feedback", "wrong.html"), "utf8")).not.toContain("NaN is never chosen&quot;");
  });
});

describe("preflab assign", () => {
  const notebook = (name: string, ...cells: [source: string, tags: string[]][]): string => {
    const path = join(folder, "source", name);
    mkdirSync(dirname(path), { recursive: true });
    const raw = cells.map(([source, tags], at) => ({
      cell_type: "code",
      id: `c${at}`,
      metadata: { tags },
      source,
      outputs: [],
      execution_count: null,
    }));
    writeFileSync(path, JSON.stringify({ cells: raw, metadata: {}, nbformat: 4, nbformat_minor: 5 }));
    return path;
  };

  test("runs both versions, warns of tests that pass for nothing, writes the release", async () => {
    const path = notebook(
      "fine.ipynb",
      ["// BEGIN SOLUTION\nconst x = 1;\n// END SOLUTION", ["solution"]],
      ["if (x !== 1) throw new Error('no')", ["points:1"]],
      ["'always'", ["points:2"]],
    );
    const result = await preflab(["assign", path]);
    expect(result).toMatchObject({ code: 0, stderr: "warning: test c2 gives 2 points to a notebook in which nothing was written\n" });
    const release = join(folder, "release", "fine.ipynb");
    expect(result.stdout).toContain("1 cells to write, 2 tests, 3 points; the instructor's version passes");
    expect(readFileSync(release, "utf8")).toContain("YOUR CODE HERE");
  });

  test("refuses an instructor's version that fails its own tests", async () => {
    const path = notebook("bad.ipynb", ["const x = 1;", ["solution"]], ["x - 1", ["points:1"]]);
    const result = await preflab(["assign", path]);
    expect(result).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("test c1 gives the instructor's version 0 of 1 points: 0 of 1 points"),
    });
  });
});

test("preflab check: a notebook as it was run is the same; an edited one is not", async () => {
  const path = join(folder, "checked.ipynb");
  const cells = ["const seed = 1;", "console.log(seed / 3)"].map((source, at) => ({
    cell_type: "code",
    id: `c${at}`,
    metadata: {},
    source,
    outputs: [],
    execution_count: null,
  }));
  writeFileSync(path, JSON.stringify({ cells, metadata: {}, nbformat: 4, nbformat_minor: 5 }));
  const executed = join(folder, "checked.out.ipynb");
  expect((await preflab(["run", path, executed])).code).toBe(0);
  expect(await preflab(["check", executed])).toMatchObject({ code: 0, stdout: expect.stringContaining("The same after a restart") });
  copyFileSync(executed, path);
  writeFileSync(path, readFileSync(path, "utf8").replace("seed / 3", "seed / 4"));
  const { code, stdout } = await preflab(["check", path]);
  expect(code).toBe(1);
  expect(stdout).toContain("DIFFERS  cell 2 (c1) stale: its source was changed after it ran");
  expect(stdout).toContain('DIFFERS  cell 2 (c1) output: stdout: line 1 was "0.3333333333333333", is "0.25"');
});

describe("wrong command lines", () => {
  test.each([
    [["grade", "--assignment", SOURCE], /^preflab grade: submissions must be given, got none/],
    [["grade", SOURCE, RELEASE, "--assignment", SOURCE], /^preflab grade: file names must tell the students apart, got a5-dpo twice/],
    [["grade", "absent.ipynb", "--assignment", SOURCE], /^preflab grade: files must exist, got absent\.ipynb/],
    [["grade", RELEASE], /assignment/],
    [["assign"], /^preflab assign: one NOTEBOOK must be given, got none/],
    [["assign", SOURCE, "--output", SOURCE], /^preflab assign: --output must not be NOTEBOOK itself/],
    [["check", SOURCE, "--ignore", "("], /^preflab check: --ignore must be a regular expression, got \(/],
  ])("%j", async (argv, message) => {
    const result = await preflab(argv);
    expect(result.code).toBe(2);
    expect(result.stderr).toMatch(message);
  });
});
