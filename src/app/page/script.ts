/** The whole JavaScript of the page. */
import { CHAT_SCRIPT } from "./chat.js";
import { PARTS_SCRIPT } from "./parts.js";

const INTERFACE_SCRIPT = String.raw`
function setUpInterface(main) {
  const inputs = app.inputs.map(inputOf);
  const outputs = app.outputs.map(outputOf);
  const run = el("button", { class: "main", id: "run" }, "Run");
  const stop = el("button", { type: "button", id: "stop", hidden: true, click: () => calls.stop() }, "Stop");
  const calls = stoppable(run, stop, run);
  const clear = el("button", { type: "button", id: "clear", click: () => {
    inputs.forEach(({ set }, i) => set(app.inputs[i].value));
    outputs.forEach(({ set }) => set(null));
    complain("");
    say("");
  } }, "Clear");
  const form = el("form", { class: "panel", "aria-label": "Inputs", submit: (event) => { event.preventDefault(); void start(); } },
    ...inputs.map(({ element }) => element), el("div", { class: "row" }, run, stop, clear));
  const results = el("section", { class: "panel", "aria-label": "Outputs", "aria-live": "polite" }, ...outputs.map(({ element }) => element));
  main.append(el("div", { class: "panels" }, form, results));
  if (app.examples.length > 0) {
    const describe = (example) => example.map((value) => (typeof value === "string" ? value : JSON.stringify(value))).join(" · ");
    main.append(el("div", { class: "examples", role: "group", "aria-label": "Examples" }, el("span", {}, "Examples:"),
      ...app.examples.map((example) => el("button", { type: "button", dir: "auto", click: () => {
        example.forEach((value, i) => inputs[i].set(value));
        void start();
      } }, describe(example)))));
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") calls.stop(); });

  async function start() {
    if (calls.runs()) return;
    results.setAttribute("aria-busy", "true");
    await calls.run(() => call(app.call, inputs.map(({ get }) => get()), (values) => values.forEach((value, i) => outputs[i].set(value))));
    results.removeAttribute("aria-busy");
  }
  inputs[0]?.control.focus();
}
`;

export const PAGE_SCRIPT = `"use strict";
{
${PARTS_SCRIPT}${CHAT_SCRIPT}${INTERFACE_SCRIPT}
setUpTheme();
(app.kind === "chat" ? setUpChat : setUpInterface)(document.getElementById("main"));
}
`;
