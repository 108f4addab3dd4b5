/**
 * Tokens a second, read and made, beside transformers (float32) and llama.cpp (Q8_0, Q4_0) on the same random weights of Qwen2-0.5B's shape:
 *
 *     npm run bench:decode -- [--rounds 3] [--prompt 512] [--new 128] [--dtypes fp32,q8,q4] [--batches 1,4] [--threads 2]
 *                             [--checkpoint DIR] [--llama DIR]
 *
 * transformers runs where a Python with it is found (PREFLAB_PYTHON). llama.cpp needs a folder with its package, given by --llama or
 * PREFLAB_LLAMA: `mkdir llama && cd llama && npm install node-llama-cpp@3.22.1`; or `npm install --no-save node-llama-cpp@3.22.1` here.
 * The two of a pair are loaded at once and take turns; every prompt is new, so that no cache helps. The .gguf files are made in runs/.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Random } from "../src/random.js";
import { median } from "../scripts/compare/report.js";
import { findPython } from "../scripts/compare/pythonStack.js";
import { packageRoot } from "../scripts/corpus/pairs.js";
import { Contender, type DecodeRequest, type DecodeTimes } from "./decode/contender.js";
import { writeGguf } from "./gguf.js";
import { checkpointOf } from "./shared/models.js";

const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const DTYPES = ["fp32", "q8", "q4"] as const;
type Dtype = (typeof DTYPES)[number];

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    prompt: { type: "string", default: "512" },
    new: { type: "string", default: "128" },
    dtypes: { type: "string", default: DTYPES.join(",") },
    batches: { type: "string", default: "1,4" },
    threads: { type: "string", default: "2" },
    checkpoint: { type: "string" },
    llama: { type: "string", default: process.env["PREFLAB_LLAMA"] ?? packageRoot() },
  },
});
const checkpoint = values.checkpoint ?? (await checkpointOf("Qwen2-0.5B", "runs"));
const [rounds, promptTokens, newTokens] = [values.rounds, values.prompt, values.new].map(Number) as [number, number, number];

/** The contender that Preflab is measured against, or why there is none. */
async function rival(dtype: Dtype): Promise<Contender | string> {
  if (dtype === "fp32") {
    let python: string;
    try {
      python = findPython();
    } catch (error) {
      return (error as Error).message;
    }
    const script = join(packageRoot(), "bench", "decode", "transformers_run.py");
    return Contender.start("transformers fp32", python, [script, checkpoint, values.threads]);
  }
  if (!existsSync(join(values.llama, "node_modules", "node-llama-cpp")))
    return `no node-llama-cpp in ${values.llama}; npm install --no-save node-llama-cpp@3.22.1, or name a folder with --llama`;
  const type = dtype === "q8" ? "Q8_0" : "Q4_0";
  mkdirSync("runs", { recursive: true });
  const file = join("runs", `random-Qwen2-0.5B-${type}.gguf`);
  if (!existsSync(file)) await writeGguf(checkpoint, file, type);
  return Contender.start(`llama.cpp ${type}`, process.execPath, [beside("decode/llama.js"), values.llama, file, values.threads]);
}

let prompts = 0;
function request(batch: number): DecodeRequest {
  const random = new Random(prompts++);
  return {
    newTokens,
    prompts: Array.from({ length: batch }, () => Array.from({ length: promptTokens }, () => random.integer(150_000))),
  };
}

async function compare(dtype: Dtype): Promise<void> {
  const own = await Contender.start(`preflab ${dtype}`, process.execPath, [beside("decode/preflab.js"), checkpoint, dtype, values.threads]);
  if (typeof own === "string") throw new Error(own);
  const other = await rival(dtype);
  const contenders = typeof other === "string" ? [own] : [own, other];
  if (typeof other === "string") console.log(`${dtype}: alone (${other.split("\n")[0]})`);
  for (const batch of values.batches.split(",").map(Number)) {
    const times = contenders.map((): DecodeTimes[] => []);
    for (let round = 0; round <= rounds; round++) {
      const asked = round === 0 ? { ...request(batch), newTokens: 8 } : request(batch);
      for (const [i, contender] of contenders.entries()) {
        const took = await contender.ask(asked);
        // The first round opens sessions and fills caches.
        if (round > 0) times[i]!.push(took);
      }
    }
    const rates = contenders.map((contender, i) => {
      const prefill = times[i]!.map((took) => (batch * promptTokens * 1e3) / took.prefill);
      const decode = times[i]!.map((took) => (batch * (newTokens - 1) * 1e3) / took.decode);
      console.log(
        `${contender.name.padEnd(18)} batch ${batch}: prefill ${median(prefill).toFixed(0).padStart(6)} tokens/s, decode ${median(decode).toFixed(1).padStart(6)} tokens/s`,
      );
      return { prefill, decode };
    });
    if (rates.length < 2) continue;
    const ratio = (kind: "prefill" | "decode"): string => median(rates[0]![kind].map((rate, i) => rate / rates[1]![kind][i]!)).toFixed(2);
    console.log(`${"".padEnd(18)} ratio:   prefill ${ratio("prefill")}, decode ${ratio("decode")}`);
  }
  for (const contender of contenders) contender.stop();
}

for (const dtype of DTYPES.filter((name) => values.dtypes.split(",").includes(name))) await compare(dtype);
