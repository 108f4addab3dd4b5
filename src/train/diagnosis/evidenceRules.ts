/** Is there enough to judge by? */
import { MIN_ENTRIES } from "./history.js";
import { type Rule, type Seen, percent } from "./finding.js";
import { trialsNeeded, wilsonInterval } from "./wilson.js";

export const fewEntriesRule: Rule = ({ history }) => {
  const entries = history.train.length;
  if (entries >= MIN_ENTRIES) return undefined;
  return {
    code: "few_entries",
    severity: "note",
    title: entries === 0 ? "Nothing was logged" : "Too few log entries to see a trend",
    text: `The log has ${entries} ${entries === 1 ? "entry" : "entries"} of training, and a trend needs ${MIN_ENTRIES}. ${entries === 0 ? "Train first, with logging_strategy steps" : "Lower logging_steps, or train longer"}.`,
    evidence: { entries },
  };
};

/** The accuracy that matters most, and from how many pairs it is. */
function accuracy({ history, args, facts }: Seen): { name: string; share: number; pairs: number } | undefined {
  const evaluated = history.evalCurve("rewards/accuracies").at(-1);
  if (evaluated !== undefined && facts.evalRows !== undefined) return { name: "evaluation", share: evaluated.value, pairs: facts.evalRows };
  const share = history.end("rewards/accuracies");
  if (share === undefined) return undefined;
  const seen = history.endSteps * args.per_device_train_batch_size * args.gradient_accumulation_steps;
  return { name: "training", share, pairs: Math.min(seen, facts.trainRows) };
}

/** An accuracy that chance could give. */
export const chanceRule: Rule = (seen) => {
  const found = accuracy(seen);
  if (seen.facts.method !== "dpo" || !seen.history.hasTrend || found === undefined || found.pairs < 1) return undefined;
  const { name, share, pairs } = found;
  const { low, high } = wilsonInterval(share, pairs);
  if (low > 0.5 || high < 0.5) return undefined;
  const needed = trialsNeeded(share);
  const more =
    needed > pairs
      ? `About ${needed} pairs would tell a difference like this from chance`
      : `With that many pairs a difference of 5 points would have shown: there is none yet`;
  return {
    code: "maybe_chance",
    severity: "note",
    title: "The accuracy may be chance",
    text: `The ${name} accuracy is ${percent(share)} on ${pairs} pairs: the true value is somewhere from ${percent(low)} to ${percent(high)}, and guessing gives 50 %. ${more}.`,
    evidence: { accuracy: share, pairs, low, high, pairs_needed: needed },
  };
};
