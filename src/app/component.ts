/**
 * Inputs and outputs of an app, as data: a page, a notebook cell and Gradio's clients are all made from these descriptions, and what
 * they send is checked against them. Names and fields are Gradio's.
 */
import type { JsonObject, JsonValue } from "../config/index.js";
import { describeValue } from "../config/index.js";
import { ConfigError, nearestName } from "../errors.js";

interface ComponentBase {
  /** Shown above it; default its type or parameter name. */
  label?: string;
  /** Name of the parameter for clients; default the label in snake case. */
  name?: string;
  /** One sentence below it. */
  info?: string;
}

export interface Textbox extends ComponentBase {
  type: "textbox";
  value?: string;
  placeholder?: string;
  /** Lines that are seen at once; default 1 as an input. */
  lines?: number;
  /** Most characters that are taken; default 20,000. */
  max_length?: number;
}

export interface NumberBox extends ComponentBase {
  type: "number";
  value?: number;
  minimum?: number;
  maximum?: number;
  step?: number;
}

export interface Slider extends ComponentBase {
  type: "slider";
  minimum: number;
  maximum: number;
  /** Default: a hundredth of the range. */
  step?: number;
  /** Default the minimum. */
  value?: number;
}

export interface Checkbox extends ComponentBase {
  type: "checkbox";
  value?: boolean;
}

/** One of several texts. */
export interface Choice extends ComponentBase {
  type: "dropdown" | "radio";
  choices: readonly string[];
  /** Default the first. */
  value?: string;
}

/** A file that the user uploads: the function gets `UploadedFile`, or null. */
export interface FileBox extends ComponentBase {
  type: "file";
}

/** Any JSON. */
export interface JsonBox extends ComponentBase {
  type: "json";
  value?: JsonValue;
}

/** As an output: an object of class → confidence from 0 to 1, shown as bars. */
export interface Label extends ComponentBase {
  type: "label";
}

export type Component = Textbox | NumberBox | Slider | Checkbox | Choice | FileBox | JsonBox | Label;
export type ComponentType = Component["type"];

/** Components that need no fields can be written as their type; "text" is "textbox". */
export type ComponentSpec = Component | "text" | "textbox" | "number" | "checkbox" | "file" | "json" | "label";

/** A component with everything filled in. */
export type NamedComponent = Component & { label: string; name: string };

/** What a function gets for a `file` input. */
export interface UploadedFile {
  /** Where the bytes lie on this machine, until the server ends. */
  path: string;
  /** The name it had where it came from; not to be used as a path. */
  orig_name: string;
  /** Bytes. */
  size: number;
}

const FIELDS: Readonly<Record<ComponentType, readonly string[]>> = {
  textbox: ["value", "placeholder", "lines", "max_length"],
  number: ["value", "minimum", "maximum", "step"],
  slider: ["value", "minimum", "maximum", "step"],
  checkbox: ["value"],
  dropdown: ["value", "choices"],
  radio: ["value", "choices"],
  file: [],
  json: ["value"],
  label: [],
};
const COMMON_FIELDS = ["type", "label", "name", "info"];
/** Characters of a text when nothing else is said. */
const MAX_LENGTH = 20_000;

/**
 * Checks descriptions and fills in labels and parameter names, which become unique.
 * @throws ConfigError `app_component`
 */
export function nameComponents(where: string, specs: ComponentSpec | readonly ComponentSpec[]): NamedComponent[] {
  const names = new Set<string>();
  return (Array.isArray(specs) ? (specs as readonly ComponentSpec[]) : [specs as ComponentSpec]).map((spec, i) => {
    const component = checkComponent(`${where}[${i}]`, spec);
    const label = component.label ?? component.name ?? component.type;
    const wanted = component.name ?? parameterName(label);
    let name = wanted;
    for (let n = 1; names.has(name); n++) name = `${wanted}_${n}`;
    if (component.name !== undefined && name !== wanted)
      throw new ConfigError("app_component", `${where}: names must differ, got ${wanted} twice`);
    names.add(name);
    return { ...component, label, name };
  });
}

