/** Importing this fills the kernel table. */
import "./arithmetic.js";
import "./counting.js";
import "./creation.js";
import "./indexing.js";
import "./layout.js";
import "./matmul.js";
import "./reductions.js";
import "./refused.js";
import "./scans.js";
import "./slicing.js";
import "./unary.js";

export { type Kernel, kernels, refusals } from "./registry.js";
