import { describe, expect, test } from "vitest";
import { ChatInterface, Interface } from "../../src/app/index.js";
import { checkValue, nameComponents } from "../../src/app/component.js";
import { readInputs } from "../../src/app/endpoint.js";
import { greeter } from "./apps.js";

const codeOf = (work: () => unknown): { code?: string; message?: string } => {
  try {
    work();
  } catch (error) {
    return error as { code: string; message: string };
  }
  return {};
};

async function last(app: Interface, data: unknown): Promise<unknown> {
  const [endpoint] = app.endpoints;
  let outputs: unknown;
  for await (outputs of endpoint!.run(readInputs(endpoint!, data), { signal: new AbortController().signal }));
  return outputs;
}

describe("components", () => {
  test("labels become parameter names, each once", () => {
    const named = nameComponents("inputs", [
      "text",
      { type: "textbox", label: "Most new tokens" },
      { type: "number", label: "النص" },
      "text",
    ]);
    expect(named.map(({ name }) => name)).toEqual(["textbox", "most_new_tokens", "param", "textbox_1"]);
  });

  test("what is wrong is said where it is", () => {
    const cases: [() => unknown, string, RegExp][] = [
      [() => nameComponents("inputs", ["sldier" as never]), "app_component", /inputs\[0\]: type must be one of .*; did you mean slider\?/],
      [
        () => nameComponents("inputs", { type: "slider", minimum: 2, maximum: 1 }),
        "app_component",
        /minimum must be below maximum, got 2 and 1/,
      ],
      [() => nameComponents("inputs", { type: "textbox", maxLength: 3 } as never), "app_component", /got maxLength/],
      [() => nameComponents("inputs", { type: "radio", choices: [] }), "app_component", /choices must be at least one text/],
      [() => nameComponents("inputs", { type: "slider", minimum: 0, maximum: 1, value: 3 }), "app_input", /from 0 to 1, got/],
      [() => new Interface({ fn: 3 as never, inputs: [], outputs: "text" }), "app_function", /fn must be a function/],
      [() => new Interface({ fn: () => "", inputs: "label", outputs: "text" }), "app_component", /a label must be an output/],
      [() => new Interface({ fn: () => "", inputs: "text", outputs: "file" }), "app_component", /outputs must be one or more of/],
      [
        () => new Interface({ fn: () => "", inputs: "text", outputs: "text", examples: [["a", "b"]] }),
        "app_example",
        /at most 1 values, got 2/,
      ],
      [
        () => new Interface({ fn: () => "", inputs: "text", outputs: "text", concurency_limit: 2 } as never),
        "option_unknown",
        /concurrency_limit/,
      ],
      [() => new ChatInterface({}), "app_chat", /either fn or model must be given, got neither/],
      [() => new ChatInterface({ fn: () => "", compare_with: "base" }), "app_chat", /compare_with needs a model/],
    ];
    for (const [work, code, message] of cases) expect(codeOf(work)).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test("values are checked, and missing ones are the default", () => {
    const [choice] = nameComponents("x", { type: "radio", choices: ["a", "b"] });
    expect(checkValue("x", choice!, undefined)).toBe("a");
    expect(codeOf(() => checkValue("x", choice!, "c")).message).toBe('x: must be one of a, b, got "c"');
    const [text] = nameComponents("x", { type: "textbox", max_length: 3 });
    expect(codeOf(() => checkValue("x", text!, "four")).message).toBe("x: must have at most 3 characters, got 4");
    expect(codeOf(() => checkValue("x", text!, "\ud83d")).message).toMatch(/half a character/);
    expect(codeOf(() => checkValue("x", text!, null)).message).toBe("x: must be text, got nothing");
    const [number] = nameComponents("x", "number");
    expect(codeOf(() => checkValue("x", number!, "1")).code).toBe("app_input");
  });
});

describe("Interface", () => {
  test("inputs by place or by name; a description is JSON", async () => {
    const app = greeter();
    expect(await last(app, ["Bo"])).toEqual(["Hello, Bo!"]);
    expect(await last(app, { textbox: "Bo", times: 2 })).toEqual(["Hello, Bo! Hello, Bo!"]);
    const about = app.describe();
    expect(JSON.parse(JSON.stringify(about))).toEqual(about);
    expect(about).toMatchObject({ kind: "interface", call: "predict", title: "Greeter", vote: null });
    expect(codeOf(() => readInputs(app.endpoints[0]!, ["Bo", 9])).message).toMatch(/^\/predict: times: must be a number from 1 to 5/);
    expect(codeOf(() => readInputs(app.endpoints[0]!, { name: "Bo" })).message).toMatch(/parameters are textbox, times, got "name"/);
  });

  test("functions, promises and generators; one output or several", async () => {
    const two = { inputs: "text", outputs: ["text", "label"] } as const;
    expect(await last(new Interface({ fn: async (text: string) => [text, { good: 0.75 }], ...two }), ["a"])).toEqual(["a", { good: 0.75 }]);
    const grows = new Interface({
      inputs: "text",
      outputs: "json",
      *fn(text: string) {
        yield [1];
        yield [text, 2];
      },
    });
    expect(await last(grows, ["a"])).toEqual([["a", 2]]);
    // A text and a list can be iterated, and are values all the same.
    expect(await last(new Interface({ fn: (text: string) => text, inputs: "text", outputs: "text" }), ["abc"])).toEqual(["abc"]);
    await expect(last(new Interface({ fn: () => ["one"], ...two }), ["a"])).rejects.toMatchObject({
      code: "app_output",
      message: expect.stringMatching(/a list of 2 values, got 1 values/),
    });
    await expect(last(new Interface({ fn: () => ["x", { a: 7 }], ...two }), ["a"])).rejects.toMatchObject({
      message: expect.stringMatching(/class → confidence/),
    });
    await expect(last(new Interface({ fn: () => NaN, inputs: [], outputs: "number" }), [])).rejects.toMatchObject({ code: "app_output" });
  });
});
