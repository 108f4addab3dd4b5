/**
 * Progress bars with the interface of Python's tqdm, nested as loops are. In a notebook they are a Jupyter widget, which is told of each
 * change over a comm; a front end without widgets gets the same as HTML, updated in place; a plain program one line of text.
 * What they show last is saved as HTML and text, without a widget, so that it can be read without a kernel.
 */
import { answerReconnects, Widget } from "../app/cell/widget.js";
import { hasComms } from "../app/comms.js";
import { ConfigError } from "../errors.js";
import { notebookHost } from "./display.js";
import { escapeHtml } from "../text/escapeHtml.js";
import type { MimeBundle } from "./mime.js";

const REFRESH_MS = 100;
const TEXT_WIDTH = 24;
const WIDGET_MIME = "application/vnd.jupyter.widget-view+json";

export interface ProgressOptions {
  /** Steps in all; undefined: unknown, then there is a count and no time left. */
  total?: number;
  desc?: string;
  unit?: string;
  disable?: boolean;
}

/** Seconds as `mm:ss`, from an hour on as `h:mm:ss`. */
export function clock(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.round(seconds);
  const pad = (part: number): string => String(part).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const rest = `${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

function share(done: number, total: number | undefined): number {
  return total === undefined || total <= 0 ? 0 : Math.max(0, Math.min(1, done / total));
}

/** A bar and the text beside it, in colours that read on light and dark pages. */
export function barHtml(done: number, total: number | undefined, text: string): string {
  const percent = (100 * share(done, total)).toFixed(1);
  const value = total === undefined ? "" : ` aria-valuenow="${percent}"`;
  return `<div style="display:flex;align-items:center;gap:.7em;max-width:60em"><div role="progressbar" aria-valuemin="0" aria-valuemax="100"${value} aria-label="${escapeHtml(text)}" style="flex:0 0 14em;height:.7em;border:1px solid currentColor;border-radius:.35em;overflow:hidden;opacity:.85"><div style="width:${percent}%;height:100%;background:#3178c6"></div></div><span dir="auto" style="font-variant-numeric:tabular-nums">${escapeHtml(text)}</span></div>`;
}

export function barText(done: number, total: number | undefined, text: string): string {
  if (total === undefined) return text;
  const filled = Math.round(TEXT_WIDTH * share(done, total));
  return `[${"#".repeat(filled)}${"-".repeat(TEXT_WIDTH - filled)}] ${text}`;
}

/** Bars that stand below one another: the outer loop's, and at each depth the newest of the loops within it. */
class ProgressGroup {
  readonly #bars: ProgressBar[] = [];
  readonly #display_id: string;
  #widget: Widget | undefined;
  #shown = false;
  #shownAt = -Infinity;

  constructor(number: number) {
    this.#display_id = `preflab-progress-${process.pid}-${number}`;
  }

  /** A finished bar at the same depth makes room. */
  add(bar: ProgressBar): void {
    const open = this.#bars.findLastIndex((other) => !other.closed);
    this.#bars.splice(open + 1, Infinity, bar);
  }

  get isOpen(): boolean {
    return this.#bars.some((bar) => !bar.closed);
  }

  #html(): string {
    return this.#bars
      .map((bar, depth) => `<div style="margin-inline-start:${depth}em">${barHtml(bar.n, bar.total, bar.text())}</div>`)
      .join("");
  }

  #text(): string {
    return this.#bars.map((bar, depth) => `${"  ".repeat(depth)}${barText(bar.n, bar.total, bar.text())}`).join("\n");
  }

  refresh(): void {
    const last = !this.isOpen;
    if (!last && performance.now() - this.#shownAt < REFRESH_MS) return;
    this.#shownAt = performance.now();
    const host = notebookHost();
    if (host === undefined) this.#print(last);
    else this.#show(last, (bundle, update) => host.display(bundle, { display_id: this.#display_id, update }));
  }

  #print(last: boolean): void {
    // One line on a terminal; a log file gets the end only.
    if (process.stdout.isTTY === true) process.stdout.write(`\r\x1b[K${this.#bars.map((bar) => bar.text()).join("  ")}${last ? "\n" : ""}`);
    else if (last) process.stdout.write(`${this.#text()}\n`);
  }

  #show(last: boolean, show: (bundle: MimeBundle, update: boolean) => void): void {
    const html = this.#html();
    const bundle: MimeBundle = { "text/html": html, "text/plain": this.#text() };
    const first = !this.#shown;
    this.#shown = true;
    if (first && !last && hasComms()) {
      answerReconnects();
      this.#widget = Widget.bare("HTML", { value: html, description: "", placeholder: "" });
      bundle[WIDGET_MIME] = { version_major: 2, version_minor: 0, model_id: this.#widget.model_id };
    }
    // A front end that knows no widgets closes the comm; then the display itself is updated.
    const told = !first && this.#widget?.closed === false;
    if (told) this.#widget!.set({ value: html });
    if (!told || last) show(bundle, !first);
    if (last) this.#widget?.close();
  }
}

let current: ProgressGroup | undefined;
let groups = 0;

/** One bar, moved by hand. `tqdm` moves one along a loop. */
export class ProgressBar {
  n = 0;
  readonly total: number | undefined;
  readonly unit: string;
  closed = false;
  #desc: string;
  #postfix = "";
  readonly #started = performance.now();
  #seconds: number | undefined;
  readonly #group: ProgressGroup | undefined;

  /** @throws ConfigError `progress_total` */
  constructor({ total, desc = "", unit = "it", disable = false }: ProgressOptions = {}) {
    if (total !== undefined && !(total >= 0 && Number.isFinite(total)))
      throw new ConfigError("progress_total", `tqdm: total must be a number >= 0, got ${String(total)}; leave it out if it is not known`);
    this.total = total;
    this.unit = unit;
    this.#desc = desc;
    if (disable) return;
    if (current?.isOpen !== true) current = new ProgressGroup(groups++);
    this.#group = current;
    this.#group.add(this);
    this.#group.refresh();
  }

  /** Goes on by n steps. */
  update(n = 1): void {
    this.n += n;
    this.#group?.refresh();
  }

  set_description(desc: string): void {
    this.#desc = desc;
    this.#group?.refresh();
  }

  /** Values shown behind the count, as the loss. */
  set_postfix(values: Readonly<Record<string, unknown>>): void {
    this.#postfix = Object.entries(values)
      .map(([name, value]) => `${name} ${typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : String(value)}`)
      .join(", ");
    this.#group?.refresh();
  }

  /** Ends the bar; what it shows then stays. A second call does nothing. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#seconds = (performance.now() - this.#started) / 1000;
    this.#group?.refresh();
  }

  text(): string {
    const seconds = this.#seconds ?? (performance.now() - this.#started) / 1000;
    const rate = this.n / Math.max(seconds, 1e-9);
    const left = this.total === undefined || this.n === 0 || this.closed ? "" : `, ${clock((this.total - this.n) / rate)} left`;
    const count = this.total === undefined ? `${this.n} ${this.unit}` : `${this.n} of ${this.total}`;
    const speed =
      this.n === 0 ? "" : `, ${rate >= 1 ? `${rate.toPrecision(3)} ${this.unit}/s` : `${(1 / rate).toPrecision(3)} s/${this.unit}`}`;
    return `${this.#desc === "" ? "" : `${this.#desc}: `}${count}, ${clock(seconds)} gone${left}${speed}${this.#postfix === "" ? "" : `, ${this.#postfix}`}`;
  }
}

/** A text is iterable too, and no object. */
function isIterable<T>(items: Iterable<T> | AsyncIterable<T>): items is Iterable<T> {
  return typeof (items as Partial<Iterable<T>>)[Symbol.iterator] === "function";
}

/** A loop's items, with a bar that moves along. Works in `for` and in `for await`; leaving the loop early ends the bar. */
export class Progress<T> implements Iterable<T>, AsyncIterable<T> {
  readonly #items: Iterable<T> | AsyncIterable<T>;
  readonly #options: ProgressOptions;

  constructor(items: Iterable<T> | AsyncIterable<T>, options: ProgressOptions) {
    this.#items = items;
    this.#options = options;
  }

  *[Symbol.iterator](): Iterator<T> {
    const items = this.#items;
    if (!isIterable(items))
      throw new ConfigError(
        "progress_async",
        "tqdm: an asynchronous iterable must be read with `for await`, got `for`; write `for await (const item of tqdm(…))`",
      );
    const bar = new ProgressBar(this.#options);
    try {
      for (const item of items) {
        yield item;
        bar.update();
      }
    } finally {
      bar.close();
    }
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    const bar = new ProgressBar(this.#options);
    try {
      for await (const item of this.#items) {
        yield item;
        bar.update();
      }
    } finally {
      bar.close();
    }
  }
}

/**
 * Shows how far a loop is. Loops within loops show below one another.
 * @param options.total default: the length of an array, the size of a set or map, else unknown
 * @throws ConfigError `progress_total`, `progress_async`
 */
export function tqdm<T>(items: Iterable<T> | AsyncIterable<T>, options: ProgressOptions = {}): Progress<T> {
  const { length, size } = items as { length?: unknown; size?: unknown };
  const known = typeof length === "number" ? length : typeof size === "number" ? size : undefined;
  return new Progress(items, options.total === undefined && known !== undefined ? { ...options, total: known } : options);
}
