/**
 * Widgets of `ipywidgets`, made from here: JupyterLab, VS Code, Colab and the classic notebook draw them, and no Python is needed. A widget is
 * a comm whose state both sides change. Source: jupyter-widgets' messages protocol 2.1.0.
 */
import { type Comm, openComm, registerCommTarget } from "../comms.js";

export type WidgetState = Readonly<Record<string, unknown>>;

const CONTROLS = "@jupyter-widgets/controls";
const BASE = "@jupyter-widgets/base";
const MODULE_VERSION = "2.0.0";
const PROTOCOL_VERSION = "2.1.0";
const CONTROL_TARGET = "jupyter.widget.control";
const CONTROL_VERSION = "1.0.0";

/** model_id → widget, of those that are open. */
const open = new Map<string, Widget>();

/**
 * A front end that connects anew, as after the page was loaded again, asks for all widgets at once; without an answer it asks each.
 * To be called whenever a widget is shown; a later call replaces the earlier.
 */
export function answerReconnects(): void {
  registerCommTarget(CONTROL_TARGET, (comm) => {
    comm.onMessage(({ data }) => {
      if (data["method"] !== "request_states") return;
      const states = Object.fromEntries([...open].map(([model_id, widget]) => [model_id, widget.described]));
      comm.send({ method: "update_states", states, buffer_paths: [] }, { metadata: { version: CONTROL_VERSION } });
    });
  });
}

/** What a front end sends. */
interface WidgetMessage {
  method?: unknown;
  state?: unknown;
  content?: unknown;
}

export class Widget {
  readonly #comm: Comm;
  readonly #state: Record<string, unknown>;
  /** Told when the user changes the value. */
  onChange: (value: unknown) => void = () => undefined;
  /** Told when the user chooses another of several. */
  onIndex: (index: number) => void = () => undefined;
  /** Told of a click or of Enter. */
  onEvent: (event: string) => void = () => undefined;

  private constructor(state: WidgetState) {
    this.#state = { ...state };
    this.#comm = openComm("jupyter.widget", { state, buffer_paths: [] }, { metadata: { version: PROTOCOL_VERSION } });
    this.#comm.onMessage(({ data }) => this.#receive(data));
    this.#comm.onClose(() => void open.delete(this.model_id));
    open.set(this.model_id, this);
  }

  /** A widget that is dressed in nothing: no layout, no style. For what comes and goes. */
  static bare(name: string, state: WidgetState): Widget {
    return new Widget({ ...Widget.#kind(name), layout: null, style: null, ...state });
  }

  /** @param name of the widget in ipywidgets, for example "Button" @param style name of its style's model, where it has one */
  static control(name: string, state: WidgetState, style?: string, layout: WidgetState = {}, dress: WidgetState = {}): Widget {
    const dressed: Record<string, unknown> = { layout: Widget.#part(BASE, "LayoutModel", "LayoutView", layout) };
    if (style !== undefined) dressed["style"] = Widget.#part(CONTROLS, `${style}Model`, "StyleView", dress);
    return new Widget({ ...Widget.#kind(name), ...dressed, ...state });
  }

  static #kind(name: string): WidgetState {
    return {
      _model_module: CONTROLS,
      _model_module_version: MODULE_VERSION,
      _model_name: `${name}Model`,
      _view_module: CONTROLS,
      _view_module_version: MODULE_VERSION,
      _view_name: `${name}View`,
    };
  }

  static #part(module: string, model: string, view: string, state: WidgetState): string {
    const part = new Widget({
      _model_module: module,
      _model_module_version: MODULE_VERSION,
      _model_name: model,
      _view_module: BASE,
      _view_module_version: MODULE_VERSION,
      _view_name: view,
      ...state,
    });
    return part.reference;
  }

  get model_id(): string {
    return this.#comm.comm_id;
  }

  /** How one widget's state names another. */
  get reference(): string {
    return `IPY_MODEL_${this.model_id}`;
  }

  get value(): unknown {
    return this.#state["value"];
  }

  /** As a front end that connects anew is told of it. */
  get described(): WidgetState {
    const { _model_name: model_name, _model_module: model_module, _model_module_version: model_module_version } = this.#state;
    return { model_name, model_module, model_module_version, state: this.#state };
  }

  get closed(): boolean {
    return this.#comm.closed;
  }

  close(): void {
    open.delete(this.model_id);
    this.#comm.close();
  }

  set(state: WidgetState): void {
    const changed = Object.fromEntries(Object.entries(state).filter(([name, value]) => this.#state[name] !== value));
    if (Object.keys(changed).length === 0) return;
    Object.assign(this.#state, changed);
    // A front end that has closed it shows it no more.
    if (!this.#comm.closed) this.#comm.send({ method: "update", state: changed, buffer_paths: [] });
  }

  /** What a front end sends may be anything: what is not understood is passed over. */
  #receive(data: unknown): void {
    const { method, state, content } = (typeof data === "object" && data !== null ? data : {}) as WidgetMessage;
    if (method === "request_state") this.#comm.send({ method: "update", state: this.#state, buffer_paths: [] });
    if (method === "update" && typeof state === "object" && state !== null) {
      // Only what the user can change; the rest is ours.
      const { value, index } = state as { value?: unknown; index?: unknown };
      if (typeof index === "number") {
        this.#state["index"] = index;
        this.onIndex(index);
      }
      if (value === undefined || typeof value === "object") return;
      this.#state["value"] = value;
      this.onChange(value);
    }
    const event = method === "custom" ? (content as { event?: unknown } | null | undefined)?.event : undefined;
    if (typeof event === "string") this.onEvent(event);
  }
}

/** Widgets one under the other, or beside each other. */
export function box(direction: "VBox" | "HBox", children: readonly Widget[], layout: WidgetState = {}): Widget {
  const wrap = direction === "HBox" ? { flex_flow: "row wrap" } : {};
  return Widget.control(direction, { children: children.map(({ reference }) => reference), box_style: "" }, undefined, {
    ...wrap,
    ...layout,
  });
}

export function button(description: string, tooltip: string, onClick: () => void, style = ""): Widget {
  const made = Widget.control("Button", { description, tooltip, button_style: style, icon: "", disabled: false }, "ButtonStyle", {
    width: "auto",
  });
  made.onEvent = (event) => {
    if (event === "click") onClick();
  };
  return made;
}

/** @param value HTML, safe */
export function html(value: string, layout: WidgetState = {}): Widget {
  return Widget.control("HTML", { value, description: "", placeholder: "" }, "HTMLStyle", layout);
}
