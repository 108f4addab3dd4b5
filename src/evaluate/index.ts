/** Evaluation: classification, preferences, a judge, perplexity and texts, and methods side by side. Every number says how sure it is. */
export { Chart, type BarSeries, barChart, heatmap, histogram } from "./chart.js";
export { EvaluationResult, type TableRow } from "./table.js";
export type { Estimate } from "./statistics.js";
export {
  ClassificationReport,
  type ClassificationReportOptions,
  classificationReport,
  compareClassifications,
} from "./classification/report.js";
export type { ClassScores, Confusion, Scores, ZeroDivision } from "./classification/scores.js";
export { type BleuOptions, type BleuScore, bleu } from "./language/bleu.js";
export { type ChrfOptions, type ChrfScore, chrf } from "./language/chrf.js";
export type { References } from "./language/references.js";
export {
  TextStatistics,
  type TextStatisticsOptions,
  distinctN,
  repetitionRate,
  scriptShare,
  textStatistics,
} from "./language/textStatistics.js";
export {
  type ClassificationMethod,
  ClassificationResult,
  type ClassifiedRow,
  type ClassifyOptions,
  type EvaluateClassificationOptions,
  classify,
  evaluateClassification,
} from "./classification/classify.js";
export type { LabelWords } from "./classification/labels.js";
export type { Prompt } from "./prompt.js";
export { PerplexityResult, type PerplexityOptions, type ScoredText, perplexity } from "./language/perplexity.js";
export {
  type MarginKind,
  type MarginSummary,
  type PreferenceAccuracyOptions,
  PreferenceResult,
  type ScoredPair,
  preferenceAccuracy,
} from "./preference/preferenceAccuracy.js";
export { type ChatEndpointOptions, chatEndpoint } from "./judge/chatEndpoint.js";
export { type JudgeOptions, judge } from "./judge/judge.js";
export { type JudgeModel, type LocalJudgeOptions, localJudge } from "./judge/judgeModel.js";
export type { Verdict } from "./judge/verdict.js";
export { type JudgedPrompt, type Judgement, WinRate } from "./judge/winRate.js";
export { MethodComparison, type MethodEntry, compareMethods } from "./methods/compareMethods.js";
export { InferenceMeasurement, type MeasureInferenceOptions, measureInference } from "./methods/inference.js";
export { TrainingMeasurement, measureTraining } from "./methods/training.js";
