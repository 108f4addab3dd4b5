import { escapeHtml } from "../../text/escapeHtml.js";
import { type Finding, type Severity, brief } from "./finding.js";

const LABEL: Readonly<Record<Severity, string>> = { problem: "PROBLEM", warning: "WARNING", note: "note", ok: "ok" };
/** Seen on light and dark pages; the label says it to those who see no colours. */
const COLOUR: Readonly<Record<Severity, string>> = { problem: "#c62828", warning: "#b26a00", note: "#1f6feb", ok: "#2e7d32" };
const WIDTH = 100;

export function findingsText(findings: readonly Finding[]): string {
  return findings
    .map((finding) => {
      const { severity, title, code, text } = finding;
      return [`${LABEL[severity]}: ${title} (${code})`, ...wrap(text), ...wrap(evidenceText(finding))].join("\n  ");
    })
    .join("\n\n");
}

function evidenceText({ evidence }: Finding): string {
  const values = Object.entries(evidence).map(([name, value]) => `${name} ${brief(value)}`);
  return values.length === 0 ? "" : `[${values.join(", ")}]`;
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ").filter((each) => each !== "")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length + 1 > WIDTH) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

export function findingsHtml(findings: readonly Finding[]): string {
  const items = findings.map((finding) => {
    const { severity, title, code, text } = finding;
    const colour = COLOUR[severity];
    const evidence = evidenceText(finding);
    return (
      `<li style="margin:.4em 0;padding-inline-start:.7em;border-inline-start:3px solid ${colour}">` +
      `<div><strong style="color:${colour}">${LABEL[severity]}</strong> <strong>${escapeHtml(title)}</strong> <code style="opacity:.7">${escapeHtml(code)}</code></div>` +
      `<div style="max-width:60em">${escapeHtml(text)}</div>` +
      (evidence === "" ? "" : `<div style="opacity:.7;font-size:smaller">${escapeHtml(evidence)}</div>`) +
      `</li>`
    );
  });
  return `<ul class="preflab-diagnosis" style="list-style:none;padding:0">${items.join("")}</ul>`;
}