function parameterName(label: string): string {
  const name = label
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "_")
    .replaceAll(/^_+|_+$/g, "");
  return /^[a-z]/.test(name) ? name : `param_${name}`.replace(/_$/, "");
}

function checkComponent(where: string, spec: ComponentSpec): Component {
  const component = (typeof spec === "string" ? { type: spec === "text" ? "textbox" : spec } : spec) as Component;
  const known = Object.keys(FIELDS);
  if (typeof component !== "object" || component === null || !known.includes(component.type)) {
    const given = typeof spec === "string" ? spec : (component as Partial<Component> | null)?.type;
    const nearest = typeof given === "string" ? nearestName(given, known) : undefined;
    throw new ConfigError(
      "app_component",
      `${where}: type must be one of ${known.join(", ")}, got ${describeValue(given)}${nearest === undefined ? "" : `; did you mean ${nearest}?`}`,
    );
  }
  const fields = [...COMMON_FIELDS, ...FIELDS[component.type]];
  const stranger = Object.keys(component).find((field) => !fields.includes(field));
  if (stranger !== undefined)
    throw new ConfigError("app_component", `${where}: a ${component.type} has the fields ${fields.join(", ")}, got ${stranger}`);
  if (component.name !== undefined && !/^[a-z_]\w*$/i.test(component.name))
    throw new ConfigError("app_component", `${where}: name must be letters, digits and _, got "${component.name}"`);
  if (component.type === "slider" && !(component.minimum < component.maximum))
    throw new ConfigError("app_component", `${where}: minimum must be below maximum, got ${component.minimum} and ${component.maximum}`);
  if ((component.type === "dropdown" || component.type === "radio") && !(Array.isArray(component.choices) && component.choices.length > 0))
    throw new ConfigError("app_component", `${where}: choices must be at least one text, got none`);
  if ("value" in component && component.value !== undefined) checkValue(where, component, component.value);
  return component;
}

/** What a component holds before anybody touches it; undefined where a value must be given. */
export function defaultValue(component: Component): JsonValue | undefined {
  switch (component.type) {
    case "slider":
      return component.value ?? component.minimum;
    case "dropdown":
    case "radio":
      return component.value ?? component.choices[0]!;
    case "checkbox":
      return component.value ?? false;
    case "file":
      return null;
    case "label":
      return undefined;
    case "textbox":
    case "number":
    case "json":
      return component.value;
  }
}

/** A value as a client sent it; what is missing is the default. @throws ConfigError `app_input` */
export function checkValue(where: string, component: Component, given: unknown): unknown {
  const value = given ?? defaultValue(component);
  const refuse = (rule: string): ConfigError =>
    new ConfigError(
      "app_input",
      `${where}: must be ${rule}, got ${value === undefined || value === null ? "nothing" : describeValue(value)}`,
    );
  switch (component.type) {
    case "textbox": {
      const { max_length = MAX_LENGTH } = component;
      if (typeof value !== "string") throw refuse("text");
      if (value.length > max_length)
        throw new ConfigError("app_input", `${where}: must have at most ${max_length} characters, got ${value.length}`);
      if (/\p{Surrogate}/u.test(value)) throw new ConfigError("app_input", `${where}: must be well-formed Unicode, got half a character`);
      return value;
    }
    case "number":
    case "slider": {
      const { minimum = -Infinity, maximum = Infinity } = component;
      if (typeof value !== "number" || !Number.isFinite(value)) throw refuse("a number");
      if (value < minimum || value > maximum) throw refuse(`a number from ${minimum} to ${maximum}`);
      return value;
    }
    case "checkbox":
      if (typeof value !== "boolean") throw refuse("true or false");
      return value;
    case "dropdown":
    case "radio":
      if (typeof value !== "string" || !component.choices.includes(value)) throw refuse(`one of ${component.choices.join(", ")}`);
      return value;
    case "file":
      if (value === null) return null;
      if (typeof value !== "object" || typeof (value as JsonObject)["path"] !== "string") throw refuse("an uploaded file");
      return value;
    case "json":
    case "label":
      if (value === undefined) throw refuse("JSON");
      return value;
  }
}
