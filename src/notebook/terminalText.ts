/** What a terminal would show: colours dropped, carriage returns and backspaces applied. */
export function terminalText(text: string): string {
  // CSI sequences (colours, cursor), OSC sequences (titles, links).
  const plain = text.replace(/\u001b\[[0-?]*[ -/]*[@-~]/g, "").replace(/\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g, "");
  return plain.replace(/\r\n/g, "\n").split("\n").map(overwrite).join("\n");
}

/** `\r` goes back to the start of the line; what follows covers what stood there. */
function overwrite(line: string): string {
  if (!/[\r\b]/.test(line)) return line;
  const shown: string[] = [];
  let at = 0;
  for (const character of line) {
    if (character === "\r") at = 0;
    else if (character === "\b") at = Math.max(0, at - 1);
    else shown[at++] = character;
  }
  return shown.join("");
}
