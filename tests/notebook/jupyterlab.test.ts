/** Apps, progress and training as JupyterLab shows them, in Chromium. PREFLAB_SCREENSHOTS names a folder for pictures. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lineFigure } from "../../src/notebook/figures.js";
import { displaySymbol } from "../../src/notebook/mime.js";
import { type Cell, formatNotebook, parseNotebook } from "../../src/notebook/nbformat.js";
import { pause } from "../app/apps.js";
import { Browser, findChromium } from "../app/browser.js";
import { cell, hasModules, JupyterLab, KERNEL, python } from "./jupyterLab.js";
import { code, notebookOf } from "./notebooks.js";

const chromium = findChromium();
const reason =
  chromium === undefined
    ? "no Chromium; scripts/install-system-checks.sh installs it"
    : hasModules("jupyterlab", "jupyterlab_widgets")
      ? undefined
      : `${python} has no JupyterLab with widgets; scripts/install-python-checks.sh --jupyterlab installs it, PREFLAB_JUPYTER names another Python`;
const SIZE = { width: 1200, height: 1400 };
const pictures = process.env["PREFLAB_SCREENSHOTS"] ?? "";
const MODEL = resolve(import.meta.dirname, "../../datasets/tiny-qwen2-chat");

const ASSIGNMENT = resolve(import.meta.dirname, "../../runs/a5-dpo-assignment");

const CHAT = `import { ChatInterface } from "preflab";
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const chat = new ChatInterface({
  async *fn(message: string, history: readonly unknown[], loud: number, { signal }: { signal: AbortSignal }) {
    const words = message === "Count" ? Array.from({ length: 500 }, (_, n) => String(n)) : \`You said \${message} at \${loud} after \${history.length}.\`.split(" ");
    let text = "";
    for (const word of words) {
      text += (text === "" ? "" : " ") + word;
      yield text;
      await pause(60);
      if (signal.aborted) return;
    }
  },
  additional_inputs: { type: "slider", label: "Loudness", minimum: 0, maximum: 10, step: 1, value: 3 },
  examples: ["Are you human?", "هل أنت إنسان؟"],
  preferences_file: "pairs.jsonl",
  title: "Echo & more",
});
chat`;
const BAR = `import { tqdm } from "preflab";
for (const epoch of tqdm([1, 2], { desc: "epoch" })) for (const batch of tqdm(Array.from({ length: 20 }), { desc: "batch" })) await pause(40);`;
const LONG = `console.log("begun");
await pause(60_000);`;
const TRAIN = `import { AutoModelForCausalLM, AutoTokenizer, Dataset, DPOConfig, DPOTrainer } from "preflab";
const model = await AutoModelForCausalLM.from_pretrained(${JSON.stringify(MODEL)});
const tokenizer = await AutoTokenizer.from_pretrained(${JSON.stringify(MODEL)});
const pair = (n: number) => ({ prompt: [{ role: "user", content: "Question " + n }], chosen: [{ role: "assistant", content: "Yes." }], rejected: [{ role: "assistant", content: "No, never." }] });
const trainer = new DPOTrainer({ model, args: new DPOConfig({ output_dir: "out", max_steps: 30, logging_steps: 1, per_device_train_batch_size: 2, save_strategy: "no" }), train_dataset: Dataset.from_rows([1, 2, 3, 4].map(pair)), processing_class: tokenizer });
await trainer.train();
console.log("trained");`;

const COMPARE = `import { AutoModelForCausalLM, AutoTokenizer, ChatInterface } from "preflab";

const base = await AutoModelForCausalLM.from_pretrained("tiny-qwen2-chat");
const tuned = await AutoModelForCausalLM.from_pretrained("dpo_finetuned_model");
new ChatInterface({
  model: tuned,
  compare_with: base,
  tokenizer: await AutoTokenizer.from_pretrained("tiny-qwen2-chat"),
  preferences_file: "my-preferences.jsonl",
  title: "Before and after preference tuning",
  examples: ["Are you human?", "What is the capital of Australia?"],
})`;

const log = `${cell(0)}.querySelector("[role=log]").innerText`;
const status = `${cell(0)}.querySelector("[role=status]").innerText`;
const button = (name: string): string =>
  `[...${cell(0)}.querySelectorAll("button.jupyter-button")].find((each) => each.textContent === ${JSON.stringify(name)})`;
const box = `${cell(0)}.querySelector(".widget-text input")`;
const output = (at: number): string => `${cell(at)}.querySelector(".jp-Cell-outputWrapper").innerText`;
const ended = (at: number): string => `/\\[\\d+\\]/.test(${cell(at)}.querySelector(".jp-InputPrompt").innerText)`;

/** What an expression gave, again and again, until a cell ended. */
async function watch<T>(browser: Browser, at: number, expression: string): Promise<T[]> {
  const seen: T[] = [];
  await browser.until(`${cell(at)}.querySelector(".jp-InputPrompt").innerText.includes("*")`);
  for (let over = false; !over;) {
    over = await browser.evaluate(ended(at));
    seen.push(await browser.evaluate(expression));
    await pause(30);
  }
  return seen;
}

