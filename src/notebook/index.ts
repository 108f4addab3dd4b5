/** What notebooks need: showing values in a cell, figures of training runs, and running and rendering whole notebooks. */
export { compareNotebooks, type CheckOptions as NotebookCheckOptions, type CheckFinding } from "./comparison.js";
export { clear_output, display, input, type DisplayHandle } from "./display.js";
export {
  compareRuns,
  Figure,
  lineFigure,
  plotTraining,
  type LineFigureOptions,
  type LineSeries,
  type LogRow,
  type Panel,
} from "./figures.js";
export { describe_frame, type ColumnSummary, type DataSummary } from "./frames.js";
export * from "./grade/index.js";
export { renderNotebookHtml, type HtmlOptions } from "./html.js";
export { formatJUnit } from "./junit.js";
export { findKernel } from "./kernelspec.js";
export { type Displayable, type MimeBundle } from "./mime.js";
export {
  readNotebook,
  writeAtomically,
  writeNotebook,
  type Cell,
  type CodeCell,
  type Notebook,
  type Output,
  type TextCell,
} from "./nbformat.js";
export { ownPackageRoot } from "./packageRoot.js";
export { injectParameters, parseParameter, type Parameters } from "./parameters.js";
export { plotlyFigure, type PlotlyFigure, type PlotlySpec } from "./plotlyFigure.js";
export { hideSources } from "./reportMode.js";
export {
  runCells,
  runNotebook,
  terminalProgress,
  type CellError,
  type CellOutcome,
  type FailedCell,
  type RunCellsOptions,
  type RunNotebookOptions,
  type RunProgress,
  type RunNotebookResult,
} from "./runner.js";
export { metricsTable, type MetricsTable, rankedTable, type RankedTable } from "./tables.js";
export { ProgressBar, tqdm, type Progress, type ProgressOptions } from "./tqdm.js";
import "./interrupts.js";
