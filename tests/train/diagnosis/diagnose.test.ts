/** Every rule with a history that it must see and a near-miss that it must not, then real histories of TRL. */
import { readFileSync } from "node:fs";
import { describe, expect, it, test } from "vitest";
import { toMimeBundle } from "../../../src/notebook/display.js";
import { DPOConfig, type LogEntry } from "../../../src/train/index.js";
import { diagnose } from "../../../src/train/diagnosis/diagnose.js";
import { type Diagnosis, formatDiagnosis } from "../../../src/train/diagnosis/diagnosis.js";
import type { DiagnosedArgs, DiagnosisFacts } from "../../../src/train/diagnosis/finding.js";
import { lossAtStart } from "../../../src/train/diagnosis/startLoss.js";
import { trialsNeeded, wilsonInterval } from "../../../src/train/diagnosis/wilson.js";

const LN2 = Math.log(2);
const ARGS: DiagnosedArgs = new DPOConfig({ learning_rate: 1e-5, per_device_train_batch_size: 4 });
const FACTS: DiagnosisFacts = { method: "dpo", trainRows: 400 };

/** A healthy run of 24 steps: its value at share t of the way, in [0, 1]. */
const healthy = (t: number): LogEntry => ({
  loss: LN2 - 0.5 * t,
  grad_norm: 0.8 - 0.3 * t,
  learning_rate: 1e-5 * (1 - t),
  entropy: 2 - 0.2 * t,
  "rewards/chosen": 0.5 * t,
  "rewards/rejected": -t,
  "rewards/margins": 1.5 * t,
  "rewards/accuracies": t === 0 ? 0 : 0.6 + 0.3 * t,
  "logps/chosen": -100 + 5 * t,
  "logps/rejected": -100 - 10 * t,
});

type Shape = (t: number, step: number) => Record<string, number | undefined>;

function log(change: Shape = () => ({}), steps = 24): LogEntry[] {
  return Array.from({ length: steps }, (_, i) => {
    const t = i / (steps - 1);
    return { ...healthy(t), epoch: t, step: i + 1, ...change(t, i + 1) } as LogEntry;
  });
}

interface Given {
  args?: Partial<DiagnosedArgs>;
  facts?: Partial<DiagnosisFacts>;
  evaluations?: LogEntry[];
  steps?: number;
}

function look(change?: Shape, { args = {}, facts = {}, evaluations = [], steps }: Given = {}): Diagnosis {
  const log_history = [...log(change, steps), ...evaluations, { train_loss: 0.4, train_runtime: 10, step: 24 }];
  return diagnose({ log_history }, { ...ARGS, ...args }, { ...FACTS, ...facts });
}
const codes = (diagnosis: Diagnosis): string[] => diagnosis.findings.map(({ code }) => code);
const found = (diagnosis: Diagnosis, code: string) => {
  const finding = diagnosis.findings.find((each) => each.code === code);
  expect(finding, `${code} among ${codes(diagnosis).join(", ")}`).toBeDefined();
  return finding!;
};

const evaluation = (step: number, loss: number, accuracy: number): LogEntry => ({
  eval_loss: loss,
  "eval_rewards/accuracies": accuracy,
  step,
});

test("a healthy run", () => {
  const diagnosis = look();
  expect(codes(diagnosis)).toEqual(["start_as_reference", "looks_healthy"]);
  expect(diagnosis.healthy).toBe(true);
  expect(found(diagnosis, "looks_healthy").text).toMatch(
    /^The loss went from 0\.\d+ to 0\.\d+, the margin is 1\.\d+, the accuracy 8\d %, and no rule/,
  );
});

