/** Likes and dislikes → preference pairs, one JSON line each, in the form that `load_dataset` and `DPOTrainer` take. */
import { appendFile, mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type Message, preferenceExample, type RowOrigin } from "../data/index.js";
import { DataError } from "../errors.js";

export interface Vote {
  /** The conversation up to the question. */
  prompt: readonly Message[];
  answer: string;
  liked: boolean;
  /** The answer beside it, or null: then a pair is made when another answer to the same prompt got the opposite vote. */
  other: string | null;
}

export interface VoteResult {
  /** Pairs that this vote has added. */
  added: number;
  /** Pairs in the file. */
  pairs: number;
  note: string;
}

/** Prompts whose single votes are remembered. */
const REMEMBERED = 1000;
/** A file that would grow beyond this is left alone. */
const MOST_PAIRS = 1_000_000;

export class PreferenceFile {
  readonly #lines = new Set<string>();
  /** By prompt: answer → liked. */
  readonly #votes = new Map<string, Map<string, boolean>>();
  #opened: Promise<void> | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(readonly path: string) {}

  /** Reads what is there. @throws DataError if the file holds anything but preference pairs */
  open(): Promise<void> {
    return (this.#opened ??= this.#read());
  }

  async #read(): Promise<void> {
    let text: string;
    try {
      text = await readFile(this.path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      await mkdir(dirname(this.path), { recursive: true });
      return;
    }
    text.split("\n").forEach((line, row) => {
      if (line.trim() !== "") this.#lines.add(checkLine(line, { file: this.path, row }));
    });
    if (text !== "" && !text.endsWith("\n")) await appendFile(this.path, "\n");
  }

  /** Votes are taken one after the other. @throws DataError for a prompt or an answer that no trainer would take */
  vote(vote: Vote): Promise<VoteResult> {
    const result = this.#last.then(() => this.#vote(vote));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #vote({ prompt, answer, liked, other }: Vote): Promise<VoteResult> {
    await this.open();
    const others = other === null ? this.#opposite(prompt, answer, liked) : [other];
    const lines = others
      .filter((each) => each !== answer)
      .map((each) => pairLine(prompt, ...((liked ? [answer, each] : [each, answer]) as [string, string])))
      .filter((line) => !this.#lines.has(line));
    if (this.#lines.size + lines.length > MOST_PAIRS)
      throw new DataError("data_full", `must have at most ${MOST_PAIRS} pairs; choose another preferences_file`, { file: this.path });
    if (lines.length > 0) await appendFile(this.path, lines.map((line) => `${line}\n`).join(""));
    for (const line of lines) this.#lines.add(line);
    return { added: lines.length, pairs: this.#lines.size, note: this.#note(lines.length, other, others, answer) };
  }

  #note(added: number, other: string | null, others: readonly string[], answer: string): string {
    if (added > 0) return `${added === 1 ? "1 pair" : `${added} pairs`} saved, ${this.#lines.size} in all`;
    if (other === answer) return "Both answers are the same, so there is nothing to learn";
    if (others.length === 0) return "Noted; a pair is saved once another answer to this gets the opposite vote";
    return "This pair is saved already";
  }

  /** Notes the vote; answers to the same prompt with the opposite one. */
  #opposite(prompt: readonly Message[], answer: string, liked: boolean): string[] {
    const key = JSON.stringify(prompt);
    const votes = this.#votes.get(key) ?? new Map<string, boolean>();
    this.#votes.delete(key);
    this.#votes.set(key, votes.set(answer, liked));
    if (this.#votes.size > REMEMBERED) this.#votes.delete(this.#votes.keys().next().value!);
    return [...votes].filter(([, vote]) => vote !== liked).map(([text]) => text);
  }
}

function pairLine(prompt: readonly Message[], chosen: string, rejected: string): string {
  const completion = (content: string): Message[] => [{ role: "assistant", content }];
  return checkLine(JSON.stringify({ prompt, chosen: completion(chosen), rejected: completion(rejected) }), {});
}

/** @throws DataError */
function checkLine(line: string, at: { file?: string; row?: number }): string {
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch {
    row = undefined;
  }
  if (typeof row !== "object" || row === null || Array.isArray(row))
    throw new DataError("data_json", "a line must be a JSON object; mend the file or choose another", at);
  preferenceExample(row as Record<string, unknown>, at as RowOrigin);
  return line;
}
