/** Does it learn the task, or the rows? */
import { type Rule, type Seen, brief, percent } from "./finding.js";

/** A training accuracy from which there is nothing left to learn. */
const FULL_ACCURACY = 0.98;
/** Rise of the evaluation loss over its best, relative, that is more than noise. */
const LOSS_RISE = 0.05;
/** Fall of the evaluation accuracy from its best. */
const ACCURACY_FALL = 0.05;
/** Lead of the training accuracy over the evaluation. */
const ACCURACY_GAP = 0.25;

/** Training gets better, evaluation worse. */
export const overfitRule: Rule = (seen) => {
  const { history, facts } = seen;
  const losses = history.evalCurve("loss");
  if (losses.length === 0 || !trainedWell(seen)) return undefined;
  const accuracy = history.end("rewards/accuracies");
  const accuracies = history.evalCurve("rewards/accuracies");
  const best = losses.reduce((least, point) => (point.value < least.value ? point : least));
  const last = losses.at(-1)!;
  const lastAccuracy = accuracies.at(-1)?.value;
  const bestAccuracy = Math.max(...accuracies.map(({ value }) => value));
  const signs: string[] = [];
  if (last.value > best.value + LOSS_RISE * Math.abs(best.value))
    signs.push(`the evaluation loss rose from ${brief(best.value)} at step ${best.step} to ${brief(last.value)}`);
  if (lastAccuracy !== undefined && lastAccuracy < bestAccuracy - ACCURACY_FALL)
    signs.push(`the evaluation accuracy fell from ${percent(bestAccuracy)} to ${percent(lastAccuracy)}`);
  else if (lastAccuracy !== undefined && accuracy !== undefined && lastAccuracy < accuracy - ACCURACY_GAP)
    signs.push(`the evaluation accuracy is only ${percent(lastAccuracy)}`);
  if (signs.length === 0) return undefined;
  return {
    code: "over_fitting",
    severity: "warning",
    title: "It learns the training rows by heart",
    text: `On training rows ${accuracy === undefined ? "the loss still falls" : `the accuracy is ${percent(accuracy)}`}, but ${signs.join(", and ")}. Stop earlier (load_best_model_at_end: true takes the best checkpoint), use fewer epochs, a lower learning_rate${facts.method === "sft" ? "" : ", a higher beta"}, or more than these ${facts.trainRows} rows.`,
    evidence: {
      eval_loss_best: best.value,
      eval_loss_best_step: best.step,
      eval_loss_last: last.value,
      ...(accuracy === undefined ? {} : { "rewards/accuracies": accuracy }),
      ...(lastAccuracy === undefined ? {} : { "eval_rewards/accuracies": lastAccuracy }),
    },
  };
};

/** Pairs: nearly all are ranked right. Else: the training loss is lower than when the evaluation was best. */
function trainedWell({ history, facts }: Seen): boolean {
  if (facts.method === "dpo") return (history.end("rewards/accuracies") ?? 0) >= FULL_ACCURACY;
  const losses = history.curve("loss");
  const best = history.evalCurve("loss").reduce((least, point) => (point.value < least.value ? point : least));
  const then = losses.findLast(({ step }) => step <= best.step);
  const end = history.end("loss");
  return end !== undefined && then !== undefined && end < then.value;
}

/** Perfect on rows it has seen more than once, and nobody looked at others. */
export const unseenRule: Rule = ({ history, facts }) => {
  const accuracy = history.end("rewards/accuracies");
  const epochs = history.train.at(-1)?.["epoch"] ?? 0;
  if (facts.method !== "dpo" || !history.hasTrend || history.evaluations.length > 0) return undefined;
  if (accuracy === undefined || accuracy < FULL_ACCURACY || epochs <= 1) return undefined;
  return {
    code: "not_evaluated",
    severity: "note",
    title: "Perfect on training rows, untested on others",
    text: `The training accuracy is ${percent(accuracy)} after ${brief(epochs)} passes over ${facts.trainRows} rows, and there was no evaluation, so nobody knows whether it holds for other rows. Keep some rows back as eval_dataset and set eval_strategy.`,
    evidence: { "rewards/accuracies": accuracy, epochs, rows: facts.trainRows },
  };
};
