/** Jupyter counts cursor positions in Unicode code points, JavaScript in UTF-16 units. */
export function utf16Offset(text: string, codePoints: number): number {
  let units = 0;
  let points = 0;
  for (const character of text) {
    if (points++ >= codePoints) break;
    units += character.length;
  }
  return units;
}

export function codePointOffset(text: string, units: number): number {
  return Array.from(text.slice(0, units)).length;
}
