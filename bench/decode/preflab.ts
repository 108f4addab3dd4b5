/** Preflab's side: `node preflab.js CHECKPOINT DTYPE THREADS`. */
import "../../src/generate/index.js";
import { AutoModelForCausalLM } from "../../src/model/index.js";
import type { ModelDtype } from "../../src/model/weightFormats.js";
import { Decoder } from "../../src/generate/decoder.js";
import { argmax } from "../../src/generate/sampling.js";
import { serve } from "./contender.js";

const [folder, dtype, threads] = process.argv.slice(2) as [string, ModelDtype, string];
const model = await AutoModelForCausalLM.from_pretrained(folder, { dtype, threads: Number(threads) });
const decoder = new Decoder(model, await model.load());
await serve(async ({ prompts, newTokens }) => {
  const started = performance.now();
  const sequences = [];
  for (const ids of prompts) sequences.push(await decoder.start(ids, ids.length + newTokens));
  let ids = sequences.map(({ logits }) => argmax(logits));
  const read = performance.now();
  for (let made = 1; made < newTokens; made++) {
    await decoder.push(sequences, ids);
    ids = sequences.map(({ logits }) => argmax(logits));
  }
  const done = performance.now();
  for (const sequence of sequences) await sequence.dispose();
  return { prefill: read - started, decode: done - read };
});
await model.dispose();
