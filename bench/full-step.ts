/**
 * One DPO step with all weights trained (float32, AdamW) at Qwen2-0.5B shape, beside the machine's own matrix product in the same minute:
 *
 *     npm run build && node dist/bench/full-step.js [--pairs 5] [--rounds 2] [--shape Qwen2-0.5B]
 *
 * Needed arithmetic: forward, gradients of inputs and gradients of weights, the prompt once, the head on completions only (three products);
 * attention by its visible pairs of tokens. The update of the weights is counted in the time alone.
 */
import { parseArgs } from "node:util";
import { AutoModelForCausalLM } from "../src/model/index.js";
import { Random } from "../src/random.js";
import { MicroBatchRunner } from "../src/train/dpo/microBatch.js";
import { dpoPreference } from "../src/train/dpo/preference.js";
import { AdamW } from "../src/train/optimizer/adamw.js";
import { DPOConfig } from "../src/train/options/dpoConfig.js";
import { median, neededOperations, plainSgemm, randomCheckpoint, syntheticPairs } from "./stepWork.js";

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      pairs: { type: "string", default: "5" },
      rounds: { type: "string", default: "2" },
      shape: { type: "string", default: "Qwen2-0.5B" },
      buckets: { type: "string", default: "4" },
    },
  });
  const model = await AutoModelForCausalLM.from_pretrained(await randomCheckpoint(values.shape));
  const engine = await model.load();
  const args = new DPOConfig({ per_device_train_batch_size: Number(values.pairs) });
  const pairs = syntheticPairs(Number(values.pairs), model.config, 0, Number(values.buckets));
  const references = pairs.map(() => ({ chosen: -900, rejected: -900 }));
  const operations = pairs.reduce((sum, pair) => sum + neededOperations(pair, model.config, "all"), 0);
  console.log(
    `${engine.description}; tokens ${pairs.map(({ layout }) => layout.ids.length).join(" ")}; ${(operations / 1e9).toFixed(0)} GFLOP a step`,
  );

  const runner = await MicroBatchRunner.create(engine, model, args, dpoPreference(args));
  const optimizer = await AdamW.create(engine, model, args);
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
  console.log(`stored: ${gigabytes(engine.bytes())}; memory ${gigabytes(process.memoryUsage().rss)}`);
  const step = async (): Promise<number> => {
    const times = [performance.now()];
    const processor = process.cpuUsage();
    const lap = (): number => times[times.push(performance.now()) - 1]! - times[times.length - 2]!;
    const { loss } = await runner.run(pairs, references, { of: 1, index: 0, random: new Random(0) });
    const gradient = lap() / 1000;
    const norm = await optimizer.gradientNorm();
    const norms = lap() / 1000;
    await optimizer.step(1e-6, 1);
    const update = lap() / 1000;
    const total = gradient + norms + update;
    const stages = `gradient ${gradient.toFixed(2)} s (${(gradient / pairs.length).toFixed(2)} s a pair), norm ${norms.toFixed(2)} s, update ${update.toFixed(2)} s`;
    const { user, system } = process.cpuUsage(processor);
    const memory = `processor time ${(user / 1e6).toFixed(1)} s and ${(system / 1e6).toFixed(1)} s in the system; memory ${gigabytes(process.memoryUsage().rss)}, peak ${gigabytes(process.resourceUsage().maxRSS * 1024)}`;
    console.log(`step ${total.toFixed(2)} s: ${stages}; ${memory}; loss ${loss.toFixed(6)}, gradient norm ${norm}`);
    return total;
  };
  console.log("first step, with tracing and sessions:");
  await step();
  const seconds: number[] = [];
  for (let round = 0; round < Number(values.rounds); round++) seconds.push(await step());
  const peak = process.resourceUsage().maxRSS * 1024;
  const tokens = Math.round(pairs.reduce((sum, { layout }) => sum + layout.ids.length, 0) / pairs.length);
  const scored = Math.round(pairs.reduce((sum, { layout }) => sum + layout.sources.length, 0) / pairs.length);
  // After the peak was read: it makes a session of its own.
  const plain = await (await plainSgemm(engine, model, tokens, scored))();
  const reached = operations / median(seconds) / 1e9;
  console.log(
    `median: ${median(seconds).toFixed(2)} s a step, ${(pairs.length / median(seconds)).toFixed(3)} pairs/s, needed ${reached.toFixed(1)} GFLOP/s, plain sgemm ${plain.toFixed(1)} GFLOP/s, ratio ${(reached / plain).toFixed(3)}, peak memory ${gigabytes(peak)}`,
  );
  await model.dispose();
}

await main();
