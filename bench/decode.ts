/**
 * Tokens a second, read and made, beside transformers (float32) and llama.cpp (Q8_0, Q4_0) on the same random weights of Qwen2-0.5B's shape:
 *
 *     npm run bench:decode -- [--rounds 3] [--prompt 512] [--new 128] [--dtypes fp32,q8,q4] [--batches 1,4] [--threads 2]
 *                             [--checkpoint DIR] [--llama DIR]
 *
 * transformers runs where a Python with it is found (PREFLAB_PYTHON). llama.cpp needs a folder with its package, given by --llama or
 * PREFLAB_LLAMA: `mkdir llama && cd llama && npm install node-llama-cpp@3.22.1`; or `npm install --no-save node-llama-cpp@3.22.1` here.
 * The two of a pair are loaded at once and take turns; every prompt is new, so that no cache helps. The .gguf files are made beside the checkpoint.
 */
import { parseArgs } from "node:util";
import { packageRoot } from "../scripts/corpus/pairs.js";
import { compareDecode, DTYPES } from "./decode/compare.js";
import { checkpointOf } from "./shared/models.js";

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
const setting = {
  checkpoint: values.checkpoint ?? (await checkpointOf("Qwen2-0.5B", "runs")),
  vocabulary: 150_000,
  rounds: Number(values.rounds),
  promptTokens: Number(values.prompt),
  newTokens: Number(values.new),
  batches: values.batches.split(",").map(Number),
  threads: Number(values.threads),
  llama: values.llama,
  rivals: true,
};
for (const dtype of DTYPES.filter((name) => values.dtypes.split(",").includes(name)))
  await compareDecode(dtype, setting, (line) => console.log(line));