describe("the start", () => {
  it.each([
    [{ loss_type: ["sigmoid"] }, LN2],
    [{ loss_type: "hinge" }, 1],
    [{ loss_type: ["ipo"] }, 25],
    [{ loss_type: ["ipo"], beta: 0.5 }, 1],
    // ½ ln(½ / 0.999) + ½ ln(½ / 0.001)
    [{ loss_type: ["exo_pair"], label_smoothing: 0.001 }, 0.5 * Math.log(0.5 / 0.999) + 0.5 * Math.log(0.5 / 0.001)],
    [{ loss_type: ["nca_pair"] }, 2 * LN2],
    [{ loss_type: ["robust"], label_smoothing: 0.2 }, LN2],
    [{ loss_type: ["bco_pair"] }, 2 * LN2],
    [{ loss_type: ["sppo_hard"] }, 50],
    [{ loss_type: ["aot"] }, LN2],
    [{ loss_type: ["aot_unpaired"] }, LN2],
    [{ loss_type: ["apo_zero"] }, 1],
    [{ loss_type: ["apo_down"] }, 1],
    [{ loss_type: ["discopop"] }, 0.5 * LN2 + 0.5],
    [{ loss_type: ["sigmoid_norm"] }, LN2],
    [{ loss_type: ["sigmoid", "hinge"], loss_weights: [0.5, 2] }, 0.5 * LN2 + 2],
    [{ loss_type: ["sigmoid", "sft"] }, undefined],
    [{ loss_type: ["ipo"], f_divergence_type: "forward_kl" }, undefined],
    [{ loss_type: ["sigmoid"], f_divergence_type: "forward_kl" }, LN2],
    [{ loss_type: ["sigmoid"], use_weighting: true }, undefined],
    [{ loss_type: () => undefined }, undefined],
  ] satisfies [Partial<DiagnosedArgs>, number | undefined][])("%o costs %d", (args, value) => {
    const got = lossAtStart("dpo", { ...ARGS, ...args });
    if (value === undefined) expect(got).toBeUndefined();
    else expect(got).toBeCloseTo(value, 12);
  });

  it("kto: half the weight", () => {
    expect(lossAtStart("kto", ARGS)).toBe(0.5);
    expect(lossAtStart("kto", { ...ARGS, desirable_weight: 2, undesirable_weight: 2 })).toBe(1);
    expect(lossAtStart("kto", { ...ARGS, desirable_weight: 2 })).toBeUndefined();
    expect(lossAtStart("sft", ARGS)).toBeUndefined();
  });

  const at =
    (first: LogEntry): Shape =>
    (_t, step) =>
      step === 1 ? first : {};

  it("another reference is a problem, rounding is none", () => {
    const finding = found(look(at({ loss: 0.75, "rewards/margins": -0.1 })), "start_differs");
    expect(finding.severity).toBe("problem");
    expect(finding.text).toContain("largest reward is 0.1 (must be 0) and the loss 0.75 (must be 0.6931)");
    expect(finding.evidence).toEqual({ loss: 0.75, expected_loss: LN2, largest_reward: 0.1 });
    // Both shifted alike: margin and loss hide it.
    expect(codes(look(at({ "rewards/chosen": -0.3, "rewards/rejected": -0.3 })))).toContain("start_differs");
    expect(codes(look(at({ loss: LN2 + 0.003, "rewards/margins": -0.006 })))).toContain("start_as_reference");
  });

  it("is not asked of a run whose reference is another model, or with dropout in the policy", () => {
    const different = at({ loss: 0.75, "rewards/margins": -0.1 });
    expect(codes(look(different, { facts: { startsAtReference: false } }))).toEqual(["looks_healthy"]);
    expect(codes(look(different, { args: { disable_dropout: false } }))).toEqual(["looks_healthy"]);
  });

  it("is unseen when the first entry is a mean of more steps, unless it was evaluated", () => {
    const tens: Shape = (_t, step) => ({ step: step * 10 });
    expect(found(look(tens), "start_unseen").text).toContain("mean up to step 10");
    expect(codes(look(tens, { evaluations: [{ eval_loss: LN2, "eval_rewards/margins": 0, step: 0 }] }))).toContain("start_as_reference");
    expect(codes(look(tens, { evaluations: [{ eval_loss: 1, "eval_rewards/margins": 0, step: 0 }] }))).toContain("start_differs");
  });

  it("sft: worse than a blind guess", () => {
    const sft = { method: "sft", vocabSize: 1000 } as const;
    expect(found(look(at({ loss: 7 }), { facts: sft }), "start_blind").text).toContain("blindly costs 6.908");
    expect(codes(look(at({ loss: 6.8 }), { facts: sft }))).not.toContain("start_blind");
  });
});

