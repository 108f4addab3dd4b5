/** Apps in a notebook cell: a front end that is played here, over the kernel's seam for comms. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Comm, CommData, CommExtras, CommHost, CommMessage, CommTarget } from "../../src/app/comms.js";
import { type App, ChatInterface, Interface } from "../../src/app/index.js";
import { Random } from "../../src/random.js";
import { type Json, counter, greeter, pause } from "./apps.js";

interface Model {
  id: string;
  target: string;
  metadata: unknown;
  state: Record<string, Json>;
  /** What the user does reaches the kernel so. */
  receive: (data: unknown) => void;
}

/** Draws nothing, but keeps every widget's state as a front end does. */
class FrontEnd implements CommHost {
  readonly models = new Map<string, Model>();

  readonly targets = new Map<string, CommTarget>();

  register(name: string, target: CommTarget): () => void {
    this.targets.set(name, target);
    return () => undefined;
  }

  open(target: string, data: Readonly<Record<string, unknown>>, { metadata }: CommExtras): Comm {
    const id = `comm-${this.models.size}`;
    const { state } = structuredClone(data) as { state: Record<string, unknown> };
    const model: Model = { id, target, metadata, state, receive: () => undefined };
    this.models.set(id, model);
    return {
      comm_id: id,
      target_name: target,
      closed: false,
      send: ({ method, state: changed }) => {
        expect(method).toBe("update");
        Object.assign(model.state, structuredClone(changed));
      },
      onMessage: (listener) => {
        model.receive = (data) => void listener({ data: data as CommData, metadata: {}, buffers: [] });
        return () => undefined;
      },
      onClose: () => () => undefined,
      close: () => undefined,
    };
  }

  find(name: string, about: Record<string, unknown> = {}): Model {
    const found = [...this.models.values()].find(
      ({ state }) => state["_model_name"] === `${name}Model` && Object.entries(about).every(([key, value]) => state[key] === value),
    );
    if (found === undefined) throw new Error(`no ${name} with ${JSON.stringify(about)}`);
    return found;
  }

  click(description: string): void {
    this.find("Button", { description }).receive({ method: "custom", content: { event: "click" } });
  }

  change(model: Model, state: Record<string, unknown>): void {
    model.receive({ method: "update", state, buffer_paths: [] });
  }

  get text(): string {
    return [...this.models.values()]
      .filter(({ state }) => state["_model_name"] === "HTMLModel")
      .map(({ state }) => String(state["value"]))
      .join("\n");
  }

  async until(pattern: RegExp): Promise<void> {
    for (let i = 0; i < 400; i++) {
      if (pattern.test(this.text)) return;
      await pause(10);
    }
    throw new Error(`never shown: ${pattern} in\n${this.text}`);
  }
}

const hostSymbol = Symbol.for("preflab.notebookHost");
const WIDGET_VIEW = "application/vnd.jupyter.widget-view+json";
const show = (app: App): Promise<Json> => (app as unknown as Record<symbol, () => Promise<unknown>>)[Symbol.for("Jupyter.display")]!();

let front: FrontEnd;
beforeEach(() => {
  front = new FrontEnd();
  (globalThis as Json)[hostSymbol] = { comms: front };
});
afterEach(() => {
  delete (globalThis as Json)[hostSymbol];
});

test("without comms an app says how else it is reached", async () => {
  delete (globalThis as Json)[hostSymbol];
  const bundle = await show(new ChatInterface({ fn: (text) => text, title: "<b>" }));
  expect(bundle[WIDGET_VIEW]).toBeUndefined();
  expect(bundle["text/html"]).toMatch(/&lt;b&gt;.*await app\.launch\(\)/s);
  expect(bundle["text/plain"]).toBe("<b>: an app; await app.launch() serves it as a page");
});

describe("an Interface as widgets", () => {
  test("every reference leads to a widget, and the form runs the function", async () => {
    const bundle = await show(greeter());
    expect(Object.keys(bundle)).toEqual([WIDGET_VIEW, "text/html", "text/plain"]);
    expect(front.models.has(bundle[WIDGET_VIEW].model_id)).toBe(true);
    for (const { target, metadata, state } of front.models.values()) {
      expect([target, metadata]).toEqual(["jupyter.widget", { version: "2.1.0" }]);
      for (const name of JSON.stringify(state).match(/IPY_MODEL_[\w-]+/g) ?? [])
        expect(front.models.has(name.slice("IPY_MODEL_".length))).toBe(true);
    }
    front.change(front.find("Text"), { value: "Ada <3" });
    front.change(front.find("FloatSlider"), { value: 2 });
    front.click("Run");
    await front.until(/Hello, Ada &lt;3! Hello, Ada &lt;3!/);
    front.click("ليلى · 3");
    await front.until(/Hello, ليلى! Hello, ليلى! Hello, ليلى!/);
    expect(front.find("FloatSlider").state["value"]).toBe(3);
  });

  test("stop, and errors in words", async () => {
    const heard: string[] = [];
    await show(counter(heard));
    const box = front.find("BoundedFloatText");
    front.change(box, { value: 1e6 });
    front.click("Run");
    await front.until(/>\d+</);
    front.click("Stop");
    await front.until(/Stopped/);
    await pause(20);
    expect(heard).toEqual(["ended"]);
    front.change(box, { value: "many" });
    front.click("Run");
    await front.until(/must be a number/);
  });

  test("choices, JSON, files", async () => {
    const folder = mkdtempSync(join(tmpdir(), "preflab-cell-"));
    writeFileSync(join(folder, "a.txt"), "abc");
    await show(
      new Interface({
        fn: (choice: string, json: unknown, file: { size: number } | null) => `${choice} ${JSON.stringify(json)} ${file?.size}`,
        inputs: [
          { type: "dropdown", label: "Choice", choices: ["x", "y"] },
          { type: "json", label: "J" },
          { type: "file", label: "F" },
        ],
        outputs: "text",
      }),
    );
    front.change(front.find("Dropdown"), { index: 1 });
    front.change(front.find("Textarea"), { value: "[1, 2" });
    front.click("Run");
    await front.until(/j: must be JSON, got other text/);
    front.change(front.find("Textarea"), { value: "[1, 2]" });
    front.change(front.find("Text"), { value: join(folder, "a.txt") });
    front.click("Run");
    await front.until(/y \[1,2\] 3/);
    rmSync(folder, { recursive: true });
  });
});

