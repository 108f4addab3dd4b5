/**
 * Which way a text runs. HTML's own `dir="auto"` goes by the first letter alone, so an Arabic sentence that begins with "DPO" or "Qwen" would be
 * set from left to right; here the larger number of letters decides.
 */

/** Scripts written from right to left, as far as Unicode's property escapes know them by name in Node 20. */
const RIGHT_TO_LEFT =
  /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Samaritan}\p{Script=Mandaic}\p{Script=Adlam}\p{Script=Hanifi_Rohingya}]/u;

/** "rtl" or "ltr" by most of the letters; "auto" for a text without letters, which runs as its surroundings do. */
export function writingDirection(text: string): "rtl" | "ltr" | "auto" {
  let balance = 0;
  let letters = 0;
  for (const [letter] of text.matchAll(/\p{L}/gu)) {
    letters++;
    balance += RIGHT_TO_LEFT.test(letter) ? 1 : -1;
  }
  if (letters === 0) return "auto";
  return balance > 0 ? "rtl" : "ltr";
}

const [RIGHT_TO_LEFT_ISOLATE, FIRST_STRONG_ISOLATE, POP_ISOLATE] = ["\u2067", "\u2068", "\u2069"];

/** The text for places that know no `dir` (SVG labels, columns of plain text): what has letters from right to left gets marks of no width
 *  around it, so that it runs its way and leaves the order of its neighbours alone. Other text stays as it is. */
export function isolated(text: string): string {
  if (!RIGHT_TO_LEFT.test(text)) return text;
  return `${writingDirection(text) === "rtl" ? RIGHT_TO_LEFT_ISOLATE : FIRST_STRONG_ISOLATE}${text}${POP_ISOLATE}`;
}
