/** nbgrader's own code reads what we write: its validator, its checksums. Skipped where Python has no nbgrader. */
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { expect, test } from "vitest";

const python = process.env["PREFLAB_PYTHON"] ?? "python3";
const has = spawnSync(python, ["-c", "import nbgrader.nbgraderformat, nbgrader.utils"], { encoding: "utf8" }).status === 0;
const folder = resolve(import.meta.dirname, "../../../notebooks/assignments");

const CHECK = `
import json, sys
from nbgrader import utils
from nbgrader.nbgraderformat import reads
for name in ("source", "release"):
    notebook = reads(open(f"{sys.argv[1]}/{name}/a5-dpo.ipynb").read(), as_version=4)
roles = {}
for cell in notebook.cells:
    if "nbgrader" not in cell.metadata: continue
    meta = cell.metadata.nbgrader
    assert meta["checksum"] == utils.compute_checksum(cell), meta["grade_id"]
    roles[meta["grade_id"]] = [utils.is_grade(cell), utils.is_solution(cell), utils.is_locked(cell)]
print(json.dumps(roles))
`;

test.skipIf(!has)("the shipped assignment is valid, its checksums are nbgrader's, the roles are understood", () => {
  const { stdout, stderr } = spawnSync(python, ["-c", CHECK, folder], { encoding: "utf8" });
  expect(stderr).not.toContain("Error");
  expect(JSON.parse(stdout)).toMatchObject({
    data: [false, true, false],
    "test-data": [true, false, true],
    imports: [false, false, true],
    beta: [true, true, false],
  });
});
