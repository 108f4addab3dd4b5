/** Half-open range of characters (UTF-16 units) in a text. */
export interface TextSpan {
  readonly start: number;
  readonly end: number;
}

/** Private-use characters that no text holds: where a generation block begins and ends. */
const OPEN = "\uE0F1\uE0F3OPEN\uE0F3\uE0F1";
const CLOSE = "\uE0F1\uE0F4CLOSE\uE0F4\uE0F1";

const TAG = /\{%(-?)\s*(end)?generation\s*(-?)%\}/g;

/** Whether a chat template says with `{% generation %}` what the assistant writes. Comments do not count. */
export function hasGenerationMarks(template: string): boolean {
  return template.replace(/\{#.*?#\}/gs, "").search(TAG) !== -1;
}

/**
 * The template with visible marks in place of `{% generation %}` and `{% endgeneration %}`, which the Jinja library only deletes. Each becomes an
 * `if` around the mark, so that the white space beside the tag is treated as before.
 */
export function showGenerationMarks(template: string): string {
  return template.replace(
    TAG,
    (_, left: string, end: string | undefined, right: string) =>
      `{%${left} if true %}{{ "${end === undefined ? OPEN : CLOSE}" }}{% endif ${right}%}`,
  );
}

/** A text rendered with visible marks → the text without them, and what lies between. Null where marks are not in pairs. */
export function takeGenerationMarks(marked: string): { text: string; spans: TextSpan[] } | null {
  let text = "";
  let start: number | null = null;
  const spans: TextSpan[] = [];
  for (const part of marked.split(new RegExp(`(${OPEN}|${CLOSE})`))) {
    if (part === OPEN) {
      if (start !== null) return null;
      start = text.length;
    } else if (part === CLOSE) {
      if (start === null) return null;
      spans.push({ start, end: text.length });
      start = null;
    } else text += part;
  }
  return start === null ? { text, spans } : null;
}
