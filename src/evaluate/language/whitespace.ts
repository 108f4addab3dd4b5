/** Python's idea of white space, which sacrebleu's numbers depend on: other than JavaScript's it has U+001C to U+001F and U+0085, and no U+FEFF. */
const SPACES = "\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const RUN = new RegExp(`[${SPACES}]+`, "u");
const TRAILING = new RegExp(`[${SPACES}]+$`, "u");

/** Python's `str.split()`: no empty words. */
export function splitWords(text: string): string[] {
  return text.split(RUN).filter((word) => word !== "");
}

/** Python's `str.rstrip()`. */
export function stripEnd(text: string): string {
  return text.replace(TRAILING, "");
}
