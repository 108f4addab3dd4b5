/** Operations with hand-written gradients, which keep graphs short and memory low. Each also runs eagerly. */
export { bytesAsInt32, int32AsBytes } from "./bytes.js";
export { BlockCodec, type CodedBlocks } from "./blockCodec.js";
export { type AttentionShape, blockMask, groupedQueryAttention } from "./attention.js";
export { type Head, type HeadResult, headLogProbs } from "./headLogProbs.js";
export { recomputed } from "./recompute.js";
export { rmsNorm } from "./rmsNorm.js";
export { rotary, rotaryAngles } from "./rotary.js";
export { swiglu } from "./swiglu.js";
