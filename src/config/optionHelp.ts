import type { OptionSpec, OptionTable } from "./optionTable.js";
import { describeRule, describeValue } from "./optionValue.js";

/** The options of a table as terminal help, one block an option. @param columns width to wrap at, default 100 */
export function formatHelp(table: OptionTable, columns = 100): string {
  const lines = [`${table.title}:`];
  for (const [name, spec] of table.specs) {
    lines.push(`  ${[...(spec.short === undefined ? [] : [`-${spec.short}`]), `--${name}`].join(", ")} ${placeholder(spec)}`.trimEnd());
    lines.push(...wrap(describeOption(spec), columns - 8).map((line) => `        ${line}`));
  }
  return lines.join("\n");
}

/** The options of a table as a Markdown table: name, type, default, meaning. */
export function formatMarkdown(table: OptionTable): string {
  const lines = [`### ${table.title}`, "", "| option | values | default | meaning |", "|---|---|---|---|"];
  for (const [name, spec] of table.specs) {
    const fallback = spec.required ? "required" : `\`${describeValue(spec.default ?? null)}\``;
    const cells = [
      `\`${name}\``,
      `${describeRule(spec)}${spec.list ? ", one or more" : ""}${spec.nullable ? ", or null" : ""}`,
      fallback,
      helpText(spec),
    ];
    lines.push(`| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`);
  }
  return lines.join("\n");
}

function describeOption(spec: OptionSpec): string {
  const facts = [
    spec.type === "string" && spec.choices !== undefined ? describeRule(spec) : "",
    spec.required ? "required" : spec.default === null || spec.default === undefined ? "" : `default ${plainDefault(spec.default)}`,
  ].filter((fact) => fact !== "");
  return facts.length === 0 ? helpText(spec) : `${helpText(spec)} (${facts.join("; ")})`;
}

function helpText(spec: OptionSpec): string {
  const help = spec.unit === undefined ? spec.help : `${spec.help} [${spec.unit}]`;
  return spec.differs === undefined ? help : `${help}. ${spec.differs}`;
}

function plainDefault(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map(plainDefault).join(" ");
  return typeof value === "string" ? value : describeValue(value);
}

function placeholder(spec: OptionSpec): string {
  if (spec.placeholder !== undefined) return spec.list && !spec.repeat ? `${spec.placeholder} …` : spec.placeholder;
  const names = { number: "NUMBER", integer: "N", boolean: "[true|false]", string: "TEXT", pair: "NAME VALUE", json: "JSON" };
  const single = spec.type === "string" && spec.choices !== undefined ? "NAME" : names[spec.type];
  return spec.list && !spec.repeat ? `${single} …` : single;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return line === "" ? lines : [...lines, line];
}
