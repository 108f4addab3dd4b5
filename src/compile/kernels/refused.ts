/** Kernels that a static graph cannot hold, each with what to use instead. */
import { refuseKernel } from "./registry.js";

refuseKernel("Unique", "its result has no fixed shape; compute it outside and pass the result as an input");
refuseKernel("NonMaxSuppressionV3", "its result has no fixed shape; compute it outside and pass the result as an input");
refuseKernel("Multinomial", "random numbers would be frozen into the graph; draw outside and pass the result as an input");
refuseKernel("StaticRegexReplace", "strings are not tensors of a graph; prepare text outside");
refuseKernel("StringSplit", "strings are not tensors of a graph; prepare text outside");
refuseKernel("Complex", "complex numbers are not supported; keep real and imaginary parts as two tensors");