describe("rewards", () => {
  const falling =
    (chosen: number, rejected: number): Shape =>
    (t) => ({ "rewards/chosen": chosen * t, "rewards/rejected": rejected * t, "rewards/margins": (chosen - rejected) * t });

  it("both fall: a note while it is little, a warning when it is far or nearly the same", () => {
    expect(found(look(falling(-0.5, -2)), "both_fall").severity).toBe("note");
    const far = found(look(falling(-4, -12)), "both_fall_far");
    expect(far.severity).toBe("warning");
    expect(far.text).toContain('loss_type ["sigmoid", "sft"]');
    expect(found(look(falling(-0.95, -1)), "both_fall_far").text).toContain("nearly as far as for the rejected ones");
    expect(found(look(falling(-4, -12), { args: { loss_type: ["sigmoid", "sft"] } }), "both_fall_far").text).toContain("loss_weights");
    expect(codes(look(falling(-0.04, -2)))).not.toContain("both_fall");
    expect(codes(look(falling(0.5, -2)))).not.toContain("both_fall");
  });

  it("the wrong way: rejected preferred beyond chance", () => {
    const wrong =
      (accuracy: number): Shape =>
      (t) => ({ "rewards/margins": -t, "rewards/accuracies": t === 0 ? 0 : accuracy });
    expect(found(look(wrong(0.1)), "wrong_way").text).toContain("chosen and rejected are swapped");
    // 24 pairs in the last quarter: 0.4 may be chance.
    expect(codes(look(wrong(0.4)))).not.toContain("wrong_way");
    expect(codes(look((t) => ({ "rewards/margins": -0.02 * t, "rewards/accuracies": 0.1 })))).not.toContain("wrong_way");
  });
});

describe("progress", () => {
  const flat: Shape = () => ({
    loss: LN2,
    "rewards/margins": 0.001,
    "rewards/chosen": 0.001,
    "rewards/rejected": 0,
    learning_rate: 1e-5,
    grad_norm: 0.5,
  });

  it("stuck: neither loss nor margins move", () => {
    const finding = found(look(flat), "stuck");
    expect(finding).toMatchObject({ severity: "warning", evidence: { learning_rate: 1e-5, steps: 24 } });
    expect(finding.text).toContain("is too low");
    expect(
      found(
        look((t, step) => ({ ...flat(t, step), learning_rate: 5e-7 })),
        "stuck",
      ).text,
    ).toContain("the warmup is too long");
    expect(codes(look(flat, { steps: 19 }))).not.toContain("stuck");
    expect(codes(look((t, step) => ({ ...flat(t, step), "rewards/margins": 0.03 * t })))).not.toContain("stuck");
    expect(codes(look((t, step) => ({ ...flat(t, step), loss: LN2 - 0.05 * t })))).not.toContain("stuck");
    expect(codes(look(() => ({ loss: 2 }), { facts: { method: "sft" } }))).toContain("stuck");
  });

  it("no gradient at all is a problem of its own", () => {
    const diagnosis = look((t, step) => ({ ...flat(t, step), grad_norm: 0 }));
    expect(found(diagnosis, "no_gradient").severity).toBe("problem");
    expect(codes(diagnosis)).not.toContain("stuck");
    expect(codes(look((t, step) => ({ ...flat(t, step), grad_norm: step === 1 ? 0.1 : 0 })))).not.toContain("no_gradient");
  });
});

describe("over-fitting", () => {
  const perfect: Shape = (t) => ({ "rewards/accuracies": t === 0 ? 0 : 1, epoch: 3 * t });
  const facts = { evalRows: 500 };

  it("training perfect, evaluation worse than it was", () => {
    const rising = found(look(perfect, { facts, evaluations: [evaluation(8, 0.5, 0.8), evaluation(24, 0.6, 0.8)] }), "over_fitting");
    expect(rising.text).toContain("accuracy is 100 %, but the evaluation loss rose from 0.5 at step 8 to 0.6");
    const lower = look(perfect, { facts, evaluations: [evaluation(8, 0.5, 0.9), evaluation(24, 0.5, 0.84)] });
    expect(found(lower, "over_fitting").text).toContain("accuracy fell from 90 % to 84 %");
    expect(codes(look(perfect, { facts, evaluations: [evaluation(24, 0.5, 0.7)] }))).toContain("over_fitting");
  });

  it("not when evaluation holds, nor before training is perfect", () => {
    expect(codes(look(perfect, { facts, evaluations: [evaluation(8, 0.5, 0.8), evaluation(24, 0.52, 0.78)] }))).not.toContain(
      "over_fitting",
    );
    expect(codes(look(undefined, { facts, evaluations: [evaluation(8, 0.5, 0.8), evaluation(24, 0.6, 0.8)] }))).not.toContain(
      "over_fitting",
    );
  });

  it("sft: the evaluation loss rises while the training loss falls", () => {
    const sft = { method: "sft" } as const;
    const run: Shape = (t) => ({ loss: 3 - 2 * t });
    expect(
      codes(
        look(run, {
          facts: sft,
          evaluations: [
            { eval_loss: 2, step: 10 },
            { eval_loss: 2.2, step: 24 },
          ],
        }),
      ),
    ).toContain("over_fitting");
    expect(
      codes(
        look(run, {
          facts: sft,
          evaluations: [
            { eval_loss: 2, step: 10 },
            { eval_loss: 2.05, step: 24 },
          ],
        }),
      ),
    ).not.toContain("over_fitting");
    // Both get worse: something else.
    const worse: Shape = (t) => ({ loss: 2 + t });
    expect(
      codes(
        look(worse, {
          facts: sft,
          evaluations: [
            { eval_loss: 2, step: 10 },
            { eval_loss: 2.2, step: 24 },
          ],
        }),
      ),
    ).not.toContain("over_fitting");
  });

  it("perfect without any evaluation is a note", () => {
    expect(found(look(perfect), "not_evaluated")).toMatchObject({ severity: "note", evidence: { rows: 400, epochs: 3 } });
    expect(codes(look((t, step) => ({ ...perfect(t, step), epoch: t })))).not.toContain("not_evaluated");
    expect(codes(look(perfect, { facts, evaluations: [evaluation(24, 0.2, 0.95)] }))).not.toContain("not_evaluated");
  });
});

