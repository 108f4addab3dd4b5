/** Kernels that make tensors from numbers. Their results are constants of the graph. */
import { EngineError } from "../../errors.js";
import type { DType } from "../graph.js";
import { defineKernel, input } from "./registry.js";
import { broadcastShapes, castNumber, constantNumbers, iota } from "./shapes.js";

defineKernel("Fill", (call) => {
  const { shape, value, dtype = "float32" } = call.attributes as { shape: number[]; value: number | string; dtype?: DType };
  if (typeof value === "string") throw new EngineError("tensor_type", "tensors are float32, int32 or bool, got string");
  return call.graph.fill(castNumber(value, dtype), dtype, shape);
});

/** Counts down by 1 when the stop lies below the start and the step is 1, and stores each sum, as TensorFlow.js does. */
defineKernel("Range", (call) => {
  const { start, stop, step, dtype } = call.attributes as { start: number; stop: number; step: number; dtype: DType };
  if (start === stop || (start < stop && step < 0) || (stop < start && step > 1)) return call.graph.fill(0, dtype, [0]);
  const length = Math.abs(Math.ceil((stop - start) / step));
  const by = stop < start && step === 1 ? -1 : step;
  if (dtype === "int32" && by === 1) return iota(call.graph, length, [length], castNumber(start, dtype));
  return call.graph.constant(running(start, by, length, dtype), dtype, [length]);
});

defineKernel("LinSpace", (call) => {
  const { start, stop, num } = call.attributes as { start: number; stop: number; num: number };
  return call.graph.constant(running(start, (stop - start) / (num - 1), num, "float32"), "float32", [num]);
});

/** start, start + step, …, each sum rounded to the type before the next. */
function running(start: number, step: number, length: number, dtype: DType): Float32Array | Int32Array {
  const values = dtype === "int32" ? new Int32Array(length) : new Float32Array(length);
  values[0] = start;
  for (let i = 1; i < length; i++) values[i] = values[i - 1]! + step;
  return values;
}

defineKernel("BroadcastArgs", (call) => {
  const [a, b] = [input(call, "s0"), input(call, "s1")].map((shape) => constantNumbers(shape, "the shapes of tf.broadcastArgs"));
  const shape = broadcastShapes(a!, b!);
  return call.graph.constant(Int32Array.from(shape), "int32", [shape.length]);
});
