import { describe, expect, test } from "vitest";
import { isolated, writingDirection } from "../../src/text/writingDirection.js";

const question = "ما رأيك في أهمية التعليم؟";

describe("writingDirection", () => {
  test.each([
    [question, "rtl"],
    ["DPO طريقة لتعليم النماذج ما يفضله الناس", "rtl"], // dir="auto" would go by the D
    ["شكرا means thank you in Arabic", "ltr"], // and here by the ش
    ["שלום עולם", "rtl"],
    ["Good morning", "ltr"],
    ["你好", "ltr"],
    ["3.14 % → (7)", "auto"],
    ["٣٫١٤", "auto"], // Arabic digits are no letters and run from left to right
    ["", "auto"],
  ] as const)("%s: %s", (text, direction) => {
    expect(writingDirection(text)).toBe(direction);
  });

  test("isolates surround only what has letters from right to left", () => {
    expect(isolated(question)).toBe(`\u2067${question}\u2069`);
    expect(isolated("the word شكرا in a sentence")).toBe("\u2068the word شكرا in a sentence\u2069");
    expect(isolated("loss 0.5")).toBe("loss 0.5");
  });
});
