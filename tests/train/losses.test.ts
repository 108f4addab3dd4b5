/** Built-in losses by themselves: worked values, and what they do far away from where training should be. */
import { beforeAll, describe, expect, it } from "vitest";
import { tf } from "../../src/compile/index.js";
import { dpoPreference, orpoPreference, cpoPreference } from "../../src/train/dpo/preference.js";
import {
  CPOConfig,
  DPOConfig,
  type DPOConfigInput,
  DPO_LOSSES,
  type DPOLossName,
  ORPOConfig,
  type PairLogps,
} from "../../src/train/index.js";

beforeAll(async () => void (await tf.setBackend("cpu")));

type Numbers = Partial<Record<keyof PairLogps, number[]>>;

/** Columns of one value a pair; what is not given is plain. */
function logps(given: Numbers & { policyChosen: number[] }): PairLogps {
  const constant = (value: number): number[] => given.policyChosen.map(() => value);
  const columns = {
    policyRejected: constant(0),
    referenceChosen: constant(0),
    referenceRejected: constant(0),
    chosenLengths: constant(4),
    rejectedLengths: constant(5),
    chosenTokens: constant(4),
    rejectedTokens: constant(5),
    chosenNll: given.policyChosen.map((value) => -value),
    nllTokens: constant(4),
    ...given,
  };
  return Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, tf.tensor1d(values)])) as unknown as PairLogps;
}

const values = (tensor: tf.Tensor): number[] => [...tensor.dataSync()];

/** The loss of each pair, and the slopes by the three values that carry a gradient. */
function evaluated(loss: (logps: PairLogps) => tf.Tensor1D, at: PairLogps): { losses: number[]; slopes: number[][] } {
  const { policyChosen, policyRejected, chosenNll } = at;
  const { grads } = tf.engine().gradients(
    () => {
      const [a, b, c] = [policyChosen, policyRejected, chosenNll].map((x) => tf.clone(x)) as [tf.Tensor1D, tf.Tensor1D, tf.Tensor1D];
      // Every variable is used, so that each has a slope.
      const nothing = tf.sum(tf.mul(tf.addN([a, b, c]), 0));
      return tf.add(tf.sum(loss({ ...at, policyChosen: a, policyRejected: b, chosenNll: c })), nothing);
    },
    [policyChosen, policyRejected, chosenNll],
    undefined,
    true,
  );
  return { losses: values(loss(at)), slopes: grads.map(values) };
}

const quietly = (options: DPOConfigInput): DPOConfig => new DPOConfig(options, { onNote: () => undefined });

describe("worked values", () => {
  // r_c = 2, r_r = -1, so d = 3; beta 0.5 makes b d = 1.5, b r_c = 1, b r_r = -0.5.
  const at = () => logps({ policyChosen: [-8], policyRejected: [-21], referenceChosen: [-10], referenceRejected: [-20] });
  const s = (x: number): number => 1 / (1 + Math.exp(-x));
  const ls = (x: number): number => Math.log(s(x));
  const expected: Record<DPOLossName, number> = {
    sigmoid: -ls(1.5),
    hinge: 0,
    ipo: (2 / 4 + 1 / 5 - 1) ** 2,
    exo_pair: s(1.5) * (ls(1.5) - Math.log(0.8)) + s(-1.5) * (ls(-1.5) - Math.log(0.2)),
    nca_pair: -ls(1) - 0.5 * ls(-1) - 0.5 * ls(0.5),
    robust: (-0.8 * ls(1.5) + 0.2 * ls(-1.5)) / 0.6,
    bco_pair: -ls(1) - ls(0.5),
    sppo_hard: (2 - 1) ** 2 + (-1 + 1) ** 2,
    aot: -0.8 * ls(1.5) - 0.2 * ls(-1.5),
    aot_unpaired: -0.8 * ls(1.5) - 0.2 * ls(-1.5),
    apo_zero: 1 - s(1) + s(-0.5),
    apo_down: s(1) + 1 - s(1.5),
    discopop: -ls(1.5) * (1 - s(30)) + Math.exp(-1.5) * s(30),
    sft: 8 / 4,
    sigmoid_norm: -ls(0.5 * (2 / 4 + 1 / 5)),
  };
  it.each(Object.entries(expected))("%s", (name, value) => {
    const [got] = values(DPO_LOSSES[name as DPOLossName](at(), { beta: 0.5, label_smoothing: 0.2 }));
    expect(got).toBeCloseTo(value, 5);
  });

  it("the mean of sft over the pairs is the mean over their tokens", () => {
    const two = logps({ policyChosen: [-6, -30], chosenTokens: [2, 6], nllTokens: [4, 4] });
    expect((values(DPO_LOSSES.sft(two, { beta: 1 }))[0]! + values(DPO_LOSSES.sft(two, { beta: 1 }))[1]!) / 2).toBeCloseTo(36 / 8, 5);
  });

  it("aot sorts each side by itself, and the gradient goes back to the pair", () => {
    const at = logps({ policyChosen: [5, 1], policyRejected: [2, 0], referenceChosen: [0, 7], referenceRejected: [0, 0] });
    // Gaps of the policy 3, 1 and of the reference 0, 7: sorted differences 1 - 0 and 3 - 7; the order of the result is that of the sort.
    const { losses, slopes } = evaluated((given) => DPO_LOSSES.aot(given, { beta: 1 }), at);
    expect(losses[0]).toBeCloseTo(-ls(1), 5);
    expect(losses[1]).toBeCloseTo(-ls(-4), 5);
    expect(slopes[0]![0]).toBeCloseTo(-s(4), 5);
    expect(slopes[0]![1]).toBeCloseTo(-s(-1), 5);
  });

  it("several losses are added with their weights", () => {
    const loss = dpoPreference(quietly({ loss_type: ["sigmoid", "sft"], loss_weights: [0.5, 3], beta: 0.5 })).loss(at());
    expect(values(loss)[0]).toBeCloseTo(0.5 * expected.sigmoid + 3 * expected.sft, 5);
  });

  it("use_weighting multiplies the sum by both weights", () => {
    const weighted = { ...at(), chosenWeights: tf.tensor1d([0.5]), rejectedWeights: tf.tensor1d([0.25]) };
    const loss = dpoPreference(quietly({ use_weighting: true, beta: 0.5 })).loss(weighted);
    expect(values(loss)[0]).toBeCloseTo(expected.sigmoid / 8, 6);
  });

  it("SimPO with its margin, AlphaPO's rewards, ORPO's odds", () => {
    // Log-probs a token: -8/4 = -2 and -21/5 = -4.2.
    const simpo = cpoPreference(new CPOConfig({ loss_type: "simpo", cpo_alpha: 0, beta: 2, simpo_gamma: 1.4 }));
    expect(values(simpo.loss(at()))[0]).toBeCloseTo(-ls(2 * 2.2 - 1.4), 5);
    const alphapo = cpoPreference(new CPOConfig({ loss_type: "alphapo", alpha: 0.25, beta: 2.5, simpo_gamma: 0.1 }));
    const reward = (logp: number): number => (1 - Math.exp(logp) ** -0.25) / 0.25;
    expect(values(alphapo.loss(at()))[0]).toBeCloseTo(-ls(2.5 * (reward(-2) - reward(-4.2)) - 0.1), 5);
    const orpo = orpoPreference(new ORPOConfig({ beta: 0.3 }));
    const odds = (logp: number): number => Math.exp(logp) / (1 - Math.exp(logp));
    expect(values(orpo.loss(at()))[0]).toBeCloseTo(2 - 0.3 * ls(Math.log(odds(-2) / odds(-4.2))), 5);
  });
});

