/** LLM-as-a-judge (Zheng et al. 2023, arXiv:2306.05685) over pairs of answers, each judged in both orders. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, JudgeError, PreflabError } from "../../errors.js";
import { writeFileAtomic } from "../../text/atomicFile.js";
import { requireSeed } from "../statistics.js";
import { csvText } from "../table.js";
import type { JudgeModel } from "./judgeModel.js";
import { DEFAULT_INSTRUCTION, type Verdict, askAgain, judgeMessages, readVerdict } from "./verdict.js";
import { type JudgedPrompt, type Judgement, WinRate } from "./winRate.js";

export interface JudgeOptions {
  readonly prompts: readonly string[];
  /** One a prompt. */
  readonly answers_a: readonly string[];
  readonly answers_b: readonly string[];
  /** `chatEndpoint(…)`, `localJudge(…)`, or your own. */
  readonly judge: JudgeModel;
  /** Of the bootstrap interval; default 42. */
  readonly seed?: number;
  /** What the two sides are called in the report; default "A" and "B". The judge never sees these names. */
  readonly name_a?: string;
  readonly name_b?: string;
  /** The judge's system message; it must ask for exactly "Model A", "Model B" or "Tie". */
  readonly instruction?: string;
  /** Where `judgements.csv` and `judgements.json` are written; default nowhere. If the judge fails, what was judged until then is written to
   *  `judgements.partial.json`. */
  readonly output_dir?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

interface Task {
  readonly prompt: number;
  readonly first: "a" | "b";
}

/**
 * Judges every prompt twice, once with each answer in the first place. An answer that is not exactly a verdict is asked for once more, and
 * then recorded as invalid; its prompt does not count, and the report says so.
 * @throws ConfigError `rows`, `names`, `option_type`; JudgeError of the judge, after its own tries, which ends the run
 */
export async function judge(options: JudgeOptions): Promise<WinRate> {
  const { prompts, answers_a, answers_b, judge: model, seed = 42, name_a = "A", name_b = "B", output_dir } = options;
  requireSeed("judge", seed);
  if (prompts.length === 0 || answers_a.length !== prompts.length || answers_b.length !== prompts.length)
    throw new ConfigError(
      "rows",
      `judge: there must be at least one prompt and one answer of each side for it, got ${prompts.length} prompts, ${answers_a.length} and ${answers_b.length} answers`,
    );
  if (name_a === name_b) throw new ConfigError("names", `judge: name_a and name_b must differ, got ${JSON.stringify(name_a)} twice`);
  if (output_dir !== undefined) await mkdir(output_dir, { recursive: true });
  const tasks = prompts.flatMap((_, prompt): Task[] => [
    { prompt, first: "a" },
    { prompt, first: "b" },
  ]);
  const judgements: (Judgement | undefined)[] = tasks.map(() => undefined);
  try {
    let done = 0;
    await inParallel(tasks, model.concurrency, options.signal, async (task, at, signal) => {
      judgements[at] = await judgeOnce(options, task, signal);
      options.onProgress?.(++done, tasks.length);
    });
  } catch (error) {
    const kept = judgements.filter((judgement) => judgement !== undefined);
    if (output_dir === undefined || kept.length === 0) throw error;
    const file = join(output_dir, "judgements.partial.json");
    await writeFileAtomic(file, `${JSON.stringify({ judge: model.name, judgements: kept }, null, 2)}\n`);
    if (!(error instanceof PreflabError)) throw error;
    throw new JudgeError(error.code, `${error.message}; ${kept.length} of ${tasks.length} judgements are in ${file}`, { cause: error });
  } finally {
    await model.dispose?.();
  }
  const whole = judgements as Judgement[];
  const judged = prompts.map((prompt, i): JudgedPrompt => {
    const scores = [whole[2 * i]!, whole[2 * i + 1]!].map(scoreOf);
    const score = scores[0] === null || scores[1] === null ? null : (scores[0]! + scores[1]!) / 2;
    return { prompt, answer_a: answers_a[i]!, answer_b: answers_b[i]!, score };
  });
  const result = new WinRate({ names: { a: name_a, b: name_b }, judge: model.name, prompts: judged, judgements: whole, seed });
  if (output_dir !== undefined) {
    await writeFileAtomic(join(output_dir, "judgements.csv"), csvText(result.judgementRows()));
    await writeFileAtomic(join(output_dir, "judgements.json"), `${JSON.stringify(result, null, 2)}\n`);
  }
  return result;
}

async function judgeOnce(options: JudgeOptions, { prompt, first }: Task, signal: AbortSignal): Promise<Judgement> {
  const { prompts, answers_a, answers_b, judge: model, instruction = DEFAULT_INSTRUCTION } = options;
  const shown = [answers_a[prompt]!, answers_b[prompt]!];
  if (first === "b") shown.reverse();
  const messages = judgeMessages(instruction, prompts[prompt]!, shown[0]!, shown[1]!);
  const answers = [await model.answer(messages, signal)];
  let verdict = readVerdict(answers[0]!);
  if (verdict === null) {
    answers.push(await model.answer(askAgain(messages, answers[0]!), signal));
    verdict = readVerdict(answers[1]!);
  }
  return { prompt, first, verdict, winner: winnerOf(verdict, first), answers };
}

function winnerOf(verdict: Verdict | null, first: "a" | "b"): Judgement["winner"] {
  if (verdict === null) return null;
  if (verdict === "Tie") return "tie";
  const second = first === "a" ? "b" : "a";
  return verdict === "Model A" ? first : second;
}

/** Of side A. */
function scoreOf({ winner }: Judgement): number | null {
  return winner === null ? null : winner === "tie" ? 0.5 : winner === "a" ? 1 : 0;
}

/** Works through tasks in order, some at once. The first failure ends those under way and is thrown when they have ended. */
async function inParallel<T>(
  tasks: readonly T[],
  atOnce: number,
  outer: AbortSignal | undefined,
  work: (task: T, at: number, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failure = new AbortController();
  const signal = outer === undefined ? failure.signal : AbortSignal.any([outer, failure.signal]);
  let next = 0;
  let first: { readonly error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    while (next < tasks.length && !signal.aborted) {
      const at = next++;
      try {
        await work(tasks[at]!, at, signal);
      } catch (error) {
        first ??= { error };
        failure.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(atOnce, tasks.length)) }, lane));
  if (first !== undefined) throw first.error;
  outer?.throwIfAborted();
}
