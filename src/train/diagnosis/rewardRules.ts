/** Where the rewards of chosen and rejected answers go. */
import { type Rule, brief, percent } from "./finding.js";
import { wilsonInterval } from "./wilson.js";

/** Rewards nearer to 0 than this have not moved. */
const MOVED = 0.05;
/** A fall of the chosen answers' log-probability by this share of itself: the model then also writes worse, not only the rejected less. */
const WORRYING_FALL = 0.25;
/** Chosen falls nearly as far as rejected: the loss is paid with both. */
const WORRYING_RATIO = 0.9;

/** Both kinds of answers become less likely. */
export const bothFallRule: Rule = ({ history, args, facts }) => {
  const chosen = history.end("rewards/chosen");
  const rejected = history.end("rewards/rejected");
  const logps = history.start("logps/chosen");
  if (facts.method === "sft" || !history.hasTrend || chosen === undefined || rejected === undefined) return undefined;
  if (chosen > -MOVED || rejected > -MOVED) return undefined;
  const nats = -chosen / (args.beta ?? 0.1);
  const share = logps === undefined || logps === 0 ? 0 : nats / -logps;
  const ratio = chosen / rejected;
  const worry = share > WORRYING_FALL || ratio > WORRYING_RATIO;
  const evidence = { "rewards/chosen": chosen, "rewards/rejected": rejected, chosen_fall_nats: nats, chosen_fall_share: share };
  const seen = `Rewards of both fall: chosen ${brief(chosen)}, rejected ${brief(rejected)}. The chosen answers lost ${brief(nats)} nats of log-probability (${percent(share)} of it).`;
  const usual = `Some fall is normal: the loss looks only at the difference, and the two answers share many words.`;
  if (!worry)
    return { code: "both_fall", severity: "note", title: "Chosen answers become less likely too", text: `${seen} ${usual}`, evidence };
  const anchor = hasSft(args.loss_type)
    ? "a larger weight of the sft loss in loss_weights"
    : facts.method === "dpo"
      ? 'loss_type ["sigmoid", "sft"] (RPO: it holds the chosen answers up)'
      : "a larger desirable_weight";
  return {
    code: "both_fall_far",
    severity: "warning",
    title: "Chosen answers become much less likely",
    text: `${seen} ${usual} Here it is ${ratio > WORRYING_RATIO ? "nearly as far as for the rejected ones" : "far"}, and the model may write worse than before. Try ${anchor}, a lower learning_rate, a higher beta, or fewer epochs; and read some generated answers.`,
    evidence,
  };
};

function hasSft(loss: unknown): boolean {
  return Array.isArray(loss) && loss.includes("sft");
}

/** The model learns to prefer what was rejected. */
export const wrongWayRule: Rule = ({ history, args, facts }) => {
  const accuracy = history.end("rewards/accuracies");
  const margin = history.end("rewards/margins");
  if (facts.method === "sft" || !history.hasTrend || margin === undefined || margin > -MOVED) return undefined;
  const pairs = history.endSteps * args.per_device_train_batch_size * args.gradient_accumulation_steps;
  // kto logs no accuracy.
  if (accuracy !== undefined && wilsonInterval(accuracy, pairs).high >= 0.5) return undefined;
  return {
    code: "wrong_way",
    severity: "problem",
    title: "The model prefers the rejected answers",
    text: `The margin is ${brief(margin)}: rejected answers have become more likely than chosen ones${accuracy === undefined ? "" : `, in all but ${percent(accuracy)} of the pairs`}. Check whether ${facts.method === "kto" ? "the labels" : "chosen and rejected"} are swapped in the data, and lower learning_rate.`,
    evidence: { "rewards/margins": margin, ...(accuracy === undefined ? {} : { "rewards/accuracies": accuracy, pairs }) },
  };
};