// Skipped where one of them is not installed.
describe.skipIf(reason !== undefined)(`JupyterLab in Chromium${reason === undefined ? "" : ` (skipped: ${reason})`}`, () => {
  let lab: JupyterLab;
  let browser: Browser;

  beforeAll(async () => {
    if (pictures !== "") mkdirSync(pictures, { recursive: true });
    [lab, browser] = await Promise.all([JupyterLab.start(), Browser.start(chromium!)]);
    writeFileSync(join(lab.folder, "lab.ipynb"), formatNotebook(notebookOf(...[CHAT, BAR, LONG, TRAIN].map((source) => code(source)))));
    await lab.open(browser, "lab.ipynb", SIZE);
  });
  afterAll(async () => {
    await browser?.close();
    await lab?.stop();
  });

  const picture = async (name: string): Promise<void> => {
    if (pictures !== "") await browser.screenshot(join(pictures, `${name}.png`));
  };

  test("a chat: an example's answer grows, a message is sent by Enter and by button", async () => {
    await lab.run(browser, 0);
    await browser.until(`${button("Send")} !== undefined`, 60);
    await browser.click(button("Are you human?"));
    await browser.until(`/You said Are/.test(${log})`);
    const early: string = await browser.evaluate(log);
    expect(early).not.toContain("after 0.");
    await browser.until(`/You said Are you human\\? at 3 after 0\\./.test(${log})`);
    await browser.until(`${status} === "Done"`);
    await browser.click(box);
    await browser.type("by Enter");
    await browser.press("Enter");
    await browser.until(`/You said by Enter at 3 after 2\\./.test(${log})`);
    await browser.until(`${status} === "Done" && ${box}.value === ""`);
    await browser.click(box);
    await browser.type("by button");
    await browser.click(button("Send"));
    await browser.until(`/You said by button at 3 after 4\\./.test(${log})`);
    await browser.until(`${status} === "Done"`);
  });

  test("the slider's value reaches the function; a dislike and a like make a pair", async () => {
    await browser.click(button("New chat"));
    await browser.until(`/Ask something/.test(${log})`);
    await browser.click(button("هل أنت إنسان؟"));
    await browser.until(`/at 3 after 0\\./.test(${log})`);
    await browser.until(`${status} === "Done"`);
    await browser.click(button("Bad"));
    await browser.until(`/Noted; a pair is saved once/.test(${status})`);
    await browser.click(`${cell(0)}.querySelector(".widget-slider .noUi-base")`, [0.7, 0.5]);
    await browser.until(`${cell(0)}.querySelector(".widget-slider .widget-readout").innerText.trim() === "7"`);
    await browser.click(button("Again"));
    await browser.until(`/at 7 after 0\\./.test(${log})`);
    await browser.until(`${status} === "Done"`);
    await browser.click(button("Good"));
    await browser.until(`${status} === "1 pair saved, 1 in all"`);
    expect(JSON.parse(readFileSync(join(lab.folder, "pairs.jsonl"), "utf8"))).toEqual({
      prompt: [{ role: "user", content: "هل أنت إنسان؟" }],
      chosen: [{ role: "assistant", content: "You said هل أنت إنسان؟ at 7 after 0." }],
      rejected: [{ role: "assistant", content: "You said هل أنت إنسان؟ at 3 after 0." }],
    });
    // An Arabic question is written from the right.
    expect(await browser.evaluate(`getComputedStyle(${cell(0)}.querySelector("[role=log] > div")).direction`)).toBe("rtl");
  });

  test("stop stops, and the answer so far stays", async () => {
    await browser.click(box);
    await browser.type("Count");
    await browser.press("Enter");
    await browser.until(`/0 1 2 3/.test(${log})`);
    await browser.click(button("Stop"));
    await browser.until(`${status} === "Stopped"`);
    const text: string = await browser.evaluate(log);
    await pause(200);
    expect(await browser.evaluate(log)).toBe(text);
  });

  test("it works while another cell runs, and after the page was loaded anew", async () => {
    await lab.run(browser, 2);
    await browser.until(`/begun/.test(${output(2)})`);
    await browser.click(button("New chat"));
    await browser.until(`/Ask something/.test(${log})`);
    await browser.click(button("Are you human?"));
    await browser.until(`/at 7 after 0\\./.test(${log})`);
    expect(await browser.evaluate(ended(2))).toBe(false);
    await lab.save(browser);
    await lab.open(browser, "lab.ipynb", SIZE);
    await browser.until(`/Are you human.*at 7 after 0\\./s.test(${log})`);
    await browser.click(box);
    await browser.type("again");
    await browser.click(button("Send"));
    await browser.until(`/You said again at 7 after 2\\./.test(${log})`);
    // The other cell still runs: the next would wait for it.
    await browser.evaluate(`${KERNEL}.interrupt()`);
    // Cells behind an interrupted one are aborted.
    await browser.until(`${KERNEL}.requestExecute({ code: "0" }).done.then(({ content }) => content.status === "ok")`);
  });

  test("nested progress bars move in place and are saved as they end", async () => {
    await lab.run(browser, 1);
    const seen = await watch<string[]>(
      browser,
      1,
      `[...${cell(1)}.querySelectorAll("[role=progressbar]")].map((each) => each.getAttribute("aria-label").split(",")[0])`,
    );
    expect(seen.map((bars) => bars.length).filter((count) => count > 2)).toEqual([]);
    expect(new Set(seen.map((bars) => bars[1])).size).toBeGreaterThan(8);
    expect(seen.at(-1)).toEqual(["epoch: 2 of 2", "batch: 20 of 20"]);
    expect(await browser.evaluate(`${cell(1)}.querySelectorAll(".jp-OutputArea-child").length`)).toBe(1);
  });

  test("training is shown in one place, with curves that grow", async () => {
    await lab.run(browser, 3);
    const seen = await watch(
      browser,
      3,
      `(${cell(3)}.querySelector(".jp-OutputArea")?.innerText.match(/step (\\d+) of 30/) ?? ["", "0"])[1]`,
    );
    expect(new Set(seen).size).toBeGreaterThan(3);
    expect(await browser.evaluate(output(3))).toMatch(/DPOTrainer\s+step 30 of 30, finished in[^]*trained/);
    // One display, and what was printed.
    expect(await browser.evaluate(`${cell(3)}.querySelectorAll(".jp-OutputArea-child").length`)).toBe(2);
    expect(await browser.evaluate(`${cell(3)}.querySelector(".jp-OutputArea-output img").getBoundingClientRect().width`)).toBeGreaterThan(
      200,
    );
    await lab.save(browser);
    const saved = parseNotebook(readFileSync(join(lab.folder, "lab.ipynb"), "utf8"), "lab.ipynb");
    const kinds = saved.cells.map((each) =>
      each.cell_type === "code" ? each.outputs.map((made) => ("data" in made ? Object.keys(made.data).sort() : made.output_type)) : [],
    );
    expect(kinds[0]).toEqual([["application/vnd.jupyter.widget-view+json", "text/html", "text/plain"]]);
    expect(kinds[1]).toEqual([["text/html", "text/plain"]]);
    expect(kinds[3]![0]).toContain("text/html");
  });

  test("without the widgets' extension an app says what it needs, and progress bars move all the same", async () => {
    writeFileSync(join(lab.folder, "plain.ipynb"), formatNotebook(notebookOf(...[CHAT, BAR].map((source) => code(source)))));
    lab.configure({ widgets: false });
    await lab.open(browser, "plain.ipynb", SIZE);
    await lab.run(browser, 0);
    await browser.until(ended(0), 60);
    expect(await browser.evaluate(output(0))).toMatch(
      /Echo & more\s+This app lives in its kernel\. It needs a notebook front end with Jupyter widgets/,
    );
    await lab.run(browser, 1);
    const seen = await watch(browser, 1, `${output(1)}.match(/batch: \\d+/)?.[0]`);
    expect(new Set(seen).size).toBeGreaterThan(8);
    expect(await browser.evaluate(`${cell(1)}.querySelectorAll(".jp-OutputArea-child").length`)).toBe(1);
  });

  test("a figure of a notebook that ran elsewhere, which JupyterLab does not trust", async () => {
    const points = { name: "loss", x: [1, 2, 3], y: [0.7, 0.5, 0.4] };
    const data = { ...lineFigure([points], { title: "Training loss" })[displaySymbol]() };
    const shown = {
      ...code("figure"),
      execution_count: 1,
      outputs: [{ output_type: "execute_result" as const, execution_count: 1, data, metadata: {} }],
    };
    writeFileSync(join(lab.folder, "elsewhere.ipynb"), formatNotebook(notebookOf(shown as Cell)));
    await lab.open(browser, "elsewhere.ipynb", SIZE);
    await browser.until(`(${cell(0)}.querySelector(".jp-OutputArea-output img")?.naturalWidth ?? 0) > 200`);
    expect(await browser.evaluate(`${cell(0)}.querySelector(".jp-OutputArea-output img").alt`)).toBe("Training loss");
  });

  // When asked for, and after `npm start`, which runs the assignment and saves the model.
  if (pictures !== "" && existsSync(join(ASSIGNMENT, "results.json")))
    test("pictures of the assignment and of a chat with its model", async () => {
      lab.configure();
      symlinkSync(join(ASSIGNMENT, "dpo_finetuned_model"), join(lab.folder, "dpo_finetuned_model"));
      symlinkSync(MODEL, join(lab.folder, "tiny-qwen2-chat"));
      copyFileSync(join(ASSIGNMENT, "a5-dpo-assignment.ipynb"), join(lab.folder, "a5-dpo-assignment.ipynb"));
      await lab.open(browser, "a5-dpo-assignment.ipynb", SIZE);
      await browser.until(`document.querySelectorAll(".jp-OutputArea-output img").length >= 3`);
      expect(await browser.evaluate(`document.querySelectorAll('[data-mime-type="application/vnd.jupyter.stderr"]').length`)).toBe(0);
      await browser.evaluate(
        `[...document.querySelectorAll(".jp-Cell")].find((each) => each.innerText.includes("rankedTable(trials")).scrollIntoView()`,
      );
      await pause(500);
      await picture("jupyterlab-assignment");
      writeFileSync(join(lab.folder, "chat.ipynb"), formatNotebook(notebookOf(code(COMPARE))));
      await lab.open(browser, "chat.ipynb", { width: 1200, height: 900 });
      await lab.run(browser, 0);
      await browser.until(`${cell(0)}.querySelectorAll("button.jupyter-button").length > 8`, 60);
      for (const question of ["Did you sleep well?", "Do you eat pizza?"]) {
        await browser.until(`${box}.value === ""`);
        await browser.click(box);
        await browser.type(question);
        await browser.press("Enter");
        await browser.until(`${log}.includes(${JSON.stringify(question)}) && ${status} === "Done"`);
      }
      await browser.click(button("Good: tuned"));
      await browser.until(`/pair saved/.test(${status})`);
      await picture("jupyterlab-chat");
    });
});
