/** Whole runs against TRL, number by number. Tolerances are ten times what a float64 replay of the reference shows (golden/README.md). */
import { describe, expect, it } from "vitest";
import { readFileTensor } from "../../src/compile/index.js";
import { openAdapter } from "../../src/model/index.js";
import { decays } from "../../src/train/optimizer/adamw.js";
import { differences, type GoldenRun, type GoldenVariant, goldenRun, goldenVariants } from "./goldenRuns.js";
import { preparedPairs, referenceLogps } from "./microBatches.js";
import { GOLDEN, goldenPairs, largestDifference, trainedTensors } from "./tinyModel.js";

const TOLERANCE: Record<string, number> = { learning_rate: 1e-12, grad_norm: 2e-4, num_tokens: 0, "rewards/accuracies": 0 };
const OTHERS = 5e-4;

/** @param most steps to run; all by default */
async function check(name: string, variant: GoldenVariant, engine: "compiled" | "eager", most = Infinity): Promise<void> {
  const run = await goldenRun(variant, { engine }, most);
  try {
    await run.trainer.train();
    const steps = run.trainer.state.log_history.slice(0, -1);
    const golden = variant.steps.slice(0, most);
    expect(steps.length).toBe(golden.length);
    const worst = differences(steps, golden);
    console.log(
      `${name} (${engine}): ${Object.entries(worst)
        .map(([key, value]) => `${key} ${value.toExponential(1)}`)
        .join(", ")}`,
    );
    for (const [key, value] of Object.entries(worst)) expect(value, key).toBeLessThanOrEqual(TOLERANCE[key] ?? OTHERS);
    if (golden.length < variant.steps.length) return;
    await checkEnd(name, variant, run);
  } finally {
    await run.dispose();
  }
}

/** Log-probs of every row, the tensors' norms, how far they moved, and with LoRA the whole adapter after the last step. */
async function checkEnd(name: string, variant: GoldenVariant, { model, start }: GoldenRun): Promise<void> {
  const logps = await referenceLogps(model, await preparedPairs(await goldenPairs(), model));
  let far = 0;
  logps.forEach(({ chosen, rejected }, i) => {
    far = Math.max(far, Math.abs(chosen - variant.final_logps.chosen[i]!), Math.abs(rejected - variant.final_logps.rejected[i]!));
  });
  expect(logps.length).toBe(variant.final_logps.chosen.length);
  expect(far).toBeLessThan(1e-3);

  const end = await trainedTensors(model);
  const plain = (golden: string): string => golden.replace(".default.", ".");
  expect([...end.keys()].filter(decays).sort()).toEqual(variant.parameters_with_weight_decay.map(plain).sort());
  expect([...end.keys()].sort()).toEqual(Object.keys(variant.update_l2).map(plain).sort());
  let norms = 0;
  for (const [golden, update] of Object.entries(variant.update_l2)) {
    const [first, last] = [start.get(plain(golden))!, end.get(plain(golden))!];
    const moved = Math.hypot(...last.map((value, i) => value - first[i]!));
    const difference = Math.max(Math.abs(Math.hypot(...last) / variant.final_parameter_l2[golden]! - 1), Math.abs(moved / update - 1));
    // A key's bias hardly changes the attention: its gradient is mostly rounding, which Adam blows up.
    const rounding = golden.endsWith("k_proj.bias");
    expect(difference, golden).toBeLessThan(rounding ? 5e-3 : 2e-5);
    if (!rounding) norms = Math.max(norms, difference);
  }

  let adapter = "";
  if (variant.final_adapter !== undefined) {
    const { tensors } = await openAdapter(`${GOLDEN}/${variant.final_adapter}`, model.config);
    const difference = largestDifference(end, new Map([...tensors].map(([key, entry]) => [key, readFileTensor(entry)])));
    expect(difference).toBeLessThan(1e-4);
    adapter = `, adapter ${difference.toExponential(1)}`;
  }
  console.log(`${name} at the end: log-probs ${far.toExponential(1)}, norms (relative) ${norms.toExponential(1)}${adapter}`);
}

const full = Object.entries(goldenVariants("train_dpo_full.json"));
const lora = Object.entries(goldenVariants("train_dpo_lora.json"));

describe("DPO of all weights equals TRL", () => {
  it.each(full)("%s", (name, variant) => check(name, variant, "compiled"));
});

describe("DPO of a LoRA adapter equals TRL", () => {
  it.each(lora)("%s", (name, variant) => check(name, variant, "compiled"));
});

// A few steps: the first has rate 0, then the weights move.
describe("the eager engine gives the same run", () => {
  it("all weights", () => check("no_clip", goldenVariants("train_dpo_full.json")["no_clip"]!, "eager", 3));
  it("LoRA, accumulation 2", () => check("accumulate2", goldenVariants("train_dpo_lora.json")["accumulate2"]!, "eager", 4));
});
