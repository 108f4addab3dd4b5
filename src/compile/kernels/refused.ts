/** Kernels that a traced graph does not hold, each with what to use instead. */
import { refuseKernel } from "./registry.js";

/** One reason for several kernels. */
const reasons: readonly { readonly kernels: readonly string[]; readonly instead: string }[] = [
  {
    kernels: [
      "Unique",
      "NonMaxSuppressionV3",
      "NonMaxSuppressionV4",
      "NonMaxSuppressionV5",
      "RaggedGather",
      "RaggedRange",
      "RaggedTensorToTensor",
      "SparseFillEmptyRows",
      "SparseReshape",
    ],
    instead: "the shape of its result depends on values; compute it outside and pass the result as an input",
  },
  {
    kernels: ["SparseSegmentMean", "SparseSegmentSum"],
    instead: "use tf.gather and tf.unsortedSegmentSum, whose number of segments is known",
  },
  { kernels: ["Multinomial"], instead: "its random numbers would repeat in every run; draw outside and pass the result as an input" },
  {
    kernels: ["StaticRegexReplace", "StringNGrams", "StringSplit", "StringToHashBucketFast"],
    instead: "strings are not tensors of a graph; prepare text outside and pass token ids as an input",
  },
  {
    kernels: ["Complex", "ComplexAbs", "Real", "Imag", "FFT", "IFFT"],
    instead: "complex numbers are not supported; keep real and imaginary parts as two float32 tensors",
  },
  {
    kernels: [
      "Conv2D",
      "Conv2DBackpropFilter",
      "Conv2DBackpropInput",
      "Conv3D",
      "Conv3DBackpropFilterV2",
      "Conv3DBackpropInputV2",
      "DepthwiseConv2dNative",
      "DepthwiseConv2dNativeBackpropFilter",
      "DepthwiseConv2dNativeBackpropInput",
      "Dilation2D",
      "Dilation2DBackpropFilter",
      "Dilation2DBackpropInput",
      "FusedConv2D",
      "FusedDepthwiseConv2D",
    ],
    instead: 'convolutions are not supported; write a small one as tf.matMul over shifted slices, or use engine "eager"',
  },
  {
    kernels: [
      "AvgPool",
      "AvgPool3D",
      "AvgPool3DGrad",
      "AvgPoolGrad",
      "MaxPool",
      "MaxPool3D",
      "MaxPool3DGrad",
      "MaxPoolGrad",
      "MaxPoolWithArgmax",
      "LRN",
      "LRNGrad",
    ],
    instead: 'pooling is not supported; use tf.reshape with tf.max or tf.mean, or engine "eager"',
  },
  {
    kernels: [
      "BatchToSpaceND",
      "CropAndResize",
      "DepthToSpace",
      "Draw",
      "FlipLeftRight",
      "FromPixels",
      "ResizeBilinear",
      "ResizeBilinearGrad",
      "ResizeNearestNeighbor",
      "ResizeNearestNeighborGrad",
      "RotateWithOffset",
      "SpaceToBatchND",
      "Transform",
    ],
    instead: 'image operations are not supported; prepare images outside and pass them as an input, or use engine "eager"',
  },
];

for (const { kernels, instead } of reasons) kernels.forEach((name) => refuseKernel(name, instead));
