import { expect, test } from "vitest";
import { formatJUnit } from "../../src/notebook/junit.js";
import { code, markdown, notebookOf } from "./notebooks.js";

test("a case a code cell: passed, failed with what happened, not reached", () => {
  const notebook = notebookOf(markdown("x"), code("a < b", [], "a"), code("throw", [], "b"), code("c", [], "c"), code(" "));
  const error = { ename: "Error", evalue: 'no "<\u0001"', traceback: ["\u001b[31mError\u001b[0m: no", "at 1"] };
  const cells = [
    { index: 1, id: "a", title: "a < b", seconds: 0.25, tolerated: false },
    { index: 2, id: "b", title: "throw", seconds: 1, tolerated: false, error },
  ];
  expect(formatJUnit("my.ipynb", { ok: false, notebook, cells, executed: 2, seconds: 2 })).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="3" failures="1" errors="0" skipped="1" time="2.000">
<testsuite name="my.ipynb" tests="3" failures="1" errors="0" skipped="1" time="2.000">
<testcase classname="my.ipynb" name="2 a: a &lt; b" time="0.250"/>
<testcase classname="my.ipynb" name="3 b: throw" time="1.000"><failure type="Error" message="no &quot;&lt;\ufffd&quot;">Error: no
at 1</failure></testcase>
<testcase classname="my.ipynb" name="4 c"><skipped/></testcase>
</testsuite>
</testsuites>
`);
});
