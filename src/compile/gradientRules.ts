/**
 * Gradient rules that TensorFlow.js 4.22 lacks or has wrong, registered for all backends, so that eager and compiled
 * functions have the same. Each states what TensorFlow.js does without it.
 */
import type * as TensorFlow from "@tensorflow/tfjs";

type Tensor = TensorFlow.Tensor;
type Rule = Omit<TensorFlow.GradConfig, "kernelName">;

export function registerGradientRules(tf: typeof TensorFlow): void {
  const rule = (kernelName: string, config: Rule): void => tf.registerGradient({ kernelName, ...config });
  const zeros =
    (tensor: Tensor): (() => Tensor) =>
    () =>
      tf.fill(tensor.shape, 0);

  /** Sums over the axes along which an operand of `shape` was broadcast. */
  const reduceTo = (gradient: Tensor, shape: number[]): Tensor => {
    const axes = tf.broadcast_util.getReductionAxes(shape, gradient.shape);
    return tf.reshape(axes.length === 0 ? gradient : tf.sum(gradient, axes), shape);
  };

  // Without: "gradient function not found for Greater" as soon as a condition of tf.where depends on the variable.
  // GreaterEqual has one that fails on integers.
  for (const kernel of ["Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd", "LogicalOr"]) {
    rule(kernel, {
      inputsToSave: ["a", "b"],
      gradFunc: (_dy, saved) => {
        const [a, b] = saved as [Tensor, Tensor];
        return { a: zeros(a), b: zeros(b) };
      },
    });
  }
  for (const kernel of ["LogicalNot", "All", "Any"])
    rule(kernel, { inputsToSave: ["x"], gradFunc: (_dy, saved) => ({ x: zeros(saved[0]!) }) });

  // Without: an operand that was broadcast gets a gradient of the result's shape, which is an error. Ties go to `a`.
  const choices = { Maximum: [tf.greaterEqual, tf.less], Minimum: [tf.lessEqual, tf.greater] } as const;
  for (const [kernel, [ofA, ofB]] of Object.entries(choices)) {
    rule(kernel, {
      inputsToSave: ["a", "b"],
      gradFunc: (dy, saved) => {
        const [a, b] = saved as [Tensor, Tensor];
        const part = (chosen: Tensor, shape: number[]): Tensor => reduceTo(tf.mul(dy as Tensor, tf.cast(chosen, "float32")), shape);
        return { a: () => part(ofA(a, b), a.shape), b: () => part(ofB(a, b), b.shape) };
      },
    });
  }
  rule("SquaredDifference", {
    inputsToSave: ["a", "b"],
    gradFunc: (dy, saved) => {
      const [a, b] = saved as [Tensor, Tensor];
      const slope = (): Tensor => tf.mul(dy as Tensor, tf.mul(tf.sub(a, b), 2));
      return { a: () => reduceTo(slope(), a.shape), b: () => reduceTo(tf.neg(slope()), b.shape) };
    },
  });

  // Without: the gradient along an axis that is not the last comes out transposed.
  rule("Cumsum", {
    gradFunc: (dy, _saved, attributes) => {
      const { axis, exclusive, reverse } = attributes as unknown as { axis: number; exclusive: boolean; reverse: boolean };
      return { x: () => tf.cumsum(dy as Tensor, axis, exclusive, !reverse) };
    },
  });

  // Without: an error for negative axes.
  const product = tf.getGradient("Prod");
  rule("Prod", {
    inputsToSave: ["x"],
    gradFunc: (dy, saved, attributes) => {
      const { axis } = attributes as unknown as { axis: number | number[] | undefined };
      const axes = tf.util.parseAxisParam(axis as number, saved[0]!.shape);
      return product.gradFunc(dy, saved, { ...attributes, axis: axes.sort((a, b) => a - b) });
    },
  });

  // Without: an error for one part only, whose gradient does not come as a list.
  rule("Unpack", {
    gradFunc: (dy, _saved, attributes) => ({ value: () => tf.stack([dy].flat(), (attributes as unknown as { axis: number }).axis) }),
  });
  rule("SplitV", {
    gradFunc: (dy, _saved, attributes) => ({ x: () => tf.concat([dy].flat(), (attributes as unknown as { axis: number }).axis) }),
  });

  registerPlacementRules(tf, rule);
  registerEinsumRule(tf, rule);
  replaceLogSigmoid(tf);
}

