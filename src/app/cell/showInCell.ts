/** The MIME bundle of an app: widgets where the front end has them, else what to do instead. */
import type { App } from "../app.js";
import { escapeHtml } from "../../text/escapeHtml.js";
import { chatCell } from "./chatCell.js";
import { hasComms } from "../comms.js";
import { interfaceCell } from "./interfaceCell.js";
import { answerReconnects, box, html } from "./widget.js";

const WIDGET_VIEW = "application/vnd.jupyter.widget-view+json";

export function showInCell(app: App): Record<string, unknown> {
  const about = app.describe();
  const title = `<h3 dir="auto" style="margin:.2em 0">${escapeHtml(about.title)}</h3>`;
  const description = about.description === "" ? "" : `<p dir="auto">${escapeHtml(about.description)}</p>`;
  const fallback = {
    "text/html": `${title}${description}<p>This app lives in its kernel. It needs a notebook front end with Jupyter widgets; <code>await app.launch()</code> serves it as a page.</p>`,
    "text/plain": `${about.title}: an app; await app.launch() serves it as a page`,
  };
  if (!hasComms()) return fallback;
  answerReconnects();
  const inner = (about.kind === "chat" ? chatCell : interfaceCell)(app, about);
  const whole = box("VBox", [html(title + description), inner]);
  return { [WIDGET_VIEW]: { version_major: 2, version_minor: 0, model_id: whole.model_id }, ...fallback };
}
