/** Reads on white and on black: contrast 4.5 and 4.6. */
const INK = "#767676";

/**
 * An SVG document as an `img` element, for `text/html` outputs. JupyterLab takes inline SVG out of notebooks that it does not trust, as those
 * executed elsewhere, and leaves images. In an image `currentColor` would be black: it is a grey that reads on light and dark pages.
 * @param svg begins with `<svg `; its `aria-label` becomes the text for those who do not see it
 */
export function svgImage(svg: string): string {
  const alt = /^<svg [^>]*aria-label="([^"]*)"/.exec(svg)?.[1] ?? "figure";
  const coloured = svg.replace("<svg ", `<svg color="${INK}" `);
  return `<img alt="${alt}" style="max-width:100%;height:auto" src="data:image/svg+xml;base64,${Buffer.from(coloured).toString("base64")}">`;
}
