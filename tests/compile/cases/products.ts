/** Matrix products and einsum. */
import { tf } from "../../../src/compile/index.js";
import { type CaseTensor, type ContractCase, contractCase, ints, normal } from "../contractCase.js";

const transposes = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const;

const products: ContractCase[] = transposes.flatMap(([ta, tb]) => {
  const side = (transposed: boolean, rows: number, columns: number): number[] => (transposed ? [columns, rows] : [rows, columns]);
  const label = `matMul${ta ? " aᵀ" : ""}${tb ? " bᵀ" : ""}`;
  return [
    contractCase({
      name: `${label} of matrices`,
      inputs: { a: normal(side(ta, 3, 4)), b: normal(side(tb, 4, 2), 2) },
      fn: ({ a, b }) => tf.matMul(a, b, ta, tb),
      gradientOf: ["a", "b"],
    }),
    contractCase({
      name: `${label} of batches`,
      inputs: { a: normal([2, ...side(ta, 3, 4)]), b: normal([2, ...side(tb, 4, 2)], 2) },
      fn: ({ a, b }) => tf.matMul(a, b, ta, tb),
      gradientOf: ["a", "b"],
    }),
    contractCase({
      name: `${label} of a batch and one`,
      inputs: { a: normal([3, ...side(ta, 2, 4)]), b: normal([1, ...side(tb, 4, 2)], 2) },
      fn: ({ a, b }) => tf.matMul(a, b, ta, tb),
    }),
    contractCase({
      name: `${label} of rank 4`,
      inputs: { a: normal([2, 2, ...side(ta, 3, 2)]), b: normal([2, 2, ...side(tb, 2, 3)], 2) },
      fn: ({ a, b }) => tf.matMul(a, b, ta, tb),
      gradientOf: ["a", "b"],
    }),
    contractCase({
      name: `${label} of int32`,
      inputs: {
        a: ints([
          [1, 2],
          [3, -4],
        ]),
        b: ints([
          [5, 6],
          [-7, 8],
        ]),
      },
      fn: ({ a, b }) => tf.matMul(a, b, ta, tb),
    }),
  ];
});

const vectors: ContractCase[] = [
  contractCase({
    name: "dot of vectors and matrices",
    inputs: { a: normal([3]), b: normal([3], 2), m: normal([3, 2], 3) },
    fn: ({ a, b, m }) => [tf.dot(a, b), tf.dot(a, m), tf.dot(tf.transpose(m), b), tf.outerProduct(a, b)],
    gradientOf: ["a", "b", "m"],
  }),
  contractCase({
    name: "a product with a bias becomes one Gemm",
    inputs: { x: normal([3, 4]), w: normal([2, 4], 2), bias: normal([2], 3) },
    fn: ({ x, w, bias }) => {
      const product = tf.matMul(x, w, false, true);
      return [tf.add(product, bias), tf.add(bias, tf.matMul(x, tf.neg(w), false, true))];
    },
    gradientOf: ["x", "w", "bias"],
  }),
  contractCase({
    name: "a product with a bias that is read twice",
    inputs: { x: normal([3, 4]), w: normal([2, 4], 2), bias: normal([2], 3) },
    fn: ({ x, w, bias }) => {
      const product = tf.matMul(x, w, false, true);
      return [tf.add(product, bias), product, tf.add(tf.matMul(x, w, false, true), tf.sum(product, 0))];
    },
  }),
  contractCase({
    name: "a bias that broadcasts the product",
    inputs: { x: normal([1, 4]), w: normal([2, 4], 2), bias: normal([3, 2], 3), wide: normal([2, 1, 2], 4) },
    fn: ({ x, w, bias, wide }) => [tf.add(tf.matMul(x, w, false, true), bias), tf.add(wide, tf.matMul(x, w, false, true))],
  }),
  contractCase({
    name: "LoRA",
    inputs: { x: normal([3, 4]), w: normal([5, 4], 2), a: normal([2, 4], 3), b: normal([5, 2], 4) },
    fn: ({ x, w, a, b }) => tf.add(tf.matMul(x, w, false, true), tf.mul(2, tf.matMul(tf.matMul(x, a, false, true), b, false, true))),
    gradientOf: ["a", "b", "x"],
  }),
];

const activations = ["linear", "relu", "relu6", "elu", "sigmoid", "prelu", "leakyrelu"] as const;
const fused: ContractCase[] = [
  ...activations.map((activation) =>
    contractCase({
      name: `fused matMul, ${activation}`,
      inputs: { a: normal([3, 4]), b: normal([4, 2], 2), bias: normal([2], 3), slope: normal([2], 4) },
      fn: ({ a, b, bias, slope }) =>
        tf.fused.matMul({
          a,
          b,
          bias,
          activation,
          preluActivationWeights: activation === "prelu" ? slope : undefined,
          leakyreluAlpha: activation === "leakyrelu" ? 0.3 : undefined,
        }),
    }),
  ),
  ...(["linear", "relu", "elu", "relu6"] as const).map((activation) =>
    contractCase({
      name: `fused matMul gradient, ${activation}`,
      inputs: { a: normal([3, 4]), b: normal([2, 4], 2), bias: normal([2], 3) },
      fn: ({ a, b, bias }) => tf.fused.matMul({ a, b, transposeB: true, bias, activation }),
      gradientOf: ["a", "b", "bias"],
    }),
  ),
  contractCase({
    name: "fused matMul without bias, transposed",
    inputs: { a: normal([4, 3]), b: normal([4, 2], 2) },
    fn: ({ a, b }) => tf.fused.matMul({ a, b, transposeA: true }),
  }),
];

const equations: Record<string, readonly number[][]> = {
  "ij,jk->ik": [
    [2, 3],
    [3, 4],
  ],
  "bij,bjk->bik": [
    [2, 2, 3],
    [2, 3, 2],
  ],
  "ij->ji": [[2, 3]],
  "ij->i": [[2, 3]],
  "ij->": [[2, 3]],
  "i,j->ij": [[2], [3]],
  "i,i->": [[3], [3]],
  "ij,ij->ij": [
    [2, 3],
    [2, 3],
  ],
  "thd,shd->hts": [
    [3, 2, 4],
    [3, 2, 4],
  ],
  "ij , jk -> ki": [
    [2, 3],
    [3, 4],
  ],
};
const einsums: ContractCase[] = Object.entries(equations).map(([equation, shapes]) =>
  contractCase({
    name: `einsum ${equation}`,
    inputs: Object.fromEntries(shapes.map((shape, i) => [`x${i}`, normal(shape, i + 1)])),
    fn: (inputs) => tf.einsum(equation, ...Object.values(inputs as Record<string, CaseTensor>)),
    gradientOf: shapes.map((_, i) => `x${i}`),
  }),
);

export const productCases: ContractCase[] = [...products, ...vectors, ...fused, ...einsums];
