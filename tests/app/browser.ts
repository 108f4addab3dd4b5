/** Chromium, driven over its debugging pipe (the DevTools protocol, messages ended by a zero byte). */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import type { Json } from "./apps.js";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/** Where Chromium is, or undefined. PREFLAB_CHROMIUM names another. */
export function findChromium(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const places = [process.env["PREFLAB_CHROMIUM"], ...folders.flatMap((folder) => NAMES.map((name) => join(folder, name)))];
  return places.find((place) => place !== undefined && place !== "" && existsSync(place));
}

export interface Size {
  width: number;
  height: number;
  mobile?: boolean;
}

/** Keys that are no letters: the DOM's code and the character they type. */
const KEYS: Readonly<Record<string, { code: number; text?: string }>> = {
  Enter: { code: 13, text: "\r" },
  Tab: { code: 9 },
  Escape: { code: 27 },
  Space: { code: 32, text: " " },
  ArrowRight: { code: 39 },
  ArrowLeft: { code: 37 },
  Home: { code: 36 },
  End: { code: 35 },
};

export class Browser {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #pending = new Map<number, { resolve: (result: Json) => void; reject: (error: Error) => void }>();
  #id = 0;
  #session = "";
  /** Errors of the page and of its console, and addresses that it asked for. */
  readonly problems: string[] = [];
  readonly requests: string[] = [];

  private constructor(path: string) {
    this.#folder = mkdtempSync(join(tmpdir(), "preflab-chromium-"));
    const flags = [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--hide-scrollbars",
      "--remote-debugging-pipe",
      `--user-data-dir=${this.#folder}`,
    ];
    this.#child = spawn(path, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    let text = "";
    (this.#child.stdio[4] as Readable).setEncoding("utf8").on("data", (part: string) => {
      text += part;
      for (let end = text.indexOf("\0"); end >= 0; end = text.indexOf("\0")) {
        this.#receive(JSON.parse(text.slice(0, end)));
        text = text.slice(end + 1);
      }
    });
  }

  static async start(path: string): Promise<Browser> {
    const browser = new Browser(path);
    const { targetId } = await browser.#send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await browser.#send("Target.attachToTarget", { targetId, flatten: true });
    browser.#session = sessionId;
    for (const domain of ["Page", "Runtime", "Network", "Log"]) await browser.#send(`${domain}.enable`);
    return browser;
  }

  #receive({ id, result, error, method, params }: Json): void {
    if (method === "Runtime.exceptionThrown")
      this.problems.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === "Log.entryAdded" && params.entry.level === "error") this.problems.push(`${params.entry.text} ${params.entry.url ?? ""}`);
    // A page that asks whether it may be left may.
    if (method === "Page.javascriptDialogOpening") void this.#send("Page.handleJavaScriptDialog", { accept: true });
    if (method === "Network.requestWillBeSent") this.requests.push(params.request.url);
    const waiting = this.#pending.get(id);
    this.#pending.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(error.message));
  }

  #send(method: string, params: object = {}): Promise<Json> {
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      const session = this.#session === "" ? {} : { sessionId: this.#session };
      (this.#child.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    });
  }

  async open(url: string, { width, height, mobile = false }: Size, theme: "light" | "dark" = "light"): Promise<void> {
    await this.#send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile });
    await this.#send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: theme }] });
    await this.#send("Page.navigate", { url });
    await this.until(`document.readyState === "complete" && location.href !== "about:blank"`);
  }

  /** The value of an expression in the page. */
  async evaluate(expression: string): Promise<Json> {
    const { result, exceptionDetails } = await this.#send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits until an expression holds in the page. */
  async until(expression: string, seconds = 60): Promise<void> {
    const end = performance.now() + seconds * 1000;
    while (!(await this.evaluate(expression).catch(() => false))) {
      if (performance.now() > end) throw new Error(`never came true: ${expression}\n${await this.evaluate("document.body.innerText")}`);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }

  async press(key: string, modifiers = 0): Promise<void> {
    const { code, text } = KEYS[key]!;
    const name = key === "Space" ? " " : key;
    const about = { key: name, code: key, windowsVirtualKeyCode: code, modifiers };
    await this.#send("Input.dispatchKeyEvent", {
      type: text === undefined ? "rawKeyDown" : "keyDown",
      ...about,
      ...(text === undefined ? {} : { text }),
    });
    await this.#send("Input.dispatchKeyEvent", { type: "keyUp", ...about });
  }

  /** A click of the mouse. @param element an expression in the page @param at share of its width and height; default: its middle */
  async click(element: string, at: readonly [x: number, y: number] = [0.5, 0.5]): Promise<void> {
    const box = await this.evaluate(
      `(() => { const each = ${element}; each.scrollIntoView({ block: "center" }); const { x, y, width, height } = each.getBoundingClientRect(); return { x, y, width, height }; })()`,
    );
    const about = { x: box.x + at[0] * box.width, y: box.y + at[1] * box.height, button: "left", clickCount: 1 };
    await this.#send("Input.dispatchMouseEvent", { ...about, type: "mouseMoved", button: "none" });
    await this.#send("Input.dispatchMouseEvent", { ...about, type: "mousePressed" });
    await this.#send("Input.dispatchMouseEvent", { ...about, type: "mouseReleased" });
  }

  async type(text: string): Promise<void> {
    await this.#send("Input.insertText", { text });
  }

  /** Tab until the focused element's own text, label or id is this one. @param backwards shift and tab */
  async tabTo(name: string, backwards = false): Promise<void> {
    const seen: string[] = [];
    for (let i = 0; i < 60; i++) {
      await this.press("Tab", backwards ? 8 : 0);
      const names: string[] = await this.evaluate(
        "(({ activeElement: e }) => [e.id, e.getAttribute('aria-label') ?? '', e.innerText ?? '', e.labels?.[0]?.innerText ?? ''])(document)",
      );
      if (names.includes(name)) return;
      seen.push(names.join("/"));
    }
    throw new Error(`no tab stop is ${name}; there are ${seen.join(", ")}`);
  }

  async screenshot(path: string): Promise<void> {
    const { data } = await this.#send("Page.captureScreenshot", { format: "png" });
    writeFileSync(path, Buffer.from(data, "base64"));
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#child.once("exit", resolve));
    await this.#send("Browser.close").catch(() => undefined);
    await closed;
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
