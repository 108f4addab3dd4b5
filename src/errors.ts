/**
 * Every error a user can meet. Messages read `where: rule, got value; what to do`.
 * `code` is stable: scripts and tests may rely on it, messages may be reworded.
 */
export class PreflabError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** An option is unknown, of the wrong type or out of range. */
export class ConfigError extends PreflabError {}

/** A data file or row breaks the data contract. `row` counts from 0 in file order. */
export class DataError extends PreflabError {
  readonly file: string | undefined;
  readonly row: number | undefined;
  constructor(code: string, message: string, at: { file?: string; row?: number } = {}, options?: ErrorOptions) {
    const place = [at.file, at.row === undefined ? undefined : `row ${at.row}`].filter((part) => part !== undefined).join(" ");
    super(code, place === "" ? message : `${place}: ${message}`, options);
    this.file = at.file;
    this.row = at.row;
  }
}

/** A checkpoint, adapter or tokenizer is malformed or does not fit. */
export class ModelError extends PreflabError {}

/** A function cannot be traced, or a session failed. */
export class EngineError extends PreflabError {}

/** Hub transfer or login. */
export class HubError extends PreflabError {}

/** A judge refused, did not answer, or answered with nothing that can be read. */
export class JudgeError extends PreflabError {}

/** The known name nearest to `name` by edit distance, or undefined when none is close. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      bestDistance = distance;
      best = candidate;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(previous[j]! + 1, current[j - 1]! + 1, substitution));
    }
    previous = current;
  }
  return previous[b.length]!;
}
