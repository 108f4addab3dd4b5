/** The app in the words of Gradio's clients: `/config` and `/info`. */
import type { App } from "../app.js";
import { defaultValue, type NamedComponent } from "../component.js";
import type { Endpoint } from "../endpoint.js";

/** The version whose protocol this is. */
const GRADIO_VERSION = "6.0.0";
export const API_PREFIX = "/gradio_api";

/** @param root address of the app, without a slash at the end */
export function gradioConfig(app: App, root: string, appId: string, username: string | null): object {
  const components: object[] = [];
  const add = (each: readonly NamedComponent[], interactive: boolean): number[] =>
    each.map((component) => {
      const { type, label, info, ...props } = component;
      const id = components.length + 1;
      components.push({
        id,
        type,
        component_class_id: type,
        has_modes: true,
        key: null,
        props: { ...props, name: type, label, info: info ?? null, value: defaultValue(component) ?? null, interactive, visible: true },
      });
      return id;
    });
  const dependencies = app.endpoints.map((endpoint, id) => ({
    id,
    targets: [],
    inputs: add(endpoint.inputs, true),
    outputs: add(endpoint.outputs, false),
    backend_fn: true,
    js: null,
    queue: true,
    api_name: endpoint.name,
    api_description: endpoint.description,
    api_visibility: "public",
    scroll_to_output: false,
    show_progress: "full",
    show_progress_on: null,
    batch: false,
    max_batch_size: 1,
    cancels: [],
    types: { generator: true, cancel: false },
    collects_event_data: false,
    trigger_after: null,
    trigger_only_on_success: false,
    trigger_mode: "once",
    show_api: true,
    zerogpu: false,
    rendered_in: null,
    render_id: null,
    connection: "sse",
    time_limit: app.queue.options.time_limit,
    stream_every: 0.5,
    event_specific_args: null,
  }));
  const ids = components.map((component) => (component as { id: number }).id);
  const layout = { id: 0, children: ids.map((id) => ({ id })) };
  return {
    version: GRADIO_VERSION,
    api_prefix: API_PREFIX,
    mode: app.describe().kind === "chat" ? "chat_interface" : "interface",
    app_id: appId,
    dev_mode: false,
    analytics_enabled: false,
    connect_heartbeat: false,
    components,
    dependencies,
    layout,
    page: { "": { components: ids, dependencies: dependencies.map(({ id }) => id), layout } },
    pages: [["", app.title, true]],
    current_page: "",
    css: null,
    js: null,
    head: null,
    title: app.title,
    theme: "default",
    enable_queue: true,
    show_error: true,
    run_history: false,
    is_space: false,
    is_colab: false,
    space_id: null,
    username,
    protocol: "sse_v3",
    root,
    max_file_size: null,
    stylesheets: [],
    footer_links: [],
  };
}

export function gradioInfo(app: App): object {
  return {
    named_endpoints: Object.fromEntries(app.endpoints.map((endpoint) => [`/${endpoint.name}`, endpointInfo(endpoint)])),
    unnamed_endpoints: {},
  };
}

function endpointInfo({ inputs, outputs, description }: Endpoint): object {
  return {
    description,
    code_snippets: {},
    api_visibility: "public",
    parameters: inputs.map((component) => {
      const value = defaultValue(component);
      return {
        ...valueInfo(component),
        parameter_name: component.name,
        parameter_has_default: value !== undefined,
        parameter_default: value ?? null,
        example_input: value ?? EXAMPLES[component.type],
      };
    }),
    returns: outputs.map(valueInfo),
  };
}

const EXAMPLES: Readonly<Record<NamedComponent["type"], unknown>> = {
  textbox: "Hello!!",
  number: 3,
  slider: 3,
  checkbox: true,
  dropdown: "",
  radio: "",
  file: null,
  json: {},
  label: {},
};

function valueInfo(component: NamedComponent): object {
  const { type, label } = component;
  const [schema, python] = SCHEMAS[type];
  return {
    label,
    type: "choices" in component ? { type: "string", enum: component.choices } : schema,
    python_type: {
      type: "choices" in component ? `Literal[${component.choices.map((choice) => JSON.stringify(choice)).join(", ")}]` : python,
      description: "",
    },
    component: COMPONENT_NAMES[type],
  };
}

const FILE_SCHEMA = {
  type: "object",
  title: "FileData",
  properties: { path: { type: "string" }, orig_name: { type: "string" }, meta: { type: "object" } },
  required: ["path"],
};
const SCHEMAS: Readonly<Record<NamedComponent["type"], readonly [object, string]>> = {
  textbox: [{ type: "string" }, "str"],
  number: [{ type: "number" }, "float"],
  slider: [{ type: "number" }, "float"],
  checkbox: [{ type: "boolean" }, "bool"],
  dropdown: [{ type: "string" }, "str"],
  radio: [{ type: "string" }, "str"],
  file: [FILE_SCHEMA, "filepath"],
  json: [{ type: {}, description: "any valid json" }, "dict | list | str | float | bool | None"],
  label: [{ type: "object" }, "dict[str, float]"],
};
const COMPONENT_NAMES: Readonly<Record<NamedComponent["type"], string>> = {
  textbox: "Textbox",
  number: "Number",
  slider: "Slider",
  checkbox: "Checkbox",
  dropdown: "Dropdown",
  radio: "Radio",
  file: "File",
  json: "JSON",
  label: "Label",
};
