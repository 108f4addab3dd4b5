/** One row's loss from its log-probs, outside the gradient pass: to try a user's function, and to evaluate. */
import { type Engine, type Program, hostTensor, tf } from "../../compile/index.js";
import { ConfigError } from "../../errors.js";
import type { KTOLossFunction, RowLogps } from "../options/ktoConfig.js";

/** The numbers a loss gets, before they are tensors. */
export type RowNumbers = Record<keyof RowLogps, number>;

const NAMES = ["policy", "reference", "kl", "label"] as const;

/** Inputs as `RowLogps`; output `loss`, shape [1]. */
export function rowLossProgram(engine: Engine, loss: KTOLossFunction, beta: number): Program {
  const one = { shape: [1] };
  return engine.compile(
    (inputs) => ({ loss: rowLoss(loss, inputs as unknown as RowLogps, beta) }),
    Object.fromEntries(NAMES.map((name) => [name, one])),
    {
      name: "loss of a row",
    },
  );
}

export async function runRowLoss(program: Program, row: RowNumbers): Promise<number> {
  const { loss } = await program.run(Object.fromEntries(NAMES.map((name) => [name, hostTensor(Float32Array.of(row[name]), [1])])));
  return loss!.data[0]!;
}

/** @param logps of shape [R] each; of [1] for a user's function @throws ConfigError `loss_shape` */
export function rowLoss(loss: KTOLossFunction, logps: RowLogps, beta: number): tf.Tensor1D {
  const value: unknown = loss(logps, { beta });
  const tensor = value instanceof tf.Tensor ? (value as tf.Tensor) : undefined;
  if (tensor?.dtype === "float32" && tensor.shape.length === 1 && tensor.shape[0] === logps.policy.shape[0]) return tensor as tf.Tensor1D;
  const other = value instanceof Promise ? "a Promise" : typeof value;
  const got = tensor === undefined ? other : `${tensor.dtype} of shape [${tensor.shape.join(", ")}]`;
  throw new ConfigError("loss_shape", `loss_type: the function must return the row's loss, a float32 tensor of shape [1], got ${got}`);
}

/**
 * Tries a user's loss on made-up log-probs, so that a mistake in it shows before the reference is computed.
 * @throws ConfigError `loss_shape`, `loss_gradient`; EngineError for what cannot be traced
 */
export async function tryRowLoss(engine: Engine, loss: KTOLossFunction, beta: number): Promise<void> {
  const slope = (inputs: Record<string, tf.Tensor>): Record<string, tf.Tensor> => {
    const logps = inputs as unknown as RowLogps;
    const scalar = (policy: tf.Tensor): tf.Scalar => tf.sum(rowLoss(loss, { ...logps, policy: policy as tf.Tensor1D }, beta));
    try {
      return { slope: tf.valueAndGrads(scalar)([logps.policy]).grads[0]! };
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith("Cannot compute gradient of y=f(x)")) throw error;
      const message =
        "loss_type: the function's result must depend on policy, got one without a gradient; build it from TensorFlow.js operations on it, without dataSync or arraySync";
      throw new ConfigError("loss_gradient", message, { cause: error });
    }
  };
  const program = engine.compile(slope, Object.fromEntries(NAMES.map((name) => [name, { shape: [1] }])), { name: "loss_type" });
  try {
    const tried: RowNumbers = { policy: -20, reference: -21, kl: 0.5, label: 1 };
    await program.run(Object.fromEntries(NAMES.map((name) => [name, hostTensor(Float32Array.of(tried[name]), [1])])));
  } finally {
    await program.dispose();
  }
}
