/**
 * Products with a weight of 8-bit codes, LLM.int8() of arXiv:2208.07339 (quantise/tensorFormat.ts has the parts). The weight is a constant: no
 * gradient for it.
 *
 * Forward: columns of `x` with a number of magnitude ≥ threshold are multiplied in float32. The rest is rounded to 127 steps of each row's
 * largest magnitude, and whole numbers are multiplied. Backward, `dx = dy W` with W as its codes say: in float32, or with `dy` rounded by row too,
 * to 8 bits or, as a code and the code of what it leaves over, to 16.
 *
 * Traced, the codes of x are uint8 around 128: ONNX Runtime 1.30 multiplies uint8 by int8 fast, and int8 by int8 15 times slower. uint8 by
 * uint8 takes nearly twice as long, and is exact on every processor (int8Check.ts).
 */
import { EngineError } from "../../errors.js";
import { type DType, type Graph, UNKNOWN, type Value } from "../graph.js";
import { INT8_LARGEST, UINT8_ZERO as ZERO } from "../quantise/int8.js";
import { tf } from "../tensorflow.js";
import { onnxOps } from "./onnxOp.js";

/** The parts of a weight [N, K] inside a tensor function. */
export interface Int8Weight {
  /** int8 [K, N], or uint8 */
  readonly codes: tf.Tensor2D;
  /** The codes here and below are uint8, moved up by 128; default false */
  readonly unsigned?: boolean;
  /** Largest magnitude of each row of W, float32 [N] */
  readonly absmax: tf.Tensor1D;
  /** Magnitude from which on a number of x is an outlier, float32 []; absent = none is */
  readonly threshold?: tf.Scalar | undefined;
  /** The codes again for a backward product with rounded gradients; absent = it is in float32 */
  readonly backward?: { readonly codes: tf.Tensor2D /* [N, K] */; readonly bits: 8 | 16 } | undefined;
}

/** A row of zeros is divided by this. */
const SMALLEST = 2 ** -100;
/** ONNX's number of float32 */
const FLOAT = 1;

/** The weight as numbers, float32 [N, K]. */
export function int8AsFloat32({ codes, absmax, unsigned }: Int8Weight): tf.Tensor2D {
  return tf.mul(tf.transpose(codesAsFloat32({ codes, unsigned })), tf.reshape(steps(absmax), [-1, 1]));
}

/**
 * `x Wᵀ`.
 * @param x shape [T, K]
 * @returns shape [T, N]
 */
export function int8MatMul(x: tf.Tensor2D, weight: Int8Weight): tf.Tensor2D {
  const [columns] = weight.codes.shape;
  if (x.shape[1] !== columns)
    throw new EngineError(
      "matmul_shape",
      `int8MatMul: x must have ${columns} columns for a weight [${weight.codes.shape[1]},${columns}], got [${x.shape.join(",")}]`,
    );
  const op = tf.customGrad((...args: unknown[]) => {
    const [input] = args as [tf.Tensor2D];
    return { value: forward(input, weight), gradFunc: (dy: tf.Tensor) => backward(dy as tf.Tensor2D, weight) };
  });
  return op(x) as tf.Tensor2D;
}

/** A matrix of codes that x is multiplied by. */
interface Codes {
  readonly codes: tf.Tensor2D;
  readonly unsigned?: boolean | undefined;
}

function forward(x: tf.Tensor2D, { codes: matrix, unsigned, absmax, threshold }: Int8Weight): tf.Tensor2D {
  const codes = { codes: matrix, unsigned };
  const step = steps(absmax);
  if (threshold === undefined) return roundedProduct(x, codes, step);
  const largest = columnMaxima(x); // [1, K]
  const isOutlier = tf.greaterEqual(largest, threshold);
  const rest = tf.mul(x, tf.cast(tf.logicalNot(isOutlier), "float32")) as tf.Tensor2D;
  return withOutliers(x, isOutlier, codes, step, roundedProduct(rest, codes, step));
}

