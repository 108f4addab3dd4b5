/** Does it learn at all? */
import { type Rule, brief } from "./finding.js";

/** Fewer steps than this may show nothing in a healthy run. */
const MIN_STEPS = 20;
/** Margins below this have not left 0; a run that learns passes it in some steps. */
const ZERO_MARGIN = 0.01;
/** Relative change of the loss that counts as none. */
const FLAT_LOSS = 0.01;
/** Learning rates that stayed below this share of learning_rate: still in the warmup. */
const WARMING = 0.1;

/** Without a gradient nothing is trained. */
export const noGradientRule: Rule = ({ history }) => {
  const norms = history.curve("grad_norm");
  if (norms.length === 0 || norms.some(({ value }) => value > 0)) return undefined;
  return {
    code: "no_gradient",
    severity: "problem",
    title: "Nothing is trained",
    text: `grad_norm is 0 in all ${norms.length} entries. All weights are frozen, the adapter that is trained is not the active one, or no row has a token that counts. Check the adapter, and that completions are not cut away by max_length.`,
    evidence: { entries: norms.length },
  };
};

/** Loss and margins do not move. */
export const stuckRule: Rule = (seen) => {
  const { history, args, facts } = seen;
  if (!history.hasTrend || history.lastStep < MIN_STEPS || noGradientRule(seen) !== undefined) return undefined;
  const before = history.start("loss")!;
  const after = history.end("loss")!;
  const margins = history.curve("rewards/margins");
  if (before === undefined || after === undefined || Math.abs(after - before) > FLAT_LOSS * Math.abs(before)) return undefined;
  const margin = history.end("rewards/margins");
  if (facts.method !== "sft" && (margin === undefined || Math.abs(margin) > ZERO_MARGIN)) return undefined;
  const rate = Math.max(0, ...history.curve("learning_rate").map(({ value }) => value));
  const warming = rate < WARMING * args.learning_rate;
  const cause = warming
    ? `The learning rate has only reached ${brief(rate)} of ${brief(args.learning_rate)}: the warmup is too long for this run. Lower warmup_steps.`
    : `The learning rate (${brief(rate)}) is too low, or what is trained is not what is used. Try 3 to 10 times learning_rate${rate < 1e-5 ? " (LoRA usually needs 1e-5 to 2e-4)" : ""}, and check that the adapter you train is the active one.`;
  return {
    code: "stuck",
    severity: "warning",
    title: "It does not learn",
    text: `After ${history.lastStep} steps the loss is ${brief(after)}, as at the start (${brief(before)})${margins.length === 0 ? "" : `, and the margin is ${brief(margin ?? 0)}`}. ${cause}`,
    evidence: {
      loss_start: before,
      loss_end: after,
      learning_rate: rate,
      steps: history.lastStep,
      ...(margin === undefined ? {} : { "rewards/margins": margin }),
    },
  };
};
