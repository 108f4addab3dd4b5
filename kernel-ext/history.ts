/** What has been run in this session: `history_request` in its three forms. There is no history of earlier sessions. */
const LENGTH = 1_000;
const SESSION = 0;

interface Entry {
  line: number;
  input: string;
  /** The result as plain text, once there is one. */
  output: string | null;
}

type Row = [session: number, line: number, input: string | [input: string, output: string | null]];

export class History {
  readonly #entries: Entry[] = [];

  add(line: number, input: string): void {
    this.#entries.push({ line, input, output: null });
    if (this.#entries.length > LENGTH) this.#entries.shift();
  }

  setOutput(line: number, output: unknown): void {
    const entry = this.#entries.findLast((candidate) => candidate.line === line);
    if (entry !== undefined && typeof output === "string") entry.output = output;
  }

  /** The `history` field of history_reply. */
  answer(content: Record<string, unknown>): Row[] {
    return this.#select(content).map(({ line, input, output }) => [SESSION, line, content.output === true ? [input, output] : input]);
  }

  #select({ hist_access_type, n, session, start, stop, pattern, unique }: Record<string, unknown>): Entry[] {
    const count = typeof n === "number" && n >= 0 ? Math.floor(n) : LENGTH;
    const last = (entries: Entry[]): Entry[] => entries.slice(Math.max(0, entries.length - count));
    if (hist_access_type === "range") {
      // Session 0 is the present one, as in IPython; earlier ones (negative) were not kept.
      if (typeof session === "number" && session !== SESSION) return [];
      const from = typeof start === "number" ? start : 0;
      const to = typeof stop === "number" ? stop : Infinity;
      return this.#entries.filter(({ line }) => line >= from && line < to);
    }
    if (hist_access_type === "search") {
      const wanted = typeof pattern === "string" ? pattern : "*";
      const found = this.#entries.filter(({ input }) => matchesGlob(input, wanted));
      const kept = unique === true ? found.filter((entry, at) => !found.slice(at + 1).some(({ input }) => input === entry.input)) : found;
      return last(kept);
    }
    return last(this.#entries);
  }
}

/** `*` and `?` as in a shell, over the whole text. Not a RegExp: several stars would cost it exponential time. */
export function matchesGlob(text: string, pattern: string): boolean {
  let at = 0;
  let wanted = 0;
  let star = -1;
  let resume = 0;
  while (at < text.length) {
    if (wanted < pattern.length && pattern[wanted] === "*") {
      star = wanted++;
      resume = at;
    } else if (wanted < pattern.length && (pattern[wanted] === "?" || pattern[wanted] === text[at])) {
      at++;
      wanted++;
    } else if (star >= 0) {
      // The last star takes one character more; earlier ones need not be tried again.
      wanted = star + 1;
      at = ++resume;
    } else return false;
  }
  while (pattern[wanted] === "*") wanted++;
  return wanted === pattern.length;
}
