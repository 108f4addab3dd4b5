/** llama.cpp's side, through node-llama-cpp: `node llama.js PACKAGE_FOLDER FILE.gguf THREADS`. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { serve } from "./contender.js";

/** What is used of node-llama-cpp 3.22. */
interface Sequence {
  evaluate(tokens: readonly number[], options: { temperature: number; yieldEogToken: boolean }): AsyncGenerator<number>;
  clearHistory(): Promise<void>;
}
interface NodeLlamaCpp {
  getLlama(options: { gpu: false; build: "never"; maxThreads: number }): Promise<{
    loadModel(options: { modelPath: string }): Promise<{
      createContext(options: {
        contextSize: number;
        sequences: number;
        threads: number;
        batchSize: number;
      }): Promise<{ getSequence(): Sequence }>;
    }>;
  }>;
}

const [folder, file, threads] = process.argv.slice(2) as [string, string, string];
const entry = join(folder, "node_modules", "node-llama-cpp", "dist", "index.js");
const nodeLlamaCpp = (await import(pathToFileURL(entry).href)) as NodeLlamaCpp;
const llama = await nodeLlamaCpp.getLlama({ gpu: false, build: "never", maxThreads: Number(threads) });
const model = await llama.loadModel({ modelPath: file });
const context = await model.createContext({ contextSize: 1024, sequences: 4, threads: Number(threads), batchSize: 512 });
const sequences = Array.from({ length: 4 }, () => context.getSequence());
await serve(async ({ prompts, newTokens }) => {
  for (const sequence of sequences) await sequence.clearHistory();
  const started = performance.now();
  let reading = prompts.length;
  let read = started;
  const run = async (ids: readonly number[], sequence: Sequence): Promise<void> => {
    let made = 0;
    for await (const _ of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
      if (made === 0 && --reading === 0) read = performance.now();
      if (++made === newTokens) return;
    }
    throw new Error(`llama.cpp must make ${newTokens} tokens, got ${made}`);
  };
  await Promise.all(prompts.map((ids, i) => run(ids, sequences[i]!)));
  return { prefill: read - started, decode: performance.now() - read };
});
process.exit(0);
