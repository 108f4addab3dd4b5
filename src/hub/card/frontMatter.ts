/** The YAML head of a card: written so that YAML 1.1 readers, Python's among them, see the same values. */
import { type ScalarTag, type Tags, parse, stringify } from "yaml";

/** PyYAML takes 1e-7 for text: its numbers with an exponent need a point. */
function pythonFloat(value: unknown): string {
  const number = value as number;
  if (Number.isNaN(number)) return ".nan";
  if (!Number.isFinite(number)) return number > 0 ? ".inf" : "-.inf";
  const text = String(number);
  return /^-?\d+e/.test(text) ? text.replace("e", ".0e") : text;
}

const customTags = (tags: Tags): Tags =>
  tags.map((tag) => {
    const { tag: name } = tag as ScalarTag;
    return name === "tag:yaml.org,2002:float" ? { ...(tag as ScalarTag), stringify: (item) => pythonFloat(item.value) } : tag;
  });

/** @returns the head with its fences, without the body */
export function formatFrontMatter(data: Readonly<Record<string, unknown>>): string {
  // Under version 1.1 "no", "12:30" and "1_000" are quoted. Folded lines would be read back the same, but are harder to read.
  return `---\n${stringify(data, { version: "1.1", customTags, lineWidth: 0 })}---\n`;
}

/** The head of a card that others wrote; undefined where there is none, or where it is no object. @throws yaml's error for malformed YAML */
export function parseFrontMatter(card: string): Record<string, unknown> | undefined {
  const head = /^\s*---\r?\n([\s\S]*?)\r?\n---[ \t]*(\r?\n|$)/.exec(card)?.[1];
  const data: unknown = head === undefined ? undefined : parse(head, { version: "1.1" });
  return typeof data === "object" && data !== null && !Array.isArray(data) ? (data as Record<string, unknown>) : undefined;
}
