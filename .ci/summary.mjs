// Prints `N passed, N failed, N skipped` from vitest's JSON report and the outcomes of the checks, the tests and the notebook; exit code 1 when anything failed.
import { existsSync, readFileSync } from "node:fs";

const [reportPath, checksOk, testsOk, notebookOk] = process.argv.slice(2);
let [passed, failed, skipped] = [0, 0, 0];
if (existsSync(reportPath)) {
  const report = JSON.parse(readFileSync(reportPath, "utf8"));
  passed = report.numPassedTests;
  failed = report.numFailedTests;
  skipped = report.numPendingTests + report.numTodoTests;
  // A file that cannot be loaded has no tests to count.
  failed += report.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed"),
  ).length;
}
// vitest failed without a failed test: no report, or an error outside of tests.
if (testsOk !== "true" && failed === 0) failed++;
if (checksOk !== "true") failed++;
if (notebookOk === "true") passed++;
else failed++;
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 ? 0 : 1);
