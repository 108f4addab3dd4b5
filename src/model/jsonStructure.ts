/** What `JSON.parse` does not tell about a text from an untrusted file. */

/** How deep objects and lists nest. Works on any text, also on what is not JSON; stops counting beyond `limit`. */
export function nestingDepth(text: string, limit: number): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length && deepest <= limit; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) i = endOfString(text, i);
    else if (code === 0x7b || code === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (code === 0x7d || code === 0x5d) depth--;
  }
  return deepest;
}

/** The first key that occurs twice in one object, at any depth, or undefined. `JSON.parse` silently keeps the last of the two.
 *  Keys are compared after unescaping: `"a"` and `"\u0061"` are equal.
 *  @param text valid JSON: `JSON.parse` has already accepted it */
export function findRepeatedKey(text: string): string | undefined {
  // One set for each open object, undefined for each open list.
  const open: (Set<string> | undefined)[] = [];
  let keyComesNext = false;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x7b: // {
        open.push(new Set());
        keyComesNext = true;
        break;
      case 0x5b: // [
        open.push(undefined);
        keyComesNext = false;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        keyComesNext = false;
        break;
      case 0x2c: // ,
        keyComesNext = open[open.length - 1] !== undefined;
        break;
      case 0x22: {
        const start = i;
        i = endOfString(text, i);
        if (!keyComesNext) break;
        const keys = open[open.length - 1]!;
        const key = JSON.parse(text.slice(start, i + 1)) as string;
        if (keys.has(key)) return key;
        keys.add(key);
        keyComesNext = false;
        break;
      }
    }
  }
  return undefined;
}

/** Index of the quote that closes the string opened at `start`, or the text's length. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1;
  return i;
}
