/** An `Interface` as widgets. */
import type { App, AppDescription } from "../app.js";
import { escapeHtml } from "../../text/escapeHtml.js";
import type { Job } from "../jobs.js";
import { inputWidget, outputHtml } from "./inputs.js";
import { callFromCell } from "./run.js";
import { box, button, html, type Widget } from "./widget.js";

export function interfaceCell(app: App, about: AppDescription): Widget {
  const inputs = about.inputs.map((component) => inputWidget(component));
  const outputs = about.outputs.map((component) => html(outputHtml(component, null), { width: "98%" }));
  const status = html("");
  let job: Job | undefined;
  const show = (values: readonly unknown[]): void =>
    values.forEach((value, i) => outputs[i]!.set({ value: outputHtml(about.outputs[i]!, value) }));
  const start = (): void => {
    if (job !== undefined && !job.ended) return;
    job = callFromCell(app, about.call, () => inputs.map(({ get }) => get()), {
      onOutputs: show,
      onStatus: (text) => status.set({ value: escapeHtml(text) }),
    });
  };
  const examples = about.examples.map((example) => {
    const name = example.map((value) => (typeof value === "string" ? value : JSON.stringify(value))).join(" · ");
    return button(name, "Example", () => {
      example.forEach((value, i) => inputs[i]!.set(value));
      start();
    });
  });
  const buttons = [button("Run", "Run", start, "primary"), button("Stop", "Stop", () => job?.stop())];
  const panel = (children: readonly Widget[]): Widget => box("VBox", children, { flex: "1 1 20rem", min_width: "16rem" });
  return box("VBox", [
    box("HBox", [panel([...inputs.map(({ widget }) => widget), box("HBox", buttons)]), panel(outputs)]),
    ...(examples.length === 0 ? [] : [box("HBox", examples)]),
    status,
  ]);
}
