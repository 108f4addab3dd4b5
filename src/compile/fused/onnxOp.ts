/** Lets a TensorFlow.js function use one ONNX operator while tracing, and plain tensor operations otherwise. */
import type { Attributes, Graph, Node, Output, Value } from "../graph.js";
import { tf } from "../tensorflow.js";
import { currentTrace, tfTensors } from "../trace.js";

export interface OnnxOp {
  readonly opType: string;
  readonly domain?: Node["domain"];
  /** A plain number list becomes a 1-D int64 constant, which TensorFlow.js has no tensor for. */
  readonly inputs: readonly (tf.Tensor | readonly number[])[];
  readonly outputs: readonly Output[];
  readonly attributes?: Attributes;
}

/**
 * @param op the operator that the traced graph gets
 * @param eager computes the same from tensor operations
 * No gradient is recorded for the traced form: use it inside `tf.customGrad` only.
 */
export function onnxOp(op: OnnxOp, eager: () => tf.Tensor[]): tf.Tensor[] {
  const trace = currentTrace();
  if (trace === undefined) return eager();
  const inputs = op.inputs.map((input) => (input instanceof tf.Tensor ? trace.symbol(input) : trace.graph.int64s(input)));
  return tfTensors(trace, trace.graph.ops(op.opType, inputs, op.outputs, op.attributes, op.domain));
}

/**
 * The same for several operators: what lies between them may be of types that TensorFlow.js lacks, and of sizes that depend on numbers
 * (`UNKNOWN`). The result may not.
 * @param write appends the operators to the graph
 */
export function onnxOps(inputs: readonly tf.Tensor[], write: (graph: Graph, inputs: Value[]) => Value, eager: () => tf.Tensor): tf.Tensor {
  const trace = currentTrace();
  if (trace === undefined) return eager();
  const values = inputs.map((input) => trace.symbol(input));
  return tfTensors(trace, [write(trace.graph, values)])[0]!;
}
