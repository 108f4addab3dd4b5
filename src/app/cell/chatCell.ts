/** A chat as widgets. */
import type { App, AppDescription } from "../app.js";
import type { Message } from "../../data/index.js";
import type { Job } from "../jobs.js";
import { escapeHtml } from "../../text/escapeHtml.js";
import { inputWidget } from "./inputs.js";
import { callFromCell } from "./run.js";
import { box, button, html, Widget } from "./widget.js";

interface Turn {
  question: string;
  answers: string[];
  /** Of several answers the one that was liked; it is the one that the conversation goes on from. */
  liked: number | undefined;
  again: number;
}

/** Enter and the text that was typed are two messages; they may come in either order. */
const SUBMIT_MS = 400;

export function chatCell(app: App, about: AppDescription): Widget {
  return new ChatCell(app, about).widget;
}

class ChatCell {
  readonly widget: Widget;
  readonly #app: App;
  readonly #about: AppDescription;
  readonly #log: Widget;
  readonly #box: Widget;
  readonly #status: Widget;
  readonly #settings: { name: string; get: () => unknown }[];
  #turns: Turn[] = [];
  #job: Job | undefined;
  #submit: NodeJS.Timeout | undefined;

  constructor(app: App, about: AppDescription) {
    this.#app = app;
    this.#about = about;
    const [message, , ...settings] = about.inputs;
    const controls = settings.map((component) => ({ ...inputWidget(component), name: component.name }));
    this.#settings = controls;
    this.#log = html(this.#draw(), { width: "98%" });
    this.#status = html("");
    const { placeholder = "" } = message as { placeholder?: string };
    const text = { value: "", placeholder, description: "", continuous_update: false, tooltip: message!.label, disabled: false };
    this.#box = Widget.control("Text", text, "TextStyle", { flex: "1 1 auto", width: "auto" });
    this.#box.onEvent = (event) => {
      if (event === "submit") this.#submit = setTimeout(() => this.#send(), SUBMIT_MS);
    };
    this.#box.onChange = () => {
      if (this.#submit !== undefined) this.#send();
    };
    const names = about.outputs.map(({ label }) => label);
    const votes = about.vote === null ? [] : names.flatMap((name, i) => this.#voteButtons(names.length > 1 ? ` ${name}` : "", i));
    const send = button("Send", "Send the message", () => this.#send(), "primary");
    const stop = button("Stop", "Stop the answer", () => this.#job?.stop());
    const again = button("Again", "Another answer to the last message", () => this.#again());
    const fresh = button("New chat", "Begin a new conversation", () => this.#begin());
    const examples = about.examples.map(([example]) => button(String(example), "Ask this", () => this.#ask(String(example))));
    this.widget = box("VBox", [
      this.#log,
      box("HBox", [...votes, again, fresh]),
      ...(examples.length === 0 ? [] : [box("HBox", examples)]),
      box("HBox", [this.#box, send, stop], { flex_flow: "row nowrap", width: "98%" }),
      this.#status,
      ...controls.map(({ widget }) => widget),
    ]);
  }

  #voteButtons(which: string, i: number): Widget[] {
    return [true, false].map((liked) =>
      button(`${liked ? "Good" : "Bad"}${which === "" ? "" : `:${which}`}`, `${liked ? "Good" : "Bad"} answer${which}`, () =>
        this.#vote(i, liked),
      ),
    );
  }

  #send(): void {
    clearTimeout(this.#submit);
    this.#submit = undefined;
    this.#ask(String(this.#box.value));
  }

  #ask(question: string): void {
    if (question.trim() === "" || this.#isBusy) return;
    this.#box.set({ value: "" });
    const turn: Turn = { question, answers: this.#about.outputs.map(() => ""), liked: undefined, again: 0 };
    this.#turns.push(turn);
    this.#answer(turn);
  }

  #again(): void {
    const turn = this.#turns.at(-1);
    if (turn === undefined || this.#isBusy) return;
    turn.again++;
    turn.liked = undefined;
    this.#answer(turn);
  }

  #begin(): void {
    this.#job?.stop();
    this.#turns = [];
    this.#log.set({ value: this.#draw() });
    this.#say("");
  }

  get #isBusy(): boolean {
    return this.#job !== undefined && !this.#job.ended;
  }

  #answer(turn: Turn): void {
    const values = (): unknown[] => this.#settings.map(({ name, get }) => (name === "seed" ? Number(get()) + turn.again : get()));
    this.#job = callFromCell(this.#app, this.#about.call, () => [turn.question, this.#historyBefore(turn), ...values()], {
      onOutputs: (outputs) => {
        turn.answers = outputs.map(String);
        this.#log.set({ value: this.#draw() });
      },
      onStatus: (text) => this.#say(text),
    });
  }

  #vote(i: number, liked: boolean): void {
    const turn = this.#turns.at(-1);
    const { vote } = this.#about;
    if (turn === undefined || vote === null || this.#isBusy) return;
    const other = turn.answers.find((_, at) => at !== i) ?? null;
    const prompt = [...this.#historyBefore(turn), { role: "user", content: turn.question }];
    if (other !== null) turn.liked = liked ? i : 1 - i;
    let note = "";
    callFromCell(this.#app, vote, () => [prompt, turn.answers[i], liked, other], {
      onOutputs: ([result]) => (note = (result as { note: string }).note),
      onStatus: (text) => this.#say(text === "Done" ? note : text),
    });
  }

  #historyBefore(turn: Turn): Message[] {
    return this.#turns.slice(0, this.#turns.indexOf(turn)).flatMap(({ question, answers, liked = 0 }) => [
      { role: "user", content: question },
      { role: "assistant", content: answers[liked]! },
    ]);
  }

  #say(text: string): void {
    this.#status.set({ value: `<span role="status">${escapeHtml(text)}</span>` });
  }

  /** Colours are see-through, so that they suit light and dark notebooks. */
  #draw(): string {
    const names = this.#about.outputs.map(({ label }) => label);
    const text = "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.4;border-radius:10px;padding:6px 10px;margin:4px 0";
    const turns = this.#turns.map(({ question, answers }) => {
      const shown = answers.map((answer, i) => {
        const name = names.length > 1 ? `<small><b>${escapeHtml(names[i]!)}</b></small><br>` : "";
        return `<div style="${text};flex:1 1 16rem;background:#8882" dir="auto">${name}<span dir="auto">${escapeHtml(answer)}</span></div>`;
      });
      return `<div style="${text};background:#48f3;margin-inline-start:15%" dir="auto">${escapeHtml(question)}</div><div style="display:flex;flex-wrap:wrap;gap:8px">${shown.join("")}</div>`;
    });
    return `<div role="log" aria-label="Conversation">${turns.join("") === "" ? "<i>Ask something.</i>" : turns.join("")}</div>`;
  }
}
