import type { TrainerState } from "../loop/trainerState.js";
import { Diagnosis } from "./diagnosis.js";
import { chanceRule, fewEntriesRule } from "./evidenceRules.js";
import { type DiagnosedArgs, type DiagnosisFacts, type Finding, type Rule, type Severity, brief, percent } from "./finding.js";
import { overfitRule, unseenRule } from "./fitRules.js";
import { History } from "./history.js";
import { balanceRule, saturatedKlRule, zeroKlRule } from "./ktoRules.js";
import { noGradientRule, stuckRule } from "./progressRules.js";
import { bothFallRule, wrongWayRule } from "./rewardRules.js";
import { clippedRule, entropyRule, explodedRule, normGrowthRule, notFiniteRule, spikeRule } from "./stabilityRules.js";
import { blindStartRule, startRule } from "./startRules.js";

/** Every rule, in the order in which a person would look. */
const RULES: readonly Rule[] = [
  notFiniteRule,
  noGradientRule,
  startRule,
  blindStartRule,
  wrongWayRule,
  stuckRule,
  spikeRule,
  normGrowthRule,
  explodedRule,
  entropyRule,
  saturatedKlRule,
  bothFallRule,
  overfitRule,
  balanceRule,
  unseenRule,
  chanceRule,
  zeroKlRule,
  clippedRule,
  fewEntriesRule,
];

const ORDER: readonly Severity[] = ["problem", "warning", "note", "ok"];

/**
 * What the curves of a run say, in plain words: whether it starts, learns and stays as it should, and what to do where it does not.
 * @param state only `log_history` is looked at, with TRL's names @param args of the trainer @param facts the method, and row counts
 * @returns findings, the gravest first; `looks_healthy` is among them where there is neither a warning nor a problem
 */
export function diagnose(state: Pick<TrainerState, "log_history">, args: DiagnosedArgs, facts: DiagnosisFacts): Diagnosis {
  const history = new History(state.log_history);
  const findings = RULES.map((rule) => rule({ history, args, facts })).filter((finding) => finding !== undefined);
  const grave = findings.some(({ severity }) => severity === "warning" || severity === "problem");
  if (!grave && history.hasTrend) findings.push(healthyFinding(history));
  return new Diagnosis(findings.sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity)));
}

function healthyFinding(history: History): Finding {
  const evidence: Record<string, number> = {};
  for (const name of ["loss", "rewards/margins", "rewards/accuracies"]) {
    const [before, after] = [history.start(name), history.end(name)];
    if (before !== undefined && after !== undefined) Object.assign(evidence, { [`${name}_start`]: before, [`${name}_end`]: after });
  }
  const seen = [
    `The loss went from ${brief(evidence["loss_start"]!)} to ${brief(evidence["loss_end"]!)}`,
    ...(evidence["rewards/margins_end"] === undefined ? [] : [`the margin is ${brief(evidence["rewards/margins_end"])}`]),
    ...(evidence["rewards/accuracies_end"] === undefined ? [] : [`the accuracy ${percent(evidence["rewards/accuracies_end"])}`]),
  ];
  return {
    code: "looks_healthy",
    severity: "ok",
    title: "Looks healthy",
    text: `${seen.join(", ")}, and no rule found a fault. Curves cannot tell whether the answers are good: read some.`,
    evidence,
  };
}
