/** The first use of TensorFlow.js in a process is a trace: no backend is active yet. Alone in its file for that reason. */
import { expect, test } from "vitest";
import { tf } from "../../src/compile/index.js";
import { trace } from "../../src/compile/trace.js";

test("a trace before any other operation leaves TensorFlow.js's own choice of backend", () => {
  expect(tf.engine().backendName).toBeUndefined();
  trace(({ x }) => ({ y: tf.neg(x!) }), new Map([["x", { dtype: "float32", shape: [1] }]]), "f");
  expect(tf.getBackend()).toBe("cpu");
  expect(tf.memory().numTensors).toBe(0);
});
