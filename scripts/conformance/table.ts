/** docs/conformance.md, from what was found. */
import { PROBES, type Findings } from "./suite.js";
import type { KernelUnderTest } from "./probe.js";

const MAX_FOUND = 160;

function cell(found: string | undefined): string {
  return found === undefined ? "yes" : "**no**";
}

function oneLine(text: string): string {
  // Escape sequences, and what would end a table's cell or begin markup.
  const plain = text
    .replace(/\u001b\[[0-9;]*m/g, "")
    .replace(/\/tmp\/[\w./-]*/g, "…")
    .replace(/\s+/g, " ")
    .trim();
  return (plain.length > MAX_FOUND ? `${plain.slice(0, MAX_FOUND)}…` : plain).replace(/[|<>`*_]/g, (character) => `\\${character}`);
}

/** @param date as YYYY-MM-DD @param missing names of kernels that were not installed */
export function conformanceTable(
  results: readonly { kernel: KernelUnderTest; findings: Findings }[],
  missing: readonly string[],
  date: string,
): string {
  const groups = [...new Set(PROBES.map(({ group }) => group))];
  const lines = [
    "# Conformance of notebook kernels",
    "",
    `Written by \`npm run conformance\` on ${date}, Node.js ${process.version}, ${process.platform}. Every row is a probe of \`scripts/conformance/\`, run over real ZeroMQ against the`,
    "kernel's own process; the same probes are tests of this package (`tests/kernel/conformance.test.ts`). A kernel that fails a probe is started anew for the next.",
    ...(missing.length === 0 ? [] : ["", `Not installed here, so not measured: ${missing.join(", ")}.`]),
    "",
    `| | ${results.map(({ kernel }) => `${kernel.name} ${kernel.version}`).join(" | ")} |`,
    `| --- |${results.map(() => " --- |").join("")}`,
  ];
  for (const group of groups) {
    lines.push(`| **${group}** |${results.map(() => " |").join("")}`);
    for (const probe of PROBES.filter((candidate) => candidate.group === group))
      lines.push(`| ${probe.name} | ${results.map(({ findings }) => cell(findings.get(probe))).join(" | ")} |`);
  }
  lines.push(
    `| **passed** | ${results.map(({ findings }) => `${[...findings.values()].filter((found) => found === undefined).length} of ${findings.size}`).join(" | ")} |`,
  );
  for (const { kernel, findings } of results) {
    const failed = [...findings].filter(([, found]) => found !== undefined);
    if (failed.length === 0) continue;
    lines.push("", `## What ${kernel.name} did instead`, "");
    for (const [probe, found] of failed) lines.push(`- ${probe.name}: ${oneLine(found!)}`);
  }
  return `${lines.join("\n")}\n`;
}
