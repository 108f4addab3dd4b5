/** Inputs and outputs of an app as widgets. */
import { statSync } from "node:fs";
import { basename } from "node:path";
import { ConfigError } from "../../errors.js";
import { defaultValue, type NamedComponent } from "../component.js";
import { escapeHtml } from "../../text/escapeHtml.js";
import { Widget, type WidgetState } from "./widget.js";

export interface CellInput {
  readonly widget: Widget;
  /** The value as an endpoint takes it. @throws ConfigError `app_input` */
  get: () => unknown;
  set: (value: unknown) => void;
}

const WIDE = { width: "98%" };
/** Widths of labels, in em: what most need, so that controls stand in line, and what a letter takes. */
const LABEL = { least: 10, letter: 0.55 };

/** A control whose label is not cut off: ipywidgets gives labels 80 pixels. */
function labelled(name: string, state: WidgetState & { description: string }, style: string): Widget {
  const description_width = `${Math.max(LABEL.least, LABEL.letter * state.description.length)}em`;
  return Widget.control(name, state, style, WIDE, style === "CheckboxStyle" ? {} : { description_width });
}

export function inputWidget(component: NamedComponent): CellInput {
  const { label } = component;
  const common = {
    description: label,
    description_allow_html: false,
    tooltip: component.info ?? label,
    disabled: false,
    continuous_update: false,
  };
  const start = defaultValue(component);
  const plain = (widget: Widget): CellInput => ({ widget, get: () => widget.value, set: (value) => widget.set({ value }) });
  switch (component.type) {
    case "slider": {
      const { minimum: min, maximum: max } = component;
      const step = component.step ?? (max - min) / 100;
      const digits = Math.min(6, (String(step).split(".")[1] ?? "").length);
      const state = { ...common, min, max, step, value: start, readout: true, readout_format: `.${digits}f`, orientation: "horizontal" };
      return plain(labelled("FloatSlider", state, "SliderStyle"));
    }
    case "number": {
      const { minimum, maximum, step = null } = component;
      if (minimum === undefined || maximum === undefined)
        return plain(labelled("FloatText", { ...common, value: start ?? 0, step }, "DescriptionStyle"));
      return plain(
        labelled("BoundedFloatText", { ...common, value: start ?? minimum, min: minimum, max: maximum, step }, "DescriptionStyle"),
      );
    }
    case "checkbox":
      return plain(labelled("Checkbox", { ...common, value: start, indent: false }, "CheckboxStyle"));
    case "dropdown":
    case "radio":
      return choiceWidget(component, common);
    case "file": {
      const widget = labelled("Text", { ...common, value: "", placeholder: "Path of a file of this machine" }, "TextStyle");
      return { ...plain(widget), get: () => localFile(component.name, String(widget.value)) };
    }
    case "json": {
      const widget = labelled(
        "Textarea",
        { ...common, value: start === undefined ? "" : JSON.stringify(start), rows: 3, placeholder: "JSON" },
        "TextStyle",
      );
      return {
        widget,
        get: () => parseJson(component.name, String(widget.value)),
        set: (value) => widget.set({ value: JSON.stringify(value) }),
      };
    }
    default: {
      const lines = component.type === "textbox" ? (component.lines ?? 1) : 1;
      const placeholder = component.type === "textbox" ? (component.placeholder ?? "") : "";
      const state = { ...common, value: start ?? "", placeholder, ...(lines > 1 ? { rows: lines } : {}) };
      return plain(labelled(lines > 1 ? "Textarea" : "Text", state, "TextStyle"));
    }
  }
}

/** A choice's state is an index. */
function choiceWidget(component: Extract<NamedComponent, { type: "dropdown" | "radio" }>, common: { description: string }): CellInput {
  const { choices } = component;
  const indexOf = (value: unknown): number => Math.max(0, choices.indexOf(String(value)));
  let index = indexOf(defaultValue(component));
  const name = component.type === "radio" ? "RadioButtons" : "Dropdown";
  const widget = labelled(name, { ...common, _options_labels: choices, index }, "DescriptionStyle");
  widget.onIndex = (value) => {
    if (choices[value] !== undefined) index = value;
  };
  return {
    widget,
    get: () => choices[index],
    set: (value) => {
      index = indexOf(value);
      widget.set({ index });
    },
  };
}

function parseJson(name: string, text: string): unknown {
  try {
    return text.trim() === "" ? null : (JSON.parse(text) as unknown);
  } catch {
    throw new ConfigError("app_input", `${name}: must be JSON, got other text`);
  }
}

/** A notebook's reader may read the files of its kernel anyway. */
function localFile(name: string, path: string): unknown {
  if (path === "") return null;
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() !== true) throw new ConfigError("app_input", `${name}: must be the path of a file, got ${path}`);
  return { path, orig_name: basename(path), size: found.size };
}

/** An output as safe HTML. */
export function outputHtml({ type, label }: NamedComponent, value: unknown): string {
  const text =
    value === null || value === undefined
      ? ""
      : type === "json"
        ? JSON.stringify(value, null, 2)
        : type === "checkbox"
          ? value === true
            ? "yes"
            : "no"
          : String(value);
  const shown =
    type === "label" && typeof value === "object" && value !== null
      ? Object.entries(value as Record<string, number>)
          .sort(([, a], [, b]) => b - a)
          .map(
            ([name, share]) =>
              `<div dir="auto">${escapeHtml(name)} ${(100 * share).toFixed(1)} %<br><meter min="0" max="1" value="${share}" style="width:100%"></meter></div>`,
          )
          .join("")
      : `<div dir="${type === "json" ? "ltr" : "auto"}" style="white-space:pre-wrap;overflow-wrap:anywhere">${escapeHtml(text)}</div>`;
  return `<div style="line-height:1.4;border:1px solid #8886;border-radius:6px;padding:6px 10px;margin:2px 0"><b dir="auto">${escapeHtml(label)}</b>${shown}</div>`;
}
