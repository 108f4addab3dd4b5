/** What judgements add up to: the win rate, how sure it is, and how much of it is the order of presentation. */
import { type Chart, barChart } from "../chart.js";
import { type Estimate, bootstrapMean, mean, shareEstimate, signTest } from "../statistics.js";
import { EvaluationResult, type TableRow, percentText, plural } from "../table.js";
import { trialsNeeded } from "../../train/diagnosis/wilson.js";
import type { Verdict } from "./verdict.js";

/** One question to the judge: a prompt in one order. */
export interface Judgement {
  /** Number of the prompt. */
  readonly prompt: number;
  /** Whose answer was shown as "Model A". */
  readonly first: "a" | "b";
  /** What the judge said; null: no verdict at both tries, `answers` has them. */
  readonly verdict: Verdict | null;
  /** The side that won; null for an invalid judgement. */
  readonly winner: "a" | "b" | "tie" | null;
  /** The judge's words, at one or two tries. */
  readonly answers: readonly string[];
}

export interface JudgedPrompt {
  readonly prompt: string;
  readonly answer_a: string;
  readonly answer_b: string;
  /** Of side A over both orders: 1 won, 0.5 tied, 0 lost, and between; null unless both judgements are valid. */
  readonly score: number | null;
}

/** Below this p of the sign test, and with an interval that leaves out one half, a win rate is said to mean something. */
const SIGNIFICANT = 0.05;

export interface WinRateInput {
  readonly names: { readonly a: string; readonly b: string };
  readonly judge: string;
  readonly prompts: readonly JudgedPrompt[];
  readonly judgements: readonly Judgement[];
  readonly seed: number;
}

export class WinRate extends EvaluationResult {
  readonly names: { readonly a: string; readonly b: string };
  /** Which judge it was. */
  readonly judge: string;
  readonly prompts: readonly JudgedPrompt[];
  /** Two a prompt: A shown first, then B shown first. */
  readonly judgements: readonly Judgement[];
  /** Of side A over the prompts with two valid judgements, ties half; bootstrap over prompts. NaN without such prompts. */
  readonly win_rate: Estimate;
  /** Prompts that count. */
  readonly counted: number;
  /** Prompts left out because a judgement was invalid. */
  readonly incomplete: number;
  /** Judgements without a verdict. */
  readonly invalid: number;
  /** Prompts that A won, B won, or neither, over both orders. */
  readonly wins: number;
  readonly losses: number;
  readonly ties: number;
  /** Exact sign test of wins against losses. */
  readonly p_value: number;
  /** Share of the decided judgements (no ties) that went to the answer shown first: 0.5 without position bias. NaN without any. */
  readonly first_share: Estimate;
  /** Share of counted prompts whose two judgements name the same winner. NaN without any. */
  readonly consistency: Estimate;
  /** Whether the win rate tells the two apart. */
  readonly significant: boolean;

  constructor({ names, judge, prompts, judgements, seed }: WinRateInput) {
    super();
    this.names = names;
    this.judge = judge;
    this.prompts = prompts;
    this.judgements = judgements;
    const scores = prompts.flatMap(({ score }) => (score === null ? [] : [score]));
    this.counted = scores.length;
    this.incomplete = prompts.length - scores.length;
    this.invalid = judgements.filter(({ verdict }) => verdict === null).length;
    this.wins = scores.filter((score) => score > 0.5).length;
    this.losses = scores.filter((score) => score < 0.5).length;
    this.ties = scores.length - this.wins - this.losses;
    this.win_rate = scores.length === 0 ? NOTHING : bootstrapMean(scores, seed, "win_rate");
    this.p_value = signTest(this.wins, this.losses);
    const decided = judgements.filter(({ winner }) => winner === "a" || winner === "b");
    const toFirst = decided.filter(({ winner, first }) => winner === first).length;
    this.first_share = decided.length === 0 ? NOTHING : shareEstimate(toFirst, decided.length);
    const agreeing = prompts.filter(({ score }, i) => score !== null && judgements[2 * i]!.winner === judgements[2 * i + 1]!.winner);
    this.consistency = scores.length === 0 ? NOTHING : shareEstimate(agreeing.length, scores.length);
    const { low, high } = this.win_rate;
    this.significant = (low > 0.5 || high < 0.5) && this.p_value < SIGNIFICANT;
  }

