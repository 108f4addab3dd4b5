/** Is the learning rate too high? */
import { median } from "./history.js";
import { type Finding, type Rule, brief, percent } from "./finding.js";

/** A loss this many times the usual one of the entries before. */
const SPIKE_FACTOR = 2;
/** Entries that say what is usual. */
const SPIKE_WINDOW = 8;
/** A preference loss spikes only above its start: below it, small batches jump by nature. */
const SPIKE_OVER_START = 1.5;
/** Growth of the usual gradient norm from the first to the last quarter. */
const NORM_GROWTH = 10;
/** Fewer entries show no growth. */
const NORM_ENTRIES = 8;
/** With beta 0.1 this is 150 nats: no longer the same model. */
const EXPLODED_REWARD = 15;
/** Entropy left of the start's. */
const ENTROPY_LEFT = 0.2;
/** Models that are surer than this from the start (nats per token) have nothing to collapse. */
const ENTROPY_START = 0.5;
/** Share of clipped steps that is "always", and entries needed to say so. */
const ALWAYS = 0.9;
const CLIP_ENTRIES = 10;

const CALMER = "Lower learning_rate (try a third), use some warmup_steps, or larger batches";

export const notFiniteRule: Rule = ({ history }) => {
  // Not the rewards: kto has no mean of a label that a batch lacks.
  const names = ["loss", "grad_norm", "entropy", "eval_loss", "eval_entropy"];
  for (const entry of [...history.train, ...history.evaluations]) {
    const name = names.find((each) => each in entry && !Number.isFinite(entry[each]));
    if (name === undefined) continue;
    return {
      code: "not_finite",
      severity: "problem",
      title: "Numbers broke",
      text: `${name} is ${entry[name]} at step ${entry["step"]}; from there on the weights are worthless. ${CALMER}, and go on from a checkpoint before that step.`,
      evidence: { step: entry["step"] ?? 0 },
    };
  }
  return undefined;
};

export const spikeRule: Rule = ({ history, facts }) => {
  const curve = history.curve("loss");
  const floor = facts.method === "sft" ? 0 : SPIKE_OVER_START * (curve[0]?.value ?? 0);
  const spikes = curve.filter(({ value }, i) => {
    if (i < SPIKE_WINDOW / 2) return false;
    const usual = median(curve.slice(Math.max(0, i - SPIKE_WINDOW), i).map((point) => point.value));
    return value > SPIKE_FACTOR * usual && value > floor;
  });
  const worst = spikes.reduce((most, point) => (point.value > most.value ? point : most), spikes[0]!);
  if (worst === undefined) return undefined;
  return {
    code: "loss_spikes",
    severity: "warning",
    title: "The loss jumps",
    text: `In ${spikes.length} of ${curve.length} entries the loss is more than ${SPIKE_FACTOR} times the usual one before it, most at step ${worst.step}: ${brief(worst.value)}. The learning rate is too high, or some rows are odd. ${CALMER}; and look at the rows of that step.`,
    evidence: { spikes: spikes.length, step: worst.step, loss: worst.value },
  };
};

export const normGrowthRule: Rule = ({ history, args }) => {
  const norms = history.curve("grad_norm").map(({ value }) => value);
  if (norms.length < NORM_ENTRIES) return undefined;
  const part = Math.ceil(norms.length / 4);
  const before = median(norms.slice(0, part));
  const after = median(norms.slice(-part));
  if (!(before > 0) || after < NORM_GROWTH * before || after <= args.max_grad_norm) return undefined;
  return {
    code: "grad_norm_grows",
    severity: "warning",
    title: "Gradients grow",
    text: `The usual grad_norm rose from ${brief(before)} to ${brief(after)}: training drifts away instead of settling. ${CALMER}.`,
    evidence: { grad_norm_start: before, grad_norm_end: after },
  };
};

export const explodedRule: Rule = ({ history, args, facts }) => {
  const chosen = history.end("rewards/chosen") ?? 0;
  const rejected = history.end("rewards/rejected") ?? 0;
  const most = Math.abs(chosen) > Math.abs(rejected) ? chosen : rejected;
  if (facts.method === "sft" || Math.abs(most) < EXPLODED_REWARD) return undefined;
  const nats = Math.abs(most) / (args.beta ?? 0.1);
  return {
    code: "rewards_explode",
    severity: "warning",
    title: "The model has left its reference",
    text: `Rewards have reached ${brief(most)}: ${brief(nats)} nats away from the reference. Answers from such a model are often broken. ${CALMER}, a higher beta, or fewer epochs.`,
    evidence: { "rewards/chosen": chosen, "rewards/rejected": rejected, nats },
  };
};

export const entropyRule: Rule = ({ history }) => {
  const before = history.start("entropy");
  const after = history.end("entropy");
  if (!history.hasTrend || before === undefined || after === undefined) return undefined;
  if (before < ENTROPY_START || after >= ENTROPY_LEFT * before) return undefined;
  return {
    code: "entropy_collapse",
    severity: "warning",
    title: "The model has only one thing to say",
    text: `The entropy fell from ${brief(before)} to ${brief(after)} nats a token: it has become sure of nearly every word, and its answers repeat themselves. ${CALMER}, or stop earlier.`,
    evidence: { entropy_start: before, entropy_end: after },
  };
};

export const clippedRule: Rule = ({ history, args }): Finding | undefined => {
  const norms = history.curve("grad_norm").map(({ value }) => value);
  const clipped = norms.filter((norm) => norm > args.max_grad_norm).length;
  if (args.max_grad_norm <= 0 || norms.length < CLIP_ENTRIES || clipped < ALWAYS * norms.length) return undefined;
  const usual = median(norms);
  return {
    code: "always_clipped",
    severity: "note",
    title: "Nearly every step is clipped",
    text: `grad_norm is above max_grad_norm (${brief(args.max_grad_norm)}) in ${percent(clipped / norms.length)} of the entries, usually ${brief(usual)}. AdamW does not mind a constant factor, so this alone is no fault; but an odd batch is then not held back more than any other. A max_grad_norm near ${brief(usual)} would clip only outliers.`,
    evidence: { clipped, entries: norms.length, grad_norm: usual, max_grad_norm: args.max_grad_norm },
  };
};