/**
 * Without: an error on the way back, unless the argument is a variable. tf.logSigmoid is no kernel; its custom gradient reads
 * the argument, which has been freed by then. Softplus, of which it is made, has a gradient of its own.
 */
function replaceLogSigmoid(tf: typeof TensorFlow): void {
  const engine = tf.engine();
  const customGrad = engine.customGrad.bind(engine);
  engine.customGrad = ((f) => {
    if (engine.state.activeScope?.name !== "logSigmoid__op") return customGrad(f);
    return (x: Tensor) => tf.neg(tf.softplus(tf.neg(x)));
  }) as typeof engine.customGrad;
}

/** Kernels that put every element of their result from a known place: the gradient goes back to the places. */
function registerPlacementRules(tf: typeof TensorFlow, rule: (kernelName: string, config: Rule) => void): void {
  /** Sums `dy` into a tensor of `shape`, at the flat places that run parallel to it. */
  const sumInto = (dy: Tensor, places: Tensor, shape: number[]): Tensor => {
    const size = tf.util.sizeFromShape(shape);
    return tf.reshape(tf.unsortedSegmentSum(tf.reshape(dy, [-1]), tf.reshape<TensorFlow.Rank.R1>(places, [-1]), size), shape);
  };
  /** 0, 1, 2, … under the given shape. */
  const numbered = (shape: number[]): Tensor => tf.reshape(tf.range(0, tf.util.sizeFromShape(shape), 1, "int32"), shape);
  const noGradient =
    (tensor: Tensor): (() => Tensor) =>
    () =>
      tf.fill(tensor.shape, 0);

  // Without: StridedSlice has none; that of MirrorPad leaves out what the mirrored part adds.
  for (const kernel of ["StridedSlice", "MirrorPad"]) {
    rule(kernel, {
      inputsToSave: ["x"],
      gradFunc: (dy, saved, attributes) => {
        const { shape } = saved[0]!;
        const places = (): Tensor => tf.engine().runKernel<Tensor>(kernel, { x: numbered(shape) }, attributes);
        return { x: () => sumInto(dy as Tensor, places(), shape) };
      },
    });
  }
  // Without: none.
  rule("TopK", {
    inputsToSave: ["x"],
    outputsToSave: [false, true],
    gradFunc: (dys, saved) => {
      const [x, indices] = saved as [Tensor, Tensor];
      const [dy] = dys as Tensor[];
      const rowStarts = tf.mul(numbered([...x.shape.slice(0, -1), 1]), tf.scalar(x.shape.at(-1)!, "int32"));
      return { x: () => sumInto(dy!, tf.add(indices, rowStarts), x.shape) };
    },
  });
  // Without: none.
  rule("Diag", {
    inputsToSave: ["x"],
    gradFunc: (dy, saved) => {
      const { shape, size } = saved[0]!;
      return { x: () => tf.reshape(tf.sum(tf.mul(tf.reshape(dy as Tensor, [size, size]), tf.eye(size)), 1), shape) };
    },
  });
  // Without: none.
  rule("GatherNd", {
    inputsToSave: ["params", "indices"],
    gradFunc: (dy, saved) => {
      const [params, indices] = saved as [Tensor, Tensor];
      return { params: () => tf.scatterND(indices, dy as Tensor, params.shape), indices: noGradient(indices) };
    },
  });
  // Without: none.
  rule("ScatterNd", {
    inputsToSave: ["indices"],
    gradFunc: (dy, saved) => ({ updates: () => tf.gatherND(dy as Tensor, saved[0]!), indices: noGradient(saved[0]!) }),
  });
  // Without: none.
  rule("TensorScatterUpdate", {
    inputsToSave: ["indices", "updates"],
    gradFunc: (dy, saved) => {
      const [indices, updates] = saved as [Tensor, Tensor];
      return {
        // A product, because TensorFlow.js's `cpu` backend scatters into its argument.
        tensor: () => tf.mul(dy as Tensor, tf.tensorScatterUpdate(tf.onesLike(dy as Tensor), indices, tf.zerosLike(updates))),
        updates: () => tf.gatherND(dy as Tensor, indices),
        indices: noGradient(indices),
      };
    },
  });
  registerGatherRule(tf, rule);
}

