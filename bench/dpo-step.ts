/**
 * One LoRA DPO step at Qwen2-0.5B shape, beside the machine's own matrix product in the same minute:
 *
 *     npm run build && node dist/bench/dpo-step.js [--pairs 5] [--rounds 3] [--shape Qwen2-0.5B]
 *
 * Needed arithmetic counts what no exact method can leave out: prompt once, both completions, the head on completions
 * only, no gradients of frozen weights, nothing below the first adapter; attention by its visible pairs of tokens.
 * Plain sgemm is a pair's large matrix products, the same shapes and weights, with nothing between them.
 */
import { parseArgs } from "node:util";
import { AutoModelForCausalLM, LoraConfig, get_peft_model } from "../src/model/index.js";
import { Random } from "../src/random.js";
import { AdamW } from "../src/train/optimizer/adamw.js";
import { DPOConfig } from "../src/train/options/dpoConfig.js";
import { MicroBatchRunner } from "../src/train/dpo/microBatch.js";
import { dpoPreference } from "../src/train/dpo/preference.js";
import { median, neededOperations, plainSgemm, randomCheckpoint, syntheticPairs } from "./stepWork.js";

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      pairs: { type: "string", default: "5" },
      rounds: { type: "string", default: "3" },
      shape: { type: "string", default: "Qwen2-0.5B" },
    },
  });
  const base = await AutoModelForCausalLM.from_pretrained(await randomCheckpoint(values.shape));
  const started = performance.now();
  const engine = await base.load();
  console.log(`${engine.description}; weights read in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  console.log(`memory after loading: ${(process.memoryUsage().rss / 2 ** 30).toFixed(2)} GB`);
  const model = get_peft_model(base, new LoraConfig({ r: 16, lora_alpha: 32, target_modules: ["q_proj", "v_proj"] }));
  await model.load();
  const args = new DPOConfig({ per_device_train_batch_size: Number(values.pairs) });
  const pairs = syntheticPairs(Number(values.pairs), base.config, 0);
  const references = pairs.map(() => ({ chosen: -900, rejected: -900 }));
  const operations = pairs.reduce((sum, pair) => sum + neededOperations(pair, base.config, "adapter"), 0);
  const padded = pairs.reduce((sum, { bucket }) => sum + bucket.tokens, 0) / pairs.reduce((sum, { layout }) => sum + layout.ids.length, 0);
  console.log(
    `${pairs.length} pairs, tokens ${pairs.map(({ layout }) => layout.ids.length).join(" ")}, buckets ${[...new Set(pairs.map(({ bucket }) => `${bucket.tokens}/${bucket.scored}`))].join(" ")}, padding ${((padded - 1) * 100).toFixed(1)} %`,
  );
  console.log(`needed arithmetic: ${(operations / 1e9).toFixed(0)} GFLOP a step`);

  const runner = await MicroBatchRunner.create(engine, model, args, dpoPreference(args));
  const optimizer = await AdamW.create(engine, model, args);
  const tokens = Math.round(pairs.reduce((sum, { layout }) => sum + layout.ids.length, 0) / pairs.length);
  const scored = Math.round(pairs.reduce((sum, { layout }) => sum + layout.sources.length, 0) / pairs.length);
  const sgemm = await plainSgemm(engine, base, tokens, scored);
  const step = async (): Promise<number> => {
    const begin = performance.now();
    await runner.run(pairs, references, { of: 1, index: 0, random: new Random(0) });
    await optimizer.gradientNorm();
    await optimizer.step(1e-6, 1);
    return (performance.now() - begin) / 1000;
  };
  console.log(`first step, with tracing and sessions: ${(await step()).toFixed(1)} s`);
  const ratios: number[] = [];
  const seconds: number[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const before = await sgemm();
    const time = await step();
    const plain = (before + (await sgemm())) / 2;
    const reached = operations / time / 1e9;
    ratios.push(reached / plain);
    seconds.push(time);
    console.log(
      `round ${round + 1}: step ${time.toFixed(2)} s, needed ${reached.toFixed(1)} GFLOP/s, plain sgemm ${plain.toFixed(1)} GFLOP/s, ratio ${(reached / plain).toFixed(3)}`,
    );
  }
  const peak = process.resourceUsage().maxRSS / 1024 / 1024;
  console.log(
    `median: ${median(seconds).toFixed(2)} s a step, ${(pairs.length / median(seconds)).toFixed(3)} pairs/s, ratio ${median(ratios).toFixed(3)}, peak memory ${peak.toFixed(2)} GB`,
  );
  await base.dispose();
}

await main();
