/** Importing this fills the kernel table. */
import "./elementwise.js";
import "./indexing.js";
import "./layout.js";
import "./matmul.js";
import "./reductions.js";
import "./refused.js";

export { type Kernel, kernels } from "./registry.js";
