/**
 * `npm start`: the whole assignment notebook through the real kernel. Writes the executed notebook and a page with its
 * plots into `runs/a5-dpo-assignment`, prints what came out, and fails if a cell fails.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { renderNotebookHtml, runNotebook, terminalProgress, writeAtomically } from "../src/notebook/index.js";
import { packageRoot } from "./corpus/pairs.js";

/** What the notebook's last cell writes. */
interface Results {
  pairs: number;
  trials: number;
  best: Record<string, number>;
  answers: { question: string; before: string; after: string }[];
  judge: { name: string; conclusion: string };
  answer_key: { name: string; conclusion: string };
}

async function main(): Promise<void> {
  const folder = join(packageRoot(), "runs", "a5-dpo-assignment");
  const executed = join(folder, "a5-dpo-assignment.ipynb");
  const page = join(folder, "a5-dpo-assignment.html");
  const resultsFile = join(folder, "results.json");
  rmSync(resultsFile, { force: true });
  const result = await runNotebook(join(packageRoot(), "notebooks", "a5-dpo-assignment.ipynb"), {
    output: executed,
    onProgress: terminalProgress(),
  });
  await writeAtomically(page, renderNotebookHtml(result.notebook));
  if (result.failed !== undefined) {
    console.error(`${result.failed.traceback.join("\n")}\n\nCell ${result.failed.index + 1} failed; the notebook so far is in ${executed}`);
    process.exitCode = 1;
    return;
  }
  console.log(`\nAll ${result.executed} code cells ran in ${result.seconds.toFixed(0)} s.`);
  console.log(`Executed notebook  ${executed}\nPage with plots    ${page}`);
  if (!existsSync(resultsFile)) throw new Error(`${resultsFile}: the notebook's last cell must write it`);
  const { pairs, trials, best, answers, judge, answer_key } = JSON.parse(readFileSync(resultsFile, "utf8")) as Results;
  console.log(`\n${trials} trials on ${pairs} pairs; the best:`);
  for (const [name, value] of Object.entries(best))
    console.log(`  ${name.padEnd(22)} ${Number.isInteger(value) ? value : Number(value.toPrecision(4))}`);
  for (const { question, before, after } of answers.slice(0, 2)) {
    console.log(`\n  asked   ${question}\n  before  ${before}\n  after   ${after}`);
  }
  for (const { name, conclusion } of [judge, answer_key]) console.log(`\nJudge: ${name}\n${conclusion}`);
}

await main();