describe("a ChatInterface as widgets", () => {
  const folder = mkdtempSync(join(tmpdir(), "preflab-cell-"));
  const chat = (): ChatInterface =>
    new ChatInterface({
      async *fn(message: string, history: readonly { content: string | null }[], loud: boolean) {
        for (const text of ["…", `${history.length}: ${message}`]) {
          await pause(5);
          yield loud ? text.toUpperCase() : text;
        }
      },
      additional_inputs: { type: "checkbox", label: "Loud" },
      examples: ["ما اسمك؟"],
      preferences_file: join(folder, "pairs.jsonl"),
    });

  test("Enter sends whichever message comes first, answers grow, history is kept, settings count", async () => {
    await show(chat());
    const box = front.find("Text");
    front.change(box, { value: "first" });
    box.receive({ method: "custom", content: { event: "submit" } });
    await front.until(/0: first/);
    expect(box.state["value"]).toBe("");
    // The other order.
    box.receive({ method: "custom", content: { event: "submit" } });
    front.change(box, { value: "second" });
    await front.until(/2: second/);
    front.change(front.find("Checkbox"), { value: true });
    front.change(box, { value: "third" });
    front.click("Send");
    await front.until(/4: THIRD/);
    expect(front.text).toMatch(/dir="auto">third/);
    front.click("ما اسمك؟");
    await front.until(/6: ما اسمك؟/);
    front.click("New chat");
    await front.until(/Ask something/);
  });

  test("likes become pairs", async () => {
    await show(chat());
    front.click("ما اسمك؟");
    await front.until(/Done/);
    front.click("Bad");
    await front.until(/Noted; a pair is saved once/);
    front.change(front.find("Checkbox"), { value: true });
    front.change(front.find("Text"), { value: "x" });
    front.click("Again");
    await pause(50);
    front.click("Good");
    // The same answer again: now it is liked, and no other is disliked.
    await front.until(/Noted; a pair/);
  });

  test("a front end that sends nonsense harms nothing", async () => {
    await show(chat());
    const random = new Random(5);
    const nonsense: unknown[] = [
      null,
      1,
      "x",
      [],
      {},
      { method: 3 },
      { method: "update" },
      { method: "update", state: { value: {} } },
      { method: "update", state: { value: 1e9, index: 77 } },
      { method: "custom", content: null },
      { method: "custom", content: { event: "submit" } },
      { method: "request_state" },
    ];
    const models = [...front.models.values()];
    for (let i = 0; i < 500; i++)
      models[random.integer(models.length)]!.receive(structuredClone(nonsense[random.integer(nonsense.length)]));
    await pause(450);
    front.change(front.find("Checkbox"), { value: false });
    front.click("New chat");
    front.change(front.find("Text"), { value: "still there" });
    front.click("Send");
    await front.until(/\d: still there/);
  });

  test("a front end that connects anew gets every widget's present state in one message", async () => {
    await show(chat());
    front.change(front.find("Text"), { value: "half written" });
    const sent: Json[] = [];
    let ask: (message: CommMessage) => void = () => undefined;
    const comm = { onMessage: (listener: typeof ask) => ((ask = listener), () => undefined), send: (data: Json) => sent.push(data) };
    const message = (method: unknown): CommMessage => ({ data: { method }, metadata: {}, buffers: [] });
    void front.targets.get("jupyter.widget.control")!(comm as unknown as Comm, message(""));
    ask(message("nonsense"));
    expect(sent).toEqual([]);
    ask(message("request_states"));
    const [{ method, states, buffer_paths }] = sent;
    expect([method, buffer_paths]).toEqual(["update_states", []]);
    const models = [...front.models.values()];
    expect(models.filter(({ id }) => states[id] === undefined)).toEqual([]);
    for (const { id, state } of models)
      expect(states[id]).toMatchObject({
        model_name: state["_model_name"],
        model_module: state["_model_module"],
        model_module_version: "2.0.0",
      });
    const text = front.find("Text");
    expect(states[text.id].state).toMatchObject({ ...text.state, value: "half written" });
  });

  test("two cells ask at once, and each gets its own answer", async () => {
    const app = new ChatInterface({ fn: async (text: string) => (await pause(20), `<${text}>`), concurrency_limit: 2 });
    await show(app);
    const other = new FrontEnd();
    (globalThis as Json)[hostSymbol] = { comms: other };
    await show(app);
    for (const [cell, text] of [
      [front, "a"],
      [other, "b"],
    ] as const) {
      cell.change(cell.find("Text"), { value: text });
      cell.click("Send");
    }
    await front.until(/&lt;a&gt;/);
    await other.until(/&lt;b&gt;/);
    rmSync(folder, { recursive: true, force: true });
  });
});
