/** Assignments: what students get of an instructor's notebook, and the grades of what comes back. */
export { readAssignment, studentNotebook, type Assignment } from "./assignment.js";
export { renderFeedback } from "./feedback.js";
export {
  checkAssignment,
  gradeSubmissions,
  type AssignmentCheck,
  type GradeAllOptions,
  type GradeOptions,
  type SubmissionResult,
  type TestResult,
} from "./grader.js";
export { formatCsv, formatGradescope, formatJson } from "./reports.js";
export { chooseProtection, PROTECTION_TEXT, PROTECTIONS, type Protection } from "./sandbox.js";