describe("stability", () => {
  it("numbers that broke", () => {
    const finding = found(
      look((_t, step) => (step === 20 ? { grad_norm: Infinity } : {})),
      "not_finite",
    );
    expect(finding).toMatchObject({ severity: "problem", evidence: { step: 20 } });
    expect(finding.text).toContain("grad_norm is Infinity at step 20");
    expect(codes(look((_t, step) => (step === 20 ? { "rewards/chosen": NaN } : {}), { facts: { method: "kto" } }))).not.toContain(
      "not_finite",
    );
  });

  it("loss spikes: above the usual and above the start", () => {
    const at =
      (loss: number): Shape =>
      (_t, step) =>
        step === 15 ? { loss } : {};
    expect(found(look(at(1.2)), "loss_spikes").evidence).toEqual({ spikes: 1, step: 15, loss: 1.2 });
    expect(codes(look(at(1)))).not.toContain("loss_spikes");
    const sft = { method: "sft" } as const;
    expect(codes(look((t, step) => ({ loss: step === 15 ? 3.5 : 2 - t }), { facts: sft }))).toContain("loss_spikes");
    expect(codes(look((t, step) => ({ loss: step === 15 ? 2.5 : 2 - t }), { facts: sft }))).not.toContain("loss_spikes");
  });

  it("gradients that grow", () => {
    const growing =
      (factor: number): Shape =>
      (t) => ({ grad_norm: 0.2 * factor ** t });
    expect(codes(look(growing(30)))).toContain("grad_norm_grows");
    expect(codes(look(growing(8)))).not.toContain("grad_norm_grows");
    // Ten times nothing is little.
    expect(codes(look((t) => ({ grad_norm: 0.01 * 30 ** t })))).not.toContain("grad_norm_grows");
  });

  it("rewards that explode", () => {
    const rejected =
      (value: number): Shape =>
      (t) => ({ "rewards/rejected": value * t });
    expect(found(look(rejected(-20)), "rewards_explode").text).toMatch(/Rewards have reached -1\d\.\d+: 1\d\d\.?\d* nats/);
    expect(codes(look(rejected(-12)))).not.toContain("rewards_explode");
  });

  it("entropy that collapses", () => {
    const falling =
      (end: number): Shape =>
      (t) => ({ entropy: 2 + (end - 2) * Math.min(1, 2 * t) });
    expect(codes(look(falling(0.2)))).toContain("entropy_collapse");
    expect(codes(look(falling(0.8)))).not.toContain("entropy_collapse");
    expect(codes(look((t) => ({ entropy: 0.4 * (1 - t) })))).not.toContain("entropy_collapse");
  });

  it("always clipped is a note", () => {
    expect(
      found(
        look(() => ({ grad_norm: 5 })),
        "always_clipped",
      ),
    ).toMatchObject({ severity: "note", evidence: { grad_norm: 5, clipped: 24 } });
    expect(codes(look((_t, step) => ({ grad_norm: step % 5 === 0 ? 0.5 : 5 })))).not.toContain("always_clipped");
    expect(codes(look(() => ({ grad_norm: 5 }), { args: { max_grad_norm: 0 } }))).not.toContain("always_clipped");
    expect(codes(look(() => ({ grad_norm: 5 }), { steps: 9 }))).not.toContain("always_clipped");
  });
});

