/**
 * From the start of a process to its first LoRA DPO step at Qwen2-0.5B shape, by stages, a fresh process per round:
 *
 *     npm run build && node dist/bench/start-up.js [--rounds 5] [--shape Qwen2-0.5B] [--folder DIR] [--huge] [--warm]
 *
 * --huge: the processes get glibc's `malloc.hugetlb=1`. --warm: before each round another process takes 6 GB and frees them. A virtual
 * machine whose host takes freed memory back otherwise fetches every page anew, and that is what is then measured.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HUGE_PAGES = "glibc.malloc.hugetlb=1";

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    shape: { type: "string", default: "Qwen2-0.5B" },
    folder: { type: "string" },
    huge: { type: "boolean", default: false },
    warm: { type: "boolean", default: false },
    stages: { type: "boolean", default: false },
  },
});
/** Milliseconds by stage, of this process. @param folder of the checkpoint */
async function measureStages(folder: string): Promise<Record<string, number>> {
  const stages: Record<string, number> = {};
  // The clock of `performance` starts with the process.
  let last = 0;
  const stage = (name: string): void => {
    stages[name] = performance.now() - last;
    last = performance.now();
  };
  stage("node");
  await import("../src/index.js");
  const { MicroBatchRunner } = await import("../src/train/dpo/microBatch.js");
  const { dpoPreference } = await import("../src/train/dpo/preference.js");
  const { AdamW } = await import("../src/train/optimizer/adamw.js");
  const { AutoModelForCausalLM, DPOConfig, LoraConfig, Random, get_peft_model } = await import("../src/index.js");
  const { layoutPair } = await import("../src/train/sequence/pairLayout.js");
  const { randomPairs } = await import("./shared/pairs.js");
  stage("imports");
  const base = await AutoModelForCausalLM.from_pretrained(folder);
  stage("open");
  const engine = await base.load();
  stage("weights");
  stages["rss after weights, MB"] = process.memoryUsage().rss / 2 ** 20;
  stages["peak rss, MB"] = process.resourceUsage().maxRSS / 1024;
  last = performance.now();
  const model = get_peft_model(base, new LoraConfig({ r: 16, lora_alpha: 32, target_modules: ["q_proj", "v_proj"] }));
  await model.load();
  stage("LoRA");
  const args = new DPOConfig({ per_device_train_batch_size: 1 });
  const runner = await MicroBatchRunner.create(engine, model, args, dpoPreference(args));
  const optimizer = await AdamW.create(engine, model, args);
  stage("runner");
  const pairs = randomPairs(1, base.config.vocab_size, 0, { prompt: [60, 30], completion: [80, 40] }).map((pair, row) => ({
    layout: layoutPair({
      ...pair,
      row,
      chosen_prompt_start: 0,
      rejected_prompt_start: 0,
      prompt_is_prefix_of_chosen: true,
      prompt_is_prefix_of_rejected: true,
    }),
    origin: `row ${row}`,
  }));
  const step = async (): Promise<void> => {
    await runner.run(pairs, [{ chosen: -900, rejected: -900 }], { of: 1, index: 0, random: new Random(0) });
    await optimizer.gradientNorm();
    await optimizer.step(1e-6, 1);
  };
  await step();
  stage("first step");
  await step();
  stage("second step");
  await step();
  stage("third step");
  // What a first step does beyond a later one: trace, session, first touch of its memory.
  stages["set-up of the step"] = stages["first step"]! - stages["third step"]!;
  stages["start-up"] = ["node", "imports", "open", "weights", "LoRA", "runner", "set-up of the step"].reduce(
    (sum, name) => sum + stages[name]!,
    0,
  );
  await base.dispose();
  return stages;
}

/** Takes memory and gives it back. */
function warmUp(env: NodeJS.ProcessEnv): void {
  const code = "for (let k = 0, keep = []; k < 12; k++) keep.push(new Uint8Array(2 ** 29).fill(1));";
  spawnSync(process.execPath, ["-e", code], { env });
}

async function main(): Promise<void> {
  if (flags.stages) {
    console.log(JSON.stringify(await measureStages(flags.folder!)));
    return;
  }
  // Not above: a process that measures its stages must not have loaded anything.
  const { checkpointOf } = await import("./shared/models.js");
  const folder = flags.folder ?? (await checkpointOf(flags.shape, "runs"));
  const { median } = await import("../scripts/compare/report.js");
  const env = { ...process.env, ...(flags.huge ? { GLIBC_TUNABLES: HUGE_PAGES } : {}) };
  const rounds: Record<string, number>[] = [];
  for (let round = 0; round < Number(flags.rounds); round++) {
    if (flags.warm) warmUp(env);
    const { stdout, stderr, status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--stages", "--folder", folder], {
      env,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
    const stages = JSON.parse(stdout) as Record<string, number>;
    rounds.push(stages);
    console.log(
      `round ${round + 1}: ${Object.entries(stages)
        .map(([name, value]) => `${name} ${value.toFixed(0)}`)
        .join(", ")}`,
    );
  }
  console.log(`median of ${rounds.length} (ms): `);
  for (const name of Object.keys(rounds[0]!))
    console.log(
      `  ${name.padEnd(24)} ${median(rounds.map((stages) => stages[name]!))
        .toFixed(0)
        .padStart(6)}`,
    );
}

await main();
