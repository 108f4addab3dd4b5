/** Notebooks that hold apps, progress and training, as nbconvert writes them: what is read without a kernel. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { installKernel } from "../../kernel-ext/install.js";
import { formatNotebook, parseNotebook } from "../../src/notebook/nbformat.js";
import { runNotebook } from "../../src/notebook/runner.js";
import { hasModules, python } from "./jupyterLab.js";
import { code, notebookOf, requireClean } from "./notebooks.js";

const reason = hasModules("nbconvert", "nbclient")
  ? undefined
  : `${python} has no nbconvert; scripts/install-python-checks.sh --jupyterlab installs it, PREFLAB_JUPYTER names another Python`;
const MODEL = JSON.stringify(resolve(import.meta.dirname, "../../datasets/tiny-qwen2-chat"));

const CELLS = [
  `import { ChatInterface } from "preflab";
new ChatInterface({ fn: (text: string) => text, title: "Echo & more", examples: ["Are you human?"] })`,
  `import { tqdm } from "preflab";
for (const pair of tqdm([1, 2, 3], { desc: "pairs" })) await new Promise((resolve) => setTimeout(resolve, 120));`,
  `import { AutoModelForCausalLM, AutoTokenizer, Dataset, DPOConfig, DPOTrainer } from "preflab";
const model = await AutoModelForCausalLM.from_pretrained(${MODEL});
const tokenizer = await AutoTokenizer.from_pretrained(${MODEL});
const train_dataset = Dataset.from_rows([{ prompt: [{ role: "user", content: "Hi" }], chosen: [{ role: "assistant", content: "Yes." }], rejected: [{ role: "assistant", content: "No." }] }]);
const trainer = new DPOTrainer({ model, args: new DPOConfig({ output_dir: "out", max_steps: 3, logging_steps: 1, save_strategy: "no" }), train_dataset, processing_class: tokenizer });
await trainer.train();`,
];

/** Skipped where it is not installed. */
describe.skipIf(reason !== undefined)(`nbconvert${reason === undefined ? "" : ` (skipped: ${reason})`}`, () => {
  let folder: string;
  let data: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "preflab-nbconvert-"));
    data = join((await installKernel({ prefix: folder })).directory, "..", "..");
    writeFileSync(join(folder, "in.ipynb"), formatNotebook(notebookOf(...CELLS.map((source) => code(source)))));
    const { notebook, failed } = await runNotebook(join(folder, "in.ipynb"), { output: join(folder, "ours.ipynb") });
    expect(failed).toBeUndefined();
    requireClean(notebook);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function convert(...flags: string[]): void {
    const run = spawnSync(python, ["-m", "nbconvert", ...flags], {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, JUPYTER_PATH: data },
      timeout: 110_000,
    });
    expect(run.status, run.stderr).toBe(0);
  }

  /** The outputs' part of the page. */
  const outputs = (file: string): string[] => {
    const html = readFileSync(join(folder, file), "utf8");
    return html.split('<div class="jp-Cell-outputWrapper').slice(1);
  };

  /** @throws where an output is not to be seen */
  function checkApp(app: string): void {
    expect(app).toContain("Echo &amp; more");
    expect(app).toMatch(/needs a notebook front end with Jupyter widgets; <code>await app\.launch\(\)<\/code>/);
  }

  function checkProgress([bar, training]: string[]): void {
    expect(bar).toContain('role="progressbar"');
    expect(bar).toMatch(/pairs: 3 of 3, 00:0\d gone/);
    expect(training).toContain("DPOTrainer");
    expect(training).toMatch(/step 3 of 3, finished in/);
    expect(training).toContain("data:image/svg+xml");
  }

  test("a notebook that ran here: each display's HTML, and no widget that is not there", () => {
    convert("--to", "html", "ours.ipynb", "--output", "ours.html");
    const shown = outputs("ours.html");
    expect(shown).toHaveLength(3);
    checkApp(shown[0]!);
    checkProgress(shown.slice(1));
    expect(shown.join("")).not.toContain("widget-view+json");
  });

  test("Markdown and the script too", () => {
    convert("--to", "markdown", "ours.ipynb", "--output", "ours");
    const text = readFileSync(join(folder, "ours.md"), "utf8");
    for (const part of ["Echo &amp; more", "pairs: 3 of 3", "step 3 of 3, finished"]) expect(text).toContain(part);
    convert("--to", "script", "ours.ipynb", "--output", "script");
    expect(readFileSync(join(folder, "script.ts"), "utf8")).toContain("await trainer.train();");
  });

  test("a notebook that nbconvert itself ran", () => {
    copyFileSync(join(folder, "in.ipynb"), join(folder, "theirs.ipynb"));
    convert("--to", "notebook", "--execute", "--inplace", "theirs.ipynb");
    const notebook = parseNotebook(readFileSync(join(folder, "theirs.ipynb"), "utf8"), "theirs.ipynb");
    requireClean(notebook);
    convert("--to", "html", "theirs.ipynb", "--output", "theirs.html");
    const [app, ...rest] = outputs("theirs.html");
    // It keeps the widgets' state, so the page draws them, without a kernel behind them.
    const page = readFileSync(join(folder, "theirs.html"), "utf8");
    const { model_id } = JSON.parse(/widget-view\+json">\s*(\{.*?\})\s*<\/script>/s.exec(app!)![1]!) as { model_id: string };
    const { state } = JSON.parse(/widget-state\+json">\s*(\{.*?\})\s*<\/script>/s.exec(page)![1]!) as {
      state: Record<string, { model_name: string }>;
    };
    expect(state[model_id]).toMatchObject({ model_name: "VBoxModel" });
    checkProgress(rest);
  });
});
