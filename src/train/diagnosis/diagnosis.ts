import type { Finding } from "./finding.js";
import { findingsHtml, findingsText } from "./format.js";

/** What notebooks look for on a value, here as in src/notebook/mime.ts: neither needs the other. */
const displaySymbol: unique symbol = Symbol.for("Jupyter.display") as never;

/** Findings, the gravest first. The last value of a notebook cell shows as HTML; `String(diagnosis)` is the text. */
export class Diagnosis implements Iterable<Finding> {
  readonly findings: readonly Finding[];

  constructor(findings: readonly Finding[]) {
    this.findings = findings;
  }

  /** Whether there is neither a warning nor a problem. */
  get healthy(): boolean {
    return this.findings.every(({ severity }) => severity === "ok" || severity === "note");
  }

  get text(): string {
    return findingsText(this.findings);
  }

  get html(): string {
    return findingsHtml(this.findings);
  }

  [Symbol.iterator](): Iterator<Finding> {
    return this.findings[Symbol.iterator]();
  }

  /** The MIME bundle of a notebook. */
  [displaySymbol](): { "text/html": string; "text/plain": string } {
    return { "text/html": this.html, "text/plain": this.text };
  }

  toString(): string {
    return this.text;
  }
}

/** Findings as plain text, as HTML, and as a value that a notebook shows. */
export function formatDiagnosis(findings: readonly Finding[]): Diagnosis {
  return new Diagnosis(findings);
}
