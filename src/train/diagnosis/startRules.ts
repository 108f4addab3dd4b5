/** Does the run begin where it must? */
import { type Rule, brief } from "./finding.js";
import { lossAtStart } from "./startLoss.js";

/** Rewards are beta times nats. Two float32 programs differ by some 1e-3 nats on long completions; another template by whole nats. */
const REWARD_TOLERANCE = 0.01;
/** Relative; the loss follows the rewards. */
const LOSS_TOLERANCE = 0.01;

/** Before the first step a policy equals its reference: rewards 0, and the loss a known number. */
export const startRule: Rule = ({ history, args, facts }) => {
  if (facts.method === "sft" || facts.startsAtReference === false || history.train.length === 0) return undefined;
  const evaluated = history.evaluations.find((entry) => entry["step"] === 0);
  const first = history.train.find((entry) => entry["step"] === 1);
  const [entry, prefix] = evaluated === undefined ? [first, ""] : [evaluated, "eval_"];
  if (entry === undefined) {
    return {
      code: "start_unseen",
      severity: "note",
      title: "The start was not logged",
      text: `The first log entry is a mean up to step ${history.train[0]!["step"] ?? 0}, so it cannot be checked that the policy starts as its reference. Set logging_first_step: true, or eval_on_start: true.`,
      evidence: {},
    };
  }
  const expected = lossAtStart(facts.method, args);
  const loss = entry[`${prefix}loss`]!;
  const rewards = ["rewards/chosen", "rewards/rejected", "rewards/margins"].map((name) => Math.abs(entry[prefix + name] ?? 0));
  const reward = Math.max(...rewards.filter(Number.isFinite));
  const lossFits = expected === undefined || Math.abs(loss - expected) <= LOSS_TOLERANCE * Math.max(1, expected);
  const evidence = { loss, ...(expected === undefined ? {} : { expected_loss: expected }), largest_reward: reward };
  if (lossFits && reward <= REWARD_TOLERANCE) {
    return {
      code: "start_as_reference",
      severity: "ok",
      title: "The run starts as its reference",
      text: `At the start all rewards are 0${expected === undefined ? "" : ` and the loss is ${brief(loss)}, as it must be (${brief(expected)})`}.`,
      evidence,
    };
  }
  // Dropout in the policy alone makes it differ from the reference by chance.
  if (args.disable_dropout === false) return undefined;
  return {
    code: "start_differs",
    severity: "problem",
    title: "The run does not start as its reference",
    text: `At the first step the largest reward is ${brief(reward)} (must be 0)${expected === undefined ? "" : ` and the loss ${brief(loss)} (must be ${brief(expected)})`}. The reference is not the model that training starts from, or its log-probs were computed with another chat template, truncation or data. Check ref_model, the adapter that is active, and whether the data changed since the reference was computed.`,
    evidence,
  };
};

/** A model that knows the language is far better than a blind guess. */
export const blindStartRule: Rule = ({ history, facts }) => {
  const first = history.curve("loss")[0];
  if (facts.method !== "sft" || facts.vocabSize === undefined || first === undefined) return undefined;
  const blind = Math.log(facts.vocabSize);
  if (first.value < blind) return undefined;
  return {
    code: "start_blind",
    severity: "problem",
    title: "The model starts no better than a blind guess",
    text: `The first loss is ${brief(first.value)}; guessing every token of ${facts.vocabSize} blindly costs ${brief(blind)}. The weights are not those of a trained model, or the tokenizer is another model's. Check the model folder and the tokenizer.`,
    evidence: { loss: first.value, blind_loss: blind },
  };
};
