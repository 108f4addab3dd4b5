import { expect, test } from "vitest";
import { svgImage } from "../../src/text/svgImage.js";

test("an image with the drawing's label, in a colour that reads on light and dark", () => {
  const html = svgImage(
    '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Loss &lt; 1"><text fill="currentColor">خسارة</text></svg>',
  );
  const [, alt, base64] = /^<img alt="([^"]*)" style="[^"]*" src="data:image\/svg\+xml;base64,([^"]+)">$/.exec(html)!;
  expect(alt).toBe("Loss &lt; 1");
  expect(Buffer.from(base64!, "base64").toString("utf8")).toBe(
    '<svg color="#767676" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Loss &lt; 1"><text fill="currentColor">خسارة</text></svg>',
  );
});

test("a drawing without a label", () => {
  expect(svgImage("<svg ></svg>")).toMatch(/^<img alt="figure" /);
});
