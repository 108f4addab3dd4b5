/** The YAML head of a card: written so that YAML 1.1 readers, Python's among them, see the same values. */
import { type ScalarTag, type Tags, parse, stringify } from "yaml";

/** PyYAML takes 1e-7 for text: its numbers with an exponent need a point. */
function pythonFloat(value: unknown): string {
  const number = value as number;
  if (Number.isNaN(number)) return ".nan";
  if (!Number.isFinite(number)) return number > 0 ? ".inf" : "-.inf";
  const text = Object.is(number, -0) ? "-0" : String(number);
  return /^-?\d+e/.test(text) ? text.replace("e", ".0e") : text;
}

/** PyYAML allows no tab in plain text, and takes some of these for the end of a line. It also sees values of its own ("=") in texts that do
 *  not begin with a letter, so these are quoted too. */
const SPECIAL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff]/;

function quoted(text: string): string {
  const escape = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(text).replace(new RegExp(SPECIAL, "g"), escape);
}

const customTags = (tags: Tags): Tags =>
  tags.flatMap((each) => {
    const tag = each as ScalarTag;
    // Nothing is merged here: the text "<<" is a text.
    if (tag.tag === "tag:yaml.org,2002:merge") return [];
    // 1e21 counts as an integer. The tags with a format are for other bases.
    if (/:(float|int)$/.test(tag.tag) && tag.format === undefined) return { ...tag, stringify: (item) => pythonFloat(item.value) };
    if (tag.tag !== "tag:yaml.org,2002:str") return tag;
    const stringify: ScalarTag["stringify"] = (item, ...rest) =>
      SPECIAL.test(item.value as string) || !/^\p{L}/u.test(item.value as string)
        ? quoted(item.value as string)
        : tag.stringify!(item, ...rest);
    return { ...tag, stringify };
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
