/** Markdown cells → HTML, with pictures put into the page and each block in its own writing direction. */
import { Marked, type Tokens } from "marked";
import { readFileSync } from "node:fs";
import { extname, resolve } from "node:path";
import temml from "temml";
import { escapeHtml } from "../text/escapeHtml.js";

export interface MarkdownOptions {
  baseDirectory?: string;
  attachments: Record<string, Record<string, string>>;
}

const PICTURE_TYPES: Record<string, string> = {
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".gif": "image/gif",
  ".svg": "image/svg+xml",
  ".webp": "image/webp",
};

/** Where a picture's bytes are, as a data URL; undefined when they are not at hand. */
function pictureData(href: string, options: MarkdownOptions): string | undefined {
  if (href.startsWith("data:")) return href;
  if (href.startsWith("attachment:")) {
    const [found] = Object.entries(options.attachments[decodeURIComponent(href.slice("attachment:".length))] ?? {});
    return found === undefined ? undefined : `data:${found[0]};base64,${found[1].replace(/\s/g, "")}`;
  }
  const type = PICTURE_TYPES[extname(href).toLowerCase()];
  if (type === undefined || options.baseDirectory === undefined || /^[a-z][a-z0-9+.-]*:/i.test(href)) return undefined;
  try {
    return `data:${type};base64,${readFileSync(resolve(options.baseDirectory, decodeURIComponent(href))).toString("base64")}`;
  } catch {
    return undefined; // shown as a link, which says what is missing
  }
}

/** `$$ … $$` on lines of its own, and `$ … $` inside a line, as Jupyter reads them; a dollar before a space or a digit's end is money. */
const DISPLAY_FORMULA = /^\$\$([\s\S]+?)\$\$(?:\n|$)/;
const INLINE_FORMULA = /^\$(?=\S)((?:\\.|[^$\\\n])+?)(?<=\S)\$(?!\d)/;

/** MathML, which browsers draw without scripts or fonts of ours; a formula that cannot be read stays as it is written. */
function formula(name: string, level: "block" | "inline", pattern: RegExp, displayMode: boolean) {
  return {
    name,
    level,
    start: (source: string): number | undefined => {
      // A block may begin at a line only: elsewhere marked would cut a paragraph there.
      const at = level === "block" ? source.search(/^\$\$/m) : source.indexOf("$");
      return at < 0 ? undefined : at;
    },
    tokenizer(source: string) {
      const found = pattern.exec(source);
      return found === null ? undefined : { type: name, raw: found[0], text: found[1]!.trim() };
    },
    renderer: ({ text }: Tokens.Generic): string => temml.renderToString(text as string, { displayMode, throwOnError: false }),
  };
}

export function renderMarkdown(source: string, options: MarkdownOptions): string {
  const marked = new Marked({ gfm: true, async: false });
  marked.use({
    extensions: [formula("displayFormula", "block", DISPLAY_FORMULA, true), formula("inlineFormula", "inline", INLINE_FORMULA, false)],
    renderer: {
      image({ href, title, text }: Tokens.Image): string {
        const data = pictureData(href, options);
        const hint = title === null || title === undefined ? "" : ` title="${escapeHtml(title)}"`;
        if (data === undefined) return `<a href="${escapeHtml(href)}"${hint}>${escapeHtml(text || href)}</a>`;
        return `<img src="${escapeHtml(data)}" alt="${escapeHtml(text)}"${hint}>`;
      },
    },
  });
  const html = marked.parse(source) as string;
  return html.replace(/<(p|h[1-6]|li|td|th|blockquote)(?=[\s>])/g, '<$1 dir="auto"');
}
