import { ConfigError } from "../errors.js";

export interface PngOptions {
  /** Pixels for each unit of the drawing; default 2, sharp on screens of double density. */
  readonly scale?: number;
  /** A CSS colour behind the drawing; default white. */
  readonly background?: string;
}

/**
 * An SVG document as the bytes of a PNG. Letters are drawn with the fonts of this machine: without any, there are none.
 * @throws ConfigError `png_scale`
 */
export async function svgPng(svg: string, { scale = 2, background = "white" }: PngOptions = {}): Promise<Uint8Array> {
  if (!(scale > 0 && scale <= 16))
    throw new ConfigError("png_scale", `toPng: scale must be more than 0 and at most 16, got ${String(scale)}; 2 is sharp on most screens`);
  const { Resvg } = await import("@resvg/resvg-js");
  const drawing = svg.replace("<svg ", '<svg color="#222" ');
  return new Resvg(drawing, {
    background,
    fitTo: { mode: "zoom", value: scale },
    font: { loadSystemFonts: true, defaultFontFamily: "DejaVu Sans" },
  })
    .render()
    .asPng();
}