describe("evidence", () => {
  it("Wilson's interval: 8 of 10 and 0 of 10 as in the tables", () => {
    expect(wilsonInterval(0.8, 10).low).toBeCloseTo(0.4902, 4);
    expect(wilsonInterval(0.8, 10).high).toBeCloseTo(0.9433, 4);
    expect(wilsonInterval(0, 10)).toEqual({ low: 0, high: expect.closeTo(0.2775, 4) as number });
  });

  it("pairs needed: as many that the interval just leaves out one half", () => {
    for (const share of [0.56, 0.6, 0.7, 0.9, 0.3]) {
      const away = (count: number): boolean => {
        const { low, high } = wilsonInterval(share, count);
        return low > 0.5 || high < 0.5;
      };
      expect(away(trialsNeeded(share))).toBe(true);
      expect(away(trialsNeeded(share) - 1)).toBe(false);
    }
    expect(trialsNeeded(0.5)).toBe(385);
  });

  it("an accuracy that chance could give", () => {
    const finding = found(look(undefined, { facts: { evalRows: 20 }, evaluations: [evaluation(24, 0.6, 0.65)] }), "maybe_chance");
    expect(finding.text).toContain("The evaluation accuracy is 65 % on 20 pairs: the true value is somewhere from 43 % to 82 %");
    expect(finding.evidence["pairs_needed"]).toBe(43);
    expect(codes(look(undefined, { facts: { evalRows: 60 }, evaluations: [evaluation(24, 0.6, 0.65)] }))).not.toContain("maybe_chance");
    // Training accuracy counts each row once, however often it was seen.
    const half: Shape = (t) => ({ "rewards/accuracies": t === 0 ? 0 : 0.72 });
    expect(codes(look(half, { args: { gradient_accumulation_steps: 8 } }))).not.toContain("maybe_chance");
    expect(codes(look(half, { args: { gradient_accumulation_steps: 8 }, facts: { trainRows: 10 } }))).toContain("maybe_chance");
    const none = look(undefined, { facts: { evalRows: 1000 }, evaluations: [evaluation(24, 0.69, 0.51)] });
    expect(found(none, "maybe_chance").text).toContain("there is none yet");
  });

  it("too few entries, and none", () => {
    expect(codes(look(undefined, { steps: 3 }))).toEqual(["few_entries", "start_as_reference"]);
    expect(codes(look(undefined, { steps: 4 }))).not.toContain("few_entries");
    const empty = diagnose({ log_history: [] }, ARGS, FACTS);
    expect(codes(empty)).toEqual(["few_entries"]);
    expect(empty.findings[0]!.title).toBe("Nothing was logged");
  });
});

describe("kto", () => {
  const kto = { method: "kto" } as const;
  const run =
    (kl: (t: number) => number): Shape =>
    (t) => ({ loss: 0.5 - 0.2 * t, kl: kl(t) });

  it("healthy", () => {
    expect(
      codes(
        look(
          run((t) => 2 * t),
          { facts: kto },
        ),
      ),
    ).toEqual(["start_as_reference", "looks_healthy"]);
  });

  it("kl that saturates the loss, and kl that is always 0", () => {
    expect(
      found(
        look(
          run((t) => 80 * t),
          { facts: kto },
        ),
        "kl_saturates",
      ).severity,
    ).toBe("warning");
    expect(
      codes(
        look(
          run((t) => 40 * t),
          { facts: kto },
        ),
      ),
    ).not.toContain("kl_saturates");
    expect(
      codes(
        look(
          run(() => 0),
          { facts: kto },
        ),
      ),
    ).toContain("kl_zero");
    expect(codes(look((t, step) => ({ ...run(() => 0)(t, step), "rewards/chosen": 0.01 * t }), { facts: kto }))).not.toContain("kl_zero");
  });

  it("labels of unequal weight", () => {
    const rows = (desirableRows: number, undesirableRows: number) => ({ facts: { ...kto, desirableRows, undesirableRows } });
    expect(
      found(
        look(
          run((t) => t),
          rows(300, 100),
        ),
        "labels_unbalanced",
      ).text,
    ).toContain("3 to 1");
    expect(
      found(
        look(
          run((t) => t),
          rows(300, 0),
        ),
        "labels_unbalanced",
      ).text,
    ).toContain("add rows of the missing kind");
    expect(
      codes(
        look(
          run((t) => t),
          rows(240, 100),
        ),
      ),
    ).not.toContain("labels_unbalanced");
    const weighted = look(
      run((t) => t),
      { ...rows(300, 100), args: { desirable_weight: 1, undesirable_weight: 3 } },
    );
    expect(codes(weighted)).not.toContain("labels_unbalanced");
  });
});

