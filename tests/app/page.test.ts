/** The served page in Chromium, with the keyboard only. PREFLAB_SCREENSHOTS names a folder for pictures, PREFLAB_ADAPTER
 * the adapter that answers in them. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AppServer, ChatInterface, Interface } from "../../src/app/index.js";
import { AutoModelForCausalLM, LoraConfig, PeftModel, type Qwen2ForCausalLM } from "../../src/model/index.js";
import { AutoTokenizer } from "../../src/text/index.js";
import { counter, greeter, pause, serve } from "./apps.js";
import { Browser, findChromium } from "./browser.js";

const chromium = findChromium();
const DESK = { width: 1100, height: 820 };
const PHONE = { width: 390, height: 780, mobile: true };
const pictures = process.env["PREFLAB_SCREENSHOTS"] ?? "";
const trained = process.env["PREFLAB_ADAPTER"] ?? "";

// Skipped where no Chromium is installed; PREFLAB_CHROMIUM names one that is elsewhere.
describe.skipIf(chromium === undefined)("the page in Chromium, keyboard only", () => {
  let folder: string;
  let browser: Browser;
  let base: Qwen2ForCausalLM;
  let tuned: PeftModel;
  let chat: AppServer;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "preflab-page-"));
    if (pictures !== "") mkdirSync(pictures, { recursive: true });
    browser = await Browser.start(chromium!);
    const model = "datasets/tiny-qwen2-chat";
    base = (await AutoModelForCausalLM.from_pretrained(model)) as Qwen2ForCausalLM;
    // An adapter of random numbers does; for pictures a trained one is nicer.
    tuned =
      trained === ""
        ? new PeftModel(base, new LoraConfig({ r: 4, init_lora_weights: false }), { seed: 3 })
        : await PeftModel.from_pretrained(base, trained);
    chat = await serve(
      new ChatInterface({
        model: tuned,
        compare_with: "base",
        tokenizer: await AutoTokenizer.from_pretrained(model),
        preferences_file: join(folder, "pairs.jsonl"),
        title: "Truthful or not?",
        description: "The tiny model before and after preference tuning.",
        examples: ["Are you human?", "What is the capital of Australia?"],
      }),
      { requests_per_minute: null },
    );
  });
  afterAll(async () => {
    await browser?.close();
    await tuned?.dispose();
    await base?.dispose();
    rmSync(folder, { recursive: true });
  });

  const picture = async (name: string): Promise<void> => {
    if (pictures !== "") await browser.screenshot(join(pictures, `${name}.png`));
  };
  const status = `document.getElementById("status").textContent`;
  const answers = `[...document.querySelectorAll(".turn:last-of-type .text")].map((each) => each.textContent)`;
  /** No element hangs out at the side, and every control is large enough for a finger. */
  const checkLayout = async (): Promise<void> => {
    expect(await browser.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    expect(
      await browser.evaluate(
        `[...document.querySelectorAll("button")].filter((each) => each.offsetParent !== null && each.offsetHeight < 32).length`,
      ),
    ).toBe(0);
    // Every control has a name.
    expect(
      await browser.evaluate(
        `[...document.querySelectorAll("button, input, textarea, select")].filter((each) => !(each.innerText || each.getAttribute("aria-label") || each.labels?.[0]?.textContent)).map((each) => each.outerHTML)`,
      ),
    ).toEqual([]);
  };

  test("a chat: ask, see two answers grow, like one, ask again, go on, stop", async () => {
    await browser.open(chat.url, DESK);
    // The message box has the focus.
    await browser.type("Did you sleep well?");
    await browser.press("Enter");
    await browser.until(`${status} === "Done"`);
    const [ours, theirs] = await browser.evaluate(answers);
    expect(ours.length).toBeGreaterThan(5);
    expect(theirs).not.toBe(ours);
    await browser.tabTo("Good answer (tuned)", true);
    await browser.press("Enter");
    await browser.until(`${status} === "1 pair saved, 1 in all"`);
    expect(JSON.parse(readFileSync(join(folder, "pairs.jsonl"), "utf8"))).toMatchObject({
      chosen: [{ content: ours }],
      rejected: [{ content: theirs }],
    });
    expect(await browser.evaluate(`document.activeElement.getAttribute("aria-pressed")`)).toBe("true");
    // An example by keyboard, the settings too.
    await browser.tabTo("What is the capital of Australia?");
    await browser.press("Enter");
    await browser.until(`${status} === "Done" && document.querySelectorAll(".turn").length === 2`);
    await browser.tabTo("Settings");
    await browser.press("Enter");
    await browser.tabTo("Temperature");
    await browser.press("End");
    expect(await browser.evaluate("document.activeElement.value")).toBe("2");
    await browser.tabTo("Most new tokens");
    await browser.press("End");
    await checkLayout();
    await browser.tabTo("message", true);
    await browser.type("Tell me a long story.");
    await browser.press("Enter");
    await browser.until(`!document.getElementById("stop").hidden && ${answers}[0].length > 20`);
    await browser.press("Escape");
    await browser.until(`${status} === "Stopped"`);
    const text = await browser.evaluate(answers);
    await pause(150);
    expect(await browser.evaluate(answers)).toEqual(text);
    await browser.tabTo("fresh", true);
    await browser.press("Enter");
    expect(await browser.evaluate("document.querySelectorAll('.turn').length")).toBe(0);
    expect(browser.problems).toEqual([]);
    expect(browser.requests.filter((url) => !url.startsWith(chat.url) && !url.startsWith("about:") && !url.startsWith("data:"))).toEqual(
      [],
    );
  });

  test.each(["light", "dark"] as const)("the %s theme, at a desk and on a phone, right to left", async (theme) => {
    await browser.open(chat.url, DESK, theme);
    await browser.type("Did you sleep well?");
    await browser.press("Enter");
    await browser.until(`${status} === "Done"`);
    await browser.tabTo("Good answer (tuned)", true);
    await browser.press("Enter");
    await browser.until(`/saved/.test(${status})`);
    await picture(`app-chat-${theme}`);
    await checkLayout();
    expect(await browser.evaluate("getComputedStyle(document.documentElement).colorScheme")).toBe(theme);
    await browser.open(chat.url, PHONE, theme);
    await browser.type("هل أنت إنسان؟");
    await browser.press("Enter");
    await browser.until(`${status} === "Done"`);
    expect(await browser.evaluate(`getComputedStyle(document.querySelector(".mine")).direction`)).toBe("rtl");
    await picture(`app-phone-${theme}`);
    await checkLayout();
    // Text on its ground can be read: WCAG's contrast is at least 4.5.
    const contrast = await browser.evaluate(`(() => {
      const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => { const c = part / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const ground = (each) => { for (let at = each; at; at = at.parentElement) { const { backgroundColor } = getComputedStyle(at); if (!/, 0\\)$|transparent/.test(backgroundColor)) return backgroundColor; } return "rgb(255, 255, 255)"; };
      return Math.min(...[...document.querySelectorAll("h1, h3, p, button, label, summary, small, .text")].filter((each) => each.offsetParent).map((each) => { const [a, b] = [light(getComputedStyle(each).color), light(ground(each))].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); }));
    })()`);
    expect(contrast).toBeGreaterThanOrEqual(4.5);
    expect(browser.problems).toEqual([]);
  });

  test("an interface: fill in, run, example, every kind of input", async () => {
    const all = await serve(
      new Interface({
        fn: (...values: unknown[]) => [JSON.stringify(values.slice(0, 6)), { sensitive: 0.8, other: 0.2 }, { seen: values.length - 1 }],
        inputs: [
          { type: "textbox", label: "Text", lines: 3, value: "نص" },
          { type: "number", label: "Number", value: 3 },
          { type: "slider", label: "Share", minimum: 0, maximum: 1, value: 0.5, info: "Between 0 and 1" },
          { type: "checkbox", label: "Strict" },
          { type: "dropdown", label: "Language", choices: ["Arabic", "English"] },
          { type: "radio", label: "Size", choices: ["small", "large"] },
          { type: "json", label: "More", value: {} },
        ],
        outputs: [{ type: "textbox", label: "Echo" }, { type: "label", label: "Class" }, "json"],
        title: "Everything",
        description: "One input of each kind.",
        examples: [["مثال", 1]],
      }),
    );
    await browser.open(all.url, DESK, "dark");
    await browser.tabTo("Strict");
    await browser.press("Space");
    await browser.tabTo("Run");
    await browser.press("Enter");
    await browser.until(`${status} === "Done"`);
    const shown = `[...document.querySelectorAll(".shown")].map((each) => each.innerText)`;
    const [echo, label, json] = await browser.evaluate(shown);
    expect(JSON.parse(echo)).toEqual(["نص", 3, 0.5, true, "Arabic", "small"]);
    expect(label).toMatch(/sensitive\s+80\.0 %\s+other\s+20\.0 %/);
    expect(JSON.parse(json)).toEqual({ seen: 7 });
    await picture("app-interface-dark");
    await checkLayout();
    await browser.tabTo("مثال · 1");
    await browser.press("Enter");
    await browser.until(`${shown}[0].includes("مثال")`);
    await browser.open(all.url, PHONE);
    await checkLayout();
    await picture("app-interface-phone");
    expect(browser.problems).toEqual([]);
  });

  test("what is wrong is said, and stop stops", async () => {
    const heard: string[] = [];
    const { url } = await serve(counter(heard));
    await browser.open(url, DESK);
    await browser.type("2e6");
    await browser.press("Enter");
    await pause(100);
    // The browser itself refuses what is above the maximum; then a call that is stopped.
    await browser.evaluate(`document.querySelector("input").value = "100000"`);
    await browser.tabTo("Run");
    await browser.press("Enter");
    await browser.until(`Number(document.querySelector(".shown").textContent) > 3`);
    expect(await browser.evaluate("document.activeElement.id")).toBe("stop");
    await browser.press("Enter");
    await browser.until(`${status} === "Stopped"`);
    await browser.until(`document.activeElement.id === "run"`);
    expect(heard).toEqual(["ended"]);
  });

  test("a login page leads in", async () => {
    const closed = await serve(greeter(), { auth: [["ada", "lovelace"]] });
    await browser.open(closed.url, PHONE, "dark");
    await browser.type("ada");
    await browser.press("Tab");
    await browser.type("wrong");
    await browser.press("Enter");
    // The focus comes after the text.
    await browser.until(`/wrong/.test(document.querySelector("[role=alert]")?.textContent) && document.activeElement.tagName === "INPUT"`);
    await browser.type("ada");
    await browser.press("Tab");
    await browser.type("lovelace");
    await browser.press("Enter");
    await browser.until(`document.getElementById("run") !== null`);
  });
});
