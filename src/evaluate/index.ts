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
