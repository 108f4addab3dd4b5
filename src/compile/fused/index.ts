/** Operations with hand-written gradients, which keep graphs short and memory low. Each also runs eagerly. */
export { addRows } from "./addRows.js";
export { bytesAsInt32, int32AsBytes } from "./bytes.js";
export { BlockCodec, type CodedBlocks } from "./blockCodec.js";
export { type BlockWeight, blockMatMul, blocksAsFloat32, gatherBlocks, joinBlocks } from "./blockMatMul.js";
export { type CachedAttention, cachedAttention } from "./cachedAttention.js";
export { type AttentionShape, HIDDEN, blockMask, groupedQueryAttention } from "./attention.js";
export { type BlockShape, blockAttention, blockMasks } from "./blockAttention.js";
export { gatherHalf, halfAsFloat32 } from "./half.js";
export { type Int8Weight, int8AsFloat32, int8MatMul } from "./int8MatMul.js";
export { type Nf4Weight, nf4AsFloat32, nf4MatMul } from "./nf4MatMul.js";
export { type Head, type HeadGradient, type HeadResult, headBlock, headLogProbs, headMean } from "./headLogProbs.js";
export { recomputed } from "./recompute.js";
export { rmsNorm } from "./rmsNorm.js";
export { rotary, rotaryAngles } from "./rotary.js";
export { swiglu } from "./swiglu.js";