describe("losses and slopes stay finite", () => {
  const far = [-1e4, -1e3, -60, -1e-3, 0, 1e-3, 60, 1e3, 1e4];
  const grid = far.flatMap((chosen) => far.map((rejected) => [chosen, rejected] as const));
  /** Every combination of log-ratios; the log-probs themselves stay at or below 0. */
  const everywhere = (lengths: number) => {
    const side = (i: 0 | 1) => ({ policy: grid.map((pair) => Math.min(pair[i], 0)), reference: grid.map((pair) => -Math.max(pair[i], 0)) });
    const [chosen, rejected] = [side(0), side(1)];
    const length = grid.map(() => lengths);
    return logps({
      policyChosen: chosen.policy,
      policyRejected: rejected.policy,
      referenceChosen: chosen.reference,
      referenceRejected: rejected.reference,
      chosenLengths: length,
      rejectedLengths: length,
      chosenTokens: length,
      rejectedTokens: length,
      nllTokens: length,
    });
  };
  const dpo = (options: DPOConfigInput): [string, (logps: PairLogps) => tf.Tensor1D] => [
    JSON.stringify(options),
    dpoPreference(quietly(options)).loss,
  ];
  const DIVERGENCES = ["forward_kl", "js_divergence", "alpha_divergence"] as const;
  const DIVERGING = ["sigmoid", "sigmoid_norm", "hinge", "exo_pair", "robust", "discopop", "sft", "ipo"] as const;
  const cases = [
    ...Object.keys(DPO_LOSSES).flatMap((name) =>
      [0.1, 1].map((beta) => dpo({ loss_type: name as DPOLossName, beta, label_smoothing: 0.1 })),
    ),
    ...DIVERGENCES.flatMap((f_divergence_type) =>
      DIVERGING.map((loss_type) => dpo({ loss_type, f_divergence_type, label_smoothing: 0.1 })),
    ),
    ...[-1, 2].map((f_alpha_divergence_coef) => dpo({ f_divergence_type: "alpha_divergence", f_alpha_divergence_coef })),
    ...[0.01, 1, 3].map((discopop_tau) => dpo({ loss_type: "discopop", discopop_tau, beta: 1 })),
    ...(["sigmoid", "hinge", "ipo", "simpo"] as const).flatMap((loss_type) =>
      [0, 0.25, -0.25].map((alpha): [string, (logps: PairLogps) => tf.Tensor1D] => [
        `CPO ${loss_type}, alpha ${alpha}`,
        cpoPreference(new CPOConfig({ loss_type, alpha })).loss,
      ]),
    ),
    ["ORPO", orpoPreference(new ORPOConfig()).loss] as [string, (logps: PairLogps) => tf.Tensor1D],
  ];
  it.each(cases)("%s", (_name, loss) => {
    for (const lengths of [1, 20]) {
      const { losses, slopes } = evaluated(loss, everywhere(lengths));
      expect(losses.filter((value) => !Number.isFinite(value))).toEqual([]);
      expect(slopes.map((side) => side.filter((value) => !Number.isFinite(value)))).toEqual([[], [], []]);
      expect(slopes.flat().some((slope) => slope !== 0)).toBe(true);
    }
  });

  it("they push in the right direction where the preference is badly wrong", () => {
    const at = logps({ policyChosen: [-1e4], referenceChosen: [-1], policyRejected: [-1], referenceRejected: [-1e4] });
    for (const name of ["sigmoid", "hinge", "ipo", "robust", "bco_pair", "sppo_hard", "sigmoid_norm", "aot", "nca_pair"] as const) {
      const { slopes } = evaluated((given) => DPO_LOSSES[name](given, { beta: 0.1 }), at);
      expect(slopes[0]![0], name).toBeLessThan(-1e-3);
      expect(slopes[1]![0], name).toBeGreaterThan(1e-3);
    }
  });
});