/**
 * Without: one segment sum per row of the batch, hundreds of operations for a batch of tokens, and a wrong result from
 * two batch axes on. With batch axes the gradient is one product: onehot(indices)ᵀ · dy.
 */
function registerGatherRule(tf: typeof TensorFlow, rule: (kernelName: string, config: Rule) => void): void {
  const sizeOf = tf.util.sizeFromShape;
  rule("GatherV2", {
    inputsToSave: ["x", "indices"],
    gradFunc: (dy, saved, attributes) => {
      const [x, indices] = saved as [Tensor, Tensor];
      const { axis: given, batchDims: batchGiven } = attributes as unknown as { axis: number; batchDims?: number };
      const axis = given < 0 ? given + x.rank : given;
      const batchDims = (batchGiven ?? 0) < 0 ? batchGiven! + indices.rank : (batchGiven ?? 0);
      const [batch, outer, length, inner] = [
        sizeOf(x.shape.slice(0, batchDims)),
        sizeOf(x.shape.slice(batchDims, axis)),
        x.shape[axis]!,
        sizeOf(x.shape.slice(axis + 1)),
      ];
      const picks = sizeOf(indices.shape.slice(batchDims));
      const back = (): Tensor => {
        const rows = tf.transpose(tf.reshape(dy as Tensor, [batch, outer, picks, inner]), [0, 2, 1, 3]);
        if (batch === 1) {
          const summed = tf.unsortedSegmentSum(
            tf.reshape(rows, [picks, outer, inner]),
            tf.reshape<TensorFlow.Rank.R1>(indices, [picks]),
            length,
          ); // [length, outer, inner]
          return tf.reshape(tf.transpose(summed, [1, 0, 2]), x.shape);
        }
        // tf.oneHot takes no depth of 1.
        const hits = length === 1 ? tf.ones([batch, picks, 1]) : tf.cast(tf.oneHot(tf.reshape(indices, [batch, picks]), length), "float32"); // [batch, picks, length]
        const summed = tf.matMul(hits, tf.reshape(rows, [batch, picks, outer * inner]), true, false); // [batch, length, outer·inner]
        return tf.reshape(tf.transpose(tf.reshape(summed, [batch, length, outer, inner]), [0, 2, 1, 3]), x.shape);
      };
      return { x: back, indices: () => tf.fill(indices.shape, 0) };
    },
  });
}

/** Without: none. For `a,b->c` the gradient of a is `c,b->a`; letters that only a has were summed, so dy is repeated along them. */
function registerEinsumRule(tf: typeof TensorFlow, rule: (kernelName: string, config: Rule) => void): void {
  rule("Einsum", {
    saveAllInputs: true,
    gradFunc: (dy, saved, attributes) => {
      const [left, result] = (attributes as unknown as { equation: string }).equation.replaceAll(" ", "").split("->") as [string, string];
      const terms = left.split(",");
      const gradientOf = (i: number): Tensor => {
        const own = terms[i]!;
        const others = terms.filter((_, j) => j !== i);
        const known = [...own].filter((letter) => result.includes(letter) || others.some((term) => term.includes(letter))).join("");
        const partial = contract(tf, [result, ...others], [dy as Tensor, ...saved.filter((_, j) => j !== i)], known);
        const shape = saved[i]!.shape.map((size, axis) => (known.includes(own[axis]!) ? size : 1));
        return tf.broadcastTo(tf.reshape(partial, shape), saved[i]!.shape);
      };
      return Object.fromEntries(terms.map((_, i) => [i, () => gradientOf(i)]));
    },
  });
}

/** An einsum whose terms may be scalars, which TensorFlow.js's equations cannot say. */
function contract(tf: typeof TensorFlow, terms: readonly string[], tensors: readonly Tensor[], result: string): Tensor {
  const scalars = tensors.filter((_, i) => terms[i] === "");
  const rest = tensors.filter((_, i) => terms[i] !== "");
  const restTerms = terms.filter((term) => term !== "");
  const product = rest.length === 0 ? tf.scalar(1) : tf.einsum(`${restTerms.join(",")}->${result}`, ...rest);
  return scalars.reduce<Tensor>((value, scalar) => tf.mul(value, scalar), product);
}