function backward(dy: tf.Tensor2D, { codes, unsigned, absmax, backward: again }: Int8Weight): tf.Tensor2D {
  const scaled = tf.mul(dy, steps(absmax)) as tf.Tensor2D; // [T, N]
  if (again === undefined) return tf.matMul(scaled, codesAsFloat32({ codes, unsigned }), false, true);
  const transposed = { codes: again.codes, unsigned };
  const one = tf.ones([again.codes.shape[1]]) as tf.Tensor1D;
  return again.bits === 8 ? roundedProduct(scaled, transposed, one) : finelyRoundedProduct(scaled, transposed);
}

/** What one code is worth, by row of W. */
function steps(absmax: tf.Tensor1D): tf.Tensor1D {
  return tf.div(absmax, INT8_LARGEST);
}

function codesAsFloat32(codes: Codes): tf.Tensor2D {
  return onnxOps(
    [codes.codes],
    (graph, [input]) => asFloat(graph, input!),
    () => eagerCodes(codes),
  ) as tf.Tensor2D;
}

/** Eagerly bytes of either kind are int32. */
function eagerCodes({ codes, unsigned = false }: Codes): tf.Tensor2D {
  return tf.cast(unsigned ? tf.sub(codes, ZERO) : codes, "float32");
}

function asFloat(graph: Graph, value: Value): Value {
  const output = { dtype: "float32", shape: value.shape } as const;
  const number = graph.op("Cast", [value], output, { to: FLOAT });
  return value.dtype === "uint8" ? graph.op("Sub", [number, graph.scalar(ZERO)], output) : number;
}

/** Largest magnitudes along an axis, kept as an axis of one; NaN is passed over. */
function magnitudes(x: tf.Tensor2D, axis: 0 | 1): tf.Tensor2D {
  const shape = axis === 0 ? [1, x.shape[1]] : [x.shape[0], 1];
  const absolute = tf.abs(x);
  return onnxOps(
    [absolute],
    (graph, [input]) => graph.op("ReduceMax", [input!, graph.int64s([axis])], { dtype: "float32", shape }, { keepdims: 1 }),
    () => tf.max(absolute, axis, true),
  ) as tf.Tensor2D;
}

function columnMaxima(x: tf.Tensor2D): tf.Tensor2D {
  return magnitudes(x, 0);
}

/** What one code of each row of x is worth, [T, 1]. */
function rowSteps(x: tf.Tensor2D): tf.Tensor2D {
  return tf.div(tf.maximum(magnitudes(x, 1), SMALLEST), INT8_LARGEST);
}

/** `x B` with x rounded by row. @param codes [K, N] @param step by column of B, [N] @returns [T, N] */
function roundedProduct(x: tf.Tensor2D, codes: Codes, step: tf.Tensor1D): tf.Tensor2D {
  const rowStep = rowSteps(x);
  const product = onnxOps(
    [x, rowStep, codes.codes, step],
    (graph, [input, scale, b, columnStep]) => integerProduct(graph, quantise(graph, input!, scale!), b!, columnStep!, 1),
    () => tf.mul(tf.matMul(rounded(x, rowStep), eagerCodes(codes)), step),
  );
  return tf.mul(product, rowStep);
}

/** The same with 16 bits: the code, and the code of what it leaves over in steps 254 times finer. */
function finelyRoundedProduct(x: tf.Tensor2D, codes: Codes): tf.Tensor2D {
  const rowStep = rowSteps(x);
  const fineStep = tf.div(rowStep, FINER) as tf.Tensor2D;
  const product = onnxOps(
    [x, rowStep, fineStep, codes.codes],
    (graph, [input, scale, fineScale, b]) => {
      const floats = { dtype: "float32", shape: x.shape } as const;
      const coarse = quantise(graph, input!, scale!);
      const rest = graph.op("Sub", [input!, dequantise(graph, coarse, scale!)], floats);
      const one = graph.scalar(1);
      const products = [coarse, quantise(graph, rest, fineScale!)].map((a, i) =>
        integerProduct(graph, a, b!, one, i === 0 ? 1 : 1 / FINER),
      );
      return graph.op("Add", products, { dtype: "float32", shape: [x.shape[0], b!.shape[1]!] });
    },
    () => {
      const coarse = rounded(x, rowStep);
      const fine = rounded(tf.sub(x, tf.mul(coarse, rowStep)), fineStep);
      const b = eagerCodes(codes);
      return tf.add(tf.matMul(coarse, b), tf.mul(tf.matMul(fine, b), 1 / FINER));
    },
  );
  return tf.mul(product, rowStep);
}

