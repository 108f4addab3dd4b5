import { escapeHtml } from "../text/escapeHtml.js";
import type { RunNotebookResult } from "./runner.js";
import { terminalText } from "./terminalText.js";

/** What XML 1.0 cannot hold, even escaped. */
const NO_XML =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const xml = (text: string): string => escapeHtml(terminalText(text).replace(NO_XML, "\ufffd"));

/** A JUnit report of a run: a suite for the notebook, a case for each code cell; cells that were not reached are skipped. @param name of the suite */
export function formatJUnit(name: string, result: RunNotebookResult): string {
  const ran = new Map(result.cells.map((cell) => [cell.index, cell]));
  let failures = 0;
  let skipped = 0;
  const cases = result.notebook.cells.flatMap((cell, index) => {
    if (cell.cell_type !== "code" || cell.source.trim() === "") return [];
    const outcome = ran.get(index);
    const head = `<testcase classname="${xml(name)}" name="${xml(`${index + 1} ${cell.id}${outcome === undefined ? "" : `: ${outcome.title}`}`)}"`;
    if (outcome === undefined) {
      skipped++;
      return [`${head}><skipped/></testcase>`];
    }
    const timed = `${head} time="${outcome.seconds.toFixed(3)}"`;
    if (outcome.error === undefined || outcome.tolerated) return [`${timed}/>`];
    failures++;
    const { ename, evalue, traceback } = outcome.error;
    return [`${timed}><failure type="${xml(ename)}" message="${xml(evalue)}">${xml(traceback.join("\n"))}</failure></testcase>`];
  });
  const counts = `tests="${cases.length}" failures="${failures}" errors="0" skipped="${skipped}" time="${result.seconds.toFixed(3)}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites ${counts}>
<testsuite name="${xml(name)}" ${counts}>
${cases.join("\n")}
</testsuite>
</testsuites>
`;
}