describe("how it looks", () => {
  const diagnosis = formatDiagnosis([
    { code: "x", severity: "warning", title: "a < b", text: `<script>"it's" & ${"word ".repeat(40)}`, evidence: { loss: 0.123456, n: 3 } },
  ]);

  it("text: a label, wrapped lines, the evidence", () => {
    const lines = diagnosis.text.split("\n");
    expect(lines[0]).toBe("WARNING: a < b (x)");
    expect(lines.at(-1)).toBe("  [loss 0.1235, n 3]");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(105);
    expect(String(diagnosis)).toBe(diagnosis.text);
  });

  it("HTML is escaped, and a notebook finds it", () => {
    expect(diagnosis.html).not.toContain("<script>");
    expect(diagnosis.html).toContain("&lt;script&gt;&quot;it&#39;s&quot; &amp;");
    expect(diagnosis.html).toContain("a &lt; b");
    expect(toMimeBundle(diagnosis)).toEqual({ "text/html": diagnosis.html, "text/plain": diagnosis.text });
  });

  it("the gravest comes first", () => {
    const severities = look((t, step) => ({
      grad_norm: 5,
      "rewards/rejected": -20 * t,
      ...(step === 20 ? { loss: NaN } : {}),
    })).findings.map(({ severity }) => severity);
    expect(severities).toEqual(["problem", "warning", "note", "ok"]);
  });
});

describe("real runs of TRL", () => {
  interface Variant {
    config: Record<string, unknown>;
    steps: LogEntry[];
  }
  const variants = (file: string): Record<string, Variant> =>
    (JSON.parse(readFileSync(`tests/golden/${file}`, "utf8")) as { variants: Record<string, Variant> }).variants;
  const read = (file: string, name: string, facts: DiagnosisFacts): string[] => {
    const { config, steps } = variants(file)[name]!;
    const log_history = steps.map((step) => ({ ...step, epoch: step["step"]! / 4 }));
    return codes(diagnose({ log_history }, { ...ARGS, ...config }, facts));
  };

  it.each([
    // 12 steps on 16 pairs of a random model: learns them by heart, clipped nearly always.
    ["accumulate1", ["not_evaluated", "always_clipped", "start_as_reference", "looks_healthy"]],
    ["accumulate2", ["not_evaluated", "always_clipped", "start_as_reference", "looks_healthy"]],
    ["ipo", ["maybe_chance", "start_as_reference", "looks_healthy"]],
    ["no_clip", ["maybe_chance", "start_as_reference", "looks_healthy"]],
    ["sync_ref", ["maybe_chance", "start_as_reference", "looks_healthy"]],
  ])("dpo %s", (name, expected) => {
    expect(read("train_dpo_full.json", name, { method: "dpo", trainRows: 16 })).toEqual(expected);
  });

  it("every dpo run starts as its reference, and none has a warning", () => {
    for (const name of Object.keys(variants("train_dpo_full.json"))) {
      const seen = read("train_dpo_full.json", name, { method: "dpo", trainRows: 16 });
      expect(seen, name).toEqual(expect.arrayContaining(["start_as_reference", "looks_healthy"]));
    }
  });

  it("the first step of one loss does not pass for another", () => {
    const { config, steps } = variants("train_dpo_full.json")["ipo"]!;
    const diagnosis = diagnose({ log_history: steps }, { ...ARGS, ...config, loss_type: ["sigmoid"] }, FACTS);
    expect(found(diagnosis, "start_differs").evidence).toMatchObject({ loss: 25, expected_loss: LN2 });
  });

  it("every kto run starts as its reference", () => {
    for (const name of Object.keys(variants("train_kto.json")))
      expect(read("train_kto.json", name, { method: "kto", trainRows: 16 }), name).toContain("start_as_reference");
  });
});