/** What a code leaves over is at most half a step: 127 of these. */
const FINER = 2 * INT8_LARGEST;

/** Codes as floats, halves to even. */
function rounded(x: tf.Tensor2D, rowStep: tf.Tensor2D): tf.Tensor2D {
  return tf.clipByValue(tf.round(tf.div(x, rowStep)), -INT8_LARGEST, INT8_LARGEST);
}

function quantise(graph: Graph, x: Value, rowStep: Value): Value {
  return graph.op("QuantizeLinear", [x, ...rowScales(graph, rowStep)], { dtype: "uint8", shape: x.shape }, { axis: 0 });
}

function dequantise(graph: Graph, codes: Value, rowStep: Value): Value {
  return graph.op("DequantizeLinear", [codes, ...rowScales(graph, rowStep)], { dtype: "float32", shape: codes.shape }, { axis: 0 });
}

function rowScales(graph: Graph, rowStep: Value): Value[] {
  const rows = [rowStep.shape[0]!];
  return [graph.op("Reshape", [rowStep, graph.int64s(rows)], { dtype: "float32", shape: rows }), graph.fill(ZERO, "uint8", rows)];
}

/** The whole numbers of `a b`, times `step` by column and `factor`. One pass: the int32 sums never reach memory. */
function integerProduct(graph: Graph, a: Value, b: Value, step: Value, factor: number): Value {
  const zero = graph.scalar(ZERO, "uint8");
  const inputs = [a, b, graph.scalar(factor), step, zero, ...(b.dtype === "uint8" ? [zero] : [])];
  const shape = [a.shape[0]!, b.shape[1]!];
  return graph.op("MatMulIntegerToFloat", inputs, { dtype: "float32", shape }, {}, "com.microsoft");
}

/** Adds the columns that were left out, in float32. Traced, they alone are read, however many they turn out to be. */
function withOutliers(x: tf.Tensor2D, isOutlier: tf.Tensor, codes: Codes, step: tf.Tensor1D, product: tf.Tensor2D): tf.Tensor2D {
  const [tokens, columns] = x.shape;
  const rows = codes.codes.shape[1];
  return onnxOps(
    [x, isOutlier, codes.codes, step, product],
    (graph, [input, chosen, b, columnStep, rest]) => {
      const op = (opType: string, inputs: Value[], dtype: DType, shape: readonly number[], attributes = {}): Value =>
        graph.op(opType, inputs, { dtype, shape }, attributes);
      const flat = op("Reshape", [chosen!, graph.int64s([columns])], "bool", [columns]);
      const places = op("Reshape", [op("NonZero", [flat], "int64", [1, UNKNOWN]), graph.int64s([-1])], "int64", [UNKNOWN]);
      const taken = op("Gather", [input!, places], "float32", [tokens, UNKNOWN], { axis: 1 });
      const weights = asFloat(graph, op("Gather", [b!, places], b!.dtype, [UNKNOWN, rows], { axis: 0 }));
      const scaled = op("Mul", [weights, columnStep!], "float32", [UNKNOWN, rows]);
      return op("Gemm", [taken, scaled, rest!], "float32", [tokens, rows]);
    },
    () => {
      const taken = tf.mul(x, tf.cast(isOutlier, "float32")) as tf.Tensor2D;
      return tf.add(tf.matMul(taken, tf.mul(eagerCodes(codes), step)), product);
    },
  ) as tf.Tensor2D;
}
