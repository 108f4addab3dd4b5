import { expect, test } from "vitest";
import { ConfigError } from "../../src/errors.js";
import { lineFigure } from "../../src/notebook/index.js";
import { svgPng } from "../../src/text/svgPng.js";

const view = (png: Uint8Array): DataView => new DataView(png.buffer, png.byteOffset, png.byteLength);
const SQUARE =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10" width="20"><rect width="20" height="10" fill="currentColor"/></svg>';

test("a PNG of the drawing's size times the scale", async () => {
  const png = await svgPng(SQUARE, { scale: 3 });
  expect([...png.subarray(0, 8)]).toEqual([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  expect([view(png).getUint32(16), view(png).getUint32(20)]).toEqual([60, 30]);
  expect(await svgPng(SQUARE, { scale: 3 })).toEqual(png);
});

test("a figure, and what it has drawn is seen", async () => {
  const figure = lineFigure([{ name: "loss", y: [3, 2, 1] }], { title: "Loss" });
  const empty = lineFigure([{ name: "loss", y: [] }], { title: "Loss" });
  const png = await figure.toPng();
  expect(view(png).getUint32(16)).toBe(760);
  expect(png.length).toBeGreaterThan((await empty.toPng()).length);
});

test("a scale that is none", async () => {
  await expect(svgPng(SQUARE, { scale: 0 })).rejects.toThrow(
    new ConfigError("png_scale", "toPng: scale must be more than 0 and at most 16, got 0; 2 is sharp on most screens"),
  );
});
