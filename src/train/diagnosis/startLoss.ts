/** What each built-in loss is worth where policy and reference agree: all log-ratios are 0. */
import type { DiagnosedArgs, Method } from "./finding.js";

const LN2 = Math.log(2);

type AtZero = (beta: number, smoothing: number) => number | undefined;

/** σ(0) = 1/2 and −log σ(0) = ln 2 put into TRL's formulas. undefined: it depends on the data. */
const DPO_AT_ZERO: Readonly<Record<string, AtZero>> = {
  sigmoid: () => LN2,
  hinge: () => 1,
  ipo: (beta) => 1 / (4 * beta ** 2),
  // ½ (ln ½ − ln(1 − e)) + ½ (ln ½ − ln e)
  exo_pair: (_beta, e) => (e > 0 ? -LN2 - 0.5 * Math.log(e * (1 - e)) : undefined),
  nca_pair: () => 2 * LN2,
  // ((1 − e) ln 2 − e ln 2) / (1 − 2e)
  robust: () => LN2,
  bco_pair: () => 2 * LN2,
  // 2 (½ / b)²
  sppo_hard: (beta) => 1 / (2 * beta ** 2),
  aot: () => LN2,
  aot_unpaired: () => LN2,
  apo_zero: () => 1,
  apo_down: () => 1,
  // ln 2 · ½ + e⁰ · ½
  discopop: () => (LN2 + 1) / 2,
  sft: () => undefined,
  sigmoid_norm: () => LN2,
};

/** Losses on log-ratios per token: with an f-divergence, whose score of 0 is not 0, they depend on the lengths. */
const PER_TOKEN = new Set(["ipo", "sigmoid_norm"]);

/** The loss before the first step when the reference is the starting policy; undefined where it depends on the data. */
export function lossAtStart(method: Method, args: DiagnosedArgs): number | undefined {
  if (method === "sft") return undefined;
  if (method === "kto") {
    // 1 − σ(0) for either label, times its weight.
    const { desirable_weight: desirable = 1, undesirable_weight: undesirable = 1 } = args;
    return desirable === undesirable ? desirable / 2 : undefined;
  }
  const { loss_type, loss_weights, beta, label_smoothing = 0, f_divergence_type = "reverse_kl" } = args;
  if (typeof loss_type === "function" || beta === undefined || args.use_weighting === true) return undefined;
  const names = (Array.isArray(loss_type) ? loss_type : [loss_type ?? "sigmoid"]).map(String);
  let total = 0;
  for (const [i, name] of names.entries()) {
    const value = DPO_AT_ZERO[name]?.(beta, label_smoothing);
    if (value === undefined || (f_divergence_type !== "reverse_kl" && PER_TOKEN.has(name))) return undefined;
    total += (loss_weights?.[i] ?? 1) * value;
  }
  return total;
}