  /** One sentence that says whether the win rate means anything. */
  get verdict(): string {
    const { a, b } = this.names;
    if (this.counted === 0) return `There is no win rate: not one of ${plural(this.prompts.length, "prompt")} has two valid judgements.`;
    const rate = `${a} wins ${percentText(this.win_rate)} against ${b} on ${plural(this.counted, "prompt")}`;
    if (this.significant) {
      const better = this.win_rate.value > 0.5 ? a : b;
      return `${rate}: more than chance explains (sign test p = ${this.p_value.toPrecision(2)}), this judge prefers ${better}.`;
    }
    const needed = trialsNeeded(mean(this.prompts.flatMap(({ score }) => (score === null ? [] : [score]))));
    return `${rate}: this does not tell the two apart (sign test p = ${this.p_value.toPrecision(2)}); to see a difference of this size, or of 5 points if it is smaller, take about ${Math.max(needed, this.counted + 1)} prompts.`;
  }

  /** One sentence about the order of presentation. */
  get bias(): string {
    if (Number.isNaN(this.first_share.value)) return "Position bias cannot be told: no judgement named a winner.";
    const { low, high } = this.first_share;
    const found = low > 0.5 ? "the judge favours the first" : high < 0.5 ? "the judge favours the second" : "no position bias is seen";
    const same = Number.isNaN(this.consistency.value) ? "" : ` In ${percentText(this.consistency)} of the prompts both orders agree.`;
    return `The answer shown first won ${percentText(this.first_share)} of the decided judgements: ${found}.${same}`;
  }

  override summary(): string[] {
    const invalid =
      this.invalid === 0
        ? []
        : [
            `${plural(this.invalid, "judgement")} of ${this.judgements.length} ended without a verdict, so ${plural(this.incomplete, "prompt")} of ${this.prompts.length} ${this.incomplete === 1 ? "does" : "do"} not count.`,
          ];
    return [this.verdict, this.bias, ...invalid, `Judge: ${this.judge}. Every prompt was judged in both orders, and ties count half.`];
  }

  override rows(): TableRow[] {
    const row = (metric: string, value: number, estimate?: Estimate): TableRow => ({
      metric,
      value: Number.isNaN(value) ? null : value,
      low: estimate === undefined || Number.isNaN(estimate.low) ? null : estimate.low,
      high: estimate === undefined || Number.isNaN(estimate.high) ? null : estimate.high,
    });
    return [
      row(`win rate of ${this.names.a}`, this.win_rate.value, this.win_rate),
      row(`prompts won by ${this.names.a}`, this.wins),
      row(`prompts won by ${this.names.b}`, this.losses),
      row("prompts tied", this.ties),
      row("p of the sign test", this.p_value),
      row("won by the answer shown first", this.first_share.value, this.first_share),
      row("both orders agree", this.consistency.value, this.consistency),
      row("invalid judgements", this.invalid),
      row("prompts that do not count", this.incomplete),
    ];
  }

  /** One row a judgement: what is written to CSV. */
  judgementRows(): TableRow[] {
    const { a, b } = this.names;
    const nameOf = { a, b, tie: "tie" } as const;
    return this.judgements.map(({ prompt, first, verdict, winner, answers }) => ({
      prompt: prompt,
      first: nameOf[first],
      verdict: verdict ?? "invalid",
      winner: winner === null ? null : nameOf[winner],
      tries: answers.length,
      judge_answer: answers.at(-1) ?? null,
      prompt_text: this.prompts[prompt]!.prompt,
      [`answer of ${a}`]: this.prompts[prompt]!.answer_a,
      [`answer of ${b}`]: this.prompts[prompt]!.answer_b,
    }));
  }

  /** All numbers and all judgements as plain data: what is written to JSON. NaN becomes null there. */
  toJSON(): Record<string, unknown> {
    const { names, judge, win_rate, counted, incomplete, invalid, wins, losses, ties, p_value, first_share, consistency } = this;
    const numbers = { win_rate, counted, incomplete, invalid, wins, losses, ties, p_value, first_share, consistency };
    const { significant, verdict, prompts, judgements } = this;
    return { names, judge, ...numbers, significant, verdict, prompts, judgements };
  }

  /** Prompts won, lost and tied as bars. */
  chart(): Chart {
    const { a, b } = this.names;
    const values = [this.wins, this.losses, this.ties, this.incomplete];
    return barChart([`${a} wins`, `${b} wins`, "tie", "invalid"], [{ name: "prompts", values }], {
      title: this.verdict,
      y_title: "prompts",
    });
  }
}

const NOTHING: Estimate = { value: NaN, low: NaN, high: NaN };
