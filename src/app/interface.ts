/** A function with inputs and outputs as an app, as Gradio's `Interface`. */
import type { JsonValue } from "../config/index.js";
import { describeValue } from "../config/index.js";
import { ConfigError } from "../errors.js";
import { App, type AppDescription, type AppOptions } from "./app.js";
import { checkValue, type ComponentSpec, type NamedComponent, nameComponents } from "./component.js";
import { type Answer, answersOf, type CallContext, type Endpoint, type Outputs } from "./endpoint.js";

export interface InterfaceOptions extends AppOptions {
  /**
   * Gets the inputs in order, then `{ signal }`. Returns the output, or with several outputs a list of them; a generator's values replace each
   * other while the user looks on.
   */
  fn: (...inputs: never[]) => Answer<unknown>;
  inputs: ComponentSpec | readonly ComponentSpec[];
  outputs: ComponentSpec | readonly ComponentSpec[];
  /** Each a list of inputs, or with one input a value. */
  examples?: readonly (JsonValue | readonly JsonValue[])[];
  /** What clients call it; default "predict". */
  api_name?: string;
}

const OUTPUT_TYPES = ["textbox", "number", "checkbox", "json", "label"];

export class Interface extends App {
  readonly endpoints: readonly Endpoint[];
  readonly #examples: readonly (readonly JsonValue[])[];

  /** @throws ConfigError `app_component`, `app_example`, `app_function`, and for queue options */
  constructor({ fn, inputs, outputs, examples = [], api_name = "predict", title, description, ...queue }: InterfaceOptions) {
    super("Interface", { title, description }, queue, 1);
    if (typeof fn !== "function") throw new ConfigError("app_function", `Interface: fn must be a function, got ${describeValue(fn)}`);
    if (!/^[a-z_]\w*$/i.test(api_name))
      throw new ConfigError("app_function", `Interface: api_name must be letters, digits and _, got "${api_name}"`);
    const takes = nameComponents("Interface: inputs", inputs);
    const gives = nameComponents("Interface: outputs", outputs);
    const label = takes.findIndex(({ type }) => type === "label");
    if (label >= 0) throw new ConfigError("app_component", `Interface: inputs[${label}]: a label must be an output; use json`);
    const wrong = gives.findIndex(({ type }) => !OUTPUT_TYPES.includes(type));
    if (wrong >= 0 || gives.length === 0)
      throw new ConfigError(
        "app_component",
        `Interface: outputs must be one or more of ${OUTPUT_TYPES.join(", ")}, got ${gives[wrong]?.type ?? "none"}`,
      );
    this.#examples = examples.map((example, i) => checkExample(example, takes, i));
    this.endpoints = [
      {
        name: api_name,
        description: description ?? "",
        inputs: takes,
        outputs: gives,
        run: (values, context) => run(fn, gives, values, context),
      },
    ];
  }

  describe(): AppDescription {
    const [{ name, inputs, outputs }] = this.endpoints as [Endpoint];
    return {
      kind: "interface",
      title: this.title,
      description: this.description,
      call: name,
      inputs,
      outputs,
      examples: this.#examples,
      vote: null,
    };
  }
}

function checkExample(example: JsonValue | readonly JsonValue[], inputs: readonly NamedComponent[], i: number): readonly JsonValue[] {
  const values =
    Array.isArray(example) && !(inputs.length === 1 && inputs[0]!.type === "json") ? (example as JsonValue[]) : [example as JsonValue];
  if (values.length > inputs.length)
    throw new ConfigError("app_example", `Interface: examples[${i}] must have at most ${inputs.length} values, got ${values.length}`);
  values.forEach((value, at) => checkValue(`Interface: examples[${i}][${at}]`, inputs[at]!, value));
  return values;
}

async function* run(
  fn: InterfaceOptions["fn"],
  outputs: readonly NamedComponent[],
  values: readonly unknown[],
  context: CallContext,
): AsyncGenerator<Outputs> {
  const call = fn as (...inputs: unknown[]) => Answer<unknown>;
  for await (const answer of answersOf(call(...values, context), context.signal)) {
    if (outputs.length === 1) {
      yield [checkOutput(outputs[0]!, answer)];
      continue;
    }
    if (!Array.isArray(answer) || answer.length !== outputs.length)
      throw new ConfigError(
        "app_output",
        `Interface: fn must return a list of ${outputs.length} values, got ${Array.isArray(answer) ? `${answer.length} values` : describeValue(answer)}`,
      );
    yield outputs.map((component, i) => checkOutput(component, answer[i]));
  }
}

/** What goes to the front end is JSON. @throws ConfigError `app_output` */
function checkOutput(component: NamedComponent, value: unknown): unknown {
  const refuse = (rule: string): ConfigError =>
    new ConfigError("app_output", `Interface: output ${component.name} must be ${rule}, got ${describeValue(value)}`);
  if (value === null || value === undefined) return null;
  switch (component.type) {
    case "textbox":
      if (typeof value === "object" || typeof value === "function") throw refuse("text");
      return String(value);
    case "number":
      if (typeof value !== "number" || !Number.isFinite(value)) throw refuse("a finite number");
      return value;
    case "checkbox":
      if (typeof value !== "boolean") throw refuse("true or false");
      return value;
    case "label": {
      const entries = typeof value === "object" ? Object.entries(value) : [];
      if (entries.length === 0 || entries.some(([, share]) => typeof share !== "number" || !(share >= 0 && share <= 1)))
        throw refuse("an object of class → confidence from 0 to 1");
      return value;
    }
    default: {
      const text = JSON.stringify(value) as string | undefined;
      if (text === undefined) throw refuse("JSON");
      return JSON.parse(text);
    }
  }
}
