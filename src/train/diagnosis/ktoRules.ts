/** What only KTO has: an estimate of the divergence from the reference, and two kinds of rows. */
import { type Rule, brief } from "./finding.js";

/** beta · kl at which σ is within 1 % of its end: unmoved by most rewards. */
const SATURATED = 5;
/** Rewards nearer to 0 than this have not moved. */
const MOVED = 0.05;
const MIN_KL_ENTRIES = 10;
/** Desirable over undesirable weight × rows: between 1 and 4/3 by the KTO paper (arXiv:2402.01306); beyond these a warning is due. */
const BALANCE = { low: 0.5, high: 2.5 };

export const saturatedKlRule: Rule = ({ history, args, facts }) => {
  const kl = history.end("kl");
  if (facts.method !== "kto" || kl === undefined) return undefined;
  const scaled = kl * (args.beta ?? 0.1);
  if (scaled < SATURATED) return undefined;
  return {
    code: "kl_saturates",
    severity: "warning",
    title: "The model has left its reference",
    text: `kl is ${brief(kl)} nats, and beta · kl ${brief(scaled)}: the loss is flat there, so further rows teach nothing. Lower learning_rate, or train fewer epochs.`,
    evidence: { kl, beta_kl: scaled },
  };
};

export const zeroKlRule: Rule = ({ history, facts }) => {
  const curve = history.curve("kl");
  const reward = history.end("rewards/chosen") ?? 0;
  if (facts.method !== "kto" || curve.length < MIN_KL_ENTRIES || curve.some(({ value }) => value > 0) || Math.abs(reward) < MOVED)
    return undefined;
  return {
    code: "kl_zero",
    severity: "note",
    title: "kl is always 0",
    text: `kl is 0 in all ${curve.length} entries although the rewards have moved. It is estimated inside a batch and cut at 0; a batch that is small says little. Raise per_device_train_batch_size if you can.`,
    evidence: { entries: curve.length, "rewards/chosen": reward },
  };
};

export const balanceRule: Rule = ({ args, facts }) => {
  const { desirableRows: desirable, undesirableRows: undesirable } = facts;
  if (facts.method !== "kto" || desirable === undefined || undesirable === undefined) return undefined;
  const ratio = (desirable * (args.desirable_weight ?? 1)) / (undesirable * (args.undesirable_weight ?? 1));
  if (ratio >= BALANCE.low && ratio <= BALANCE.high) return undefined;
  return {
    code: "labels_unbalanced",
    severity: "warning",
    title: "One label outweighs the other",
    text: `${desirable} rows are desirable and ${undesirable} undesirable; with their weights that is ${Number.isFinite(ratio) ? `${brief(ratio)} to 1` : "one kind alone"}. The KTO paper advises 1 to 1.33. Set desirable_weight or undesirable_weight so that weight times rows is about equal${undesirable === 0 || desirable === 0 ? ", and add rows of the missing kind" : ""}.`,
    evidence: { desirable, undesirable, ...(Number.isFinite(ratio) ? { ratio } : {}) },
  };
};
